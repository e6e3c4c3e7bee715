"""What goes wrong on purpose: what Slurm shows of it, and that all is well again afterward."""

import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hpc_testbed import FAULTS, Testbed, TestbedError

from ..tables import read_table

NODE = "node2"
SLOW = pytest.mark.full


def submit(testbed, options="", command="sleep 300", user="alice"):
    """Submit a job for the node; return its id once it runs."""
    job = testbed.run(
        f"sbatch --parsable --nodelist={NODE} --output=/dev/null {options} --wrap='{command}'",
        user=user,
    ).stdout.strip()
    wait_for(testbed, job, "RUNNING|COMPLETED|FAILED")
    return job


def job_shown(testbed, job):
    """Return what squeue shows of a job: state and reason."""
    shown = testbed.run(f"squeue -h --states=all -j {job} -o '%T %r'", check=False)
    return shown.stdout.strip()


def node_shown(testbed):
    return testbed.run(f"sinfo -h -N -p short -n {NODE} -o %T", check=False).stdout.strip()


def wait_for(testbed, job, pattern, seconds=60):
    """Wait until squeue's line of a job begins with the pattern; return that line."""
    deadline = time.monotonic() + seconds
    while not re.match(pattern, shown := job_shown(testbed, job)):
        assert time.monotonic() < deadline, f"job {job}: {shown}, not {pattern}, in {seconds} s"
        time.sleep(0.2)
    return shown


def wait_for_node(testbed, pattern, seconds=60):
    deadline = time.monotonic() + seconds
    while not re.fullmatch(pattern, shown := node_shown(testbed)):
        assert time.monotonic() < deadline, f"{NODE}: {shown}, not {pattern}, in {seconds} s"
        time.sleep(0.2)


@pytest.fixture
def healthy(testbed):
    """Yield the testbed; repair it after the test, and check that it is well."""
    yield testbed
    testbed.run("scancel --user=alice --quiet; scancel --user=bob --quiet", user="root")
    if testbed.check_health():
        testbed.repair()
        assert testbed.check_health() == []


# Fault, options of a job on the node, what squeue then shows of the job, what sinfo of the node.
TABLE = [
    ("drain-node", "", "RUNNING", "draining"),
    # The node itself may be back by the time that one looks (ReturnToService=2).
    pytest.param("down-node", "--no-requeue", "NODE_FAIL", None, marks=SLOW),
    ("down-node", "", "PENDING (BeginTime|ReqNodeNotAvail)", None),
    pytest.param("requeue-jobs", "", "PENDING BeginTime", None, marks=SLOW),
    ("cancel-jobs", "", "CANCELLED", "(idle|mixed|completing)-?"),
    pytest.param("preempt-jobs", "--partition=spare --no-requeue", "PREEMPTED", None, marks=SLOW),
    pytest.param("preempt-jobs", "--partition=spare", "PENDING", None, marks=SLOW),
    pytest.param("kill-node", "--no-requeue", "NODE_FAIL NodeDown", r"down\*", marks=SLOW),
    pytest.param("kill-node", "", "PENDING", r"down\*", marks=SLOW),
    pytest.param("pause-node", "--no-requeue", "NODE_FAIL NodeDown", r"down\*", marks=SLOW),
    pytest.param("cut-node", "--no-requeue", "NODE_FAIL NodeDown", r"down\*", marks=SLOW),
    pytest.param("cut-ib0", "--no-requeue", "NODE_FAIL NodeDown", r"down\*", marks=SLOW),
    pytest.param("skew-clock", "--no-requeue", "NODE_FAIL NodeDown", r"down\*", marks=SLOW),
    pytest.param("end-walltime", "", "TIMEOUT", None, marks=SLOW),
]


@pytest.mark.parametrize(("name", "options", "job_is", "node_is"), TABLE)
def test_slurm_shows_what_happened_to_job_and_node(healthy, name, options, job_is, node_is):
    job = submit(healthy, options)
    with healthy.fault(name, node=NODE):
        wait_for(healthy, job, job_is, seconds=150)
        if node_is:
            wait_for_node(healthy, node_is)


def test_every_fault_is_tested_here():
    rows = [getattr(row, "values", row) for row in TABLE]
    tested = {row[0] for row in rows}
    tested |= set(re.findall(r'fault\(\s*"([\w-]+)"', Path(__file__).read_text()))
    assert tested == set(FAULTS)


@SLOW
def test_a_broken_fabric_is_seen_by_nobody_but_the_programs_on_it(healthy):
    reach = "timeout 3 bash -c ': < /dev/tcp/login1/22'"
    job = submit(healthy)
    assert healthy.run(reach, service=NODE).returncode == 0
    with healthy.fault("break-fabric", node=NODE):
        assert healthy.run(reach, service=NODE, check=False).returncode == 124  # no answer at all
        time.sleep(12)  # longer than SlurmdTimeout
        assert job_shown(healthy, job).startswith("RUNNING")
        assert node_shown(healthy) in ("mixed", "allocated")
    assert healthy.run(reach, service=NODE).returncode == 0


def test_the_kernel_kills_a_job_that_needs_more_memory_than_there_is(healthy):
    with healthy.fault("exhaust-memory", node=NODE):
        job = submit(healthy, command='python3 -c "bytes([7]) * 600 * 2**20"')
        wait_for(healthy, job, "FAILED NonZeroExitCode")
        shown = healthy.run(f"scontrol show job {job}").stdout
    assert re.search(r"ExitCode=(0:9|9:0|137:0)", shown)


def test_a_full_scratch_loses_what_a_job_prints_and_slurm_does_not_say_so(healthy):
    with healthy.fault("fill-scratch"):
        # The shell's own echo fails, and the script goes on, as most scripts do.
        job = submit(healthy, "-o /scratch/out.txt", "echo hello; true")
        wait_for(healthy, job, "COMPLETED")
        assert healthy.run("cat /scratch/out.txt").stdout == ""
    wait_for(healthy, submit(healthy, "-o /scratch/out.txt", "seq 1000"), "COMPLETED")
    assert healthy.run("tail -1 /scratch/out.txt").stdout == "1000\n"
    healthy.run("rm /scratch/out.txt")


def test_jobs_outlive_a_restart_of_the_controller(healthy):
    running, waiting = submit(healthy), submit_waiting(healthy)
    with healthy.fault("restart-slurmctld"):
        assert job_shown(healthy, running).startswith("RUNNING")
        assert job_shown(healthy, waiting).startswith("PENDING")


def submit_waiting(testbed):
    return testbed.run("sbatch --parsable --hold -o /dev/null --wrap=true").stdout.strip()


@pytest.mark.full
def test_a_job_ends_while_the_controller_is_away_and_is_told_later(healthy):
    job = submit(healthy, command="sleep 3; echo done > away.txt")
    with healthy.fault("stop-slurmctld"):
        assert healthy.run("timeout 2 squeue", check=False).returncode != 0
        healthy.run("timeout 30 bash -c 'until [[ -s away.txt ]]; do sleep 0.2; done'")
    wait_for(healthy, job, "COMPLETED")
    healthy.run("rm away.txt")


@SLOW
@pytest.mark.parametrize("service", ["slurmdbd", "mariadb"])
def test_jobs_run_while_accounting_is_away_and_are_accounted_for_later(healthy, service):
    faults = {
        "slurmdbd": lambda: healthy.fault("stop-slurmdbd"),
        "mariadb": lambda: healthy.fault("stop-mariadb"),
    }
    with faults[service]():
        job = submit(healthy, command="true")
        wait_for(healthy, job, "COMPLETED")
        assert "COMPLETED" not in healthy.run(f"timeout 5 sacct -nXj {job}", check=False).stdout
    accounted = f"until sacct -nXj {job} -o state | grep -q COMPLETED; do sleep 0.5; done"
    healthy.run(accounted, timeout=60)


@SLOW
def test_a_job_over_its_walltime_hears_of_it_before_it_is_killed(healthy):
    script = 'trap "echo SIGTERM > told.txt" TERM; for i in $(seq 900); do sleep 0.2; done'
    healthy.run(
        f"printf '#!/bin/bash\\n%s\\n' '{script}' > trap.sh && "
        "sbatch --wait --partition=tiny --time=1 --output=/dev/null trap.sh",
        check=False,
        timeout=240,
    )
    assert healthy.run("cat told.txt").stdout == "SIGTERM\n"
    healthy.run("rm trap.sh told.txt")


@pytest.mark.full
def test_a_test_that_leaves_something_fails_and_the_next_finds_the_testbed_well(
    testbed, pytester_like
):
    outcome = pytester_like(
        f"""
        from hpc_testbed import pytest_plugin
        pytest_plugin.JOB_END_TIMEOUT_S = 0.5  # no job has ended here

        def test_leaves_a_node_out_of_service(testbed):
            testbed.inject("drain-node", node={NODE!r})

        def test_forgets_with(testbed):
            assert testbed.status_problems() == []
            testbed.fault("kill-node", node={NODE!r})

        def test_leaves_a_process(testbed):
            command = "setsid sleep 4321 &> /dev/null < /dev/null &"
            testbed.run(command, user="bob", service={NODE!r})

        def test_next(testbed):
            assert testbed.processes() == []
        """
    )
    assert "4 passed, 3 errors" in outcome
    assert f"the test did not clean up the testbed: {NODE} is drain" in outcome
    call = f"fault('kill-node', node='{NODE}')"
    assert f"{call} was never injected: use it in a `with` statement" in outcome
    assert f"testbed: a process is left, bob on {NODE}: `sleep 4321` (pid " in outcome


@pytest.fixture
def pytester_like(testbed, tmp_path):
    """Return a function that runs pytest on a text, on this testbed; it returns what was said."""

    def run(text):
        (tmp_path / "test_it.py").write_text(textwrap.dedent(text))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path]
        command += [f"--testbed-name={testbed.name}", "--rootdir", tmp_path]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout

    return run


# --- repair, and asking wrongly -------------------------------------------------------------------


def test_repair_after_an_exception_in_the_block(healthy):
    with pytest.raises(KeyboardInterrupt):
        with healthy.fault("drain-node", node=NODE):
            raise KeyboardInterrupt
    assert healthy.node_states()[NODE] == "idle"


@pytest.mark.full
def test_repair_of_a_fault_that_was_injected_twice(healthy):
    healthy.inject("drain-node", node=NODE)
    healthy.inject("drain-node", node=NODE)
    assert healthy.check_health() == [f"{NODE} is drain"]
    healthy.repair()
    healthy.repair()
    assert healthy.check_health() == []


@pytest.mark.parametrize(
    ("name", "node", "words"),
    [
        ("flood", NODE, "unknown fault 'flood'; choose from kill-node, "),
        ("kill-node", "node77", "unknown node 'node77'; choose from node1, node2, "),
        ("kill-node", "slurmctld", "unknown node 'slurmctld'; choose from node1, node2, "),
        ("cancel-jobs", NODE, f"no job is running on {NODE}"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(testbed, name, node, words):
    with pytest.raises(TestbedError, match=re.escape(words)) as error:
        testbed.inject(name, node=node)
    assert "\n" not in str(error.value)
    assert testbed.check_health() == []


@pytest.mark.parametrize(("name", "node"), [("flood", NODE), ("kill-node", "node77")])
def test_a_fault_that_can_not_be_is_refused_before_its_block(testbed, name, node):
    with pytest.raises(TestbedError, match=r"unknown (fault|node)"):
        testbed.fault(name, node=node)
    assert testbed.unused_faults == []


@SLOW
@pytest.mark.parametrize(("name", "state"), [("kill-node", "exited"), ("pause-node", "paused")])
def test_a_second_fault_of_a_node_that_is_away_says_to_repair_it(healthy, name, state):
    healthy.inject(name, node=NODE)
    words = rf"^{NODE} is not running \({state}\): restart it \(hpc-testbed repair\)$"
    with pytest.raises(TestbedError, match=words):
        healthy.inject("kill-node", node=NODE)


def test_repair_of_a_testbed_that_is_not_up():
    with pytest.raises(TestbedError, match=r"is not up|Docker is missing|Docker engine"):
        Testbed("hpc-testbed-nowhere").repair()


def test_the_command_lists_every_fault():
    command = [sys.executable, "-m", "hpc_testbed", "fault"]
    listed = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=True)
    for name, fault in FAULTS.items():
        assert re.search(rf"^  {name} +{re.escape(fault.description)}$", listed.stdout, re.M)


def test_the_page_says_of_every_fault_what_the_driver_says():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "faults.md").read_text()
    told = [[f"`{name}`", fault.description, fault.symptom] for name, fault in FAULTS.items()]
    assert read_table(page, "fault") == told

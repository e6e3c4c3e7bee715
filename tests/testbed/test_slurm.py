"""The testbed is a Slurm site: who may compute, what is shared, which network leads where."""

import shlex
from pathlib import Path

import pytest
import yaml

from hpc_testbed import TestbedError
from hpc_testbed.testbed import SUITES

REPOSITORY = Path(__file__).parents[2]
ANSWERS = REPOSITORY / "{{cookiecutter.project_slug}}/toolkit/tests/answers.yaml"

PROBE = "python3 -c \"import socket; socket.create_connection(('{address}', {port}), timeout=2)\""


def test_the_leg_that_was_asked_for_is_the_slurm_that_runs(testbed):
    version = testbed.run("sinfo --version").stdout.strip()
    assert f" {SUITES[testbed.suite].split()[1]}." in version  # "slurm-wlm 24.11.5"
    for service, daemon in (
        ("slurmctld", "slurmctld"),
        ("slurmdbd", "slurmdbd"),
        ("node", "slurmd"),
    ):
        assert testbed.run(f"{daemon} -V", user="root", service=service).stdout.strip() == version


def test_a_batch_job_runs_as_its_user_and_writes_to_the_shared_home(testbed):
    testbed.run("sbatch --quiet --wait --output=out.txt --wrap='id -un; pwd'")
    assert testbed.run("cat out.txt").stdout.split() == ["alice", "/home/alice"]
    testbed.run("rm out.txt")


def test_srun_works_from_the_login_node(testbed):
    hosts = testbed.run("srun --nodes=2 hostname").stdout.split()
    assert len(set(hosts)) == 2


def test_four_nodes_offer_more_cpus_than_the_machine_needs_to_have(testbed):
    assert testbed.run("sinfo --noheader --partition=short --format=%C").stdout.strip() == (
        "0/128/0/128"
    )


@pytest.mark.parametrize(
    ("user", "arguments", "words"),
    [
        ("carol", "", "Invalid account"),
        ("mallory", "--partition=long", "Invalid account"),
        ("alice", "--account=other", "Invalid account"),
        ("alice", "--partition=tiny --time=10", "time limit"),
        ("alice", "--cpus-per-task=33", "node configuration is not available"),
    ],
    ids=["no account", "not their partition", "another's account", "walltime", "too large"],
)
def test_sbatch_refuses(testbed, user, arguments, words):
    with pytest.raises(TestbedError, match=words):
        testbed.run(f"sbatch {arguments} --wrap=true", user=user)


def test_a_qos_limit_makes_the_second_job_wait_and_says_why(testbed):
    submit = "sbatch --parsable --qos=onejob --wrap='sleep 60'"
    first, second = (testbed.run(submit).stdout.strip() for _ in range(2))
    try:
        seen = testbed.run(
            f"for i in $(seq 50); do s=$(squeue -h -j {first},{second} -o '%T %r' | sort);"
            ' case "$s" in *RUNNING*) break;; esac; sleep 0.2; done; echo "$s"'
        ).stdout
        assert "PENDING QOSMaxJobsPerUserLimit" in seen
    finally:
        testbed.run(f"scancel {first} {second}")


def test_finished_jobs_are_accounted_to_the_lab(testbed):
    job = testbed.run("sbatch --parsable --wait --output=/dev/null --wrap=true").stdout.strip()
    account = testbed.run(
        f"for i in $(seq 50); do s=$(sacct -nXPj {job} -o account,state);"
        ' case "$s" in *COMPLETED) break;; esac; sleep 0.2; done; echo "$s"'
    ).stdout
    assert account.strip() == "lab|COMPLETED"


def address(testbed, service, interface):
    listing = testbed.run(f"ip -4 -o addr show {interface}", user="root", service=service).stdout
    return listing.split()[3].split("/")[0]


@pytest.mark.parametrize(("interface", "reached"), [("ib0", True), ("eth0", False)])
@pytest.mark.parametrize(("server", "client"), [("login", "node"), ("node", "login")])
def test_login_and_nodes_reach_each_other_over_ib0_alone(
    testbed, server, client, interface, reached
):
    target = address(testbed, server, interface)
    probe = PROBE.format(address=target, port=8099)
    serve = f"timeout 30 python3 -m http.server --bind {target} 8099 > /dev/null 2>&1 & echo $!"
    there = f"for i in $(seq 50); do {probe} 2> /dev/null && exit; sleep 0.1; done; exit 1"
    pid = testbed.run(serve, service=server).stdout.strip()
    testbed.run(there, service=server)  # seen from its own side it answers
    seen = testbed.run(probe, service=client, check=False)
    testbed.run(f"kill {pid}", service=server)
    assert (seen.returncode == 0) is reached


def test_sbatch_reads_the_walltimes_that_the_table_of_answers_says_it_does(testbed):
    rows = [row for row in yaml.safe_load(ANSWERS.read_text()) if row[0] == "walltime"]
    verdicts = {text: verdict for _, name, text, verdict, _ in rows if name in ("slurm", "every")}
    # Read by Slurm, but as something that nobody means: no limit, another number, a day.
    misread = {"-1", "00:00", "99999999999", "1-"}
    assert misread < {text for text, verdict in verdicts.items() if verdict == "refused"}
    texts = " ".join(map(shlex.quote, verdicts))
    said = testbed.run(
        f'for t in {texts}; do sbatch --test-only --time="$t" --wrap=true 2>&1 | '
        "grep -q 'Invalid --time' && echo refused || echo taken; done"
    ).stdout.split()
    expected = ["taken" if t in misread else verdict for t, verdict in verdicts.items()]
    assert dict(zip(verdicts, said, strict=True)) == dict(zip(verdicts, expected, strict=True))

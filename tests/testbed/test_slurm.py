"""The testbed is a Slurm site: who may compute, what is shared, which network leads where."""

import shlex
from pathlib import Path

import pytest
import yaml

from hpc_testbed import TestbedError
from hpc_testbed.compose import SUITES

from ..marks import quick

REPOSITORY = Path(__file__).parents[2]
ANSWERS = REPOSITORY / "tests/toolkit/answers.yaml"

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


@pytest.mark.parametrize(("server", "client"), [("login", "node"), ("node", "login")])
def test_login_and_nodes_reach_each_other_over_ib0_alone(testbed, server, client):
    serve = "timeout 30 python3 -m http.server 8099 > /dev/null 2>&1 & echo $!"
    pid = testbed.run(serve, service=server).stdout.strip()
    for interface, reached in (("ib0", True), ("eth0", False)):
        probe = PROBE.format(address=address(testbed, server, interface), port=8099)
        there = f"for i in $(seq 50); do {probe} 2> /dev/null && exit; sleep 0.1; done; exit 1"
        testbed.run(there, service=server)  # seen from its own side it answers
        seen = testbed.run(probe, service=client, check=False)
        assert (seen.returncode == 0) is reached, interface
    testbed.run(f"kill {pid}", service=server)


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


# --- jobs that ask for the environment of a login shell: slurmd must stand them all ---

PROFILE = "export MINE=profile OTHER=profile; echo loud; echo louder >&2"


@pytest.fixture
def profile(testbed):
    """Yield a function that writes alice's ~/.bash_profile, which is removed at the end."""

    def write(text):
        # The driver's own login shells pass by.
        only_in_jobs = '[ "$ENVIRONMENT" = BATCH ] || return 0\n'
        testbed.run("cat > .bash_profile", input=only_in_jobs + text)

    yield write
    testbed.run("rm -f .bash_profile environment.txt")


def pids(testbed):
    pid = "pgrep -o -x slurmd"
    return [testbed.run(pid, user="root", service=node).stdout for node in testbed.node_names()]


WAYS = {
    "NONE": "sbatch --export=NONE",
    "get": "sbatch --get-user-env",
    "get, with its argument": "sbatch --get-user-env=10L",
    "some": "sbatch --export=OTHER=given,TERM",
    "SBATCH_EXPORT": "SBATCH_EXPORT=NONE sbatch",
    "SBATCH_GET_USER_ENV": "SBATCH_GET_USER_ENV=1 sbatch",
    "SLURM_GET_USER_ENV": "SLURM_GET_USER_ENV=1 sbatch",
}


def test_a_job_gets_the_environment_of_a_login_shell_where_it_asks_for_it(testbed, profile):
    profile(PROFILE)
    before = pids(testbed)
    submit = " & ".join(
        f"{way} --quiet --wait --output=environment-{number}.txt --wrap='echo $MINE, $OTHER, "
        "$HOME, ${LOCAL:-nothing}, $SLURM_GET_USER_ENV; command -v env'"
        for number, way in enumerate(WAYS.values())
    )
    testbed.run(f"{submit} & wait", env={"LOCAL": "here"}, timeout=120)
    show = "cat $(ls -v environment-*.txt); rm environment-*.txt"
    printed = testbed.run(show).stdout.splitlines()
    told = dict(zip(WAYS, printed[::2], strict=True))
    where = set(printed[1::2])
    local = "profile, profile, /home/alice, here, 1"
    bare = "profile, profile, /home/alice, nothing, 1"
    assert told == {
        **dict.fromkeys(WAYS, local),
        "NONE": bare,
        "some": "profile, given, /home/alice, nothing, 1",
        "SBATCH_EXPORT": bare,
    }
    assert where == {"/usr/bin/env"}
    assert pids(testbed) == before


# What the login files are, and what a job then finds in MINE.
LOGIN_FILES = {
    "it fails": ("export MINE=profile\nexit 1", "nothing"),
    "leaves something": ("export MINE=profile; sleep 300 & sleep 300 < /dev/null &", "profile"),
    "asks": ("read -r MINE; export MINE=${MINE:-empty}", "empty"),
    "two lines": ("export MINE='two\nlines' ; f() { :; }; export -f f", "nothing"),
    "is killed": ("kill -9 $$", "nothing"),
}


@pytest.mark.parametrize("name", quick(LOGIN_FILES, "leaves something", "is killed"))
def test_whatever_the_login_files_do_the_job_runs_and_the_node_serves(testbed, profile, name):
    text, expected = LOGIN_FILES[name]
    profile(text)
    submit = "sbatch --export=NONE --quiet --wait --output=environment.txt"
    testbed.run(f"{submit} --wrap='echo ${{MINE:-nothing}}; echo $HOME'", timeout=60)
    assert testbed.run("cat environment.txt").stdout.split() == [expected, "/home/alice"]


def test_tasks_of_srun_get_no_login_environment(testbed, profile):
    """As with Slurm's own: there `srun --export=NONE` leaves them Slurm's variables alone."""
    profile(PROFILE)
    job = "srun --export=NONE /bin/sh -c 'echo ${MINE:-nothing}'"
    assert testbed.run(job).stdout == "nothing\n"
    testbed.run(
        "sbatch --export=NONE --quiet --wait --output=environment.txt << 'END'\n#!/bin/sh\n"
        "echo $MINE\nsrun --export=ALL sh -c 'unset MINE; echo ${OTHER:-nothing} $HOME'\nEND"
    )
    assert testbed.run("cat environment.txt").stdout == "profile\nprofile /home/alice\n"


def test_users_cannot_end_a_nodes_daemon(testbed):
    """Limits, sizes and signals that a user may hand on with a job."""
    before = pids(testbed)
    quiet = "--quiet --wait --output=/dev/null"
    testbed.run(
        f"""
        export A=$(head -c 100000 /dev/zero | tr '\\0' x) && export B=$A C=$A D=$A E=$A
        sbatch {quiet} --wrap true & unset A B C D E
        (ulimit -v 100000; sbatch {quiet} --propagate=ALL --wrap true) &
        (ulimit -n 20; sbatch {quiet} --propagate=ALL --wrap true) &
        (ulimit -u 1; sbatch {quiet} --propagate=NPROC --wrap true) &
        sbatch {quiet} --array=0-9 --wrap true &
        sbatch {quiet} --chdir=/nonexistent --wrap true &
        sbatch --quiet --wait --output=/nonexistent/x --wrap true &
        srun --quiet sh -c 'kill -9 $PPID $(pgrep slurmd)' &
        srun --quiet sh -c 'kill -9 $$' &
        wait
        """,
        timeout=120,
    )
    assert pids(testbed) == before
    assert testbed.status_problems() == []

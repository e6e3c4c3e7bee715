"""Processes on the nodes: listed by the driver, and ended with their jobs."""

import os

import pytest

from hpc_testbed.processes import leftover_processes, list_processes

# A job's shell that dies of SIGTERM, and its child that does not.
DEAF = "#!/bin/bash\nbash -c \"trap '' TERM; touch deaf; while :; do sleep 0.5; done\"\ntrue\n"

# Runs here what it is asked to run in a container: `docker exec CONTAINER COMMAND`.
DOCKER = 'shift 2; exec "$@"'


@pytest.fixture
def job(testbed):
    """Yield a running job of alice's whose child ignores SIGTERM."""
    testbed.run(f"rm -f deaf; cat > deaf.sh <<'END'\n{DEAF}END")
    job = testbed.run("sbatch --parsable --output=/dev/null deaf.sh").stdout.strip()
    testbed.run("until [ -e deaf ]; do sleep 0.1; done", timeout=60)
    yield job
    testbed.run("rm deaf deaf.sh")


def test_what_users_run_on_nodes_is_listed_and_ends_with_the_job(testbed, job):
    node = testbed.run(f"squeue --noheader --jobs={job} --format=%N").stdout.strip()
    found = testbed.processes()
    assert {(process.user, process.node) for process in found} == {("alice", node)}
    assert any("trap '' TERM" in process.command for process in found)
    testbed.run(f"scancel {job}")
    assert [str(process) for process in leftover_processes(testbed, 15)] == []


def test_a_process_that_ends_while_it_is_looked_at_is_passed_over(tmp_path, monkeypatch):
    # Its command could be read, its owner no more.
    for name, lines in {"find": f"echo {os.getpid()}", "stat": "exit 1", "docker": DOCKER}.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert list_processes({"node1": "a-container"}) == []
    (tmp_path / "stat").write_text("#!/bin/sh\necho alice\n")
    [process] = list_processes({"node1": "a-container"})
    assert (process.user, process.node, process.pid) == ("alice", "node1", os.getpid())

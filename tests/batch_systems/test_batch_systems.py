"""SGE, OAR and HTCondor for real: Debian's packages in a container each, and the toolkit there.

One computer, one user, no limits: it shows that commands, ids, lists, words and cancelling are the
real ones. What a site is, with nodes, networks and accounts, is shown on Slurm only.
"""

import contextlib
import json
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from hpc_testbed import Testbed
from hpc_testbed.docker_engine import docker_problem

HERE = Path(__file__).parent
TOOLKIT = HERE.parents[1] / "{{cookiecutter.project_slug}}" / "toolkit" / "src" / "dask_hpc"
JOB = {"walltime": "00:10:00"}
SYSTEMS = {
    "sge": (
        "bookworm",
        {**JOB, "queue": "all.q", "job-extra-directives": ["-pe smp 2"]},
        r"pending \(`qstat -j ID` shows why\)",
        "ended on .*, failed",
        [
            ({"queue": "nowhere"}, 'unknown queue "nowhere"; .*Check queue: `qconf -sql`'),
            ({"project": "nowhere"}, "requested project .* Check project"),
            ({"walltime": "30:00"}, "is not a time value; .*Check walltime"),
            ({"resource_spec": "nothing=1"}, "unknown resource .* Check resource-spec"),
            ({"job_extra_directives": ["-pe mpi 2"]}, "parallel environment .* Check -pe"),
        ],
    ),
    "oar": (
        "bookworm",
        {**JOB, "memory-per-core-property-name": "memcore"},
        r"pending: start scheduled by OAR \(scheduledStart 20",
        "ended on .*, failed",
        [
            ({"queue": "nowhere"}, r"The queue nowhere does not exist\. Check queue"),
            ({"walltime": "1h"}, "Cannot recognize .* Check resource-spec and walltime"),
            ({"memory": "999 GiB"}, "not enough resources .* check cores, memory"),
            ({"memory_per_core_property_name": "no"}, "Bad resource .* Check resource-spec and me"),
        ],
    ),
    "htcondor": (
        "trixie",
        {"disk": "10 MiB"},
        r"pending \(`condor_q -better-analyze ID` shows why\)",
        "ended on .*, failed",
        [
            ({"job_extra_directives": {"+Group": "((("}}, "Parse error .* Check job-extra-direct"),
            ({"submit_command_extra": ["-name", "nowhere"]}, "unknown host .* Check submit-comm"),
        ],
    ),
}


@contextlib.contextmanager
def container(name, suite):
    """Run `name`'s set-up in a container of its own; give a function that runs a command there."""
    image = Testbed(f"hpc-testbed-{name}", suite=suite, target="lab")
    image.build()
    box = f"hpc-testbed-{name}-{uuid.uuid4().hex[:8]}"
    start = ["docker", "run", "--detach", "--init", "--name", box, "--hostname", f"{name}host"]
    subprocess.run(
        [*start, "--entrypoint", "sleep", image.image, "3600"], check=True, capture_output=True
    )

    def run(*command, user="root"):
        done = subprocess.run(
            ["docker", "exec", "--user", user, box, "timeout", "400", *command],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    try:
        for source, target in ((HERE, "/opt/tests"), (TOOLKIT, "/opt/toolkit/dask_hpc")):
            run("mkdir", "-p", str(Path(target).parent))
            subprocess.run(["docker", "cp", source, f"{box}:{target}"], check=True)
        run("install", "-d", "-o", "alice", "/home/alice")
        run("sh", f"/opt/tests/{name}.sh")
        yield run
    finally:
        subprocess.run(["docker", "rm", "--force", box], check=True, capture_output=True)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_cluster_lives_on_the_real_batch_system(request, name):
    if problem := docker_problem():
        (pytest.fail if request.config.getoption("require_testbed") else pytest.skip)(problem)
    suite, settings, waiting, ended, refused = SYSTEMS[name]
    asked = json.dumps([arguments for arguments, _ in refused])
    with container(name, suite) as run:
        words = ["python3", "/opt/tests/lifecycle_program.py", name, json.dumps(settings), asked]
        printed = run("env", "-C", "/home/alice", "HOME=/home/alice", *words, user="alice")
    told = json.loads(printed.splitlines()[-1])
    assert told["sum"] == 3
    assert told["running"] == [["running", f"{name}host"]] * 2
    assert told["waiting"].startswith("WorkerStartTimeoutError: ")
    assert re.search(waiting, told["waiting"])
    assert told["cancelled"] == ["cancelled"] * 6
    assert told["left"] == []
    assert re.match(f"JobsEndedError: .*{ended}", told["ended"])
    for (_, words), line in zip(refused, told["refused"], strict=True):
        assert re.match(f"SubmitError: .*{words}", line)

"""HyperQueue: a server in this program, and a worker in each of four Slurm jobs.

The package on the index has no command `hq`, but both server and worker are in it. Its
`LocalCluster` adds workers to its own server only, which it finds through <folder>/hq-current: the
worker's program makes a server that nobody uses, and points that link at the access file of the
real one. Tasks are commands, which is what HyperQueue is made for; a Python function would start an
interpreter for each task.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from common import (
    INTERFACE,
    NODES,
    OUT,
    SLOTS_PER_NODE,
    cold_and_warm,
    in_slots,
    report_versions,
    shell_traces,
)

TASK = (
    "begin=$EPOCHREALTIME; sleep {seconds}; "
    "echo {item} $SLURMD_NODENAME $$ 0 $begin $EPOCHREALTIME > {folder}/{item}"
)
LIMIT_S = 600


def worker(server, host):
    """Start a worker of the server whose folder is given; runs in a job."""
    from hyperqueue.ffi.cluster import Cluster

    mine = Path(tempfile.mkdtemp(prefix="hq-"))
    cluster = Cluster(str(mine))
    access = json.loads((Path(server) / "hq-current" / "access.json").read_text())
    access["worker"]["host"] = host
    (mine / "real").mkdir()
    (mine / "real" / "access.json").write_text(json.dumps(access))
    link = mine / "hq-current"
    link.unlink()
    link.symlink_to(mine / "real")
    cluster.add_worker(SLOTS_PER_NODE)
    time.sleep(LIMIT_S)


def address():
    """Return the address at which jobs reach this computer."""
    command = ["ip", "-4", "-json", "addr", "show", "dev", INTERFACE]
    (found,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found["addr_info"][0]["local"]


def main():
    from hyperqueue.client import Client
    from hyperqueue.ffi.cluster import Cluster
    from hyperqueue.job import Job

    server = OUT.with_suffix(".server")
    server.mkdir()
    cluster = Cluster(str(server))
    words = f"exec {sys.executable} {Path(__file__).resolve()} --worker {server} {address()}"
    shape = ["--ntasks=1", f"--cpus-per-task={SLOTS_PER_NODE}", "--mem=4G", "--time=10"]
    sbatch = ["sbatch", "--parsable", *shape, "--output=/dev/null", f"--wrap={words}"]
    jobs = [
        subprocess.run(sbatch, check=True, capture_output=True, text=True).stdout.strip()
        for _ in range(NODES)
    ]
    client = Client(str(server))
    numbers = count()

    def run(items, seconds):
        folder = OUT.with_suffix(f".tasks-{next(numbers)}")
        folder.mkdir()
        job = Job(max_fails=None)
        for item in items:
            words = TASK.format(seconds=seconds, item=item, folder=folder)
            job.program(["bash", "-c", words], stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])
        return in_slots(shell_traces(folder))

    cold_and_warm(run)
    report_versions("hyperqueue")
    subprocess.run(["scancel", *jobs], check=False)
    del cluster
    os._exit(0)  # the server's threads do not end


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        main()

"""Count how many clients' first connections to a new cluster succeed while all cores are busy.

    python benchmarks/connections.py [--count 200] [--load 1] [--plain] [--testbed]

Each time, this creates a new cluster and its first client, which makes one call, alternating
between TLS and plain TCP. Meanwhile, `--load` busy processes run per core. No job is submitted,
except with `--testbed`: this runs on the testbed's login node, where a job's workers also connect
and run a task. Prints how many connections succeeded and how long they took, including the task;
the exit code is 0 if all did. `--plain` uses dask-jobqueue's own class. The figures in
docs/explanation/measurements.md come from this script.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from statistics import median

# Do not depend on the machine's configuration, and do not leave files in the current directory.
ARGUMENTS = {"cores": 4, "processes": 4, "memory": "2 GiB", "log_directory": None}
KEYS = ("ca", "cert", "key")


@contextmanager
def busy_cores(per_core):
    """Keep all cores busy, with `per_core` processes each."""
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(per_core * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def connect(cluster_class, secure, folder, job):
    """Create a cluster and its first client; return the seconds that the client took."""
    from distributed import Client

    options = {"dashboard_address": ":0"} | ({"interface": "ib0"} if job else {})
    with cluster_class(
        scheduler_options=options, shared_temp_directory=folder, **secure, **ARGUMENTS
    ) as cluster:
        if job:
            cluster.scale(jobs=1)
        begin = time.monotonic()
        with Client(cluster) as client:
            assert client.run_on_scheduler(lambda: 42) == 42
            if job:
                assert client.submit(abs, -42).result(timeout=120) == 42
            took = time.monotonic() - begin
            assert cluster.scheduler_address.startswith(secure["protocol"])
    return took


def keys(folder):
    """Return the setting for TLS with the keys in a folder, or with temporary ones (None)."""
    from distributed import Security

    if folder is None:
        return True
    files = {name: str(Path(folder, name).resolve()) for name in KEYS}
    pairs = {
        f"tls_{role}_{kind}": files[kind]
        for role in ("client", "scheduler", "worker")
        for kind in ("cert", "key")
    }
    return Security(tls_ca_file=files["ca"], require_encryption=True, **pairs)


def measure(count, per_core, plain, key_folder=None):
    """Return {"tcp": …, "tls": …}: each connection's seconds, and the failures' tracebacks."""
    if plain:
        from dask_jobqueue import SLURMCluster
    else:
        from dask_hpc import SLURMCluster
    found = {kind: {"seconds": [], "failures": []} for kind in ("tcp", "tls")}
    secure = {"tcp": {"protocol": "tcp://"}}
    secure["tls"] = {"protocol": "tls://", "security": keys(key_folder)}
    job = key_folder is not None
    with busy_cores(per_core), tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            for kind, record in found.items():
                try:
                    took = connect(SLURMCluster, secure[kind], folder, job)
                    record["seconds"].append(took)
                except Exception as error:
                    said = "".join(traceback.format_exception(error))
                    record["failures"].append({"number": number, "traceback": said})
    return found


def measure_on_testbed(count, per_core, plain, home):
    """Do what `measure` does, on a login node, with a job each time."""
    from distributed import Security
    from on_testbed import project, records

    temporary = Security.temporary().get_tls_config_for_role("worker")
    with project("connections", home, nodes=2) as lab, tempfile.TemporaryDirectory() as folder:
        for name, part in zip(KEYS, ("ca_file", "cert", "key"), strict=True):
            Path(folder, name).write_text(temporary[part])
        lab.testbed.put(Path(folder), f"{lab.home}/keys")
        printed = lab.python(Path(__file__), "inside", count, per_core, int(plain))
    [found] = records(printed)
    return found


def main() -> int:
    """Measure and print; return the exit code."""
    from on_testbed import options

    from tests.tables import markdown

    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=200, help="connections of each kind")
    parser.add_argument("--load", type=int, default=1, help="busy processes for each core")
    parser.add_argument("--plain", action="store_true", help="dask-jobqueue's own class")
    parser.add_argument("--testbed", action="store_true", help="with a job each time, on Slurm")
    chosen = parser.parse_args()
    how = (chosen.count, chosen.load, chosen.plain)
    found = measure_on_testbed(*how, chosen.home) if chosen.testbed else measure(*how)
    rows = []
    for kind, record in found.items():
        seconds = record["seconds"]
        figures = [f"{of(seconds):.2f} s" if seconds else "-" for of in (median, max)]
        rows.append([kind, f"{len(seconds)} of {chosen.count}", *figures])
        for failure in record["failures"][:1]:
            print(failure["traceback"], file=sys.stderr)
    print(markdown(["", "connected", "median", "slowest"], rows))
    if chosen.json:
        record = {"load": chosen.load, "plain": chosen.plain, **found}
        chosen.json.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(record["failures"] for record in found.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        print(json.dumps(measure(*map(int, sys.argv[2:]), key_folder="../keys")))
    else:
        sys.exit(main())

"""Does a client's first connection to a new cluster succeed while all cores are busy?

    python benchmarks/connections.py [--count 200] [--load 1] [--plain]

Each time a new cluster (its scheduler alone, no job is submitted) and its first client, which asks
something; with TLS and without it in turns. `--load` busy processes run for each core meanwhile.
Prints how many succeeded and what they took; the exit code is 0 where all did. `--plain` is for
dask-jobqueue's own class. Stands behind the figures in docs/clusters.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from statistics import median

# Nothing of the machine's own configuration counts, and no file is left in the present folder.
ARGUMENTS = {"cores": 1, "processes": 1, "memory": "1 GiB", "log_directory": None}


@contextmanager
def busy_cores(per_core):
    """Keep all cores busy, with that many processes each."""
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(per_core * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def connect(cluster_class, tls, folder):
    """Make a cluster and its first client; return the seconds that the client took."""
    from distributed import Client

    secure = {"protocol": "tls://", "security": True} if tls else {"protocol": "tcp://"}
    options = {"dashboard_address": ":0"}
    with cluster_class(
        scheduler_options=options, shared_temp_directory=folder, **secure, **ARGUMENTS
    ) as cluster:
        begin = time.monotonic()
        with Client(cluster) as client:
            assert client.run_on_scheduler(lambda: 42) == 42
            took = time.monotonic() - begin
            assert cluster.scheduler_address.startswith("tls" if tls else "tcp")
    return took


def measure(count, per_core, plain):
    """Return {"tcp": …, "tls": …}: the seconds of each connection, and the failures' tracebacks."""
    if plain:
        from dask_jobqueue import SLURMCluster
    else:
        from dask_hpc import SLURMCluster
    found = {kind: {"seconds": [], "failures": []} for kind in ("tcp", "tls")}
    with busy_cores(per_core), tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            for kind, record in found.items():
                try:
                    record["seconds"].append(connect(SLURMCluster, kind == "tls", folder))
                except Exception as error:
                    said = "".join(traceback.format_exception(error))
                    record["failures"].append({"number": number, "traceback": said})
    return found


def main(arguments=None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="connections of each kind")
    parser.add_argument("--load", type=int, default=1, help="busy processes for each core")
    parser.add_argument("--plain", action="store_true", help="dask-jobqueue's own class")
    parser.add_argument("--json", help="keep the record in this file")
    options = parser.parse_args(arguments)
    found = measure(options.count, options.load, options.plain)
    print("| | connected | median | slowest |\n|---|---|---|---|")
    for kind, record in found.items():
        seconds, failures = record["seconds"], record["failures"]
        figures = f"{median(seconds):.2f} s | {max(seconds):.2f} s" if seconds else "- | -"
        print(f"| {kind} | {len(seconds)} of {options.count} | {figures} |")
        for failure in failures[:1]:
            print(failure["traceback"], file=sys.stderr)
    if options.json:
        with open(options.json, "w") as file:  # noqa: PTH123
            json.dump({"load": options.load, "plain": options.plain, **found}, file, indent=1)
    return int(any(record["failures"] for record in found.values()))


if __name__ == "__main__":
    sys.exit(main())

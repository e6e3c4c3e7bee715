"""Repeatedly start a testbed, run a job, and take it down; count the rounds that fail."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from hpc_testbed.errors import TestbedError
from hpc_testbed.scaling import DEFAULT_NODES
from hpc_testbed.testbed import Testbed

COLUMNS = ("image", "containers", "slurm", "job", "down")


def soak(testbed: Testbed, rounds: int, *, load: bool = False) -> int:
    """Run rounds of up, job, down; print the seconds of each part; return how many rounds failed.

    A round fails if the testbed does not start, if a job does not run on all nodes, or if a
    container, network, or volume is left. Further rounds run anyway.

    Parameters
    ----------
    testbed : Testbed
        A testbed that is not up.
    rounds : int
        Number of rounds.
    load : bool
        Whether to keep all of the machine's cores busy meanwhile, with one process each.

    Raises
    ------
    TestbedError
        The testbed is up, or parts of it are left over.
    """
    if testbed.leftover_resources():
        raise TestbedError(f"testbed {testbed.name} is up or not cleaned up: take it down first")
    busy = f", {os.cpu_count()} cores kept busy" if load else ""
    print(
        f"{rounds} rounds with {testbed.nodes or DEFAULT_NODES} nodes, {testbed.suite}{busy}. "
        "Seconds:",
        flush=True,
    )
    print(_row("round", *COLUMNS, "total"), flush=True)
    table: list[list[float]] = []
    failures = 0
    with _busy_cores() if load else nullcontext():
        for number in range(1, rounds + 1):
            seconds, problem = _round(testbed)
            if problem is None:
                table.append([*seconds, sum(seconds)])
                print(_row(number, *table[-1]), flush=True)
            else:
                failures += 1
                print(_row(number, *seconds), f" FAILED: {problem}", flush=True)
    for name, summary in (("median", statistics.median), ("slowest", max)):
        if table:
            print(_row(name, *map(summary, zip(*table, strict=True))))
    print(f"{rounds - failures} of {rounds} rounds succeeded.")
    return failures


def _round(testbed: Testbed) -> tuple[list[float], str | None]:
    """Return the seconds of a round's parts, and what went wrong, or None."""
    problem = None
    testbed.stages = {}
    try:
        testbed.up()
        begin = time.monotonic()
        _compute(testbed)
        testbed.stages["job"] = time.monotonic() - begin
    except TestbedError as error:
        problem = f"{error} (logs: {_kept_logs(testbed)})"
    begin = time.monotonic()
    try:
        testbed.down()
    except TestbedError as error:
        problem = f"{problem}; {error}" if problem else str(error)
    testbed.stages["down"] = time.monotonic() - begin
    return [testbed.stages[name] for name in COLUMNS if name in testbed.stages], problem


def _compute(testbed: Testbed) -> None:
    """Run a batch job as alice, with a step on every node, and check its output."""
    testbed.run(
        f"sbatch --quiet --wait --nodes={testbed.nodes} --output=soak.txt --wrap='srun hostname'",
        timeout=120,
    )
    hosts = testbed.run("cat soak.txt").stdout.split()
    if len(set(hosts)) != testbed.nodes:
        raise TestbedError(f"the job ran on {len(set(hosts))} of {testbed.nodes} nodes: {hosts}")


def _kept_logs(testbed: Testbed) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{testbed.name}-", suffix=".log", delete=False
    ) as file:
        file.write(testbed.logs())
    return Path(file.name)


@contextmanager
def _busy_cores() -> Iterator[None]:
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _row(*cells: object) -> str:
    shown = (f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells)
    return "".join(f"{cell:>12}" for cell in shown)

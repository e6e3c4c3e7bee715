"""The files of the workload ``files``, and what workers do with them.

Each file is a made-up series of measurements: hours, and a temperature, a pressure, and a wind
speed for each. CSV is text; NetCDF is the classic format (version 3), which scipy reads and writes.
"""

import os
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import tasks

CSV, NETCDF = "csv", "netcdf"
FORMATS = (CSV, NETCDF)
SUFFIX = {CSV: ".csv", NETCDF: ".nc"}
SEED = 20261129
NAMES = ("hour", "temperature", "pressure", "wind")
HEAD = ",".join(NAMES) + "\n"
# A CSV file is made of blocks of lines, drawn at random; formatting each number would take longer
# than everything that is measured.
BLOCKS, BLOCK_LINES = 100, 50


def write(folder: Path, number: int, size: int, form: str) -> list[Path]:
    """Write files, the same for the same arguments, and return their paths.

    Parameters
    ----------
    folder : Path
    number : int
        How many.
    size : int
        Of each, in bytes; they are at most a little larger.
    form : {"csv", "netcdf"}
    """
    paths = [folder / f"{n:05}{SUFFIX[form]}" for n in range(number)]
    blocks = _csv_blocks() if form == CSV else []
    for n, path in enumerate(paths):
        if form == CSV:
            _write_csv(path, n, size, blocks)
        else:
            _write_netcdf(path, n, size)
    return paths


def _csv_blocks() -> list[bytes]:
    draw = random.Random(SEED)
    lines = (
        f"{draw.randrange(100_000):05},{draw.gauss(10, 8):.2f},{draw.gauss(1013, 9):.1f},"
        f"{draw.expovariate(0.2):.2f}\n"
        for _ in range(BLOCKS * BLOCK_LINES)
    )
    return ["".join(next(lines) for _ in range(BLOCK_LINES)).encode() for _ in range(BLOCKS)]


def _write_csv(path: Path, number: int, size: int, blocks: Sequence[bytes]) -> None:
    draw = random.Random(SEED + number)
    with path.open("wb") as file:
        written = file.write(HEAD.encode())
        while written < size:
            written += file.write(draw.choice(blocks))
        _save(file)


def _write_netcdf(path: Path, number: int, size: int) -> None:
    import numpy as np
    from scipy.io import netcdf_file

    draw = np.random.default_rng([SEED, number])
    length = max(1, size // (8 * len(NAMES)))
    with netcdf_file(path, "w") as file:
        file.createDimension("time", length)
        for name in NAMES:
            variable = file.createVariable(name, "d", ("time",))
            variable[:] = np.arange(length) if name == "hour" else draw.normal(10, 8, length)
        file.flush()
        _save(file.fp)


def _save(file) -> None:
    """Bring a file to the disk, so that a node sees it and `forget` can do something."""
    file.flush()
    os.fsync(file.fileno())


def means(path: Path, form: str) -> list[float]:
    """Read a file, and return the mean of each of its columns or variables."""
    if form == CSV:
        import numpy as np

        return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).mean(axis=0).tolist()
    from scipy.io import netcdf_file

    with netcdf_file(path, "r", mmap=False) as file:
        return [float(file.variables[name].data.mean()) for name in NAMES]


def reduce_task(path: Path, form: str) -> tuple:
    """Return the trace of a task that reads and reduces a file."""
    return tasks.trace(str(path), lambda: means(path, form))


def loop_task(item: int, paths: Sequence[Path], form: str) -> tuple:
    """Read and reduce files in a plain loop; return the seconds, the CPU time, and the results."""

    def loop() -> tuple:
        cpu, clock = time.thread_time(), time.perf_counter()
        found = [means(path, form) for path in paths]
        return time.perf_counter() - clock, time.thread_time() - cpu, found

    return tasks.trace(item, loop)


def bytes_task(item: int, shares: Sequence[Sequence[Path]]) -> tuple:
    """Only read the bytes of a share of the files; return their number."""
    return tasks.trace(item, lambda: sum(len(path.read_bytes()) for path in shares[item]))


def forget(paths: Iterable[Path]) -> None:
    """Ask this computer not to keep files in memory: whoever reads them next needs the disk."""
    if not hasattr(os, "posix_fadvise"):  # not on macOS and Windows
        return
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(number)


def missing(paths: Iterable[Path]) -> str:
    """Return the path of a file that this computer does not see; empty if it sees all."""
    return next((str(path) for path in paths if not path.is_file()), "")

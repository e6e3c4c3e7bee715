"""``dask hpc bench run`` of the workloads that do more than sleep: files, numpy, and data."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from .._output import progress
from .._output.formatting import format_count, format_exact_duration
from ..bench.workloads import PlanError

MAX_LOCAL_SLOTS = 8  # on a laptop


def run(
    workload: str,
    backend: str | None,
    chosen: Mapping[str, Any],
    job_cores: int,
    timeout: float,
    out: Path,
) -> Path:
    """Measure one of `RUNS` and return the path of the record.

    Raises
    ------
    click.UsageError
        The numbers do not fit together, or not this computer.
    """
    from ..bench.backends import default_backend

    if importlib.util.find_spec("scipy") is None:  # with which NumPy comes
        raise click.UsageError(
            f"{workload} needs NumPy and scipy: install them in this environment (with pip, the "
            "extra dask-hpc[bench] has them)"
        )
    backend = backend or default_backend()
    repeats = _single(workload, "repeats", chosen["repeats"])
    try:
        return RUNS[workload](backend, chosen, repeats, job_cores, timeout, out)
    except PlanError as error:
        raise click.UsageError(str(error)) from None


def _single(workload: str, name: str, values: tuple | None) -> Any:
    """Return the only value of a list, or None if it was not given."""
    if values and len(values) > 1:
        raise click.UsageError(f"--{name}: {workload} takes a single number")
    return values[0] if values else None


def _forecast(seconds: float, backend: str) -> str:
    queue = "" if backend == "local" else ", plus time in the queue"
    return f"about {format_exact_duration(seconds)}{queue}."


def _check_queue(backend: str, slots: int, timeout: float) -> None:
    from ..bench.backends import lab

    if backend == "cluster":
        lab.LabCluster(timeout=timeout).check(slots)


def _run_numpy(backend, chosen, repeats, job_cores, timeout, out) -> Path:
    from ..bench import computing

    slots = _single("numpy", "slots", chosen["slots"])
    repeats = repeats or computing.REPEATS
    if backend == "local":
        slots = computing.check_local(slots)
        where = f"{format_count(slots, 'core')} of this computer"
    else:
        # Workers with threads and workers with processes are there at the same time.
        _check_queue(backend, 2 * (slots or computing.SLOTS), timeout)
        most = "" if slots else "at most "
        where = f"{most}{format_count(slots or computing.SLOTS, 'core')} of the cluster"
    forecast = computing.forecast_s(slots or computing.SLOTS, repeats)
    click.echo(
        f"numpy: NumPy and pure Python on {where}: serial, threads, and processes, {repeats} times "
        f"each; {_forecast(forecast, backend)}"
    )
    with progress.start(sys.stdout, forecast) as line:
        return computing.measure(out, backend, slots, repeats, job_cores, timeout, line)


def _run_files(backend, chosen, repeats, job_cores, timeout, out) -> Path:
    from dask.system import CPU_COUNT

    from ..bench import files

    default = files.SLOTS if backend == "cluster" else min(MAX_LOCAL_SLOTS, CPU_COUNT)
    asked = files.Files(
        _single("files", "slots", chosen["slots"]) or default,
        chosen["tasks"] or files.FILES,
        _single("files", "sizes", chosen["sizes"]) or files.SIZE_MB,
        chosen["format"] or files.CSV,
    )
    repeats = repeats or files.REPEATS
    _check_queue(backend, asked.slots, timeout)
    forecast = asked.forecast_s(repeats)
    where = "this computer" if backend == "local" else "the cluster"
    click.echo(
        f"files: {asked.number} {files.WORDS[asked.format]} files of {asked.size_mb:g} MB, below "
        f"{out}, on {format_count(asked.slots, 'slot')} of {where}: a plain loop, the bytes alone, "
        f"and a sweep, {repeats} times each; {_forecast(forecast, backend)}"
    )
    with progress.start(sys.stdout, forecast) as line:
        return files.measure(out, asked, backend, repeats, job_cores, timeout, line)


def _run_data(backend, chosen, repeats, job_cores, timeout, out) -> Path:
    from ..bench import data

    moved = data.transfers(chosen["sizes"] or data.SIZES_MB)
    data.check_memory(moved, data.available_memory(), "this computer has")
    repeats = repeats or data.REPEATS
    _check_queue(backend, data.WORKERS * job_cores, timeout)
    forecast = data.forecast_s(moved, repeats)
    where = "this computer" if backend == "local" else "the cluster"
    click.echo(
        f"data: {', '.join(map(str, moved))} to a worker on {where}, back, and to another worker, "
        f"{repeats} times each; {_forecast(forecast, backend)}"
    )
    with progress.start(sys.stdout, forecast) as line:
        return data.measure(out, moved, backend, repeats, job_cores, timeout, line)


RUNS: dict[str, Callable[..., Path]] = {
    "numpy": _run_numpy,
    "files": _run_files,
    "data": _run_data,
}

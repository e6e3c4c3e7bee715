"""``dask hpc bench run``: the workloads in which workers leave, are lost, or are only simulated."""

import sys
from pathlib import Path

import click

from .._output import progress
from .._output.formatting import format_exact_duration
from ..bench.workloads import PlanError
from ._bench_options import single


def lose_node_option():
    """Return the option ``--lose-node``."""
    return click.option(
        "--lose-node",
        metavar="COMMAND",
        help="Also lose a node (failure): COMMAND makes the node {node} fail; only for those "
        "who may do that.",
    )


def run_failure(backend, numbers, repeats, node_command, timeout, out) -> Path:
    """Measure the workload ``failure``; return the path of the record."""
    from ..bench import failure

    backend, count = _backend(backend), single("failure", repeats, failure.REPEATS)
    losses = _planned(failure.plan, backend, **numbers, node_command=node_command or "")
    _check(backend, losses.shape.workers)
    forecast = losses.forecast_s(count)
    click.echo(
        f"failure: {losses.tasks} tasks of {losses.seconds:g} s on "
        f"{_where(backend, losses.shape)}; in the middle, a "
        f"{' or a '.join(losses.kinds)} is lost ({count}x); "
        f"about {format_exact_duration(forecast)}{_queue(backend)}."
    )
    with progress.start(sys.stdout, forecast) as line:
        return failure.measure(out, losses, count, timeout, line)


def run_adapt(backend, shapes, seconds, repeats, timeout, out) -> Path:
    """Measure the workload ``adapt``; return the path of the record."""
    from ..bench import adapt

    backend, count = _backend(backend), single("adapt", repeats, adapt.REPEATS)
    bursts = _planned(adapt.plan, backend, shapes, seconds)
    _check(backend, bursts.shape.workers)
    forecast = bursts.forecast_s(count)
    click.echo(
        f"adapt: {', then '.join(map(str, adapt.BURSTS))} tasks of {bursts.seconds:g} s on up to "
        f"{_where(backend, bursts.shape)} ({count}x); "
        f"about {format_exact_duration(forecast)}{_queue(backend)}."
    )
    with progress.start(sys.stdout, forecast) as line:
        return adapt.measure(out, bursts, count, timeout, line)


def run_limit(backend, tasks, seconds, slots, out) -> Path:
    """Measure the workload ``scheduler-limit``; return the path of the record."""
    from ..bench import limit

    if backend == "cluster":
        raise click.UsageError(
            "scheduler-limit simulates its workers on this computer: omit --backend"
        )
    steps = _planned(limit.plan, slots, tasks, seconds)
    forecast = steps.forecast_s()
    click.echo(
        f"scheduler-limit: {steps.tasks_per_worker} tasks of {steps.seconds:g} s for each of "
        f"{', '.join(f'{n:,}' for n in steps.workers)} workers, which are simulated on this "
        f"computer; about {format_exact_duration(forecast)}."
    )
    with progress.start(sys.stdout, forecast) as line:
        return limit.measure(out, steps, line)


def _backend(chosen) -> str:
    from ..bench.backends import default_backend

    return chosen or default_backend()


def _planned(make, *arguments, **numbers):
    try:
        return make(*arguments, **numbers)
    except PlanError as error:
        raise click.UsageError(str(error)) from None


def _check(backend: str, slots: int) -> None:
    if backend == "cluster":
        from ..bench.backends.cluster import ClusterBackend

        ClusterBackend().check(slots)


def _where(backend: str, shape) -> str:
    if backend == "local":
        return f"{shape.workers} workers of this computer"
    return f"{shape.jobs} x {shape.processes} workers in jobs"


def _queue(backend: str) -> str:
    return ", plus time in the queue" if backend == "cluster" else ""

"""``dask hpc bench``: `run`, `report`, and `list`. The other commands are in `bench_records`."""

import math
import shlex
import sys
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource
from dask.system import CPU_COUNT

from .._output import progress
from .._output.formatting import format_exact_duration
from ..bench.workloads import WORKLOADS
from . import _signals, bench_records

COUNT = click.IntRange(min=1)


class Seconds(click.FloatRange):
    """A positive, finite number of seconds; click accepts nan in any range."""

    def convert(self, value, param, ctx):
        if math.isnan(found := super().convert(value, param, ctx)):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


SECONDS = Seconds(0, math.inf, min_open=True, max_open=True)


class CountList(click.ParamType):
    """Counts separated by commas."""

    name = "integers"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            numbers = [int(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of integers such as 20,50,100.", param, ctx)
        return tuple(COUNT.convert(number, param, ctx) for number in numbers)


@click.group()
def bench():
    """Measure how a loop speeds up with more workers."""


@bench.command("list", help="List the workloads.")
def list_workloads():
    """List the workloads."""
    width = max(map(len, WORKLOADS))
    for workload in WORKLOADS.values():
        click.echo(f"{workload.name:{width}}  {workload.summary}")


@bench.command()
@click.argument("workload", type=click.Choice(list(WORKLOADS)), metavar="WORKLOAD")
@click.option(
    "--backend",
    type=click.Choice(["local", "cluster"]),
    help="local: this computer; cluster: the lab's batch system. "
    "Default: cluster if the configuration names a batch system.",
)
@click.option("--tasks", type=COUNT, default=500, show_default=True, help="Tasks per repeat.")
@click.option("--seconds", type=SECONDS, default=1, show_default=True, help="Length of each task.")
@click.option("--slots", type=CountList(), help="Total threads of each point, such as 20,50,100.")
@click.option("--repeats", type=CountList(), help="Number of repeats, or one per point: 1,2,3.")
@click.option("--job-cores", type=COUNT, default=30, show_default=True, help="Max. cores per job.")
@click.option(
    "--timeout",
    type=SECONDS,
    default=120,
    show_default=True,
    help="Seconds to wait for the workers, including time in the queue.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="bench-results",
    show_default=True,
    help="Folder for the record.",
)
@click.option(
    "--next/--no-next",
    "show_next",
    default=True,
    hidden=True,  # the demo prints its own next steps
    help="Whether to print where the record is.",
)
def run(workload, backend, tasks, seconds, slots, repeats, job_cores, timeout, out, show_next):
    """Measure WORKLOAD (`dask hpc bench list` shows them) and write a record to --out."""
    from ..bench import record, show

    _signals.treat_as_interrupts()
    if WORKLOADS[workload].local_only:
        _refuse_options_of_plans(workload, backend)
        path = _run_gil(repeats, out)
    else:
        path = _run_plan(workload, backend, tasks, seconds, slots, repeats, job_cores, timeout, out)
    show.show(record.read(path))
    if show_next:
        command = shlex.join(["dask", "hpc", "bench", "report", str(path.parent)])
        click.echo(f"\nRecord: {path}\nTo draw figures and write a report: {command}")


def _refuse_options_of_plans(workload: str, backend: str | None) -> None:
    if backend == "cluster":
        raise click.UsageError(f"{workload} measures the cores of this computer: omit --backend")
    context = click.get_current_context()
    for name in ("tasks", "seconds", "slots"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{workload} sets its own {name}: omit --{name}")


def _run_plan(workload, backend, tasks, seconds, slots, repeats, job_cores, timeout, out) -> Path:
    from ..bench import plan as bench_plan
    from ..bench.backends import BACKENDS, default_backend
    from ..bench.runner import measure

    try:
        plan = bench_plan.make(workload, tasks, seconds, slots, repeats)
    except bench_plan.PlanError as error:
        raise click.UsageError(str(error)) from None
    kind = BACKENDS[backend or default_backend()]

    make = partial(kind, job_cores=job_cores, timeout=timeout)
    probe = make()
    if hasattr(probe, "check"):
        probe.check(max(plan.points))
    where = "this computer" if kind.name == "local" else "the cluster"
    queue = "" if kind.name == "local" else ", plus time in the queue"
    points = ", ".join(f"{slots} slots ({repeats}x)" for slots, repeats in plan.points.items())
    click.echo(
        f"{workload}: {tasks} tasks of {seconds:g} s on {where}: {points}; "
        f"about {format_exact_duration(plan.forecast_s())}{queue}."
    )
    with progress.start(sys.stdout, plan.forecast_s()) as line:
        return measure(plan, make, out, line)


def _run_gil(repeats, out) -> Path:
    from ..bench import gil

    count, *others = repeats or [gil.REPEATS]
    if others:
        raise click.UsageError("--repeats: gil takes a single number")
    cores = min(gil.MAX_CORES, CPU_COUNT)
    forecast = gil.forecast_s(cores, count)
    click.echo(
        f"gil: a pure-Python loop on {cores} cores of this computer: serial, threads, and "
        f"processes, {count} times each; about {format_exact_duration(forecast)}."
    )
    with progress.start(sys.stdout, forecast) as line:
        return gil.measure(out, cores, count, line)


@bench.command()
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder):
    """Draw figures and write a report, in FOLDER, from the records there."""
    from ..bench.report import write

    for path in write(folder):
        click.echo(path)


for command in (bench_records.compare, bench_records.export):
    bench.add_command(command)

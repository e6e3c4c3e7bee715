"""``dask hpc bench``: `run` and `list`. The commands that read records are in `bench_records`."""

import shlex
import sys
import textwrap
from functools import partial
from pathlib import Path

import click
from dask.system import CPU_COUNT

from .._output import progress
from .._output.formatting import format_exact_duration
from ..bench.workloads import WORKLOADS, PlanError
from . import _signals, bench_records, bench_work
from ._bench_faults import lose_node_option, run_adapt, run_failure, run_limit
from ._bench_options import COUNT, SECONDS, SizeList, out_option, single, timeout_option
from .bench_advise import advise


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


class ShapeList(click.ParamType):
    """Numbers of jobs and of their processes, such as 4x1,4x8."""

    name = "shapes"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        shapes = []
        for part in value.split(","):
            jobs, _, processes = part.strip().partition("x")
            if not (jobs.isdecimal() and processes.isdecimal()):
                self.fail(f"{value!r} is not a list of jobs and processes: 4x1,4x8.", param, ctx)
            shapes.append((COUNT.convert(jobs, param, ctx), COUNT.convert(processes, param, ctx)))
        return tuple(shapes)


@click.group()
def bench():
    """Measure how a loop speeds up with more workers."""


bench.add_command(advise)


@bench.command("list")
@click.argument(
    "workload", type=click.Choice(list(WORKLOADS)), required=False, metavar="[WORKLOAD]"
)
def list_workloads(workload):
    """Explain WORKLOAD, or all workloads: what each one measures, its bound, and its sizes."""
    from ..bench import plan

    chosen = [WORKLOADS[workload]] if workload else WORKLOADS.values()
    click.echo("K tasks of s seconds run on N slots. A slot is a worker's thread.")
    for each in chosen:
        click.echo(f"\n{each.name}")
        lines = {"": each.summary, "stresses: ": each.stresses, "bound: ": each.bound}
        if each.points is not None:
            made = plan.make(each.name)
            lines["sizes: "] = (
                f"{made.describe()}; about {format_exact_duration(made.forecast_s())}"
            )
        for word, text in lines.items():
            click.echo(
                textwrap.fill(f"{word}{text}", 96, initial_indent="  ", subsequent_indent="    ")
            )


@bench.command()
@click.argument("workload", type=click.Choice(list(WORKLOADS)), metavar="WORKLOAD")
@click.option(
    "--backend",
    type=click.Choice(["local", "cluster"]),
    help="local: this computer; cluster: the lab's batch system. "
    "Default: cluster if the configuration names a batch system.",
)
@click.option(
    "--tasks", type=COUNT, help="Tasks per repeat (weak-scaling: for each slot; files: files)."
)
@click.option("--seconds", type=SECONDS, help="Length of each task.")
@click.option("--slots", type=CountList(), help="Total threads of each point, such as 20,50,100.")
@click.option("--repeats", type=CountList(), help="Number of repeats, or one per point: 1,2,3.")
@click.option(
    "--shapes",
    type=ShapeList(),
    help="Jobs and processes of each start.  [default: 1x1,4x1,4x8 (cold-start); "
    "4x4 (failure, adapt)]",
)
@click.option(
    "--sizes", type=SizeList(), help="Megabytes of a file (files), or of arrays: 1,10 (data)."
)
@click.option("--format", type=click.Choice(["csv", "netcdf"]), help="Format of the files.")
@lose_node_option()
@click.option("--job-cores", type=COUNT, default=30, show_default=True, help="Max. cores per job.")
@timeout_option()
@out_option("record")
@click.option(
    "--next/--no-next",
    "show_next",
    default=True,
    hidden=True,  # the demo prints its own next steps
    help="Whether to print where the record is.",
)
def run(
    workload,
    backend,
    tasks,
    seconds,
    slots,
    repeats,
    shapes,
    sizes,
    format,
    lose_node,
    job_cores,
    timeout,
    out,
    show_next,
):
    """Measure WORKLOAD (`dask hpc bench list` explains them) and write a record to --out.

    The numbers that you omit are those of the workload.
    """
    from ..bench import record, show

    _signals.treat_as_interrupts()
    numbers = {"tasks": tasks, "seconds": seconds, "slots": slots, "repeats": repeats}
    try:
        others = {"shapes": shapes, "sizes": sizes, "format": format, "lose-node": lose_node}
        WORKLOADS[workload].check_options({**numbers, **others})
    except PlanError as error:
        raise click.UsageError(str(error)) from None
    if workload == "gil":
        path = _run_gil(backend, repeats, out)
    elif workload == "cold-start":
        path = _run_cold_start(backend, shapes, repeats, timeout, out)
    elif workload in bench_work.RUNS:
        path = bench_work.run(workload, backend, {**numbers, **others}, job_cores, timeout, out)
    elif workload == "failure":
        numbers = {"shapes": shapes, "tasks": tasks, "seconds": seconds}
        path = run_failure(backend, numbers, repeats, lose_node, timeout, out)
    elif workload == "adapt":
        path = run_adapt(backend, shapes, seconds, repeats, timeout, out)
    elif workload == "scheduler-limit":
        path = run_limit(backend, tasks, seconds, slots, out)
    else:
        path = _run_plan(workload, numbers, backend, job_cores, timeout, out)
    show.show(record.read(path))
    if show_next:
        command = shlex.join(["dask", "hpc", "bench", "report", str(path.parent)])
        click.echo(f"\nRecord: {path}\nTo draw figures and write a report: {command}")


def _run_plan(workload, numbers, backend, job_cores, timeout, out) -> Path:
    from ..bench import plan as bench_plan
    from ..bench.backends import BACKENDS, default_backend
    from ..bench.runner import measure

    try:
        plan = bench_plan.make(workload, **numbers)
    except bench_plan.PlanError as error:
        raise click.UsageError(str(error)) from None
    kind = BACKENDS[backend or default_backend()]

    make = partial(kind, job_cores=job_cores, timeout=timeout)
    probe = make()
    if hasattr(probe, "check"):
        probe.check(max(point.slots for point in plan.points))
    where = "this computer" if kind.name == "local" else "the cluster"
    queue = "" if kind.name == "local" else ", plus time in the queue"
    duration = format_exact_duration(plan.forecast_s())
    click.echo(f"{workload}: {plan.describe(where)}; about {duration}{queue}.")
    with progress.start(sys.stdout, plan.forecast_s()) as line:
        return measure(plan, make, out, line)


def _run_cold_start(backend, shapes, repeats, timeout, out) -> Path:
    from ..bench import cold_start
    from ..bench.backends import default_backend

    backend = backend or default_backend()
    count = single("cold-start", repeats, cold_start.REPEATS)
    chosen = cold_start.starts(shapes or ((1, 1), (4, 1), (4, 8)), backend)
    if backend == "cluster":
        cold_start.ClusterStart().check(max(start.jobs * start.processes for start in chosen))
    forecast = cold_start.forecast_s(chosen, count)
    click.echo(
        f"cold-start: jobs x processes {'; '.join(map(str, chosen))}; {count} times each; "
        f"about {format_exact_duration(forecast)}, plus time in the queue."
    )
    with progress.start(sys.stdout, forecast) as line:
        return cold_start.measure(out, chosen, backend, count, timeout, line)


def _run_gil(backend, repeats, out) -> Path:
    from ..bench import gil

    if backend == "cluster":
        raise click.UsageError("gil measures the cores of this computer: omit --backend")
    count = single("gil", repeats, gil.REPEATS)
    cores = min(gil.MAX_CORES, CPU_COUNT)
    forecast = gil.forecast_s(cores, count)
    click.echo(
        f"gil: a pure-Python loop on {cores} cores of this computer: serial, threads, and "
        f"processes, {count} times each; about {format_exact_duration(forecast)}."
    )
    with progress.start(sys.stdout, forecast) as line:
        return gil.measure(out, cores, count, line)


for command in (bench_records.report, bench_records.compare, bench_records.export):
    bench.add_command(command)

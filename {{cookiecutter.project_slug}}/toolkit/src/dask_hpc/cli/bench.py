"""The commands `dask hpc bench run`, `report` and `list`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import click

from .._compat import interrupts
from ..bench import progress as bench_progress
from ..bench import provenance
from ..bench.workloads import WORKLOADS
from ..errors import DaskHPCError

OUT = "bench-results"


class NumberList(click.ParamType):
    """Whole numbers separated by commas; anything else is an error of one clear line."""

    name = "numbers"

    def convert(self, value, param, _ctx):
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            raise DaskHPCError(
                f"--{param.name} {value!r}: give whole numbers with commas between, like 20,50,100"
            ) from None


class Number(click.ParamType):
    """A number; anything else is an error of one clear line."""

    def __init__(self, kind: type):
        self.kind = kind
        self.name = "number"

    def convert(self, value, param, _ctx):
        try:
            return self.kind(value)
        except ValueError:
            what = "a whole number" if self.kind is int else "a number"
            option = param.name.replace("_", "-")
            raise DaskHPCError(f"--{option} {value!r}: give {what}") from None


@click.group()
def bench():
    """Measure how a loop speeds up with more workers."""


@bench.command("list", help="List what can be measured.")
def list_workloads():
    """List what can be measured."""
    for workload in WORKLOADS.values():
        click.echo(f"{workload.name:10} {workload.summary}")


@bench.command()
@click.argument("workload")
@click.option(
    "--backend",
    help="local: this computer; cluster: the lab's batch system. "
    "Default: cluster where the configuration names one.",
)
@click.option("--tasks", type=Number(int), help="Tasks a repeat.  [default: 500]")
@click.option("--seconds", type=Number(float), help="How long a task sleeps.  [default: 1]")
@click.option("--slots", type=NumberList(), help="Points, like 20,50,100: threads in all.")
@click.option("--repeats", type=NumberList(), help="One number for all points, or one each: 1,2,3.")
@click.option(
    "--job-cores", type=Number(int), default=30, help="Most cores of a job.  [default: 30]"
)
@click.option(
    "--timeout",
    type=Number(float),
    default=120.0,
    help="Seconds that workers may take to come, the queue included.  [default: 120]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(OUT),
    help=f"Folder for the record.  [default: {OUT}]",
)
def run(workload, backend, tasks, seconds, slots, repeats, job_cores, timeout, out):
    """Measure WORKLOAD (see `list`) and write a record to --out."""
    # `kill` and batch systems end a program with SIGTERM, a closed ssh session with SIGHUP: workers
    # and jobs are ended then too.
    interrupts.hide_calls_not_begun()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, signal.default_int_handler)
    if workload not in WORKLOADS:
        raise DaskHPCError(f"there is no workload {workload!r}: choose {', '.join(WORKLOADS)}")
    if backend not in (None, "local", "cluster"):
        raise DaskHPCError(f"there is no backend {backend!r}: choose local or cluster")
    if WORKLOADS[workload].local_only:
        if backend == "cluster":
            raise DaskHPCError(
                f"{workload} is about the cores of one computer: leave out --backend"
            )
        given = {"tasks": tasks, "seconds": seconds, "slots": slots}
        for name, value in given.items():
            if value is not None:
                raise DaskHPCError(f"{workload} chooses its own {name}: leave out --{name}")
        path = _run_gil(repeats, out)
    else:
        path = _run_plan(
            workload,
            backend,
            500 if tasks is None else tasks,
            1.0 if seconds is None else seconds,
            slots,
            repeats,
            job_cores,
            timeout,
            out,
        )
    _show(path)


def _run_plan(workload, backend, tasks, seconds, slots, repeats, job_cores, timeout, out) -> Path:
    from ..bench import plan as bench_plan
    from ..bench.backends import BACKENDS, default_backend
    from ..bench.runner import measure

    if not 0 < timeout < float("inf"):
        raise DaskHPCError(f"--timeout is {timeout:g}: give the seconds that workers may take")
    plan = bench_plan.make(workload, tasks, seconds, slots, repeats)
    for n in plan.slots:
        bench_plan.layout(n, job_cores)
    kind = BACKENDS[backend or default_backend()]

    def make():
        return kind(job_cores=job_cores, timeout=timeout)

    probe = make()
    if hasattr(probe, "check"):
        probe.check(max(plan.slots))
    where = "this computer" if kind.name == "local" else "the cluster"
    queue = "" if kind.name == "local" else ", without waiting in the queue"
    points = ", ".join(
        f"{slots} slots ({repeats}x)"
        for slots, repeats in zip(plan.slots, plan.repeats, strict=True)
    )
    click.echo(
        f"{workload}: {tasks} tasks of {seconds:g} s on {where}: {points}; "
        f"about {bench_progress.clock(plan.forecast_s())}{queue}."
    )
    with _progress(plan.forecast_s()) as progress:
        return measure(plan, make, out, progress)


def _run_gil(repeats, out) -> Path:
    from ..bench import gil

    count = gil.REPEATS
    if repeats is not None:
        if len(repeats) != 1 or repeats[0] < 1:
            raise DaskHPCError("--repeats: gil takes one number, 1 or more")
        count = repeats[0]
    cores = min(gil.MAX_CORES, provenance.usable_cores())
    forecast = gil.forecast_s(cores, count)
    click.echo(
        f"gil: a pure-Python loop on {cores} cores of this computer, serial, threads and "
        f"processes, {count} times each; about {bench_progress.clock(forecast)}."
    )
    with _progress(forecast) as progress:
        return gil.measure(out, cores, count, progress)


def _progress(total_s: float):
    return (
        bench_progress.LiveProgress(total_s)
        if sys.stdout.isatty()
        else bench_progress.LogProgress()
    )


def _show(path: Path) -> None:
    from ..bench import record, show

    show.show(record.read(path))
    click.echo(f"\nRecord: {path}\nFigures and a page: dask hpc bench report {path.parent}")


@bench.command()
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder):
    """Draw the figures and a page of the records in FOLDER, into FOLDER."""
    from ..bench.report import write

    for path in write(folder):
        click.echo(path)

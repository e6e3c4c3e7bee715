"""Say an advice in words, and draw it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._output.formatting import format_count
from .advice import Advice, Forecast, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of the ladder, about so many rows are shown.
ROWS = 8


def duration(seconds: float) -> str:
    """Return a duration with two digits, such as "0.52 s" or "3.1 min"."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{_two_digits(seconds / unit)} {name}"
    return f"{_two_digits(seconds)} s"


def _two_digits(value: float) -> str:
    return f"{value:.2g}" if value < 9.5 else f"{value:.0f}"


def measured(trial: Trial) -> list[str]:
    """Return what was measured, in lines."""
    alone, busy = trial.alone_s, trial.busy_s
    what = "computes" if trial.computes else "waits"
    share = 100 * sum(trial.cpu_s) / max(sum(alone), 1e-9)
    mean, shortest, longest = statistics.fmean(alone), min(alone), max(alone)
    lines = [
        f"{format_count(len(alone), 'call')} one by one: {duration(mean)} in the mean "
        f"({duration(shortest)} to {duration(longest)}), {share:.0f} % of it CPU time: it {what}.",
        f"{format_count(len(busy), 'call')} on all {trial.cores} cores of a job: "
        f"{duration(statistics.fmean(busy))} in the mean.",
    ]
    if trial.threads > 1:
        gain, found = trial.thread_gain, "threads help"
        if not trial.threads_help:
            found = "each call needs a process"
        lines.append(
            f"{trial.threads} calls in threads of one process do as much as {gain:.1f} processes "
            f"would: {found}."
        )
    call, base = trial.call_mib, trial.base_mib
    lines.append(f"A call takes at most {call:.0f} MiB, a worker {base:.0f} MiB.")
    return lines


def advised(advice: Advice) -> list[str]:
    """Return what to ask for, in lines."""
    trial, best, quickest = advice.trial, advice.best, advice.quickest
    inputs = format_count(advice.inputs, "input")
    threads = trial.cores // advice.processes
    each = "1 process" if advice.processes == 1 else f"{advice.processes} processes"
    each += f" of {threads} threads" if threads > 1 else ""
    if trial.is_local:
        return [
            f"{inputs} take about {duration(best.work_s)} on this computer, with {each}. It has no "
            "batch system: on the cluster, this command says how many jobs to ask for."
        ]
    lines = [
        f"Ask for {format_count(best.jobs, 'job')} of {each}, memory: {advice.memory_gib} GiB. "
        f"{inputs} then take about {duration(best.work_s)} of work after a start of about "
        f"{duration(trial.start_s)}, and {best.core_hours:.2g} core-hours.",
    ]
    if advice.processes != trial.processes:
        lines.append(
            f"In config/jobqueue.yaml that is `processes: {advice.processes}`, which is "
            f"{trial.processes} now."
        )
    if quickest.jobs > best.jobs:
        lines.append(
            f"With {quickest.jobs} jobs it takes {duration(quickest.total_s)} instead of "
            f"{duration(best.total_s)}, and {quickest.core_hours:.2g} core-hours. Beyond that, "
            "nothing is saved."
        )
    return lines


def assumptions(advice: Advice) -> str:
    """Return what the forecast takes for granted."""
    return (
        "This assumes that other inputs take as long as those that were tried, that jobs start as "
        f"soon as this one did ({duration(advice.trial.start_s)}), and that more jobs do not "
        "slow each other down, as on a file system."
    )


def shown(advice: Advice) -> list[Forecast]:
    """Return some of the ladder: powers of two, and what the advice names."""
    named = (advice.best, advice.quickest)
    ladder = [f for f in advice.ladder if f.jobs & (f.jobs - 1) == 0 or f in named]
    return ladder if len(ladder) <= ROWS else [*ladder[: ROWS - 1], ladder[-1]]


def figure(advice: Advice, title: str) -> Figure:
    """Draw time and cost against the number of jobs."""
    import matplotlib
    from matplotlib.figure import Figure

    from .figures import BLUE, GRAY, ORANGE, STYLE

    jobs = [f.jobs for f in advice.ladder]
    with matplotlib.rc_context(fname=STYLE):
        drawing = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
        time_axes = drawing.subplots()
        form: dict = {"lw": 1.6, "marker": "o", "ms": 4}
        time_axes.plot(jobs, [f.total_s for f in advice.ladder], color=BLUE, label="time", **form)
        time_axes.set(xlabel="jobs", ylabel="time with the start, s", title=title, ylim=(0, None))
        cost_axes = time_axes.twinx()
        form |= {"ls": "--", "marker": "s"}
        hours = [f.core_hours for f in advice.ladder]
        cost_axes.plot(jobs, hours, color=ORANGE, label="cost", **form)
        cost_axes.set(ylabel="core-hours", ylim=(0, 1.3 * max(hours)))
        cost_axes.spines["right"].set_visible(True)
        time_axes.axvline(advice.best.jobs, color=GRAY, lw=1, ls=":")
        lines = [*time_axes.get_lines()[:1], *cost_axes.get_lines()]
        time_axes.legend(handles=lines, loc="upper right")
        return drawing


def save(advice: Advice, title: str, path: Path) -> Sequence[Path]:
    """Write the figure; return its paths (PNG, SVG)."""
    from .figures import save as save_figure

    return save_figure(figure(advice, title), path)

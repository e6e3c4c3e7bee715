"""What runs next, and what its row says: decisions that need no testbed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dask_hpc.bench import metrics, validation

from .tools import HEADLINE, Shape, Tool

# After so many failed rounds of a shape, a tool is not tried again there.
GIVE_UP = 2
# Tasks so short may all be done before each slot has had one.
ALL_SLOTS_TASK_S = 0.3
WARM = 1_000_000  # the first item of the second map, as in programs/common.py
FORECAST_S = 22.0  # of a run, as long as none of the kind was measured


@dataclass(frozen=True)
class Run:
    """A program that is to run: a tool, a shape, and the round's number."""

    tool: Tool
    shape: Shape
    round: int

    def is_of(self, row: dict) -> bool:
        """Return whether a row is of this run's tool and shape."""
        shape = (row["shape"], row["slots"], row["tasks"], row["seconds"])
        mine = (self.shape.name, self.shape.slots, self.shape.tasks, self.shape.seconds)
        return row["tool"] == self.tool.name and shape == mine


def order(tools: Sequence[Tool], shapes: Sequence[Shape], rounds: int) -> list[Run]:
    """Return all runs: each round has each tool once with each shape.

    The tools take turns in being first, so that none always runs after the same one.
    """
    runs = []
    for number in range(rounds):
        for shape in shapes:
            turned = [tools[(n + number) % len(tools)] for n in range(len(tools))]
            runs += [
                Run(tool, shape, number)
                for tool in turned
                if not tool.once or (number == 0 and shape.name == HEADLINE.name)
            ]
    return runs


def missing(runs: Iterable[Run], rows: Sequence[dict]) -> list[Run]:
    """Return the runs that have no row yet, without tools that fail again and again."""
    left = []
    for run in runs:
        mine = [row for row in rows if run.is_of(row)]
        failed = {row["repeat"] for row in mine if row["status"] != "ok"}
        done = {row["repeat"] for row in mine}
        if run.round not in done and not (len(failed) >= GIVE_UP and failed == done):
            left.append(run)
    return left


def left_s(runs: Iterable[Run], rows: Sequence[dict]) -> float:
    """Return about how long runs will take, in seconds, from those that were measured."""
    total = 0.0
    for run in runs:
        took = [row["took_s"] for row in rows if run.is_of(row)]
        total += metrics.summary(took).median if took else FORECAST_S
    return total


def rows(run: Run, reports: Iterable[dict], about: dict) -> list[dict]:
    """Return the rows of a run: one for each state, cold and warm, that the program reported.

    Parameters
    ----------
    run : Run
    reports : iterable of dict
        The objects that the program wrote (programs/common.py).
    about : dict
        More keys for each row.
    """
    reports = list(reports)
    versions = next((found["versions"] for found in reports if "versions" in found), {})
    states = {found["state"]: found for found in reports if "state" in found}
    expected = ["cold", "warm"] if run.tool.has_warm else ["cold"]
    if absent := [state for state in expected if state not in states]:
        return [failed(run, f"the program ended without its {absent[0]} tasks", about)]
    try:
        measured = [_measured(run, state, states[state]) for state in expected]
    except validation.MeasurementError as error:
        return [failed(run, str(error), about)]
    return [_row(run, about) | values | {"versions": versions} for values in measured]


def failed(run: Run, error: str, about: dict) -> dict:
    """Return the row of a run without a result, with its reason."""
    return _row(run, about) | {"status": "failed", "error": error}


def _row(run: Run, about: dict) -> dict:
    shape, tool = run.shape, run.tool
    works_in = tool.works_in.format(slots=shape.slots, nodes=shape.nodes, each=shape.slots_per_node)
    return {
        "kind": "row",
        "workload": "peers",
        "tool": tool.name,
        "title": tool.title,
        "works_in": works_in,
        "hands_out": tool.hands_out,
        "note": tool.note,
        "has_warm": tool.has_warm,
        "shape": shape.name,
        "slots": shape.slots,
        "tasks": shape.tasks,
        "seconds": shape.seconds,
        "repeat": run.round,
        **about,
    }


def _measured(run: Run, state: str, found: dict) -> dict:
    """Return what a row says of the tasks in one state, after a check of their traces.

    The makespan ends with the last task; a tool that is slow to tell that it has ended does not
    work less well, so that is a number of its own.
    """
    shape = run.shape
    traces = [tuple(trace) for trace in found["traces"]]
    first = WARM if state == "warm" else 0
    ideal = metrics.ideal_s(shape.tasks, shape.seconds, shape.slots)
    last_end = max((trace[5] for trace in traces), default=found["begin"])
    makespan = last_end - found["begin"]
    # While workers come, the first ones may do everything.
    every = run.tool.fills_slots and (state == "warm" or not run.tool.has_warm)
    summary = validation.check(
        traces,
        range(first, first + shape.tasks),
        shape.slots,
        shape.seconds,
        makespan,
        ideal,
        all_slots=every and shape.seconds >= ALL_SLOTS_TASK_S,
    )
    values = metrics.of_makespan(shape.tasks * shape.seconds, ideal, makespan)
    values |= {
        "first_task_s": min(trace[4] for trace in traces) - found["begin"],
        "told_s": found["done"] - last_end,
    }
    numbers = {name: round(value, 4) for name, value in values.items()}
    used = {"slots_used": summary.slots_used, "hosts": summary.hosts}
    return {"state": state, **numbers, **used, "status": "ok"}

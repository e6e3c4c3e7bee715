"""What is shown of the workload ``scheduler-limit``."""

from collections.abc import Iterable, Sequence

from . import metrics
from .columns import Column
from .record import Record

SIMULATED = (
    "The workers are simulated: each has a connection of its own, registers, sends heartbeats, and "
    "receives and reports tasks one by one, but runs no function and keeps no result. The "
    "scheduler is a real one, in one process with the client, as in a member's program."
)
# The share of the ideal that a scheduler reaches with as many workers as it holds.
HOLDS = 0.8
# A scheduler that gets less of a core than this, where it is too slow, is not what limits.
SCHEDULER_PERCENT = 70
# A process with simulated workers that is busier than this may itself be the limit.
BUSY_PERCENT = 90


def points(rows: Iterable[dict]) -> list[dict]:
    """Return measured rows, by the number of workers."""
    return sorted(rows, key=lambda row: row["slots"])


COLUMNS = (
    Column("simulated workers", lambda row: f"{row['slots']:,}"),
    Column("tasks", lambda row: f"{row['tasks']:,}", is_wide=True),
    Column("ideal s", lambda row: f"{row['ideal_s']:.4g}", is_wide=True),
    Column("measured s", lambda row: f"{row['makespan_s']:.2f}"),
    Column("of ideal", lambda row: f"{100 * row['efficiency']:.0f}\u00a0%"),
    Column("tasks/s", lambda row: f"{row['tasks_per_s']:,.0f}"),
    Column("CPU", lambda row: f"{100 * row['cpu_s'] / row['makespan_s']:.0f}\u00a0%"),
    Column("MiB", lambda row: f"{row['rss_mib']:,.0f}"),
    Column("to connect s", lambda row: f"{row['connected_s']:.1f}", is_wide=True),
)


def describe(row: dict) -> str:
    """Return a short description of a step."""
    return (
        f"{row['makespan_s']:.2f} s (ideal {row['ideal_s']:.4g} s), {row['tasks_per_s']:,.0f} "
        f"tasks/s; scheduler and client: {100 * row['cpu_s'] / row['makespan_s']:.0f} % of a core, "
        f"{row['rss_mib']:,.0f} MiB"
    )


def holds(points: Sequence[tuple[int, float]], threshold: float = HOLDS) -> tuple[int, bool] | None:
    """Return how many workers a scheduler holds, and whether it may hold more than were measured.

    Parameters
    ----------
    points : sequence of pairs
        Numbers of workers, and the share of the ideal that was reached.
    threshold : float

    Returns
    -------
    (int, bool) or None
        None if even the smallest number is too large.
    """
    # METG is the same question for lengths of tasks: from the easy end to the first failure.
    found = metrics.metg([(1 / workers, share) for workers, share in points], threshold)
    if found is None:
        return None
    return round(1 / found), all(share >= threshold for _, share in points)


def verdict(rows: Sequence[dict]) -> str:
    """Return how many workers one scheduler holds, in a sentence."""
    found = holds([(row["slots"], row["efficiency"]) for row in rows])
    seconds = f"{rows[0]['seconds']:g} s"
    if found is None:
        return f"One scheduler holds fewer than {rows[0]['slots']:,} of your workers."
    workers, may_be_more = found
    least = "at least" if may_be_more else "about"
    number = workers if may_be_more else _round(workers)
    return (
        f"One scheduler holds {least} {number:,} of your workers of one thread, with tasks of "
        f"{seconds}: so many are busy for {100 * HOLDS:.0f} % of the time."
    )


def disturbance(rows: Sequence[dict]) -> str:
    """Return that the computer, and not the scheduler, was the limit; empty if it was not."""
    slow = next((row for row in rows if row["efficiency"] < HOLDS), None)
    if slow is None:
        return ""
    percent = 100 * slow["cpu_s"] / slow["makespan_s"]
    if percent >= SCHEDULER_PERCENT:
        return ""
    return (
        f"But the scheduler had only {percent:.0f} % of a core with {slow['slots']:,} workers: the "
        "computer was busy with other work, and the scheduler may hold more. Measure again on an "
        "idle one."
    )


def _round(number: int) -> int:
    """Return a number with two digits, which are as many as a measurement gives."""
    size = 10 ** max(0, len(str(number)) - 2)
    return round(number / size) * size


def words(record: Record) -> str:
    """Return the result as a paragraph."""
    rows = points(record.measured)
    most = max(row["tasks_per_s"] for row in rows)
    text = [verdict(rows), f"It handles at most {most:,.0f} tasks a second here,"]
    text.append("so tasks that are ten times as long keep about ten times as many workers busy.")
    text.append(SIMULATED)
    if line := disturbance(rows):
        text.append(line)
    if any(row.get("simulated_cpu_percent", 0) > BUSY_PERCENT for row in rows):
        text.append(
            "A process with simulated workers was as busy as a core allows: more cores may show "
            "that the scheduler holds more."
        )
    for row in record.rows:
        if row.get("status") != "ok":
            error = row.get("error", row.get("status"))
            text.append(f"The run ended at {row.get('slots', 0):,} workers: {error}.")
    return " ".join(text)

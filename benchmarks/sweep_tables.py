"""What the records of `sweep.py` mean: METG, inputs that were computed twice, and tables."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

SLOTS = 120  # of `tiny`, `granularity`, and `headline`
EFFICIENCY = 0.5  # of METG(50 %)
FILE_WORKERS = 16


def efficiency(row: dict, slots: int = SLOTS) -> float:
    """Return ideal / makespan of a row with tasks, their length, and seconds."""
    return math.ceil(row["tasks"] / slots) * row["length"] / row["seconds"]


def computed_twice(calls: Iterable[Sequence[int]], saved: Sequence[Iterable[int]]) -> int:
    """Return how many calls were for inputs that were saved before their run began.

    Parameters
    ----------
    calls : iterable of pairs
        For each call, the number of the run and the input.
    saved : sequence
        For each run, the inputs that were saved at its end.
    """
    known = [frozenset[int](), *map(frozenset, saved)]
    return sum(number in known[run] for run, number in calls)


# --- tables ---------------------------------------------------------------------------------------


def seconds_of(rows: list[dict], **which: object) -> list[float]:
    """Return the seconds of the rows that have these values."""
    return [row["seconds"] for row in rows if which.items() <= row.items()]


def killed(record: dict) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of `killed`."""
    number = record["rows"][0]["inputs"]
    head = ["", "equal to an undisturbed run", "calls (at least necessary)", "of saved inputs"]
    lines = []
    for name, way in (("`sweep`", "sweep"), ("`gather(map())`", "gather")):
        (row,) = (row for row in record["rows"] if row["way"] == way)
        equal = "yes" if row["equal"] else "no"
        lines.append([name, equal, f"{row['calls']:,} ({number:,})", row["twice"]])
    return head, lines


def million(record: dict) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of `million`."""
    head = ["", "inputs", "peak memory (aim)", "before", "time", "inputs/s"]
    lines = []
    for row in record["rows"]:
        aim = " (1,024 MiB)" if row["way"] == "sweep" else ""
        rate = row["inputs"] / row["seconds"]
        lines.append(
            [
                *("`sweep`" if row["way"] == "sweep" else "`gather(map())`", f"{row['inputs']:,}"),
                *(f"{row['peak_mib']:,.0f} MiB{aim}", f"{row['before_mib']:.0f} MiB"),
                *(f"{row['seconds']:.1f} s", f"{rate:,.0f}"),
            ]
        )
    return head, lines


def tiny(record: dict) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of `tiny`."""
    lines = []
    for name, way, aim in (("`sweep`", "sweep", "10,000"), ("`gather(map())`", "gather", "")):
        rows = [row for row in record["rows"] if row["way"] == way]
        rates = [row["tasks"] / row["seconds"] for row in rows]
        spread = f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        lines.append([name, f"{rows[0]['tasks']:,}", spread, aim])
    ideal = round(SLOTS / rows[0]["length"])
    return ["", "inputs", f"inputs/s (at most {ideal:,})", "aim"], lines


def granularity(record: dict) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of `granularity`."""
    from dask_hpc.bench import metrics

    lengths = sorted({row["length"] for row in record["rows"]}, reverse=True)
    lines = []
    for name, way in (("`sweep`", "sweep"), ("`gather(map())`", "gather")):
        points = {}
        for length in lengths:
            rows = [r for r in record["rows"] if (r["way"], r["length"]) == (way, length)]
            points[length] = median(map(efficiency, rows))
        found = metrics.metg(points.items(), EFFICIENCY)
        shown = "none" if found is None else f"{1000 * found:.1f} ms"
        if found == lengths[-1]:
            shown = f"at most {shown}"
        lines.append([name, *(f"{value:.2f}" for value in points.values()), shown])
    head = ["efficiency", *(f"{1000 * length:g} ms" for length in lengths), "METG(50 %)"]
    return head, lines


def files(record: dict) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of `files`."""
    from tests.tables import spread

    number = record["rows"][0]["inputs"]
    ideal = math.ceil(number / FILE_WORKERS)
    lines = []
    for name, way in (("`sweep`", "sweep"), ("`gather(map())`", "gather")):
        seconds = seconds_of(record["rows"], way=way)
        over = 100 * (median(seconds) / ideal - 1)
        lines.append([name, spread(seconds), f"{over:.1f} %"])
    return [f"{number} files of 1 s, 16 workers (ideal: {ideal} s)", "", "over (aim: 5 %)"], lines


def headline(record: dict) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of `headline`."""
    from tests.tables import spread

    tasks, length = (record["rows"][0][name] for name in ("tasks", "length"))
    ideal = math.ceil(tasks / SLOTS) * length
    lines = []
    for name, side, way, aim in (
        ("`sweep`", "dask_hpc", "sweep", "5.08 s"),
        ("`gather(map())`", "dask_hpc", "gather", "5.12 s"),
        ("`as_completed(map())`", "dask_hpc", "as_completed", ""),
        ("`gather(map())`, dask-jobqueue", "dask-jobqueue", "gather", ""),
    ):
        rows = [row for row in record["rows"] if (row["side"], row["way"]) == (side, way)]
        ends = [f"{median(row[end] for row in rows):.3f} s" for end in ("head", "tail")]
        lines.append([name, spread([row["seconds"] for row in rows]), aim, *ends])
    title = f"{tasks} tasks of {length:g} s on {SLOTS} slots (ideal: {ideal:g} s)"
    return [title, "", "aim", "before the first", "after the last"], lines


def overview(records: dict[str, dict]) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of the table of the guide to `sweep`, from several records."""
    ways = ("sweep", "gather")
    headline, files = records["headline"]["rows"], records["files"]["rows"]
    tasks, length = headline[0]["tasks"], headline[0]["length"]
    number = files[0]["inputs"]
    sides = (("dask_hpc", "sweep"), ("dask_hpc", "gather"), ("dask-jobqueue", "gather"))
    ours = [f"{median(seconds_of(headline, side=it, way=way)):.2f} s" for it, way in sides]
    read = [f"{median(seconds_of(files, way=way)):.2f} s" for way in ways]
    rates = [median(rates_of(records["tiny"]["rows"], way)) for way in ways]
    found = [metg_of(records["granularity"]["rows"], way) for way in ways]
    lines: list[list[object]] = [
        [
            f"{tasks} calls of {length:g} s on {SLOTS} slots",
            f"{math.ceil(tasks / SLOTS) * length:g} s",
            *ours,
        ],
        [
            f"{number} files of 1 s on {FILE_WORKERS} workers",
            f"{math.ceil(number / FILE_WORKERS)} s",
            *read,
            "",
        ],
        [
            f"calls of 1 ms on {SLOTS} slots, in a second",
            "",
            *(f"{float(f'{rate:.3g}'):,.0f}" for rate in rates),
            "",
        ],
        [
            f"shortest calls that use {SLOTS} slots half of the time",
            "",
            *("none" if it is None else f"{1000 * it:.0f} ms" for it in found),
            "",
        ],
    ]
    plain = "`client.gather(client.map(…))`"
    return ["", "ideal", "`sweep`", plain, "the same, plain dask-jobqueue"], lines


def rates_of(rows: list[dict], way: str) -> list[float]:
    """Return tasks per second of the rows of a way."""
    return [row["tasks"] / row["seconds"] for row in rows if row["way"] == way]


def metg_of(rows: list[dict], way: str) -> float | None:
    """Return METG(50 %) of a way, in seconds."""
    from dask_hpc.bench import metrics

    mine = [row for row in rows if row["way"] == way]
    lengths = {row["length"] for row in mine}
    medians = [
        (length, median(efficiency(row) for row in mine if row["length"] == length))
        for length in lengths
    ]
    return metrics.metg(medians, EFFICIENCY)


TABLES = {
    "killed": killed,
    "million": million,
    "tiny": tiny,
    "granularity": granularity,
    "files": files,
    "headline": headline,
}


def render(record: dict) -> str:
    """Return a measurement's table in Markdown, under a line about how it was measured."""
    from tests.tables import markdown

    name, about = record["measurement"], record["about"]
    versions, machine = about["versions"], about["machine"]
    system = about["environment"]["system_packages"]
    slurm = next((system[it] for it in sorted(system) if it.startswith("slurm")), "unknown")
    loads = [row["load"] for row in record["rows"]]
    share = "" if record["share"] == 1 else f", {record['share']:g} of the inputs"
    line = (
        f"{name}: {record['rounds']} rounds{share}, {about['date'][:10]}, "
        f"commit {about['commit']}; Slurm {slurm}, Python {versions['python']}, "
        f"distributed {versions['distributed']}, {machine['cores']} cores, "
        f"load {min(loads):.1f} to {max(loads):.1f}"
    )
    return f"{line}\n\n{markdown(*TABLES[name](record))}"


def wrong(record: dict) -> bool:
    """Return whether results were wrong, or a saved one was computed again."""
    return record["measurement"] == "killed" and any(
        not row["equal"] or (row["way"] == "sweep" and row["twice"]) for row in record["rows"]
    )

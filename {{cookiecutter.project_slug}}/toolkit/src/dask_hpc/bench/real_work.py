"""The workloads ``files``, ``numpy``, and ``data`` in tables: their points, columns, and words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from . import metrics
from .columns import Column
from .record import Record

WORKLOADS = ("files", "numpy", "data")
TITLE = "Files, computing, and data"
TITLES = {
    "files": "Files: a sweep, a loop, and the disk",
    "numpy": "Computing on real cores",
    "data": "Moving data",
}
# What identifies a point within a record, beside its mode.
SETTINGS = {"files": ("format",), "numpy": ("work",), "data": ("size_mb",)}
WORKS = {"numpy": "NumPy", "python": "pure Python"}
BUSY = 0.5  # load per core from which on the numbers may mean nothing
CHOSEN = ("size_mb", "seconds")  # numbers that are no results
MODES = {
    "loop": "plain loop",
    "disk": "bytes alone",
    "sweep": "sweep",
    "serial": "one core",
    "threads": "threads",
    "processes": "processes",
}


def points(record: Record) -> list[dict]:
    """Group the measured rows of a record by what they measure, in their order.

    Returns
    -------
    list of dict
        The keys of `SETTINGS`, `mode slots tasks hosts n`, and, as `Summary` objects, the numbers
        that rows have: `makespan_s`, `ideal_s`, `efficiency`, `speedup`, `speedup_bound`,
        `mb_per_s`, and so on.
    """
    names = (*SETTINGS[record.workload], "mode")
    groups: dict[tuple, list[dict]] = {}
    for row in record.measured:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    found = []
    for identity, rows in groups.items():
        point = {**rows[0], **dict(zip(names, identity, strict=True)), "n": len(rows)}
        for name, value in rows[0].items():
            if isinstance(value, float) and name not in CHOSEN:
                point[name] = metrics.summary(row[name] for row in rows if name in row)
        found.append(point)
    if record.workload == "data":
        order = list(dict.fromkeys(point["mode"] for point in found))
        found.sort(key=lambda point: (order.index(point["mode"]), point["size_mb"]))
    return found


def _number(name: str, form: str = ",.0f") -> Callable[[dict], str]:
    """Return a function for the median of a number, or for nothing if a point has none."""

    def cell(point: dict) -> str:
        return format(point[name].median, form) if name in point else ""

    return cell


def _range(name: str, form: str = ",.0f") -> Callable[[dict], str]:
    def cell(point: dict) -> str:
        values = point[name]
        return f"{values.low:{form}} to {values.high:{form}}" if values.n > 1 else ""

    return cell


def _share(point: dict) -> str:
    return f"{100 * point['efficiency'].median:.0f}\u00a0%" if point["mode"] == "sweep" else ""


SECONDS = Column("median s", _number("makespan_s", ".2f"))
N = Column("n", lambda point: str(point["n"]))
COLUMNS: dict[str, tuple[Column, ...]] = {
    "files": (
        Column("", lambda point: MODES[point["mode"]]),
        N,
        SECONDS,
        Column("files/s", _number("tasks_per_s")),
        Column("range", _range("tasks_per_s"), is_wide=True),
        Column("MB/s", _number("mb_per_s", ",.1f")),
        Column("times the loop", _number("speedup", ".2f")),
        Column("bound s", lambda p: _number("ideal_s", ".2f")(p) if p["mode"] == "sweep" else ""),
        Column("of bound", _share),
    ),
    "numpy": (
        Column("", lambda point: f"{WORKS[point['work']]}, {MODES[point['mode']]}"),
        Column("slots", lambda p: "1" if p["mode"] == "serial" else str(p["slots"])),
        N,
        SECONDS,
        Column("speedup", _number("speedup", ".2f")),
        Column("range", _range("speedup", ".2f"), is_wide=True),
        Column("bound", _number("speedup_bound", ".0f")),
    ),
    "data": (
        Column("", lambda point: point["mode"]),
        Column("arrays", lambda point: f"{point['tasks']} x {point['size_mb']:g}\u00a0MB"),
        N,
        Column("MB/s", _number("mb_per_s")),
        Column("range", _range("mb_per_s"), is_wide=True),
        Column("one stream", _number("stream_mb_per_s")),
        Column("client MiB", _number("client_peak_mib")),
        Column("worker MiB", _number("worker_peak_mib")),
    ),
}


def describe_row(row: dict) -> str:
    """Return a short description of a repeat."""
    seconds = f"{row['makespan_s']:.2f} s"
    if row["workload"] == "numpy":
        return f"{seconds}, {row['speedup']:.2f} times one core"
    if row["workload"] == "files":
        return f"{seconds}, {row['tasks_per_s']:,.0f} files/s, {row['mb_per_s']:,.0f} MB/s"
    return f"{row['mb_per_s']:,.0f} MB/s, one stream {row['stream_mb_per_s']:,.0f} MB/s"


def words(record: Record, found: Sequence[dict]) -> str:
    """Return a paragraph with the result."""
    text = {"files": _files, "numpy": _numpy, "data": _data}[record.workload](found)
    machine = record.header.get("machine", {})
    load, usable = machine.get("load_1min") or 0, machine.get("usable_cores") or 1
    if load > BUSY * usable:
        text += (
            f" The computer was busy with other work (load {load:g} on {usable} cores), so these "
            "numbers may mean nothing: measure again on an idle one."
        )
    return text


def finding(workload: str, found: Sequence[dict]) -> str:
    """Return a sentence for the top of the report; empty if too little was measured."""
    modes = _by_mode(found)
    if workload == "files" and "sweep" in modes:
        sweep = modes["sweep"]
        return (
            f"A sweep reads {sweep['tasks_per_s'].median:,.0f} files of {sweep['size_mb']:g} MB a "
            f"second, {sweep['speedup'].median:.1f} times as many as a plain loop "
            f"(median of {sweep['n']})."
        )
    if workload == "numpy" and "processes" in modes:
        best = max(
            (point for point in found if point["work"] == "numpy"),
            key=lambda point: point["speedup"].median,
        )
        return (
            f"NumPy on {best['slots']} cores is {best['speedup'].median:.2f} times as fast as on "
            f"one, with {MODES[best['mode']]} (median of {best['n']})."
        )
    if workload == "data" and found:
        most = max(found, key=lambda point: point["mb_per_s"].median)
        least = min(found, key=lambda point: point["mb_per_s"].median)
        speeds = [
            f"{point['mb_per_s'].median:,.0f} MB/s ({point['mode']}, arrays of "
            f"{point['size_mb']:g} MB)"
            for point in (least, most)
        ]
        return f"Data move at {' to '.join(speeds)}."
    return ""


def _by_mode(found: Iterable[dict]) -> dict[str, dict]:
    return {point["mode"]: point for point in found}


def _files(found: Sequence[dict]) -> str:
    modes = _by_mode(found)
    if "sweep" not in modes or "loop" not in modes or "disk" not in modes:
        return "The run was ended before each way was measured."
    loop, disk, sweep = modes["loop"], modes["disk"], modes["sweep"]
    cores = sweep["cores"]
    return (
        f"{loop['tasks']} files of {loop['size_mb']:g} MB ({loop['format']}), read and reduced: "
        f"{loop['tasks_per_s'].median:,.0f} files/s in a plain loop, "
        f"{sweep['tasks_per_s'].median:,.0f} files/s in a sweep on {sweep['slots']} slots, "
        f"{sweep['speedup'].median:.1f} times the loop's speed (median of {sweep['n']}). Reading "
        f"nothing but the bytes takes {disk['makespan_s'].median:.2f} s "
        f"({disk['mb_per_s'].median:,.0f} MB/s); the disk, the slots, and the {cores} cores that "
        f"are really there allow {sweep['ideal_s'].median:.2f} s, and the sweep took "
        f"{sweep['makespan_s'].median:.2f} s. Before each way, the computers were asked to forget "
        "the files; the memory of a file server is not emptied by that."
    )


def _numpy(found: Sequence[dict]) -> str:
    parts = []
    for work, name in WORKS.items():
        modes = _by_mode(point for point in found if point["work"] == work)
        speedups = [
            f"{modes[mode]['speedup'].median:.2f} times one core with {mode}"
            for mode in ("threads", "processes")
            if mode in modes
        ]
        if speedups:
            parts.append(f"{name}: {' and '.join(speedups)}")
    if not parts:
        return "The run was ended before threads or processes were measured."
    return (
        f"On {found[-1]['slots']} physical cores. "
        f"{'; '.join(parts)} (medians of {found[-1]['n']}). NumPy releases Python's global lock "
        "while it computes with arrays, so threads can use several cores; a loop in pure Python "
        "needs processes. BLAS had one thread for each slot, which was checked."
    )


def _data(found: Sequence[dict]) -> str:
    most = max(point["size_mb"] for point in found)
    speeds = [
        f"{point['mode']} {point['mb_per_s'].median:,.0f} MB/s"
        for point in found
        if point["size_mb"] == most
    ]
    streams = [point["stream_mb_per_s"].median for point in found if point["size_mb"] == most]
    where = "one computer" if found[0]["hosts"] == 1 else "two computers"
    encrypted = "encrypted" if found[0]["encrypted"] else "not encrypted"
    text = (
        f"Arrays of {most:g} MB: {', '.join(speeds)} (medians of {found[0]['n']}). One plain "
        f"stream between the same processes: {min(streams):,.0f} to {max(streams):,.0f} MB/s. "
        f"Dask's connections were {encrypted}, and the two workers were on {where}."
    )
    peaks = [point for point in found if "client_peak_mib" in point]
    if peaks:
        client = max(point["client_peak_mib"].high for point in peaks)
        worker = max(point["worker_peak_mib"].high for point in peaks)
        text += (
            f" The client's process, in which the scheduler is, took up to {client:,.0f} MiB, and "
            f"a worker up to {worker:,.0f} MiB."
        )
    return text

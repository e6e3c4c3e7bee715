"""The table and the figure of the records in docs/data/sites, which are exported ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dask_hpc.bench import aggregate, figures, record, report


@dataclass(frozen=True)
class Site:
    """What a site's file has of the headline: 500 tasks of 1 s, or what else was slept.

    Attributes
    ----------
    name : str
        Of the file, without its suffix.
    records : sequence of Record
    points : list of dict
        As `aggregate.summarize` returns them.
    """

    name: str
    records: Sequence[record.Record]
    points: list[dict]


def read(folder: Path) -> list[Site]:
    """Return the sites whose files have a headline, by name."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        shown = report.select(record.read_all(path))
        if shown:
            points = aggregate.summarize(row for one in shown for row in one.measured)
            found.append(Site(path.stem, shown, points))
    return found


HEAD = ("record", "on", "Dask", "slots", "n", "ideal", "median", "range", "of the ideal")


def table(sites: Sequence[Site]) -> str:
    """Return the table of sites in Markdown: a row for each number of slots."""
    from tests.tables import markdown

    rows = []
    for site in sites:
        versions = site.records[-1].header.get("versions", {})
        for point in site.points:
            times = point["makespan"]
            row = [site.name, where(site), versions.get("dask", ""), point["slots"], point["n"]]
            row += [f"{point['ideal_s']:g} s", f"{times.median:.2f} s"]
            row += [f"{times.low:.2f} to {times.high:.2f} s"]
            rows.append([*row, f"{100 * point['efficiency'].median:.1f} %"])
    return markdown([*HEAD, "cold start"], _with_cold_starts(sites, rows))


def _with_cold_starts(sites: Sequence[Site], rows: list[list]) -> list[list]:
    """Add the median time from a command to its last result to each site's last row."""
    last = {row[0]: number for number, row in enumerate(rows)}
    texts = {}
    for site in sites:
        seconds = [start["cold_total_s"] for start in aggregate.cold_starts(site.records)]
        texts[last[site.name]] = f"{median(seconds):.1f} s (n = {len(seconds)})" if seconds else ""
    return [[*row, texts.get(number, "")] for number, row in enumerate(rows)]


def where(site: Site) -> str:
    """Return the batch system, and of the scheduler's computer the cores and the load before."""
    start = site.records[-1].starts[-1] if site.records[-1].starts else {}
    system = (start.get("batch_system") or "no batch system").capitalize()
    version = start.get("settings", {}).get("SLURM_VERSION", "")
    machine = site.records[-1].header.get("machine", {})
    load = machine.get("load_1min")
    busy = "" if load is None else f", load {load:.1f} before"
    return f"{system} {version}".strip() + f"; {machine.get('usable_cores', '?')} cores{busy}"


def draw(sites: Sequence[Site], stem: Path) -> list[Path]:
    """Draw the share of the ideal at each site; return the paths of the figure."""
    points = [point for site in sites for point in site.points]
    labels = [f"{site.name}, {point['slots']} slots" for site in sites for point in site.points]

    def panel(axes, points):
        figures.ways_panel(axes, points, "efficiency", labels, "share of the ideal")
        axes.axvline(1, color=figures.ORANGE, lw=1.4)
        axes.set_xlim(0, 1.15)

    return figures.save(figures.panel_figure(panel, points, (7.2, 1.0 + 0.45 * len(points))), stem)

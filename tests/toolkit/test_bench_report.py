"""Figures and the page: what they show of a record, and what they refuse."""

import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from dask_hpc.bench import aggregate, cold_start, export, figures, metrics, record, report, show
from dask_hpc.bench.points import GATHER, SWEEP, UNEVEN, Point
from dask_hpc.cli.main import main

pytestmark = pytest.mark.xdist_group("figures")

TASKS = 500


def scaling_record(
    folder, name="strong-scaling-1.jsonl", overhead=0.15, backend="cluster", seconds=1.0, start=0
):
    """Write a record like that of a run on a cluster."""
    with record.Writer(folder / name) as writer:
        writer.write(
            "header",
            schema=record.SCHEMA,
            version=record.VERSION,
            workload="strong-scaling",
            started=f"2026-11-24T0{start}:00:00Z",
            command="dask hpc bench run strong-scaling",
            versions={"dask": "2026.8.0", "python": "3.11.7"},
            machine={"host": "login", "cores": 2, "usable_cores": 2},
        )
        writer.write(
            "start",
            slots=120,
            jobs=4,
            threads=30,
            backend=backend,
            batch_system="slurm",
            first_of_command=True,
            job_script="#SBATCH -A lab <script>",
            phases={"import": 0.6, "cluster": 0.3, "queue": 0.4, "last_result": 6.0},
            cold_total_s=7.3,
        )
        for slots, repeats in ((20, 1), (100, 3), (120, 6)):
            ideal = metrics.ideal_s(TASKS, seconds, slots)
            for number in range(repeats):
                makespan = ideal + overhead + 0.01 * number
                writer.write(
                    "row",
                    workload="strong-scaling",
                    backend=backend,
                    slots=slots,
                    tasks=TASKS,
                    seconds=seconds,
                    ideal_s=ideal,
                    makespan_s=makespan,
                    overhead_s=makespan - ideal,
                    efficiency=ideal / makespan,
                    speedup=TASKS * seconds / makespan,
                    status="ok",
                )
        starts = [1000 * (n // 120) for n in range(TASKS)]
        writer.write(
            "trace",
            slots=120,
            tasks=TASKS,
            ideal_s=ideal,
            makespan_s=makespan,
            slot_hosts=["node1"] * 60 + ["node2"] * 60,
            slot_workers=[0] * 60 + [1] * 60,
            task_slots=[n % 120 for n in range(TASKS)],
            starts_ms=starts,
            ends_ms=[start + 1000 for start in starts],
        )
        writer.write(
            "environment",
            digest="sha256:0123",
            packages=141,
            system_packages={"slurmctld": "24.11.5-4"},
            commit="0a1b2c3d4e",
        )
        writer.write("end")


def gil(folder, load=0.1):
    with record.Writer(folder / "gil-1.jsonl") as writer:
        writer.write(
            "header",
            schema=record.SCHEMA,
            version=record.VERSION,
            workload="gil",
            started="2026-11",
            machine={"load_1min": load},
        )
        for repeat in range(3):
            times = {"serial": 1.2, "threads": 1.25, "processes": 0.62}
            for mode, seconds in times.items():
                writer.write(
                    "row",
                    workload="gil",
                    mode=mode,
                    slots=2,
                    makespan_s=seconds + 0.01 * repeat,
                    speedup=1.2 / seconds,
                    speedup_bound=1 if mode == "serial" else 2,
                    status="ok",
                )
        writer.write("end")


class Text(HTMLParser):
    """The text that a reader of the page sees, and the tags."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self.skip = "", [], False
        self.feed(page)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.skip = tag == "style"

    def handle_endtag(self, tag):
        self.skip = False

    def handle_data(self, data):
        self.text += "" if self.skip else data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    scaling_record(folder)
    gil(folder)
    result = CliRunner().invoke(main, ["bench", "report", str(folder)])
    assert result.exit_code == 0, result.output
    printed = [line.rsplit("/", 1)[1] for line in result.output.splitlines()]
    names = ("speedup", "makespan", "efficiency", "from-nothing", "gantt", "gil")
    files = [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert printed == [*files, "report.html"]
    return folder, Text((folder / "report.html").read_text())


@pytest.fixture
def quick_images(monkeypatch):
    """Draw figures, but write none of their pixels, which takes most of a report's time."""
    monkeypatch.setattr(figures, "_render", lambda _figure, _kind, _name: b"<svg></svg>")


def test_the_figures_are_images(page):
    folder, _ = page
    assert (folder / "speedup.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "speedup.png").stat().st_size > 20_000
    assert "<svg" in (folder / "speedup.svg").read_text()


def test_the_page_needs_nothing_else(page):
    folder, parsed = page
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 6
    linked = [
        value
        for tag, attributes in parsed.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href") and not value.startswith("#")
    ]
    assert linked == []
    text = (folder / "report.html").read_text()
    assert "@import" not in text
    assert 'name="viewport"' in text


def test_the_page_says_numbers_with_their_n_and_bound(page):
    _, parsed = page
    assert "97 times faster on 120 slots" in parsed.text
    assert "at most 100 is possible" in parsed.text
    assert "median of 6" in parsed.text
    assert "1 at 20, 3 at 100, 6 at 120 slots" in parsed.text
    assert "not computing power" in parsed.text


def test_the_page_says_how_long_it_took_from_nothing(page):
    _, parsed = page
    assert "From nothing to the last result: 7.3 s" in parsed.text
    assert "load Python and Dask" in parsed.text


def test_the_page_says_on_top_what_the_records_show(page):
    _, parsed = page
    lead = parsed.text.partition("times faster than the serial loop")[0]
    assert "take 5.18 s (median of 6; 5.15 to 5.20 s): 96.6 % of the ideal" in lead
    assert "From 20 to 120 slots, at least 96.6 % of the ideal is reached (at 120)." in lead
    assert "No law of scaling is fitted to 3 numbers of slots" in lead
    assert "a cold start on 120 slots takes 7.3 s, of which the tasks take 6.0 s" in lead
    assert "0.96 times as fast with 2 threads, and 1.92 times as fast with 2 processes" in lead


def test_the_page_shows_which_task_ran_where(page):
    _, parsed = page
    assert "Which task ran where, and when" in parsed.text
    assert "on 120 slots. The first task begins after 0 ms" in parsed.text


def test_the_page_shows_threads_against_processes(page):
    _, parsed = page
    assert "0.96 times the serial loop's speed with 2 threads" in parsed.text
    assert "1.92 times with 2 processes" in parsed.text


def test_the_page_compares_ways_lengths_and_numbers_of_slots(tmp_path, request):
    points = {
        "weak-scaling": [
            Point(n, 5 * n, 1.0, 1, way) for n in (30, 480) for way in (GATHER, SWEEP)
        ],
        "granularity": [Point(8, 80, s, 1, SWEEP) for s in (1.0, 0.1, 0.001)],
        "uneven": [Point(8, 40, 1.0, 1, GATHER, UNEVEN, s) for s in (1.0, 2.0)],
        "tasks-per-second": [Point(8, 1000, 0.0, 1, GATHER)],
    }
    start_row = {"n_errors": 0, "status": "ok", "first_worker_s": 1.0, "makespan_s": 4.5}
    start_row |= {"phases": {"cluster": 0.5, "queue": 0.5, "all_workers": 3.5}, "pss_mib": 20.0}
    with record.Writer(tmp_path / "cold-start.jsonl") as writer:
        header = {"schema": record.SCHEMA, "version": 2, "workload": "cold-start"}
        writer.write("header", **header, started="0")
        for how in ("default", "spawn"):
            row = cold_start.Start(4, 8, how).columns() | start_row
            writer.write("row", workload="cold-start", **row)
    for number, (workload, chosen) in enumerate(points.items()):
        with record.Writer(tmp_path / f"{workload}.jsonl") as writer:
            writer.write(
                "header", schema=record.SCHEMA, version=2, workload=workload, started=str(number)
            )
            for n, point in enumerate(chosen):
                makespan = 1.25 * point.ideal_s + (0.001 + n / 1000) * point.tasks
                row = point.columns() | metrics.of_makespan(point.total_s, point.ideal_s, makespan)
                writer.write("row", **row, first_result_s=0.1, status="ok")
    paths = report.write(tmp_path)
    # An exported record has all runs in one file.
    request.getfixturevalue("quick_images")
    exported = tmp_path / "exported"
    exported.mkdir()
    export.export(record.read_folder(tmp_path), exported / "all.jsonl")
    assert {path.name for path in report.write(exported)} == {path.name for path in paths}
    names = {path.name for path in paths}
    expected = {"weak-scaling.png", "granularity.svg", "cold-start.png", "report.html"}
    assert expected <= names
    text = Text((tmp_path / "report.html").read_text()).text
    assert "On 480 slots, of the ideal: gather(map()) 37 %, sweep 32 %" in text
    assert "sweep: METG (50 %) 23.7 ms, (90 %) not reached" in text
    assert "The quickest here is gather(map()) with worker-saturation 1: " in text
    assert "Tasks that do nothing, per second: gather(map()) 1,000 (medians of 1)." in text
    assert "saturation" in text  # a column, since it varies
    assert "4 jobs of 8 processes, as the lab starts them, are all connected after 4.5 s" in text


@pytest.mark.parametrize(("load", "said"), [(0.1, False), (2.7, True)])
def test_the_page_says_when_the_computer_was_busy(quick_images, tmp_path, load, said):
    gil(tmp_path, load)
    report.write(tmp_path)
    parsed = Text((tmp_path / "report.html").read_text())
    assert ("load 2.7 on 2 cores" in parsed.text) == said


def test_what_was_run_is_on_the_page_and_is_text_not_markup(page):
    _, parsed = page
    assert "dask 2026.8.0" in parsed.text
    assert "commit0a1b2c3d4e" in parsed.text.replace(" ", "")
    assert "141 Python packages, sha256:0123; slurmctld 24.11.5-4" in parsed.text
    assert "#SBATCH -A lab <script>" in parsed.text
    assert not any(tag == "script" for tag, _ in parsed.tags)


def test_ids_of_the_figures_on_a_page_do_not_meet(page):
    folder, _ = page
    figures = (folder / "report.html").read_text().split("<svg")[1:]
    clips = [set(re.findall(r'clipPath id="([^"]+)"', figure)) for figure in figures]
    assert all(clips)
    assert not clips[0] & clips[1]


def test_records_of_other_settings_are_not_mixed_in(tmp_path):
    scaling_record(tmp_path, "strong-scaling-1.jsonl", backend="local", start=1)
    scaling_record(tmp_path, "strong-scaling-2.jsonl", seconds=0.1, start=2)
    scaling_record(tmp_path, "strong-scaling-3.jsonl", start=3)
    shown = report.select(record.read_folder(tmp_path))
    assert [r.path.name for r in shown] == ["strong-scaling-3.jsonl"]


def test_repeats_of_several_records_of_the_same_kind_count_together(tmp_path):
    scaling_record(tmp_path, "strong-scaling-1.jsonl", start=1)
    scaling_record(tmp_path, "strong-scaling-2.jsonl", start=2)
    shown = report.select(record.read_folder(tmp_path))
    points = aggregate.summarize(row for r in shown for row in r.measured)
    assert [(p["slots"], p["n"]) for p in points] == [(20, 2), (100, 6), (120, 12)]


def test_a_broken_off_record_is_reported_with_what_it_has(quick_images, tmp_path):
    scaling_record(tmp_path)
    path = tmp_path / "strong-scaling-1.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], lines[5][:40]]))
    report.write(tmp_path)
    parsed = Text((tmp_path / "report.html").read_text())
    assert "1 at 20, 2 at 100 slots" in parsed.text
    assert "broken off" in parsed.text


def test_records_of_several_folders_are_one_report_elsewhere(tmp_path):
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        scaling_record(tmp_path / folder, start=number)
    twice = [str(tmp_path / "a"), str(tmp_path / "a" / "strong-scaling-1.jsonl")]
    other = str(tmp_path / "b")
    result = CliRunner().invoke(main, ["bench", "report", *twice, other])
    assert result.exit_code == 2
    assert "say where to write, by --out" in result.output
    assert len(report.load(map(type(tmp_path), [*twice, other]))) == 2


def test_a_failed_repeat_is_on_the_page(quick_images, tmp_path):
    scaling_record(tmp_path)
    with record.Writer(tmp_path / "uneven-1.jsonl") as writer:
        header = {"schema": record.SCHEMA, "version": record.VERSION, "workload": "uneven"}
        writer.write("header", **header, started="2026-12")
        writer.write("row", slots=120, status="failed", error="job 7 <is> pending")
    report.write(tmp_path)
    text = Text((tmp_path / "report.html").read_text()).text
    assert "1 repeat failed: see Not measured." in text
    assert "uneven, 120 slots: failed. job 7 <is> pending" in text


def test_a_run_that_only_failed_is_one_line_with_its_reason(tmp_path):
    with record.Writer(tmp_path / "sleep-1.jsonl") as writer:
        writer.write("header", schema=record.SCHEMA, version=record.VERSION, workload="sleep")
        writer.write("row", slots=120, status="failed", error="job 7 is pending")
    result = CliRunner().invoke(main, ["bench", "report", str(tmp_path)])
    assert result.exit_code != 0
    [line] = result.output.strip().splitlines()
    assert "contains only failed runs: job 7 is pending" in line
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("place", ["missing", "."])
def test_a_folder_without_records_is_one_line(tmp_path, place):
    result = CliRunner().invoke(main, ["bench", "report", str(tmp_path / place)])
    assert result.exit_code != 0
    assert len(result.output.strip().splitlines()) == 1


def test_the_figures_hold_every_repeat_the_medians_and_both_bounds(tmp_path):
    from matplotlib.figure import Figure

    scaling_record(tmp_path)
    points = aggregate.summarize(record.read_folder(tmp_path)[0].measured)
    left, right = Figure().subplots(1, 2)
    figures.speedup_panel(left, points)
    figures.efficiency_panel(right, points)
    dots = {name: 0 for name in ("left", "right")}
    for name, axes in (("left", left), ("right", right)):
        dots[name] = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o")
    assert dots == {"left": 10, "right": 10}
    bound = next(line for line in left.lines if "equal tasks" in str(line.get_label()))
    staircase = dict(zip(bound.get_xdata(), bound.get_ydata(), strict=True))
    assert staircase[100] == staircase[120] == 100
    assert staircase[125] == 125
    assert right.get_ylim() == (0, 1.05)
    assert right.get_yscale() == "linear"


def test_a_gil_record_that_broke_off_after_the_serial_loop_is_left_aside(quick_images, tmp_path):
    scaling_record(tmp_path)
    gil(tmp_path)
    path = tmp_path / "gil-1.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if '"threads"' not in line) + "\n")
    result = CliRunner().invoke(main, ["bench", "report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "gil.png" not in result.output
    assert "nan" not in Text((tmp_path / "report.html").read_text()).text.split()


def shown_in_terminal(monkeypatch, capsys, folder, columns):
    """Return the lines that a terminal of so many columns shows of the first record."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    show.show(record.read_folder(folder)[0])
    return re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()


def test_table_in_terminal_of_80_columns_is_whole(tmp_path, monkeypatch, capsys):
    scaling_record(tmp_path)
    lines = shown_in_terminal(monkeypatch, capsys, tmp_path, 80)
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert all(column.heading in lines[1] for column in show.COLUMNS)


def test_table_in_narrow_terminal_leaves_columns_out(tmp_path, monkeypatch, capsys):
    scaling_record(tmp_path)
    lines = shown_in_terminal(monkeypatch, capsys, tmp_path, 60)
    assert max(map(len, lines[:6])) <= 60
    assert "…" not in "".join(lines)
    assert lines[1].split() == ["slots", "n", "median", "s", "of", "ideal", "speedup", "bound"]


def test_piped_table_is_never_cut(tmp_path, capsys):
    scaling_record(tmp_path, seconds=10000.0)
    show.show(record.read_folder(tmp_path)[0])
    text = capsys.readouterr().out
    assert "50000.15 to 50000.20" in text
    assert "…" not in text

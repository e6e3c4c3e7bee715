"""`make bench-asv`: which commits and benchmarks asv measures, and what counts as a result.

asv itself would call a run that did nothing a success.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from asv import _stats, util
from asv.config import Config
from asv_runner.benchmarks.mark import SkipNotImplemented
from asv_runner.statistics import compute_stats

from dask_hpc import _versions

BENCHMARKS = Path(__file__).resolve().parent
TOOLKIT = "{{cookiecutter.project_slug}}/toolkit"

WORKS = "def track_it():\n    return 1\n"
BODIES = {
    "nothing": "",
    "one that works": WORKS,
    "one of three that works": f"{WORKS}\n\ndef time_it():\n    pass\n\n\n"
    "def skip():\n    raise NotImplementedError\n\n\ntime_it.setup = skip\n"
    "\n\ndef track_that():\n    raise ValueError\n",
}
SAID = {
    "nothing": "none",
    "one that works": "1 measured",
    "one of three that works": "1 measured, 1 failed, 1 n/a",
}


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Import the scripts and the suite as they import each other."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def script():
    import run_asv

    return run_asv


@pytest.fixture(scope="module")
def harness():
    from asv_suite import harness

    return harness


def archive(path, suite="one that works"):
    """Make a copy of the benchmarks with another suite, without git; return its folder."""
    folder = path / "benchmarks"
    (folder / "asv_suite").mkdir(parents=True)
    for name in ("asv.conf.json", "run_asv.py", "demo.py"):
        shutil.copy(BENCHMARKS / name, folder)
    (folder / "asv_suite" / "__init__.py").write_text("")
    (folder / "asv_suite" / "some.py").write_text(BODIES[suite])
    return folder


def git(path, *words):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=path, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def checkout(path, suite="one that works", commits=1):
    """Make the same as a git checkout with some commits."""
    folder = archive(path, suite)
    git(path, "init", "--quiet", "--initial-branch=main")
    for _ in range(commits):
        git(path, "commit", "--quiet", "--allow-empty", "--message=test")
    return folder


def run(*command, **options):
    """Run a command; return its exit code and what it printed."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    return done.returncode, done.stdout + done.stderr


def test_without_git_one_line_says_that_a_checkout_is_needed(tmp_path):
    code, printed = run(sys.executable, archive(tmp_path) / "run_asv.py")
    assert code == 2
    (line,) = printed.splitlines()
    assert "is not a git checkout" in line
    assert "clone" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a checkout of another owner")
def test_in_a_checkout_of_another_owner_the_line_says_what_helps(tmp_path, script, monkeypatch):
    folder = checkout(tmp_path / "it's foreign")
    for path in [folder.parent, *folder.parent.rglob("*")]:
        os.chown(path, 1234, 1234)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(script, "BENCHMARKS", folder)
    with pytest.raises(script.RefusedError) as refused:
        script.resolve("HEAD")
    remedy = str(refused.value)
    assert "\n" not in remedy
    assert run("bash", "-c", remedy[remedy.index("git config") :]) == (0, "")
    assert len(script.resolve("HEAD")) == 40


def test_a_range_has_both_ends(tmp_path, script, monkeypatch):
    monkeypatch.setattr(script, "BENCHMARKS", checkout(tmp_path, commits=5))
    commits = git(tmp_path, "rev-list", "HEAD").splitlines()

    def chosen(*words):
        return script.selection(script.parse([*words]))

    assert chosen("HEAD~4..HEAD", "--steps", "3") == (commits, [])
    assert chosen("HEAD~2..") == (commits[:3], [])
    assert chosen() == chosen("HEAD") == chosen("HEAD^!") == (commits[:1], [])
    assert chosen("NEW") == ([], ["NEW"])
    assert chosen("continuous", "HEAD~1", "HEAD") == (commits[:2], ["HEAD~1", "HEAD"])
    here = chosen("--environment", "existing:same")
    assert here == (commits[:1], ["--set-commit-hash", commits[0]])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["HEAD~9..HEAD"], "bad revision 'HEAD~9..HEAD'"),
        (["nonsense"], "bad revision 'nonsense'"),
        (["continuous", "HEAD~9", "HEAD"], "git knows no commit HEAD~9; a shallow clone has few"),
        (["continuous", "HEAD"], "neither a range of commits"),
        (["HEAD", "-E", "existing"], "an existing environment has no commits: omit the range"),
    ],
)
def test_commits_that_do_not_exist_are_one_line(words, said, tmp_path, script, monkeypatch):
    monkeypatch.setattr(script, "BENCHMARKS", checkout(tmp_path, commits=2))
    with pytest.raises(script.RefusedError, match=said.replace("^", r"\^")) as refused:
        script.selection(script.parse(words))
    assert "\n" not in str(refused.value)


def test_without_a_testbed_one_line_says_so_and_its_benchmarks_have_no_results(
    script, monkeypatch, capsys
):
    called = []
    monkeypatch.setattr(script, "docker_problem", lambda: "no Docker here")
    monkeypatch.setattr(script, "asv", lambda *words, **_: called.append(words) or 0)
    monkeypatch.setattr(script, "publish", lambda: None)
    monkeypatch.setattr(script, "count", lambda *_: script.Counter(measured=1))
    for words in ([], ["--bench", "overhead"]):
        asked = script.parse(words)
        with script.testbed(asked) as environment:
            assert environment == {}
            script.run(asked, ["a" * 40], ["HEAD"], environment)
        assert (
            capsys.readouterr().out.splitlines()[0].endswith("on the Slurm testbed: no Docker here")
        )
        pattern = called[-1][called[-1].index("--bench") + 1]
        assert script.wanted([pattern], "local.Sleep.track_overhead")
        assert not script.wanted([pattern], "testbed.Slurm.track_overhead")
        assert script.wanted([pattern], "template.Render.time_render") is not bool(words)
    with script.testbed(script.parse(["--bench", "local"])):
        assert capsys.readouterr().out == ""  # none is asked for


def test_the_benchmarks_that_need_a_testbed_are_those_of_its_module(script):
    from asv_suite import testbed

    names = {name for name in vars(testbed.Slurm) if name.startswith("track_")}
    assert names == set(script.ON_TESTBED)
    assert "TESTBED_NAME" in testbed.missing()


@pytest.mark.parametrize(
    "suite",
    [name if "three" in name else pytest.param(name, marks=pytest.mark.full) for name in BODIES],
)
def test_a_run_counts_what_it_measured(suite, tmp_path):
    folder = checkout(tmp_path, suite)
    words = ["--environment", "existing:same", "--no-testbed"]
    code, printed = run(sys.executable, folder / "run_asv.py", *words)
    assert (code == 0) is (suite == "one that works"), printed
    assert f"asv: results of 1 commits: {SAID[suite]}\n" in printed


def configuration():
    return Config.load(str(BENCHMARKS / "asv.conf.json"))


def test_asv_builds_the_commits_toolkit_and_removes_the_package_that_it_installed():
    values = {"build_cache_dir": "cache", "build_dir": str(BENCHMARKS.parent)}
    (line,) = configuration().build_command
    command, *_ = util.interpolate_command(line, values)
    assert command[-1] == str(BENCHMARKS.parent / TOOLKIT)
    (line,) = configuration().uninstall_command
    assert util.interpolate_command(line, {})[0][-1] == "dask-hpc"


def test_commits_are_compared_with_the_newest_dask_that_is_tested():
    required = configuration().matrix["req"]
    assert required["dask"] == required["distributed"]
    assert required["dask"][0].startswith(f"{_versions.NEWEST_TESTED}.")


def test_asv_compares_the_harnesss_repeats_with_a_test(harness):
    rows = [{"overhead_s": 0.1 + n / 100} for n in range(harness.REPEATS)]
    slower = [{"overhead_s": row["overhead_s"] + 0.1} for row in rows]

    def differ(a, b, repeats=harness.REPEATS):
        times = [harness.samples(each, "overhead_s")["samples"][:repeats] for each in (a, b)]
        return _stats.is_different(*times, *(compute_stats(each, 1)[1] for each in times))

    assert differ(rows, slower)
    assert not differ(rows, rows)
    assert not differ(rows, slower, repeats=6)  # it never can


def test_only_the_default_way_to_start_workers_counts(harness):
    lines = [
        {"kind": "header"},
        {"kind": "row", "status": "ok", "how": "default", "makespan_s": 2.0},
        {"kind": "row", "status": "ok", "how": "no nanny", "makespan_s": 1.0},
        {"kind": "row", "status": "failed", "how": "default"},
    ]
    found = harness.rows("\n".join(map(json.dumps, lines)))
    assert harness.samples(found, "makespan_s") == {"samples": [2.0], "number": 1}


def test_a_benchmark_that_a_commit_does_not_have_is_skipped_and_one_that_fails_is_not(
    harness, capsys
):
    refused = SimpleNamespace(returncode=2, stdout="", stderr="Usage: …\nError: No such command")
    reason = harness.refusal(refused)
    with pytest.raises(SkipNotImplemented):
        harness.samples(reason, "makespan_s")
    assert capsys.readouterr().out == f"{reason}\n"
    failed = SimpleNamespace(returncode=1, stdout="", stderr="Error: no workers")
    with pytest.raises(RuntimeError, match="no workers"):
        harness.refusal(failed)


@pytest.fixture
def five(tmp_path):
    """Clone this repository, and add five commits that change nothing."""
    path = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--shared", BENCHMARKS.parent, path)
    for n in range(5):
        git(path, "commit", "--quiet", "--allow-empty", f"--message={n}")
    return path


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_five_commits_give_five_points_for_each_benchmark(five):
    """It downloads what asv's environment needs."""
    environment = {**os.environ, "ASV_QUICK": "1"}
    command = [sys.executable, five / "benchmarks" / "run_asv.py", "HEAD~4..HEAD", "--no-testbed"]
    code, printed = run(*command, env=environment)
    assert code == 0, printed
    assert "asv: results of 5 commits: 30 measured\n" in printed
    points = {}
    for path in five.glob("build/asv/html/graphs/**/*.json"):
        if "summary" not in path.parts:
            points.setdefault(path.stem, []).append(json.loads(path.read_text()))
    assert {name: [len(graph) for graph in graphs] for name, graphs in points.items()} == {
        name: [5]
        for name in (
            "local.Sleep.track_overhead",
            "local.Start.track_time_to_workers",
            "template.Render.time_render",
            "template.Render.track_size",
            "toolkit.Import.timeraw_import",
            "toolkit.Import.timeraw_import_cluster",
        )
    }
    # Nothing is measured twice.
    code, printed = run(*command, env=environment)
    assert code == 0, printed
    assert "Setting up" not in printed

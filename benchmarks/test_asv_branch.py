"""The history of asv on a branch: a bare repository stands for GitHub's."""

import runpy
import subprocess
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).with_name("asv_branch.py")))
main = SCRIPT["main"]


def git(path, *words):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", *identity, *words]
    return subprocess.run(command, cwd=path, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    """Return a function that makes a clone, as of a workflow's run, with a result of its own."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin")

    def make(name, result=None):
        git(tmp_path, "clone", "--quiet", "origin", name)
        path = tmp_path / name
        if not git(path, "branch", "--all"):
            git(path, "commit", "--quiet", "--allow-empty", "--message=first")
            git(path, "push", "--quiet", "origin", "HEAD:main")
        if result:
            write(path, result)
        return path

    return make


def write(path, result):
    file = path / SCRIPT["RESULTS"] / "hosted" / f"{result}-virtualenv.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(result)


def kept(path):
    return {file.name[:4]: file.read_text() for file in path.glob("build/asv/results/*/*.json")}


def test_results_of_one_run_are_there_in_the_next(clone, capsys):
    first = clone("first")
    assert main(["get"], first) == 0
    assert "this is the first run" in capsys.readouterr().out
    write(first, "aaaa")
    assert main(["keep"], first) == 0
    assert main(["keep"], first) == 0
    assert capsys.readouterr().out.endswith("There are no new results.\n")

    second = clone("second")
    assert main(["get"], second) == 0
    write(second, "bbbb")
    assert main(["keep"], second) == 0
    third = clone("third")
    main(["get"], third)
    assert kept(third) == {"aaaa": "aaaa", "bbbb": "bbbb"}
    # The branch has results only.
    assert git(third, "ls-tree", "--name-only", "origin/asv-results").split() == ["hosted"]
    assert git(third, "merge-base", "--all", "origin/main", "origin/main")


def test_a_run_that_pushes_at_the_same_time_loses_nothing(clone, monkeypatch):
    one, other = clone("one", "aaaa"), clone("other", "bbbb")
    fetch = SCRIPT["fetch"]
    waiting = [other]

    def overtaken(repository, remote):
        found = fetch(repository, remote)
        if waiting:
            main(["keep"], waiting.pop())
        return found

    monkeypatch.setitem(SCRIPT["keep"].__globals__, "fetch", overtaken)
    assert main(["keep"], one) == 0
    third = clone("third")
    main(["get"], third)
    assert kept(third) == {"aaaa": "aaaa", "bbbb": "bbbb"}


def test_bad_words_and_missing_results_are_one_line(clone, capsys):
    path = clone("empty")
    assert main(["put"], path) == 2
    assert main(["keep"], path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "run `make bench-asv` first" in lines[1]

"""Tests of the list of linters, and of what runs them."""

import sys

import pytest
import yaml

from . import REPOSITORY, __main__

HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]


@pytest.fixture
def linters(monkeypatch):
    """Replace the linters by these: name and Python code."""

    def replace(**programs):
        commands = {name: [sys.executable, "-c", code] for name, code in programs.items()}
        monkeypatch.setattr(__main__, "commands", lambda: commands)

    return replace


def test_every_linter_is_a_hook():
    assert [hook["id"] for hook in HOOKS] == list(__main__.commands())
    for hook in HOOKS:
        assert hook["entry"] == f"make --silent lint LINTERS={hook['id']}"
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)


def test_all_run_although_one_fails(linters, capfd):
    linters(first="exit(1)", second="print('ran')", third="exit(2)")
    assert __main__.main([]) == 1
    out = capfd.readouterr().out
    assert "ran" in out
    assert out.endswith("Failed: first, third\n")


def test_none_fails(linters, capfd):
    linters(first="")
    assert __main__.main([]) == 0
    assert capfd.readouterr().out.endswith("No linter found anything.\n")


def test_some_are_chosen(linters):
    linters(first="exit(1)", second="")
    assert __main__.main(["second"]) == 0


def test_unknown_linter(linters, capsys):
    linters(first="")
    with pytest.raises(SystemExit):
        __main__.main(["second"])
    assert "no linter second; there are first" in capsys.readouterr().err


def test_missing_actionlint_is_said(monkeypatch, capfd):
    monkeypatch.setattr(__main__, "commands", lambda: {"actionlint": ["actionlint"]})
    monkeypatch.setattr(__main__, "program", lambda name: None)
    assert __main__.main([]) == 0
    assert "actionlint is not installed: skipped" in capfd.readouterr().out


def test_files_for_a_shell():
    command = __main__.commands()["shellcheck"]
    assert {".ci/run", "docker/testbed-role", "docker/task-prolog"} <= set(command)
    assert any(name.endswith(".sh") for name in command)
    assert not any(name.endswith((".py", ".md")) for name in command)

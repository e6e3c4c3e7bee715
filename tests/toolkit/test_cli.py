"""The command `dask hpc`."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import dask_hpc
from dask_hpc.cli import main
from dask_hpc.config import files, summary


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(main.main, list(arguments))


def test_dask_itself_has_the_command():
    dask = Path(sys.executable).with_name("dask")
    help_text = subprocess.run([dask, "hpc", "--help"], capture_output=True, text=True, check=True)
    assert "setup" in help_text.stdout
    assert "bench" in help_text.stdout
    assert help_text.stderr == ""
    version = subprocess.run([dask, "hpc", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"dask-hpc {dask_hpc.__version__}\n"


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (dask_hpc.ConfigError("it is\nwrong"), "Error: it is wrong", 1),
        (dask_hpc.SubmitError("no"), "Error: no", 1),
        (dask_hpc.WorkerStartTimeoutError("late", 1, 2, 3), "Error: late", 1),
        (PermissionError(13, "Permission denied", "/x"), "Error: /x: Permission denied", 1),
        (KeyboardInterrupt(), "Interrupted.", 130),
    ],
)
def test_a_users_error_is_one_line_and_an_exit_code(run, monkeypatch, error, line, code):
    @click.command()
    def broken():
        raise error

    monkeypatch.setitem(main.main.commands, "broken", broken)
    result = run("broken")
    assert result.output == f"{line}\n"
    assert result.exit_code == code


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), OSError("no file in it")])
def test_an_error_of_our_own_is_not_hidden(run, monkeypatch, error):
    @click.command()
    def broken():
        raise error

    monkeypatch.setitem(main.main.commands, "broken", broken)
    assert run("broken").exception is error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--nodes", "0", "program.py"), "Invalid value for '-N' / '--nodes': 0 is not"),
        (("run", "--nodes", "x", "program.py"), "Invalid value for '-N' / '--nodes': 'x' is not"),
        (("run",), "Missing argument 'PROGRAM'."),
        (("bench", "run", "sleep", "--slots", "x"), "Invalid value for '--slots': 'x' is not"),
        (("logs", "-n", "0"), "Invalid value for '-n' / '--lines': 0 is not"),
        (("jobs", "--bogus"), "No such option"),
        (("run", "--nods", "2", "first.py"), "No such option"),
        (("--bogus",), "No such option"),
        (("bogus",), "No such command 'bogus'"),
        (("cancel",), "Pass --orphaned"),
    ],
)
def test_a_mistake_in_any_command_line_is_one_line_and_exit_code_2(run, arguments, words):
    result = run(*arguments)
    assert result.output.startswith("Error: ")
    assert words in result.output
    assert result.output.count("\n") == 1
    assert result.exit_code == 2


@pytest.mark.parametrize("arguments", [(), ("bench",)])
def test_a_command_without_its_subcommand_shows_its_help(run, arguments):
    result = run(*arguments)
    assert result.output.startswith("Usage: ")
    assert "Commands:" in result.output


def test_setup_outside_a_project_is_one_line(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("setup")
    assert result.exit_code == 1
    assert result.output.startswith("Error: No config/jobqueue.yaml in ")
    assert result.output.count("\n") == 1


def test_setup_says_what_is_linked_what_a_cluster_means_and_what_is_doubtful(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jobqueue.yaml").write_text(
        "dask-hpc: {batch-system: slurm}\n"
        "jobqueue:\n  slurm: {acount: lab, queue: short, cores: 8, processes: 3, memory: 8 GiB}\n"
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    site = tmp_path / "venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    (site / "here.pth").write_text("\n".join(path for path in sys.path if path))
    done = subprocess.run(
        [
            tmp_path / "venv/bin/python",
            "-c",
            "from dask_hpc.cli.main import main; main()",
            "setup",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    linked = tmp_path / "venv/etc/dask/jobqueue.yaml"
    assert linked.resolve() == tmp_path / "config/jobqueue.yaml"
    assert f"{linked} links to" in done.stdout
    words = " ".join(done.stdout.split())
    assert "SLURMCluster() now submits Slurm jobs with" in words
    assert "cores 8 config/jobqueue.yaml:3 processes 3 config/jobqueue.yaml:3" in words
    assert "walltime 00:30:00 default" in words
    assert done.stderr.count("Warning: ") == 2
    assert "did you mean account?" in done.stderr
    assert "does not divide cores" in done.stderr
    # The file to edit, not the link to it.
    assert f"Warning: {tmp_path / 'config/jobqueue.yaml'}:3: jobqueue.slurm.acount" in done.stderr
    assert "etc/dask" not in done.stderr


def test_setup_does_not_wait_for_distributed():
    code = "import sys, dask_hpc.config.summary; sys.exit('distributed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_setup_of_another_project_says_whose_configuration_counted_before(tmp_path, monkeypatch):
    for name in ("old", "new"):
        (tmp_path / name / "config").mkdir(parents=True)
        (tmp_path / name / "config/jobqueue.yaml").write_text("dask-hpc: {batch-system: none}\n")
    monkeypatch.chdir(tmp_path / "new")
    prefix = tmp_path / "venv"
    assert files.installed_project(prefix) is None
    files.install("../old", prefix)
    assert files.installed_project(prefix) == tmp_path / "old"
    # Without the dots, which would say less and less as folders move.
    assert (prefix / "etc/dask/jobqueue.yaml").readlink() == tmp_path / "old/config/jobqueue.yaml"
    monkeypatch.setattr(files.install, "__defaults__", (None, prefix, False))
    monkeypatch.setattr(files.installed_project, "__defaults__", (prefix,))
    done = CliRunner().invoke(main.main, ["setup"])
    assert f"This replaces the configuration of {tmp_path / 'old'} in" in done.output
    assert "This replaces the configuration" not in CliRunner().invoke(main.main, ["setup"]).output


def test_setup_tells_a_project_of_an_older_toolkit_what_has_changed(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/jobqueue.yaml").write_text("dask-hpc: {batch-system: none}\n")
    monkeypatch.chdir(tmp_path)
    prefix, announced = tmp_path / "venv", "New in this version of the toolkit"
    monkeypatch.setattr(files.install, "__defaults__", (None, prefix, False))
    for function in (files.installed_project, files.is_own_file_installed):
        monkeypatch.setattr(function, "__defaults__", (prefix,))
    assert announced not in CliRunner().invoke(main.main, ["setup"]).output  # a new environment
    (prefix / "etc/dask/dask-hpc.yaml").unlink()  # as an older toolkit leaves it
    said = CliRunner().invoke(main.main, ["setup"]).output
    assert announced in said
    assert "Connections are encrypted" in said
    assert announced not in CliRunner().invoke(main.main, ["setup"]).output


def test_summary_names_the_file_of_a_setting_that_is_not_the_labs(tmp_path):
    import dask

    home = tmp_path / "home.yaml"
    home.write_text(
        "dask-hpc: {batch-system: slurm}\njobqueue: {slurm: {account: mine, cores: 4}}\n"
    )
    before = list(dask.config.paths)
    dask.config.paths[:] = [str(home)]
    try:
        lines = summary.describe()
    finally:
        dask.config.paths[:] = before
        dask.config.refresh()
    [account] = [line for line in lines if line.split()[:1] == ["account"]]
    assert account.split() == ["account", "mine", f"{home}:2"]
    assert any("memory" in line and "(not set)" in line for line in lines)

"""`dask hpc run`: the job script of a program that has its scheduler and workers in its own job."""

import functools
import json
from pathlib import Path

import dask
import pytest
from click.testing import CliRunner

from dask_hpc.allocation import job_script, submit
from dask_hpc.cli import main


@pytest.fixture
def run(lab, tmp_path):
    (tmp_path / "program.py").write_text("print(1)\n")
    return lambda *arguments: CliRunner().invoke(main.main, ["run", *arguments])


def test_the_script_has_the_values_of_the_yaml_for_each_of_several_nodes(run, lab):
    printed = run("--nodes", "3", "--dry-run", "program.py").output
    lines = printed.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    for line in ("-p short", "-A lab", "-t 00:10:00", "--cpus-per-task=2", "--mem=1G"):
        assert f"#SBATCH {line}" in lines
    for line in ("--nodes=3", "--ntasks-per-node=1", "--no-kill"):
        assert f"#SBATCH {line}" in lines
    assert "#SBATCH -n 1" not in lines
    assert lab.calls("sbatch") == []


def test_directives_of_the_yaml_hold_but_for_those_of_a_job_in_one_piece(run):
    ours = [
        "--nodes=1",
        "-N 1",
        "-N1",
        "--ntasks=1",
        "--qos=normal",
        "--nodelist=node7",
        "--no-kill",
    ]
    with dask.config.set({"jobqueue.slurm.job-extra-directives": ours}):
        lines = run("--nodes", "2", "--dry-run", "program.py").output.splitlines()
    asked = [line for line in lines if line.startswith("#SBATCH --") and "mem" not in line]
    assert asked == [
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --qos=normal",
        "#SBATCH --nodelist=node7",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --no-kill",
    ]


def test_the_program_comes_last_in_place_of_the_shell_after_the_lines_of_the_yaml(run):
    with dask.config.set(
        {"jobqueue.slurm.job-script-prologue": ["module load gcc"], "jobqueue.slurm.python": "py"}
    ):
        printed = run("--dry-run", "program.py", "--option", "two words", "--dry-run").output
    lines = printed.splitlines()
    assert lines[-4].startswith("unset SLURM_")
    assert lines[-3:] == [
        "module load gcc",
        "export DASK_HPC_ALLOCATION=$SLURM_JOB_ID",
        "exec py -u program.py --option 'two words' --dry-run",
    ]


def unset(printed):
    [line] = [line for line in printed.splitlines() if line.startswith("unset ")]
    return set(line.split()[1:])


def test_a_sweep_takes_the_place_of_a_program(run, tmp_path):
    line = ["sweep", "my_lab.clean:clean", "--inputs", "data/*.nc", "--out", "cleaned"]
    last = run("--nodes", "4", "--dry-run", *line).output.splitlines()[-1]
    assert last.endswith(" -m dask hpc sweep my_lab.clean:clean --inputs 'data/*.nc' --out cleaned")
    done = run("--nodes", "4", *line, "--chnged", "keep")  # told before the job waits in the queue
    assert done.exit_code == 2
    assert done.output.startswith("Error: No such option")
    Path("sweep").write_text("print(1)\n")  # a program of that name
    assert run("--dry-run", "sweep").output.splitlines()[-1].endswith(" sweep")


def test_variables_that_another_job_may_have_left_are_unset_but_those_it_asks_for_itself(run):
    left = unset(run("--dry-run", "program.py").output)
    assert {"SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU", "SLURM_GRES", "SLURM_HINT"} <= left
    assert {"SLURM_GPUS_PER_TASK", "SLURM_CPU_BIND", "SLURM_EXPORT_ENV"} <= left
    assert left.isdisjoint({"SLURM_MEM_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_TRES_PER_TASK"})
    assert left.isdisjoint({"SLURM_NTASKS_PER_NODE", "SLURM_NTASKS", "SLURM_JOB_ID"})
    own = {
        "job-directives-skip": ["--mem"],
        "job-extra-directives": ["--mem-per-cpu=1G", "-G 2 --hint=nomultithread", "--gres-f=x"],
    }
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in own.items()}):
        left = unset(run("--dry-run", "program.py").output)
    assert left.isdisjoint({"SLURM_MEM_PER_CPU", "SLURM_GPUS", "SLURM_HINT"})
    assert {"SLURM_MEM_PER_NODE", "SLURM_GRES", "SLURM_GPUS_PER_TASK"} <= left


def test_it_is_submitted_without_the_variables_of_a_job_around(run, lab, tmp_path, monkeypatch):
    sbatch = lab.folder / "bin" / "sbatch"
    lines = sbatch.read_text().splitlines()
    sbatch.write_text("\n".join([lines[0], f"env > {tmp_path}/env", *lines[1:]]) + "\n")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "500")
    monkeypatch.setenv("SBATCH_QOS", "high")
    assert run("program.py").exit_code == 0
    found = (tmp_path / "env").read_text()
    assert "SLURM_" not in found
    assert "SBATCH_QOS=high\n" in found


def test_a_profile_sizes_the_nodes_and_is_told_to_the_program(run):
    with dask.config.set({"jobqueue.big": {"cores": 4, "memory": "3 GiB"}}):
        lines = run("--config-name", "big", "--dry-run", "program.py").output.splitlines()
    assert "#SBATCH --cpus-per-task=4" in lines
    assert "#SBATCH --mem=3G" in lines
    assert "export DASK_HPC_ALLOCATION_PROFILE=big" in lines


def test_it_is_submitted_once_and_its_id_said(run, lab):
    result = run("--nodes", "2", "program.py")
    assert result.stdout == "Submitted batch job 100\n"
    assert "`dask hpc logs 100`" in result.stderr
    assert result.exit_code == 0
    assert "#SBATCH --nodes=2\n" in lab.script("100")
    assert len(lab.calls("sbatch")) == 1


def test_a_refusal_is_one_line_in_slurms_words(run, lab):
    lab.says("sbatch", "sbatch: error: Batch job submission failed: Invalid account")
    result = run("program.py")
    assert result.exit_code == 1
    assert result.output.startswith("Error: Slurm rejected the job: Batch job submission failed")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(("batch_system", "words"), [("pbs", "PBS"), ("none", "no batch system")])
def test_with_another_batch_system_one_line_says_that_it_is_for_slurm(run, batch_system, words):
    with dask.config.set({"dask-hpc.batch-system": batch_system}):
        result = run("program.py")
    assert result.exit_code == 1
    assert result.output == (
        f"Error: `dask hpc run` requires Slurm, but the configuration names {words}.\n"
    )


@pytest.mark.parametrize("arguments", [["--nodes", "0", "program.py"], []])
def test_no_program_or_no_nodes_are_refused(run, lab, arguments):
    assert run(*arguments).exit_code == 2
    assert lab.calls("sbatch") == []


def test_making_the_script_starts_nothing(lab, monkeypatch):
    import distributed

    @functools.wraps(distributed.Scheduler.__init__)
    def started(*_, **__):
        raise AssertionError("a scheduler on the login node")

    monkeypatch.setattr(distributed.Scheduler, "__init__", started)
    assert "program.py" in job_script.script(["program.py"], 2)


@pytest.mark.parametrize(
    ("home", "folder", "warned"),
    [
        ("disk", "disk", False),
        ("nfs", "nfs", False),
        ("nfs", "scratch", False),
        ("nfs", "disk", True),
    ],
)
def test_a_folder_that_nodes_may_not_see_is_warned_of(
    run, lab, tmp_path, monkeypatch, home, folder, warned
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        submit,
        "_device",
        {Path("/"): "disk", Path("/tmp"): "disk", Path.home(): home, tmp_path: folder}.get,
    )
    said = run("program.py").output
    assert (f"Warning: {tmp_path} looks like a local disk" in said) is warned
    assert "Submitted batch job" in said


NO_PROGRAMS = {
    "analysis.ipynb": (
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5, "x": null}',
        "analysis.ipynb is a notebook, not a program. Convert it: "
        "jupyter nbconvert --to script analysis.ipynb; then run dask hpc run analysis.py",
    ),
    "run.sh": (
        "#!/bin/bash\nsrun python program.py\n",
        "run.sh begins with #!/bin/bash, so it is not a Python program. To submit it as a script, "
        "use `sbatch run.sh`; here, pass the Python file that it runs.",
    ),
    "run": ("cd there && ls\n", "run, line 1: not a valid Python program (invalid syntax)."),
    "data.bin": ("\0\1", "data.bin: not a valid Python program"),
}


@pytest.mark.parametrize("name", NO_PROGRAMS)
def test_what_is_no_program_is_refused_before_it_waits_in_the_queue(lab, tmp_path, name):
    content, line = NO_PROGRAMS[name]
    (tmp_path / name).write_text(content)
    result = CliRunner().invoke(main.main, ["run", name])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {line}")
    assert result.output.count("\n") == 1
    assert not lab.calls("sbatch")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("program", "No such file: program; did you mean program.py?"),
        ("nothing", "No such file: nothing."),
        ("folder", "folder is a folder: pass the Python file in it."),
    ],
)
def test_a_program_that_is_not_there(lab, tmp_path, name, line):
    (tmp_path / "program.py").touch()
    (tmp_path / "folder").mkdir()
    result = CliRunner().invoke(main.main, ["run", name])
    assert (result.exit_code, result.output) == (1, f"Error: {line}\n")


def test_our_own_option_after_the_program_is_the_programs_and_that_is_said(lab, tmp_path):
    (tmp_path / "program.py").touch()
    words = ["run", "--nodes", "2", "program.py", "--dry-run", "--nodes=3", "--other"]
    done = CliRunner().invoke(main.main, words)
    notes = [line for line in done.output.splitlines() if line.startswith("Note: ")]
    assert [note.split()[1] for note in notes] == ["--dry-run", "--nodes"]
    assert "If it was meant for `dask hpc run`, put it before program.py" in notes[0]
    assert len(lab.calls("sbatch")) == 1


def test_the_remedy_for_a_notebook_makes_a_program(lab, tmp_path):
    nbconvertapp = pytest.importorskip("nbconvert.nbconvertapp")
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "id": "a"}
    notebook = {"cells": [cell | {"source": "print(1)"}], "metadata": {}, "nbformat": 4}
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook | {"nbformat_minor": 5}))
    app = nbconvertapp.NbConvertApp()
    app.initialize(["--to", "script", "a.ipynb"])
    app.start()
    # Without a kernel's name in it, nbconvert does not know that it is Python.
    [made] = [path.name for path in tmp_path.glob("a.*") if path.suffix != ".ipynb"]
    submit.check_program(made)

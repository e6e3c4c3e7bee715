"""A new project works: installed, set up, its own tests run, its notebooks run."""

import json
import re

import pytest

from .conftest import JOB_SCRIPT, RUN_NOTEBOOK

pytestmark = pytest.mark.xdist_group("installed projects")


def account(installed):
    """Return the account in the job script of a bare SLURMCluster(), from an unrelated folder."""
    text = installed.run("-c", JOB_SCRIPT.format(module="dask_hpc", cluster="SLURMCluster"))
    return re.search(r"^#SBATCH -A (.*)$", text, re.MULTILINE)[1]


# Those of a Slurm site's project run in test_readmes.py and test_git.py, too.
@pytest.mark.full
@pytest.mark.parametrize("which", ["slurm_project", "local_project"])
def test_the_projects_own_tests_pass(request, which):
    installed = request.getfixturevalue(which)
    # Plug-ins that the outer environment happens to have are none of the project's.
    printed = installed.run(
        *["-m", "pytest", "-p", "no:cacheprovider"],
        cwd=installed.project,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert re.search(r"\b2 passed", printed)


def test_an_edit_of_the_labs_configuration_counts_at_once(slurm_project):
    path = slurm_project.project / "config/jobqueue.yaml"
    text = path.read_text()
    path.write_text(text.replace('account: "physics"', 'account: "biology"'))
    try:
        assert account(slurm_project) == "biology"
    finally:
        path.write_text(text)


@pytest.mark.parametrize("words", [["-c", "import dask"], ["-m", "dask", "hpc", "setup"]])
def test_broken_yaml_is_told_in_the_words_that_the_readme_explains(slurm_project, words):
    path = slurm_project.project / "config/jobqueue.yaml"
    text = path.read_text()
    path.write_text(text.replace("    cores: 12", "\tcores: 12"))
    line = text[: text.index("    cores: 12")].count("\n") + 1
    try:
        with pytest.raises(AssertionError, match=f"line {line}, column 1") as error:
            slurm_project.run(*words)
    finally:
        path.write_text(text)
    told = re.escape("A dask config file at PATH is malformed").replace("PATH", ".*jobqueue.yaml.*")
    assert re.search(told, str(error.value))
    readme = (slurm_project.project / "README.md").read_text()
    assert "`A dask config file at … is malformed`" in readme


def test_a_members_own_configuration_goes_before_the_labs(slurm_project):
    own = slurm_project.home / ".config/dask/jobqueue.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    before = own.read_text() if own.exists() else None
    own.write_text("jobqueue: {slurm: {account: mine}}\n")
    try:
        code = "import dask; print(dask.config.get('jobqueue.slurm.account'))"
        assert slurm_project.run("-c", code).strip() == "mine"
    finally:
        own.unlink() if before is None else own.write_text(before)


def test_setup_a_second_time_changes_nothing(slurm_project):
    def linked():
        folder = slurm_project.prefix / "etc/dask"
        return {path.name: path.resolve() for path in folder.iterdir()}

    before = linked()
    slurm_project.run("-m", "dask", "hpc", "setup", cwd=slurm_project.project)
    assert linked() == before
    own = {"jobqueue.yaml", "distributed.yaml", "labextension.yaml"}
    assert set(before) == own | {"dask-hpc.yaml"}  # and the toolkit's


def test_a_new_project_has_nothing_that_setup_warns_about(slurm_project):
    printed = slurm_project.run(
        "-c",
        "from dask_hpc.config import summary; print(summary.lint())",
        cwd=slurm_project.project,
    )
    assert printed.strip() == "[]"


@pytest.mark.parametrize(
    ("which", "name"),
    [("slurm_project", "SLURMCluster"), ("local_project", "LocalCluster")],
)
def test_the_jupyterlab_panel_starts_the_labs_kind_of_cluster(request, which, name):
    # The panel's own lookup, without its web server.
    code = """
import importlib, dask, dask_labextension.config
factory = dask.config.get("labextension.factory")
cls = getattr(importlib.import_module(factory["module"]), factory["class"])
print(cls.__name__, factory["args"], factory["kwargs"])
"""
    assert request.getfixturevalue(which).run("-c", code).strip() == f"{name} [] {{}}"


@pytest.mark.parametrize(
    # The other one runs on Slurm (tests/testbed/test_cluster.py).
    "name",
    ["00-laptop", pytest.param("01-cluster", marks=pytest.mark.full)],
)
def test_a_notebook_runs_from_top_to_bottom(local_project, tmp_path, name):
    done = tmp_path / f"{name}.ipynb"
    folder = local_project.project / "notebooks"
    # It counts primes twelve times, to be long enough for a person's stopwatch.
    text = (folder / f"{name}.ipynb").read_text()
    assert ("[200_000, 200_001, " in text) == (name == "00-laptop")
    (folder / "shorter.ipynb").write_text(text.replace("200_00", "20_00"))
    local_project.run("-c", RUN_NOTEBOOK, "shorter.ipynb", done, cwd=folder)
    (folder / "shorter.ipynb").unlink()
    # The check of the results is in the notebook; here we see that it was made, and held.
    assert re.search(r"same results as (the|a) loop: True", done.read_text())
    assert '"output_type": "error"' not in done.read_text()


@pytest.mark.parametrize("folder", [".", "notebooks", "src", "/"])
def test_the_laptop_notebook_finds_the_project_from_anywhere(local_project, folder):
    """Editors and papermill start kernels in the project's folder, or elsewhere."""
    notebook = json.loads((local_project.project / "notebooks/00-laptop.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    [cell] = [text for text in cells if "import dask_hpc" in text]
    cell = cell.replace("slow_square(5)", "slow_square(5, seconds=0)")
    printed = local_project.run("-c", cell, cwd=local_project.project / folder)
    assert printed == "from laptop_lab.example import slow_square\n25\n"

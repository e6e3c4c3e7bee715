"""A lab's project follows the template: `cruft create`, `check`, `update`, `link`."""

import json
import re
import shutil

import pytest

import dask_hpc

from .conftest import LAB_ANSWERS, TEMPLATE, Repository

pytestmark = pytest.mark.xdist_group("cruft")

CONFIG = "config/jobqueue.yaml"
VERSION = "toolkit/src/dask_hpc/__init__.py"
MODULE = "toolkit/src/dask_hpc/errors.py"
# As in docs/how-to/updates.md: since the last update.
CHANGES = 'git diff --name-status "$(git log -1 --format=%H -- .cruft.json)" -- toolkit'
NOW = f"dask-hpc {dask_hpc.__version__}"


@pytest.fixture
def release(template_git):
    """Return a function that commits the template as release 9.9.9, with more edits if told."""

    def release(*edits):
        old = f'__version__ = "{dask_hpc.__version__}"'
        edits = [(VERSION, old, '__version__ = "9.9.9"'), *edits]
        for name, before, after in edits:
            template_git.edit(f"{TEMPLATE.name}/{name}", before, after)
        return template_git.commit()

    return release


def test_an_update_renews_the_toolkit_and_keeps_what_the_lab_wrote(
    linked_lab, template_git, release
):
    assert linked_lab.cruft("check")[0] == 0
    assert linked_lab.version() == NOW
    linked_lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    linked_lab.edit("src/blue_lab/example.py", "seconds=0.25", "seconds=0.5")
    (linked_lab.path / "src/blue_lab/waves.py").write_text("SPEED = 3\n")
    (linked_lab.path / "notebooks/00-laptop.ipynb").unlink()  # they know it by heart
    linked_lab.commit()

    (template_git.path / TEMPLATE.name / "toolkit/src/dask_hpc/new.py").write_text('"""New."""\n')
    commit = release((CONFIG, "It is the one place that knows the site", "Only it knows the site"))
    code, printed = linked_lab.cruft("check")
    assert code == 1
    assert "out of date" in printed
    assert linked_lab.version() == NOW

    code, printed = linked_lab.cruft("update", typed="y\n")
    assert code == 0, printed
    # cruft renders twice to compare; that nothing is new shall not read like a new project.
    assert "is ready" not in printed
    assert linked_lab("git", "diff", "--name-only", "--diff-filter=U") == ""
    config = linked_lab.read(CONFIG)
    assert 'walltime: "02:30:00"' in config
    assert "Only it knows the site" in config
    assert "seconds=0.5" in linked_lab.read("src/blue_lab/example.py")
    assert linked_lab.read("src/blue_lab/waves.py") == "SPEED = 3\n"
    assert not (linked_lab.path / "notebooks/00-laptop.ipynb").exists()
    assert (linked_lab.path / "toolkit/src/dask_hpc/new.py").is_file()
    assert linked_lab.version() == "dask-hpc 9.9.9"
    assert json.loads(linked_lab.read(".cruft.json"))["commit"] == commit
    linked_lab.commit()
    assert linked_lab.cruft("check")[0] == 0


def test_what_both_changed_is_shown_as_a_conflict_in_its_file(linked_lab, release):
    linked_lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    linked_lab.commit()
    release((CONFIG, 'walltime: "{{ cookiecutter.walltime }}"', 'walltime: "UNLIMITED"'))
    _, printed = linked_lab.cruft("update", "--skip-apply-ask")
    assert linked_lab("git", "diff", "--name-only", "--diff-filter=U").split() == [CONFIG], printed
    ours, theirs = linked_lab.read(CONFIG).split("<<<<<<< ours")[1].split("=======")
    assert 'walltime: "02:30:00"' in ours
    assert 'walltime: "UNLIMITED"' in theirs.split(">>>>>>> theirs")[0]
    # Everything else is updated all the same.
    assert linked_lab.version() == "dask-hpc 9.9.9"


def test_a_notebook_that_both_changed_can_still_be_opened(linked_lab, release):
    name = "notebooks/00-laptop.ipynb"
    linked_lab.edit(name, "numbers = range(20)", "numbers = range(40)")
    linked_lab.commit()
    release((name, "numbers = range(20)", "numbers = range(30)"))
    _, printed = linked_lab.cruft("update", "--skip-apply-ask")
    # git says that both changed it; meanwhile it is the lab's, whole.
    assert linked_lab("git", "diff", "--name-only", "--diff-filter=U").split() == [name], printed
    assert json.loads(linked_lab.read(name))
    assert "range(40)" in linked_lab.read(name)
    # As docs/how-to/updates.md says, the template's can be had instead.
    linked_lab("git", "checkout", "--theirs", name)
    assert json.loads(linked_lab.read(name))
    assert "range(30)" in linked_lab.read(name)


def test_where_git_knows_no_common_version_the_conflict_is_in_a_file_beside(linked_lab, release):
    # The lab edited its project before the first commit: git has never seen what the template made.
    shutil.rmtree(linked_lab.path / ".git")
    linked_lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    linked_lab("git", "init", "--quiet")
    linked_lab.commit()
    release((CONFIG, 'walltime: "{{ cookiecutter.walltime }}"', 'walltime: "UNLIMITED"'))
    linked_lab.cruft("update", "--skip-apply-ask")
    assert 'walltime: "02:30:00"' in linked_lab.read(CONFIG)
    assert '+    walltime: "UNLIMITED"' in linked_lab.read(f"{CONFIG}.rej")
    assert f"?? {CONFIG}.rej" in linked_lab("git", "status", "--porcelain")
    assert linked_lab.version() == "dask-hpc 9.9.9"


def test_an_edit_of_the_toolkit_is_kept_and_shown(linked_lab, release):
    with (linked_lab.path / MODULE).open("a") as file:
        file.write("\n# the lab's own line\n")
    linked_lab.commit()
    release((MODULE, '"""Errors that the user', '"""The errors that the user'))
    code, printed = linked_lab.cruft("update", "--skip-apply-ask")
    assert code == 0, printed
    linked_lab.commit()
    text = linked_lab.read(MODULE)
    assert '"""The errors that the user' in text
    assert text.endswith("# the lab's own line\n")
    _, difference = linked_lab.cruft("diff")
    changed = re.findall("^[-+](?![-+]).*", difference, re.MULTILINE)
    assert changed == ["-", "-# the lab's own line"]


def test_files_that_the_lab_added_or_removed_are_shown(linked_lab):
    (linked_lab.path / "toolkit/src/dask_hpc/bench/gil.py").unlink()
    (linked_lab.path / "toolkit/src/dask_hpc/ours.py").write_text("SPEED = 3\n")
    linked_lab.commit()
    changed = linked_lab("sh", "-c", CHANGES)
    assert changed.split("\n")[:2] == [
        "D\ttoolkit/src/dask_hpc/bench/gil.py",
        "A\ttoolkit/src/dask_hpc/ours.py",
    ]
    # cruft shows neither, which is why docs/how-to/updates.md names git, too.
    assert linked_lab.cruft("diff")[1] == ""


def test_an_update_needs_a_clean_working_tree(linked_lab, release):
    linked_lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    release()
    _, printed = linked_lab.cruft("update", "--skip-apply-ask")
    assert "unclean git project" in printed
    assert linked_lab.version() == NOW


def test_a_project_made_without_cruft_is_linked_later(
    template_git, render_to, release, tmp_path, git_home
):
    made_from = template_git("git", "rev-parse", "HEAD").strip()
    lab = Repository(
        render_to(tmp_path / "labs", source=template_git.path, **LAB_ANSWERS), git_home
    )
    lab("git", "init", "--quiet")
    lab.commit()
    assert lab.cruft("check")[0] != 0  # not linked
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    release()

    words = ["--no-input", "--checkout", made_from, "--extra-context", json.dumps(LAB_ANSWERS)]
    code, printed = lab.cruft("link", template_git.path, *words)
    assert code == 0, printed
    lab.commit()
    # With the right answers and commit, all that differs from the template is the lab's own edit.
    _, difference = lab.cruft("diff")
    changed = [line for line in difference.splitlines() if line[:1] in "+-" and line[:3] != "+++"]
    assert [line for line in changed if line[:3] != "---"] == [
        '-    walltime: "02:30:00"',
        '+    walltime: "01:00:00"',
    ]
    code, printed = lab.cruft("update", "--skip-apply-ask")
    assert code == 0, printed
    assert lab.version() == "dask-hpc 9.9.9"
    assert 'walltime: "02:30:00"' in lab.read(CONFIG)

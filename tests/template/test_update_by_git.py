"""A lab's project follows the template with cookiecutter and git, by the lines of the docs."""

import json
import re
import shlex
import shutil
import sysconfig

import pytest
import yaml

import dask_hpc

from .conftest import LAB_ANSWERS, REPOSITORY, TEMPLATE, Repository
from .pages import ADDRESS, block

pytestmark = pytest.mark.xdist_group("cruft")

PAGE = (REPOSITORY / "docs/how-to/updates.md").read_text()
CONFIG, NOTEBOOK = "config/jobqueue.yaml", "notebooks/00-laptop.ipynb"
VERSION = "toolkit/src/dask_hpc/__init__.py"


class Lab(Repository):
    """A lab's project, in which a user types lines of a page."""

    def type(self, *lines, answers=""):
        """Type lines into one shell, as for a project called my-lab; return what they print."""
        folder = sysconfig.get_path("scripts")
        script = "\n".join([f"PATH={folder}:$PATH", "exec 2>&1", *lines])
        script = script.replace("/my-lab", f"/{self.path.name}")
        return self("bash", "-e", "-c", f"printf %s {shlex.quote(answers)} | {{ {script}\n}}")

    def update(self):
        """Type what the page says about an update, up to the merge."""
        return self.type(*block(PAGE, "git worktree add ../template"))

    def merge(self):
        """Merge, and return the names of files with conflicts."""
        lines = block(PAGE, "git merge template")
        assert lines[2:] == ["pytest", "git push origin HEAD template"]
        self.type(f"{lines[0]} || true", lines[1])
        return self("git", "diff", "--name-only", "--diff-filter=U").split()


@pytest.fixture
def lab(render_to, template_git, tmp_path, git_home):
    """Return blue-lab, committed as post_gen says, with the branch that the page says."""
    local = f"url.{template_git.path.parent}/.insteadOf"
    template_git("git", "config", "--global", local, ADDRESS)
    made = render_to(tmp_path / "labs of ours", source=template_git.path, **LAB_ANSWERS)
    lab = Lab(made, git_home)
    lab("git", "init", "--quiet")
    lab.commit()
    make, push = block(PAGE, "git branch template")
    assert push == "git push --set-upstream origin template"
    lab.type(make)
    return lab


@pytest.fixture
def release(template_git):
    """Return a function that commits the template as release 9.9.9, with more edits if told."""

    def release(*edits):
        old = f'__version__ = "{dask_hpc.__version__}"'
        for name, before, after in [(VERSION, old, '__version__ = "9.9.9"'), *edits]:
            template_git.edit(f"{TEMPLATE.name}/{name}", before, after)
        return template_git.commit()

    return release


def questions():
    """Return the names of the template's questions."""
    names = json.loads((REPOSITORY / "cookiecutter.json").read_text())
    return [name for name in names if not name.startswith("_")]


def test_the_answers_are_in_the_project(lab):
    content = yaml.safe_load(lab.read(".template-answers.yaml"))["default_context"]
    assert content.items() >= LAB_ANSWERS.items()
    assert list(content) == questions()


def test_an_update_of_a_lived_in_project(lab, template_git, release):
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    lab.edit("src/blue_lab/example.py", "seconds=0.25", "seconds=0.5")
    lab.edit("notebooks/01-cluster.ipynb", "numbers = range(40)", "numbers = range(80)")
    lab.edit(NOTEBOOK, "numbers = range(20)", "numbers = range(40)")
    (lab.path / "src/blue_lab/waves.py").write_text("SPEED = 3\n")
    (lab.path / "tests/test_smoke.py").unlink()
    lab.commit()
    (lab.path / "notes.txt").write_text("not committed\n")

    folder = template_git.path / TEMPLATE.name
    (folder / "toolkit/src/dask_hpc/new.py").write_text('"""New."""\n')
    (folder / "toolkit/src/dask_hpc/bench/gil.py").unlink()
    release(
        (CONFIG, "It is the one place that knows the site", "Only it knows the site"),
        (NOTEBOOK, "numbers = range(20)", "numbers = range(30)"),
    )
    assert "is ready" not in lab.update()  # as a new project would be
    assert lab.version() == f"dask-hpc {dask_hpc.__version__}"  # undisturbed so far

    assert lab.merge() == [NOTEBOOK]
    assert lab.version() == "dask-hpc 9.9.9"
    config = lab.read(CONFIG)
    assert 'walltime: "02:30:00"' in config
    assert "Only it knows the site" in config
    assert "seconds=0.5" in lab.read("src/blue_lab/example.py")
    assert "range(80)" in lab.read("notebooks/01-cluster.ipynb")
    assert lab.read("src/blue_lab/waves.py") == "SPEED = 3\n"
    assert lab.read("notes.txt") == "not committed\n"
    assert not (lab.path / "tests/test_smoke.py").exists()
    assert (lab.path / "toolkit/src/dask_hpc/new.py").exists()
    assert not (lab.path / "toolkit/src/dask_hpc/bench/gil.py").exists()
    # The notebook is the lab's, and can be opened; the template's can be had.
    assert "range(40)" in lab.read(NOTEBOOK)
    assert json.loads(lab.read(NOTEBOOK))
    lab("git", "checkout", "--theirs", NOTEBOOK)
    assert "range(30)" in lab.read(NOTEBOOK)
    assert json.loads(lab.read(NOTEBOOK))

    # Once more: nothing is new.
    lab.commit()
    with pytest.raises(AssertionError, match="nothing to commit"):
        lab.update()
    # What the lab has changed in the toolkit since.
    (lab.path / "toolkit/src/dask_hpc/new.py").write_text('"""Ours."""\n')
    lab.commit()
    [look] = [x for x in block(PAGE, "dask hpc --version") if x.startswith("git diff")]
    assert lab.type(look) == "M\ttoolkit/src/dask_hpc/new.py\n"


def test_what_both_changed_is_shown_as_a_conflict_and_can_be_taken_back(lab, release):
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    (lab.path / "notebooks/01-cluster.ipynb").unlink()
    before = lab.commit()
    release(
        (CONFIG, 'walltime: "{{ cookiecutter.walltime }}"', 'walltime: "UNLIMITED"'),
        ("notebooks/01-cluster.ipynb", "numbers = range(40)", "numbers = range(50)"),
    )
    lab.update()
    assert lab.merge() == [CONFIG, "notebooks/01-cluster.ipynb"]
    assert "deleted by us:   notebooks/01-cluster.ipynb" in lab("git", "status")
    ours, theirs = lab.read(CONFIG).split("<<<<<<<")[1].split("=======")
    assert 'walltime: "02:30:00"' in ours
    assert 'walltime: "UNLIMITED"' in theirs.split(">>>>>>>")[0]
    assert lab.version() == "dask-hpc 9.9.9"
    assert "`git merge --abort`" in PAGE
    lab("git", "merge", "--abort")
    assert lab("git", "rev-parse", "HEAD").strip() == before
    assert lab("git", "status", "--porcelain") == ""


def test_a_project_whose_first_commit_is_the_labs_own(lab, template_git, release):
    """The branch is made from the version that the project was made from."""
    made_from = template_git("git", "rev-parse", "HEAD").strip()
    shutil.rmtree(lab.path / ".git")
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    lab("git", "init", "--quiet")
    lab.commit()
    release((CONFIG, "It is the one place that knows the site", "Only it knows the site"))

    lines = block(PAGE, "git worktree add --detach")
    answers = "".join(f"{LAB_ANSWERS.get(name, '')}\n" for name in questions())
    lab.type(*[line.replace("COMMIT", made_from) for line in lines], answers=answers)
    lab.type(*block(PAGE, "git merge --strategy ours"))
    assert 'walltime: "02:30:00"' in lab.read(CONFIG)
    assert "It is the one place" in lab.read(CONFIG)

    lab.update()
    assert lab.merge() == []
    assert 'walltime: "02:30:00"' in lab.read(CONFIG)
    assert "Only it knows the site" in lab.read(CONFIG)
    assert 'account: "physics"' in lab.read(CONFIG)


def test_braces_in_an_answer_stay(typed, render_to, without_texts, tmp_path):
    """An answer in a file is Jinja to cookiecutter; one at a prompt is text."""
    first = typed(account="{{ 7 * 7 }}", queue="{% raw %}'\"")
    shutil.copy(first / ".template-answers.yaml", tmp_path)
    from cookiecutter.main import cookiecutter as make

    second = make(
        str(without_texts),
        no_input=True,
        config_file=str(tmp_path / ".template-answers.yaml"),
        output_dir=str(tmp_path / "again"),
    )
    for name in (CONFIG, ".template-answers.yaml"):
        assert (first / name).read_text() == (tmp_path / "again" / first.name / name).read_text()
    assert second


def test_the_projects_readme_has_the_lines_of_the_page(rendered):
    readme = (rendered("slurm") / "README.md").read_text()
    slug = rendered("slurm").name
    for begin in ("git branch template", "git worktree add ../template", "git merge template"):
        lines = [line.replace("my-lab", slug) for line in block(PAGE, begin)]
        assert block(readme, begin) == lines
    assert re.search(r"[Rr]eplace `org`", readme)

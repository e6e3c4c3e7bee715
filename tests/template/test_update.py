"""A lab's project follows the template: `cruft create`, `check`, `update`, `link`."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import TEMPLATE, environment, run

ANSWERS = {"project_slug": "blue-lab", "account": "physics", "memory": "24 GiB"}
CONFIG = "config/jobqueue.yaml"
VERSION = "toolkit/src/dask_hpc/__init__.py"
MODULE = "toolkit/src/dask_hpc/errors.py"


@dataclass
class Repository:
    """A git repository and its commands, without this machine's own settings."""

    path: Path
    home: Path

    def __call__(self, *words):
        return run(words, cwd=self.path, env=environment(self.home))

    def edit(self, name, old, new):
        path = self.path / name
        text = path.read_text()
        assert text.count(old) == 1, (old, text.count(old))
        path.write_text(text.replace(old, new))

    def commit(self):
        self("git", "add", "--all")
        self("git", "commit", "--quiet", "--message=Change")
        return self("git", "rev-parse", "HEAD").strip()

    def cruft(self, *words):
        """Run cruft as a user types it; return (exit code, what it printed)."""
        command = [sys.executable, "-m", "cruft", *words]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.path,
            env=environment(self.home),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def version(self):
        """Return what `dask hpc --version` prints with the project's own toolkit."""
        toolkit = self.path / "toolkit" / "src"
        code = f"import sys; sys.path.insert(0, {str(toolkit)!r}); import dask_hpc.cli as cli; "
        return self(sys.executable, "-c", code + "cli.main(['--version'])").strip()

    def read(self, name):
        return (self.path / name).read_text()


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    return home


@pytest.fixture
def template(template_repository, home):
    return Repository(template_repository, home)


@pytest.fixture
def lab(template, tmp_path, home):
    """Return a project made by cruft and committed as post_gen says."""
    words = ["create", template.path, "--no-input", "--extra-context", json.dumps(ANSWERS)]
    (tmp_path / "labs").mkdir()
    code, printed = Repository(tmp_path / "labs", home).cruft(*words)
    assert code == 0, printed
    assert "git init" in printed
    lab = Repository(tmp_path / "labs" / "blue-lab", home)
    lab("git", "init", "--quiet")
    lab.commit()
    return lab


@pytest.fixture
def release(template):
    """Return a function that commits the template as release 9.9.9, with more edits if told."""

    def release(*edits):
        old = f'__version__ = "{toolkit_version()}"'
        edits = [(VERSION, old, '__version__ = "9.9.9"'), *edits]
        for name, before, after in edits:
            template.edit(f"{TEMPLATE.name}/{name}", before, after)
        return template.commit()

    return release


def toolkit_version():
    import dask_hpc

    return dask_hpc.__version__


def test_an_update_renews_the_toolkit_and_keeps_what_the_lab_wrote(lab, template, release):
    assert lab.cruft("check")[0] == 0
    assert lab.version().splitlines()[0] == f"dask-hpc {toolkit_version()}"
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    lab.edit("src/blue_lab/example.py", "seconds=0.25", "seconds=0.5")
    (lab.path / "src/blue_lab/waves.py").write_text("SPEED = 3\n")
    (lab.path / "notebooks/00-laptop.ipynb").unlink()  # they know it by heart
    lab.commit()

    (template.path / TEMPLATE.name / "toolkit/src/dask_hpc/new.py").write_text('"""New."""\n')
    commit = release((CONFIG, "It is the one place that knows the site", "Only it knows the site"))
    code, printed = lab.cruft("check")
    assert code == 1
    assert "out of date" in printed
    assert lab.version().splitlines()[0] == f"dask-hpc {toolkit_version()}"

    code, printed = lab.cruft("update", "--skip-apply-ask")
    assert code == 0, printed
    # cruft renders twice to compare; that nothing is new shall not read like a new project.
    assert "is ready" not in printed
    assert lab("git", "diff", "--name-only", "--diff-filter=U") == ""
    config = lab.read(CONFIG)
    assert 'walltime: "02:30:00"' in config
    assert "Only it knows the site" in config
    assert "seconds=0.5" in lab.read("src/blue_lab/example.py")
    assert lab.read("src/blue_lab/waves.py") == "SPEED = 3\n"
    assert not (lab.path / "notebooks/00-laptop.ipynb").exists()
    assert (lab.path / "toolkit/src/dask_hpc/new.py").is_file()
    first, second = lab.version().splitlines()
    assert first == "dask-hpc 9.9.9"
    assert commit[:12] in second
    lab.commit()
    assert lab.cruft("check")[0] == 0


def test_what_both_changed_is_shown_as_a_conflict_in_its_file(lab, release):
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    lab.commit()
    release((CONFIG, 'walltime: "{{ cookiecutter.walltime }}"', 'walltime: "UNLIMITED"'))
    _, printed = lab.cruft("update", "--skip-apply-ask")
    assert lab("git", "diff", "--name-only", "--diff-filter=U").split() == [CONFIG], printed
    ours, theirs = lab.read(CONFIG).split("<<<<<<< ours")[1].split("=======")
    assert 'walltime: "02:30:00"' in ours
    assert 'walltime: "UNLIMITED"' in theirs.split(">>>>>>> theirs")[0]
    # Everything else is updated all the same.
    assert lab.version().splitlines()[0] == "dask-hpc 9.9.9"


def test_an_edited_toolkit_is_named_before_and_after_an_update(lab, release):
    with (lab.path / MODULE).open("a") as file:
        file.write("\n# the lab's own line\n")
    lab.commit()
    edited = f", edited: {MODULE.removeprefix('toolkit/')} differs"
    assert lab.version().splitlines()[0] == f"dask-hpc {toolkit_version()}{edited}"
    release((MODULE, '"""Errors that the user', '"""The errors that the user'))
    code, printed = lab.cruft("update", "--skip-apply-ask")
    assert code == 0, printed
    text = lab.read(MODULE)
    assert '"""The errors that the user' in text
    assert text.endswith("# the lab's own line\n")
    assert lab.version().splitlines()[0] == f"dask-hpc 9.9.9{edited}"


def test_an_update_needs_a_clean_working_tree(lab, release):
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    release()
    _, printed = lab.cruft("update", "--skip-apply-ask")
    assert "unclean git project" in printed
    assert lab.version().splitlines()[0] == f"dask-hpc {toolkit_version()}"


def test_a_project_made_without_cruft_is_linked_later(template, render_to, release, tmp_path, home):
    made_from = template("git", "rev-parse", "HEAD").strip()
    lab = Repository(render_to(tmp_path / "labs", source=template.path, **ANSWERS), home)
    lab("git", "init", "--quiet")
    lab.commit()
    assert lab.cruft("check")[0] != 0  # not linked
    lab.edit(CONFIG, 'walltime: "01:00:00"', 'walltime: "02:30:00"')
    release()

    words = ["--no-input", "--checkout", made_from, "--extra-context", json.dumps(ANSWERS)]
    code, printed = lab.cruft("link", template.path, *words)
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
    assert lab.version().splitlines()[0] == "dask-hpc 9.9.9"
    assert 'walltime: "02:30:00"' in lab.read(CONFIG)

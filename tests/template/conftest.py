"""Render the template, install what it made, and run Python there."""

import contextlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cookiecutter.hooks
import cruft._cli
import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter as make
from typer.testing import CliRunner

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "{{cookiecutter.project_slug}}"

# A complete set of answers. `lo` exists on every Linux machine, so that a SLURMCluster can be made
# (not used) where there is no cluster; workers are told another one, to tell the two apart.
ANSWERS = {
    "project_slug": "demo-lab",
    "batch_system": "slurm",
    "account": "physics",
    "queue": "short",
    "cores": "12",
    "memory": "24 GiB",
    "processes": "4",
    "walltime": "00:42:00",
    "worker_interface": "ib7",
    "scheduler_interface": "lo",
}

# Of a project that is made by cruft.
LAB_ANSWERS = {"project_slug": "blue-lab", "account": "physics", "memory": "24 GiB"}

# Where a batch system has another form for an answer, or no place for it.
OTHER_ANSWERS = {"lsf": {"walltime": "00:42"}, "htcondor": {"account": "", "queue": ""}}


# Prints the job script of a bare cluster.
JOB_SCRIPT = """
import {module} as module
with module.{cluster}() as cluster:
    print(cluster.job_script())
"""


# Runs a notebook: its arguments are the notebook, and where to write it with its output.
RUN_NOTEBOOK = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def answers_for(batch_system):
    """Return the complete set of answers for a batch system."""
    return {**ANSWERS, "batch_system": batch_system, **OTHER_ANSWERS.get(batch_system, {})}


def environment(home, **extra):
    """Return environment variables that know nothing of this machine's own Dask and Jupyter."""
    hidden = ("DASK_", "JUPYTER", "JPY_", "PYTHON", "VIRTUAL_ENV", "COOKIECUTTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(Path(home, ".config")), **extra}


def run(command, **options):
    """Run a command to its end; show all that it printed if it fails."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session", autouse=True)
def hooks_run_here():
    """Let cookiecutter run hooks in this process: a Python for each takes most of a rendering."""

    def run_script(path, cwd="."):
        with contextlib.chdir(cwd):
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                if end.code:
                    raise FailedHookException(
                        f"Hook script failed (exit status: {end.code})"
                    ) from None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cookiecutter.hooks, "run_script", run_script)
        yield


@pytest.fixture(scope="session")
def cookiecutter_settings(tmp_path_factory):
    """Return settings which keep cookiecutter out of the home directory."""
    folder = tmp_path_factory.mktemp("cookiecutter")
    settings = {
        "cookiecutters_dir": str(folder / "templates"),
        "replay_dir": str(folder / "replay"),
    }
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="session")
def render_to(cookiecutter_settings):
    """Return a function that renders the template into a directory, with default answers but..."""

    def render_to(directory, source=REPOSITORY, overwrite=False, **answers):
        project = make(
            str(source),
            no_input=True,
            config_file=str(cookiecutter_settings),
            extra_context=answers,
            output_dir=str(directory),
            overwrite_if_exists=overwrite,
        )
        return Path(project)

    return render_to


@pytest.fixture
def render(render_to, tmp_path):
    """Return a function that renders into this test's own directory."""

    def render(**answers):
        return render_to(tmp_path / "rendered", **answers)

    return render


@pytest.fixture(scope="session")
def rendered(render_to, tmp_path_factory):
    """Return a function that gives a batch system's project with all answers, to read only."""
    folder = tmp_path_factory.mktemp("rendered")

    @cache
    def rendered(batch_system):
        return render_to(folder / batch_system, **answers_for(batch_system))

    return rendered


@pytest.fixture(scope="session")
def blank(render_to, tmp_path_factory):
    """Return a function that gives a batch system's project with no other answer, to read only."""
    folder = tmp_path_factory.mktemp("blank")

    @cache
    def blank(batch_system):
        return render_to(folder / batch_system, batch_system=batch_system)

    return blank


@dataclass
class Installed:
    """A rendered project that is installed in an environment of its own."""

    project: Path
    prefix: Path
    home: Path

    @property
    def python(self):
        return self.prefix / "bin" / "python"

    def run(self, *words, cwd=None, **extra):
        """Run the environment's Python with these words; return what it printed."""
        return run([self.python, *words], cwd=cwd or self.home, env=environment(self.home, **extra))


@pytest.fixture(scope="session")
def install(render_to, tmp_path_factory):
    """Return a function that renders a project and installs it.

    The environment is a new one which sees the packages of the one that runs the tests, behind its
    own: nothing is downloaded, and yet sys.prefix, and with it Dask's configuration, is its own.
    """

    def install(place="installed", **answers):
        folder = tmp_path_factory.mktemp(place)
        project = render_to(folder, **answers)
        installed = Installed(project, prefix=folder / "env", home=folder / "home")
        installed.home.mkdir()
        run([sys.executable, "-m", "venv", "--without-pip", installed.prefix])
        paths = installed.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        behind = Path(paths.strip(), "behind.pth")
        behind.write_text(sysconfig.get_path("purelib") + "\n")
        # pip of the outer environment, at work in the inner one.
        pip = [sys.executable, "-m", "pip", "--python", installed.python, "install", "--quiet"]
        flags = ["--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed"]
        run([*pip, *flags, "-e", project], env=environment(installed.home))
        return installed

    return install


@pytest.fixture(scope="session")
def slurm_project(install):
    """Return an installed project for Slurm, configuration linked."""
    installed = install(**ANSWERS)
    installed.run("-m", "dask", "hpc", "setup", cwd=installed.project)
    return installed


@pytest.fixture(scope="session")
def local_project(install):
    """Return an installed project without a batch system, configuration linked."""
    installed = install(project_slug="laptop-lab", batch_system="none")
    installed.run("-m", "dask", "hpc", "setup", cwd=installed.project)
    return installed


@pytest.fixture(scope="session")
def template_files():
    """Return the paths of the template's files that a clone of this repository would have."""
    flags = ["-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(
        ["git", "ls-files", *flags, "--", "cookiecutter.json", "hooks", "templates", TEMPLATE.name],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("the tests do not run in a git repository")
    names = [name for name in listed.stdout.split("\0") if name]
    return [name for name in names if (REPOSITORY / name).is_file()]


def copy_template(names, copy):
    """Copy the template's files to a directory."""
    for name in names:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target)


@pytest.fixture
def template_copy(template_files, tmp_path):
    """Return a directory with only those files, to change at will."""
    copy_template(template_files, tmp_path / "dask-hpc-starter")
    return tmp_path / "dask-hpc-starter"


@dataclass
class Repository:
    """A git repository and what a user types in it, without this machine's own settings."""

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

    def cruft(self, *words, typed=""):
        """Let cruft do as if a user had typed this; return (exit code, what it printed).

        The command itself is typed in test_readmes.py.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.path)
            own = environment(self.home)
            for name in os.environ.keys() - own.keys():
                patch.delenv(name)
            for name, value in own.items():
                patch.setenv(name, value)
            done = CliRunner().invoke(cruft._cli.app, [str(word) for word in words], input=typed)
        return done.exit_code, done.output

    def version(self):
        """Return what `dask hpc --version` prints with the project's own toolkit."""
        toolkit = self.path / "toolkit" / "src"
        # Without byte code: Python takes an old one for good where the file was written anew with
        # the same size in the same second, as these tests do.
        code = f"import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {str(toolkit)!r}); "
        code += "import dask_hpc.cli.main as cli; "
        return self(sys.executable, "-c", code + "cli.main(['--version'])").strip()

    def read(self, name):
        return (self.path / name).read_text()


def make_git_home(folder):
    """Make a home directory of somebody who has told git a name."""
    home = folder / "git-home"
    home.mkdir()
    settings = "[user]\nname = A\nemail = a@example.org\n[init]\ndefaultBranch = main\n"
    (home / ".gitconfig").write_text(settings)
    return home


@pytest.fixture
def git_home(tmp_path):
    """Return such a home directory of this test's own."""
    return make_git_home(tmp_path)


@pytest.fixture(scope="session")
def committed_template(template_files, tmp_path_factory):
    """Return a git repository with the template committed, to copy."""
    folder = tmp_path_factory.mktemp("committed")
    repository = Repository(folder / "dask-hpc-starter", make_git_home(folder))
    copy_template(template_files, repository.path)
    repository("git", "init", "--quiet")
    repository.commit()
    return repository


@pytest.fixture(scope="session")
def created_lab(committed_template, tmp_path_factory):
    """Return the path of blue-lab as `cruft create` made it, to copy."""
    folder = Repository(tmp_path_factory.mktemp("created"), committed_template.home)
    answers = json.dumps(LAB_ANSWERS)
    words = ["create", committed_template.path, "--no-input", "--extra-context", answers]
    code, printed = folder.cruft(*words)
    assert code == 0, printed
    return folder.path / "blue-lab"


@pytest.fixture
def template_git(committed_template, tmp_path, git_home):
    """Return a git repository with the template committed, in a path with a space."""
    path = tmp_path / "a path" / "dask-hpc-starter"
    shutil.copytree(committed_template.path, path)
    return Repository(path, git_home)


@pytest.fixture
def linked_lab(created_lab, committed_template, template_git, tmp_path, git_home):
    """Return blue-lab, made by cruft from `template_git` and committed as post_gen says."""
    lab = Repository(tmp_path / "labs" / "blue-lab", git_home)
    shutil.copytree(created_lab, lab.path)
    link = lab.path / ".cruft.json"
    link.write_text(link.read_text().replace(f"{committed_template.path}", f"{template_git.path}"))
    lab("git", "init", "--quiet")
    lab.commit()
    return lab


@pytest.fixture(scope="session")
def without_texts(tmp_path_factory):
    """Return a copy of the template with no more than configuration: where answers go."""
    copy = tmp_path_factory.mktemp("template") / REPOSITORY.name
    copy.mkdir()
    shutil.copy(REPOSITORY / "cookiecutter.json", copy)
    for name in ("hooks", "templates", TEMPLATE.name):
        ignored = shutil.ignore_patterns("toolkit", "src", "tests", "notebooks", "README.md")
        shutil.copytree(REPOSITORY / name, copy / name, ignore=ignored)
    return copy


@pytest.fixture
def typed(cookiecutter_settings, without_texts, tmp_path):
    """Return a function that renders with answers as they were typed at the prompts.

    Those on the command line and in a file of answers are Jinja to cookiecutter, these are not. A
    replay takes the same way as the prompts.
    """

    def typed(**answers):
        answers = {**ANSWERS, **answers}
        questions = json.loads((REPOSITORY / "cookiecutter.json").read_text())
        context = {key: value for key, value in questions.items() if key.startswith("_copy")}
        context |= {**answers, "__package": answers["project_slug"].replace("-", "_")}
        context["__batch_system"] = ""
        context["__name_given"] = answers["project_slug"]
        path = tmp_path / "answers.json"
        path.write_text(json.dumps({"cookiecutter": context}))
        output = tmp_path / "typed"
        project = make(
            str(without_texts),
            replay=str(path),
            config_file=str(cookiecutter_settings),
            output_dir=str(output),
            overwrite_if_exists=True,
        )
        return Path(project)

    return typed

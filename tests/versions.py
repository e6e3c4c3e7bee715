"""Test the toolkit with the oldest versions that it allows, and with the newest.

``python tests/versions.py oldest`` makes an environment in build/ with the oldest versions that the
toolkit's pyproject.toml allows (uv's ``lowest-direct``), and ``newest`` one with what the index has
now. There it runs the toolkit's tests, then a new project's tests and notebooks, and looks whether
JupyterLab loads Dask's panel. environment.yml has the same lower bounds
(tests/template/test_environment.py).

``main`` is for what comes next: the newest versions, and on top of them what dask, distributed and
dask-jobqueue have in git, whatever the toolkit's bounds say; with the environment variable PULL,
the number of one of distributed's pull requests, that is merged first. There only the toolkit's
tests run. A failure is no fault yet, but news: tests/toolkit/test_upstream.py names what has
changed.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLKIT = REPOSITORY / "{{cookiecutter.project_slug}}" / "toolkit"
TESTS = REPOSITORY / "tests" / "toolkit"
# What the tests themselves need, and what pip needs to build a project without asking the index.
TOOLS = [
    "pytest>=8",
    "pytest-timeout>=2.4",
    "cryptography>=42",
    "hatchling>=1.27",
    "editables>=0.5",
]
UPSTREAM = ["dask", "distributed", "dask-jobqueue"]


def run(*command, cwd, home):
    """Run a command away from this machine's own settings; return what it printed, all shown.

    Ends this program with the command's exit code if that is not 0.
    """
    words = [str(word) for word in command]
    print("+", *words, flush=True)
    hidden = ("DASK_", "JUPYTER", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    # Jupyter finds its commands, and a notebook its kernel, through the environment's own folder.
    path = f"{Path(words[0]).parent}{os.pathsep}{kept['PATH']}"
    settings = {**kept, "HOME": str(home), "PATH": path}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    printed = []
    with subprocess.Popen(words, cwd=cwd, env=settings, **pipes) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            printed.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    return "".join(printed)


def merge(pull, folder, home):
    """Clone distributed into a folder and merge a pull request, given by its number, into main."""
    shutil.rmtree(folder, ignore_errors=True)
    run("git", "clone", "https://github.com/dask/distributed", folder, cwd=REPOSITORY, home=home)
    run("git", "fetch", "origin", f"pull/{pull}/head", cwd=folder, home=home)
    author = ["-c", "user.name=versions", "-c", "user.email=versions@localhost"]
    # Where both have changed the same lines, those of the pull request count.
    how = ["--no-edit", "--strategy-option", "theirs"]
    run("git", *author, "merge", *how, "FETCH_HEAD", cwd=folder, home=home)


def main(which, *pytest_arguments):
    """Make the environment and run everything in it; `which` is oldest, newest or main."""
    build = REPOSITORY / "build" / which
    subprocess.run([sys.executable, "-m", "venv", "--clear", build / "env"], check=True)
    home = build / "home"
    home.mkdir(exist_ok=True)
    python = build / "env" / "bin" / "python"

    def there(*words, cwd=build):
        return run(python, *words, cwd=cwd, home=home)

    # A version that has to be compiled first does not install for a lab without a compiler.
    install = ["-m", "uv", "pip", "install", "--python", python, "--quiet", "--no-build"]
    install += ["--resolution", "lowest-direct" if which == "oldest" else "highest"]
    extras = ["--extra", "bench", "--extra", "notebook"]
    # A copy: uv would also read the project's pyproject.toml, a folder above, which is a template.
    shutil.copy(TOOLKIT / "pyproject.toml", build)
    needed = ["--requirements", "pyproject.toml", *extras, *TOOLS]
    run(sys.executable, *install, *needed, cwd=build, home=home)
    pip = ["-m", "pip", "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-build-isolation"]
    there(*install, "--no-deps", "--editable", TOOLKIT)
    # The repository's own settings for pytest ask for plugins that are not here.
    tests = ["-m", "pytest", "-ra", "--import-mode=importlib", "--override-ini=addopts="]
    tests += [f"--override-ini=pythonpath={REPOSITORY}", "-c", os.devnull]
    tests += ["--rootdir", REPOSITORY, "--confcutdir", TESTS]
    tests += ["--timeout=300", "-W", "error::FutureWarning", TESTS, *pytest_arguments]
    if which == "main":
        # Each asks for the others' releases, and we for certain ones: --no-deps.
        sources = [f"git+https://github.com/dask/{name}" for name in UPSTREAM]
        if pull := os.environ.get("PULL"):
            merge(pull, build / "distributed", home)
            sources[UPSTREAM.index("distributed")] = build / "distributed"
        there(*pip, "install", "--quiet", "--force-reinstall", "--no-deps", *sources)
        there(*pip, "list")
        there(*tests)
        print("The toolkit's tests pass with upstream's main.")
        return
    there(*pip, "check")
    there(*tests)

    answers = ["project_slug=version-lab", "batch_system=none"]
    cookiecutter = [sys.executable, "-m", "cookiecutter", "--no-input", "--overwrite-if-exists"]
    run(*cookiecutter, "--output-dir", build, REPOSITORY, *answers, cwd=build, home=home)
    project = build / "version-lab"
    there(*pip, "uninstall", "--quiet", "--yes", "dask-hpc")  # the project brings its own
    there(*install, "-e", ".", cwd=project)
    there("-m", "dask", "hpc", "setup", cwd=project)
    there("-m", "pytest", cwd=project)
    for notebook in sorted(project.glob("notebooks/*.ipynb")):
        there("-m", "jupyter", "execute", notebook, cwd=project / "notebooks")
    for kind in ("server extension", "labextension"):
        listed = there("-m", "jupyter", *kind.split(), "list", cwd=project)
        # Both end with 0 where the panel can't be loaded, and color their words.
        if not re.search(r"dask.labextension v?\d.*\bOK\b", re.sub(r"\x1b\[\d*m", "", listed)):
            sys.exit(f"{listed}\nJupyterLab does not load Dask's panel (its {kind})")
    print(f"The {which} versions work.")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("oldest", "newest", "main"):
        sys.exit("usage: python tests/versions.py oldest|newest|main [pytest's arguments …]")
    main(*sys.argv[1:])

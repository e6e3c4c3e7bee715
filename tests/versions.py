"""Test the toolkit with the oldest versions that it allows, and with the newest.

``python tests/versions.py oldest`` makes an environment in build/ with each lower bound of the
toolkit's pyproject.toml taken as the version, and ``newest`` one with what the index has now. There
it runs the toolkit's tests, then a new project's tests and notebooks, and looks whether JupyterLab
loads Dask's panel. environment.yml has the same lower bounds (tests/template/test_environment.py).

``main`` is for what comes next: the newest versions, and on top of them what dask, distributed and
dask-jobqueue have in git, whatever the toolkit's upper bounds say. There only the toolkit's tests
run. A failure is no fault yet, but news: toolkit/tests/test_upstream.py names what has changed.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLKIT = REPOSITORY / "{{cookiecutter.project_slug}}" / "toolkit"
EXTRAS = ["notebook", "test"]
UPSTREAM = ["dask", "distributed", "dask-jobqueue"]


def lower_bounds(pyproject):
    """Return {name: version}, the oldest that each requirement of a pyproject.toml allows.

    Parameters
    ----------
    pyproject : dict
        The contents of the file: dependencies, the extras that tests need, and the build's tools.
    """
    project = pyproject["project"]
    texts = project["dependencies"] + pyproject["build-system"]["requires"]
    for extra in EXTRAS:
        texts = texts + project["optional-dependencies"][extra]
    found = {}
    for requirement in map(Requirement, texts):
        lowest = [
            s.version.removesuffix(".*") for s in requirement.specifier if s.operator[0] in "=>~"
        ]
        if len(lowest) != 1:
            raise ValueError(f"'{requirement}' has to have one lower bound")
        found[requirement.name] = lowest[0]
    return found


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


def main(which, *pytest_arguments):
    """Make the environment and run everything in it; `which` is oldest, newest or main."""
    pyproject = tomllib.loads((TOOLKIT / "pyproject.toml").read_text())
    build = REPOSITORY / "build" / which
    subprocess.run([sys.executable, "-m", "venv", "--clear", build / "env"], check=True)
    home, constraints = build / "home", build / "constraints.txt"
    home.mkdir(exist_ok=True)
    pins = lower_bounds(pyproject) if which == "oldest" else {}
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    python = build / "env" / "bin" / "python"

    def there(*words, cwd=TOOLKIT):
        return run(python, *words, cwd=cwd, home=home)

    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # A version that has to be compiled first does not install for a lab without a compiler.
    pip += ["--constraint", constraints, "--only-binary", ":all:"]
    tools = [Requirement(text).name for text in pyproject["build-system"]["requires"]]
    there(*pip, *tools, "editables")
    there(*pip, "--no-build-isolation", "--editable", f".[{','.join(EXTRAS)}]")
    if which == "main":
        # Each asks for the others' releases, and we for certain ones: --no-deps.
        sources = [f"git+https://github.com/dask/{name}" for name in UPSTREAM]
        there(*pip[:4], "--quiet", "--force-reinstall", "--no-deps", *sources)
        there("-m", "pip", "--disable-pip-version-check", "list")
        there("-m", "pytest", *pytest_arguments)
        print("The toolkit's tests pass with upstream's main.")
        return
    there("-m", "pip", "--disable-pip-version-check", "check")
    there("-m", "pytest", *pytest_arguments)

    answers = ["project_slug=version-lab", "scheduler=none"]
    cookiecutter = [sys.executable, "-m", "cookiecutter", "--no-input", "--overwrite-if-exists"]
    run(*cookiecutter, "--output-dir", build, REPOSITORY, *answers, cwd=build, home=home)
    project = build / "version-lab"
    there(*pip, "--no-build-isolation", "-e", ".", cwd=project)
    there("-m", "dask", "hpc", "setup", cwd=project)
    there("-m", "pytest", cwd=project)
    for notebook in sorted(project.glob("notebooks/*.ipynb")):
        there("-m", "jupyter", "execute", notebook, cwd=project / "notebooks")
    for kind in ("server extension", "labextension"):
        listed = there("-m", "jupyter", *kind.split(), "list", cwd=project)
        # Both end with 0 where the panel can't be loaded, and colour their words.
        if not re.search(r"dask.labextension v?\d.*\bOK\b", re.sub(r"\x1b\[\d*m", "", listed)):
            sys.exit(f"{listed}\nJupyterLab does not load Dask's panel (its {kind})")
    print(f"The {which} versions work.")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("oldest", "newest", "main"):
        sys.exit("usage: python tests/versions.py oldest|newest|main [pytest's arguments …]")
    main(*sys.argv[1:])

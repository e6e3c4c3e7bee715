"""Do what a new member does on a laptop, on any operating system.

``python tests/laptop.py`` makes a project in a folder whose name has spaces and umlauts, installs
it with pip from the package index, and runs `dask hpc setup`, the project's tests, and the notebook
00-laptop. Each command is shown; the first that fails ends this program with its exit code. The
workflow .github/workflows/laptop.yml runs it on three systems.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "build" / "ein Ördner für uns"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def make_environment(folder):
    """Make a virtual environment, and return a function that runs one of its modules."""
    venv.create(folder, with_pip=True)
    python = folder / SCRIPTS / "python"
    # Jupyter finds its commands, and a notebook its kernel, through the path.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    hidden = ("DASK_", "JUPYTER", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    # Otherwise, Python would print in the console's own character set where this is not a console.
    settings = {**kept, "PATH": path, "PYTHONIOENCODING": "utf-8"}

    def run(*words, cwd):
        print("+ python -m", *words, flush=True)
        command = [str(python), "-m", *map(str, words)]
        if code := subprocess.run(command, cwd=cwd, env=settings, check=False).returncode:
            sys.exit(code)

    return run


def main():
    """Make the project and use it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    tools = make_environment(FOLDER / "tools")
    tools("pip", "install", "--quiet", "cookiecutter>=2.7,<3", cwd=FOLDER)
    answers = ["project_slug=laptop-lab", "batch_system=none"]
    tools("cookiecutter", "--no-input", REPOSITORY, *answers, cwd=FOLDER)

    project = FOLDER / "laptop-lab"
    run = make_environment(project / ".venv")
    run("pip", "install", "--quiet", "-e", ".", cwd=project)
    run("dask", "hpc", "setup", cwd=project)
    run("pytest", cwd=project)
    run("jupyter", "execute", "00-laptop.ipynb", cwd=project / "notebooks")
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("The laptop's half of a project works here.")


if __name__ == "__main__":
    main()

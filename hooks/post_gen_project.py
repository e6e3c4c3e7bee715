"""Tidy the new project, and say what comes next.

The template's toolkit is copied from the developer's tree as it is, with all caches; a new project
begins without them. As in the pre_gen hook, the answers arrive as JSON data.
"""

import json
import shutil
import tempfile
from pathlib import Path

ANSWERS = r"""
{{ cookiecutter | tojson }}
"""

# Only folders that come from the template are searched, so that a second rendering into a lived-in
# project (cookiecutter -f) leaves its .venv and data alone.
FOLDERS = ["config", "notebooks", "src", "tests", "toolkit"]
CACHES = ["__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", ".mypy_cache"]
CACHES += [".hypothesis", ".benchmarks", "dask-scratch-space", "dask-logs"]
# Left by building or installing the toolkit in place.
BUILT = ["toolkit/build", "toolkit/dist", "toolkit/.venv"]


def remove_caches(project):
    """Remove what tools left in the template's folders, below the directory `project`."""
    paths = [project / name for name in BUILT]
    for folder in FOLDERS:
        for cache in CACHES:
            paths += (project / folder).rglob(cache)
    paths += (project / "toolkit").rglob("*.egg-info")
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
    for path in (project / "toolkit").rglob(".coverage*"):
        path.unlink()


def is_for_comparison(project):
    """Tell whether cruft makes this project only to see what an update changes."""
    parent = project.parent
    temporary = Path(tempfile.gettempdir()).resolve()
    return parent.parent == temporary and parent.name.startswith(tempfile.gettempprefix())


def next_steps(answers):
    """Return the lines to print for a person who has just made a project."""
    slug = answers["project_slug"]
    lines = [
        f"\n{slug} is ready (batch system: {answers['batch_system']}). "
        "Next, as its README.md says:",
        f"  cd {slug} && git init && git add . && git commit -m 'Our project'",
        "  conda env create --file environment.yml    # or a venv, see README.md",
        f"  conda activate {slug} && dask hpc setup",
        "  jupyter lab notebooks/00-laptop.ipynb",
    ]
    questions = ["account", "queue", "worker_interface", "scheduler_interface"]
    if answers["batch_system"] == "htcondor":  # it has neither accounts nor queues
        questions = questions[2:]
    blank = [name for name in questions if not answers[name].strip()]
    given = [name for name in questions if name not in blank]
    if answers["batch_system"] == "none":
        if given:
            lines.append("Not used, as there is no batch system yet: " + ", ".join(given) + ".")
    elif blank:
        lines.append(
            "Left blank: " + ", ".join(blank) + ". config/jobqueue.yaml says what to ask your site."
        )
    return lines


if __name__ == "__main__":
    here = Path.cwd()
    remove_caches(here)
    if not is_for_comparison(here):
        print("\n".join(next_steps(json.loads(ANSWERS))))

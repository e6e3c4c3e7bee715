"""Clean up the new project and print the next steps.

Cookiecutter copies the toolkit from the developer's tree with all caches; this removes them. As in
the pre_gen hook, the answers arrive as JSON data.
"""

import json
import shutil
import tempfile
from pathlib import Path

ANSWERS = r"""
{{ cookiecutter | tojson }}
"""

# Search only folders that come from the template, so that rendering again into an existing project
# (cookiecutter -f) does not touch its .venv and data.
FOLDERS = ["config", "notebooks", "src", "tests", "toolkit"]
CACHES = ["__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", ".mypy_cache"]
CACHES += [".hypothesis", ".benchmarks", "dask-scratch-space", "dask-logs"]
# Left over from building or installing the toolkit in place.
BUILT = ["toolkit/build", "toolkit/dist", "toolkit/.venv"]


def remove_caches(project):
    """Remove what tools left in the template's folders of the directory `project`."""
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
    """Return whether this is rendered to find what an update changes, with git or by cruft."""
    if (project / ".git").exists():
        return True
    parent = project.parent
    temporary = Path(tempfile.gettempdir()).resolve()
    return parent.parent == temporary and parent.name.startswith(tempfile.gettempprefix())


def next_steps(answers):
    """Return the lines to print for the user who has just created the project."""
    slug = answers["project_slug"]
    lines = [
        f"\n{slug} is ready (batch system: {answers['batch_system']}). Next steps (see README.md):",
        f"  cd {slug} && git init && git add . && git commit -m 'Our project'",
        "  conda env create --file environment.yml    # or a venv, see README.md",
        f"  conda activate {slug} && dask hpc setup",
        "  jupyter lab notebooks/00-laptop.ipynb",
    ]
    questions = ["account", "queue", "worker_interface", "scheduler_interface"]
    if answers["batch_system"] == "htcondor":  # has neither accounts nor queues
        questions = questions[2:]
    blank = [name for name in questions if not answers[name].strip()]
    given = [name for name in questions if name not in blank]
    if answers["batch_system"] == "none":
        if given:
            lines.append("Not used without a batch system: " + ", ".join(given) + ".")
    elif blank:
        lines.append("Left blank: " + ", ".join(blank) + ". config/jobqueue.yaml explains them.")
    return lines


if __name__ == "__main__":
    here = Path.cwd()
    remove_caches(here)
    if not is_for_comparison(here):
        print("\n".join(next_steps(json.loads(ANSWERS))))

"""Answers to the template's questions, and where they land in a project."""

import importlib.util
import json
import tomllib

import yaml

from dask_hpc import batch as batch_systems

from .conftest import ANSWERS, REPOSITORY


def load_hook(name):
    """Import a hook as it stands in the repository; it does nothing until it is run."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pre_gen = load_hook("pre_gen_project")
BATCH = [name for name in pre_gen.WALLTIMES if name != "none"]


def good(batch_system):
    """Answers without a fault for this batch system."""
    answers = {**ANSWERS, "batch_system": batch_system}
    if batch_system == "lsf":
        answers["walltime"] = "00:42"
    for batch, question in pre_gen.NO_PLACE:
        if batch == batch_system:
            answers[question] = ""
    return answers


def section(project):
    """Return the only section of a batch system in the project's jobqueue.yaml."""
    [found] = yaml.safe_load((project / "config/jobqueue.yaml").read_text())["jobqueue"].values()
    return found


def landed(project, batch_system, question):
    """Return the text in jobqueue.yaml that came from a question's answer."""
    batch = batch_systems.get(batch_system)
    if question == "scheduler_interface":
        return section(project)["scheduler-options"]["interface"]
    names = {
        "account": batch.account_key,
        "queue": batch.queue_key,
        "worker_interface": "interface",
    }
    return section(project)[names.get(question, question)]


def everything(folder):
    """All paths below a folder, with what files hold and when they were changed."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None
        for path in folder.rglob("*")
    }


def every_file_can_be_read(project):
    """YAML, TOML and JSON of a rendered project are valid; the toolkit's are copied."""
    for path in [*project.glob("config/*.yaml"), project / "environment.yml"]:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path
    tomllib.loads((project / "pyproject.toml").read_text())
    for path in project.glob("notebooks/*.ipynb"):
        json.loads(path.read_text())

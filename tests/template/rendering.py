"""The questions of the template, and the files of what it made."""

import json
import re

from .conftest import REPOSITORY

QUESTIONS = json.loads((REPOSITORY / "cookiecutter.json").read_text())
BATCH_SYSTEMS = re.findall(
    r"^ +[0-9] - ([a-z]+)", QUESTIONS["__prompts__"]["batch_system"], re.MULTILINE
)


def files(directory):
    """Return the paths of all files below a directory, relative to it."""
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def own_texts(project):
    """Return (path, text) of every rendered file, without the toolkit."""
    paths = [p for p in project.rglob("*") if p.is_file()]
    return [(p, p.read_text()) for p in paths if "toolkit" not in p.relative_to(project).parts]

"""Build the source distributions and wheels of both packages into build/dist.

``python tests/dist.py v0.2.0`` builds them for that release: it refuses if the toolkit has another
version, or CHANGELOG.md no dated section for it, and writes that section to build/dist/notes.md.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLKIT = REPOSITORY / "{{cookiecutter.project_slug}}" / "toolkit"
FOLDERS = [TOOLKIT, REPOSITORY / "hpc-slurm-testbed"]
DIST = REPOSITORY / "build" / "dist"


def version():
    """Return the toolkit's version, without an import of the toolkit."""
    text = (TOOLKIT / "src/dask_hpc/__init__.py").read_text()
    return re.search(r'^__version__ = "(.*)"$', text, re.MULTILINE)[1]


def release_notes(tag, changelog):
    """Return the changelog's section for a release.

    Parameters
    ----------
    tag : str
        As ``v0.2.0``.
    changelog : str
        The text of CHANGELOG.md.

    Raises
    ------
    ValueError
        The toolkit has another version, or the changelog no such section with a date.
    """
    if tag != f"v{version()}":
        raise ValueError(f"the tag is {tag}, and the toolkit's version {version()}")
    head = rf"^## {re.escape(version())} \(\d{{4}}-\d\d-\d\d\)\n"
    section = re.search(rf"{head}(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    if section is None:
        raise ValueError(f"CHANGELOG.md has no section '## {version()} (YYYY-MM-DD)'")
    return section[1].strip() + "\n"


def build(target):
    """Build both packages into the directory `target`, without asking an index for build tools."""
    for folder in FOLDERS:
        command = [sys.executable, "-m", "hatchling", "build", "--directory", target]
        subprocess.run(command, cwd=folder, check=True)


def main(tag=""):
    """Build into an empty build/dist, with the notes where a release's tag is given."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir(parents=True)
    if tag:
        try:
            notes = release_notes(tag, (REPOSITORY / "CHANGELOG.md").read_text())
        except ValueError as error:
            sys.exit(f"Error: {error}")
        (DIST / "notes.md").write_text(notes)
    build(DIST)


if __name__ == "__main__":
    main(*sys.argv[1:])

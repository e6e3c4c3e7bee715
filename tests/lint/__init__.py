"""The linters of this repository, in one list: ``python -m tests.lint`` runs them."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TOOLKIT = "{{cookiecutter.project_slug}}/toolkit/src/dask_hpc"
TESTBED = "hpc-slurm-testbed/src/hpc_testbed"


def repository_files():
    """Return the paths of all files that git knows, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    paths = sorted({REPOSITORY / name for name in listed.stdout.split("\0") if name})
    return [path for path in paths if path.is_file()]  # git also lists what was just deleted

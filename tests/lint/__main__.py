"""Run the linters, all of them even when one fails; say at the end which failed.

``make lint`` and the hooks of .pre-commit-config.yaml run this file with the repository's
environment, so that each linter's command line is written once, in `commands`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import REPOSITORY, repository_files

SCRIPTS = Path(sys.executable).parent  # of the environment, whatever PATH says
FIXES = [["ruff", "check", "--fix", "."], ["ruff", "format", "."]]


def is_shell(path):
    """Tell whether a file is for a shell, by its name or its first line."""
    if path.suffix:
        return path.suffix == ".sh"
    with path.open("rb") as file:
        first = file.readline()
    return re.match(rb"#!.*\b(ba|da)?sh\b", first) is not None


def commands():
    """Return each linter's command line by the linter's name, in the order in which they run."""
    paths = [path for path in repository_files() if not path.is_symlink()]
    files = [str(path.relative_to(REPOSITORY)) for path in paths]
    shell = [name for name, path in zip(files, paths, strict=True) if is_shell(path)]
    return {
        "ruff-check": ["ruff", "check", "."],
        "ruff-format": ["ruff", "format", "--check", "."],
        "words": [sys.executable, "-m", "tests.lint.words"],
        "code-lines": [sys.executable, "-m", "tests.lint.code_lines"],
        "codespell": ["codespell", *files],
        "shellcheck": ["shellcheck", *shell],
        "actionlint": ["actionlint"],
        # The audits that ask GitHub are left out.
        "zizmor": ["zizmor", "--offline", "--quiet", "."],
        "import-linter": ["lint-imports", "--no-logo", "--no-cache"],
        "mypy": ["mypy", "-p", "dask_hpc", "-p", "hpc_testbed"],
    }


def program(name):
    """Return the path of a program, first from this environment; None if it is not installed."""
    return shutil.which(name, path=SCRIPTS) or shutil.which(name)


def run(command):
    """Run a command in the repository's folder; return whether it ended well."""
    words = [program(command[0]) or command[0], *command[1:]]
    return subprocess.run(words, cwd=REPOSITORY).returncode == 0


def main(arguments=None):
    """Run the linters that are named, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lint", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a linter; by default all run")
    parser.add_argument("--fix", action="store_true", help="fix and format with ruff instead")
    chosen = parser.parse_args(arguments)
    if chosen.fix:
        return 0 if all([run(command) for command in FIXES]) else 1
    linters = commands()
    if unknown := set(chosen.names) - set(linters):
        parser.error(f"no linter {', '.join(sorted(unknown))}; there are {', '.join(linters)}")
    failed = []
    for name in chosen.names or linters:
        if name == "actionlint" and not program(name):
            print("--- actionlint is not installed: skipped", flush=True)
            continue
        print(f"--- {name}", flush=True)
        began = time.monotonic()
        if not run(linters[name]):
            failed.append(name)
        print(f"{time.monotonic() - began:.1f} s", flush=True)
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nNo linter found anything.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

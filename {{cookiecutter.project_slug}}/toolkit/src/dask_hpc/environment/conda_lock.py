"""The lock for conda: the address and MD5 of each package, as `conda list --explicit --md5` shows.

It is read from the files that conda, mamba, and micromamba keep about each package, so none of them
has to run.
"""

import graphlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

from .requirements_lock import LockError

HEADER = """\
# The packages of this project's environment, written by `dask hpc lock`. To install them:
#   conda create --name NAME --file {file}
#   python -m pip install --no-deps --no-build-isolation -e ./toolkit -e .
# platform: {platform}
@EXPLICIT
"""
# conda's names of systems and machines.
SYSTEMS = {"Linux": "linux", "Darwin": "osx", "Windows": "win"}
MACHINES = {"x86_64": "64", "AMD64": "64"}


def is_conda() -> bool:
    """Return whether this environment was made by conda, mamba, or micromamba."""
    return Path(sys.prefix, "conda-meta", "history").exists()


def file_name() -> str:
    """Return the name of this computer's lock: "conda-linux-64.lock"."""
    return f"conda-{_platform()}.lock"


def create() -> str:
    """Return the text of a lock of this environment.

    Raises
    ------
    LockError
        A package's file cannot be read, or does not say where the package is from.
    """
    records = {record["name"]: record for record in _records()}
    lines = []
    for name in _ordered(records):
        record = records[name]
        if not (url := record.get("url")) or not (md5 := record.get("md5")):
            raise LockError(
                f"conda does not know where {name} is from, perhaps since it was built here: "
                "install it from a channel"
            )
        lines.append(f"{url}#{md5}\n")
    header = HEADER.format(file=file_name(), platform=_platform())
    return header + "".join(lines)


def read(text: str) -> dict[str, str]:
    """Return the versions and builds in a lock by name: ``{"python": "3.12.4 h194c7f8_0"}``.

    Raises
    ------
    LockError
        A line is not the address of a package.
    """
    found = {}
    for line in text.splitlines():
        if not line or line.startswith(("#", "@")):
            continue
        file = line.partition("#")[0].rpartition("/")[2]
        stem = file.removesuffix(".tar.bz2").removesuffix(".conda")
        if stem == file or stem.count("-") < 2:
            raise LockError(
                f"{file_name()} has the line {line!r}, which is not the address of a package: run "
                "`dask hpc lock` to write it anew"
            )
        name, version, build = stem.rsplit("-", 2)
        found[name] = f"{version} {build}"
    return found


def _records() -> list[dict[str, Any]]:
    found = []
    for path in sorted(Path(sys.prefix, "conda-meta").glob("*.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise LockError(f"cannot read {path}: {error}") from None
    return found


def _ordered(records: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of packages, each after those that it depends on, as conda lists them."""
    needs = {
        name: sorted(
            other for text in record.get("depends", ()) if (other := text.split()[0]) in records
        )
        for name, record in records.items()
    }
    # conda-forge's Python and pip depend on each other.
    if "python" in needs:
        needs["python"] = [other for other in needs["python"] if other != "pip"]
    try:
        return list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError:
        return sorted(records)


def _platform() -> str:
    system = SYSTEMS.get(platform.system(), platform.system().lower())
    machine = platform.machine()
    return f"{system}-{MACHINES.get(machine, machine)}"

"""The lock for pip and uv: a requirements file with the version and hashes of each package.

uv resolves it: for all operating systems, at the versions that are installed here. It names no
package index, so each user's own settings say where packages come from.
"""

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..errors import DaskHPCError
from .packages import INSTALLERS

FILE_NAME = "requirements.lock"
TIMEOUT_S = 600.0
# For hatchling's editable installations, in addition to what pyproject.toml names.
BUILD_TOOLS = ["editables"]
HEADER = """\
# The packages of this project's environment, written by `dask hpc lock`. To install them:
#   python -m pip install --require-hashes -r {file}
#   python -m pip install --no-deps --no-build-isolation -e ./toolkit -e .
# python: {python}
"""
PYTHON_RE = re.compile(r"^# python: (\d+\.\d+)$", re.MULTILINE)


class LockError(DaskHPCError):
    """A lock cannot be written or read."""


def python_version() -> str:
    """Return the version of this Python, as in a lock: "3.12"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def create(project: Path, installed: dict[str, str]) -> tuple[str, list[str]]:
    """Return the text of a new lock, and the packages that pyproject.toml does not ask for.

    Parameters
    ----------
    project : Path
    installed : dict of str to str
        Versions by name. The lock also has the missing parts of what the project asks for.

    Raises
    ------
    LockError
        uv is missing, or does not find these versions.
    """
    wanted = requirements(project)
    pins = [f"{name}=={version}" for name, version in installed.items()]
    body = _resolve(project, wanted, pins)
    locked = _names(body)
    others = sorted(set(installed) - locked - INSTALLERS)
    if others:
        body = _resolve(project, wanted + [f"{name}=={installed[name]}" for name in others], pins)
    return HEADER.format(file=FILE_NAME, python=python_version()) + body, others


def requirements(project: Path) -> list[str]:
    """Return what a project and its toolkit ask for, also to be built.

    Raises
    ------
    LockError
        A pyproject.toml is missing or invalid.
    """
    wanted = list(BUILD_TOOLS)
    for path in (project / "pyproject.toml", project / "toolkit" / "pyproject.toml"):
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LockError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:  # not TOML, or not UTF-8
            raise LockError(f"{path} is not valid TOML: {error}") from None
        wanted += data.get("build-system", {}).get("requires", [])
        wanted += data.get("project", {}).get("dependencies", [])
    return wanted


def read(text: str) -> tuple[str | None, dict[str, str]]:
    """Return the Python of a lock, and the versions that it has for this computer, by name.

    Raises
    ------
    LockError
        A line is not a pinned requirement.
    """
    found: dict[str, str] = {}
    for line in _lines(text):
        try:
            needed = Requirement(line)
            [pin] = needed.specifier
            is_pin = pin.operator == "=="
        except ValueError:
            is_pin = False
        if not is_pin:
            raise LockError(
                f"{FILE_NAME} has the line {line!r}, which is not a package with its version: "
                "run `dask hpc lock` to write it anew"
            ) from None
        if needed.marker is None or needed.marker.evaluate():
            found[canonicalize_name(needed.name)] = pin.version
    python = PYTHON_RE.search(text)
    return (str(python[1]) if python else None), found


def _lines(text: str) -> list[str]:
    """Return the requirements of a file, without comments, options, and hashes."""
    joined = re.sub(r"\\\n", " ", text)
    plain = (re.split(r"(?:^|\s)(?:#|--)", line, maxsplit=1)[0] for line in joined.splitlines())
    return [line.strip() for line in plain if line.strip()]


def _names(text: str) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in _lines(text)}


def _resolve(project: Path, wanted: list[str], pins: list[str]) -> str:
    """Return uv's requirements file for what is wanted, at the pinned versions."""
    command = [*_uv(), "pip", "compile", "-", "--quiet", "--universal", "--generate-hashes"]
    command += ["--python", sys.executable, "--python-version", platform.python_version()]
    command += ["--no-header", "--no-annotate"]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "installed.txt")
        constraints.write_text("\n".join(pins))
        try:
            done = subprocess.run(
                [*command, "--constraints", str(constraints)],
                input="\n".join(wanted),
                cwd=project,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LockError(f"uv did not finish within {TIMEOUT_S:.0f} s: try again") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise LockError(f"uv cannot lock the packages that are installed here: {reason}")
    return done.stdout


def _uv() -> list[str]:
    """Return the words that start uv: this environment's, or the one on the path."""
    # uv's wheel puts it beside Python, which is on the path only where the environment is active.
    scripts = sysconfig.get_path("scripts")
    if found := shutil.which("uv", path=scripts) or shutil.which("uv"):
        return [found]
    raise LockError(
        "`dask hpc lock` needs uv, which finds the hashes of packages: run `python -m pip install "
        "uv`, and try again"
    )

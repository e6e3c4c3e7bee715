"""Reject a Dask that is too old and hides this environment's, or a mix of two releases.

The toolkit works with any newer Dask, but is tested only up to a certain release.

A package from an old ``pip install --user`` takes precedence over the packages of a conda
environment, and the resulting errors do not point to it. This module does not import Dask.
"""

import contextlib
import functools
import os
import re
import site
from importlib import metadata
from pathlib import Path

from ._output import messages
from .errors import ConfigError

CHECKED = ("dask", "distributed", "dask-jobqueue")
# The newest release of Dask that passes all tests, without its patch number.
NEWEST_TESTED = "2026.8"


def check() -> None:
    """Raise an error if the installed packages cannot work together.

    Raises
    ------
    ConfigError
        The message names the package, its folder, and what to do.
    """
    found: dict[str, metadata.Distribution] = {}
    for name in CHECKED:
        with contextlib.suppress(metadata.PackageNotFoundError):  # importing it will raise an error
            found[name] = metadata.distribution(name)
    wanted = _wanted()
    for name, package in found.items():
        needs = wanted.get(name)
        fits = needs is None or needs.contains(package.version, prereleases=True)
        if not fits and (way := _in_front(package)):
            raise ConfigError(
                f"{name} {package.version} in {_folder(package)} hides this environment's "
                f"(required: {name}{needs}): {way}."
            )
    both = {name: it.version for name, it in found.items() if name in ("dask", "distributed")}
    # Versions installed from git have a suffix, which may differ.
    if len({tuple(_numbers(version)[:3]) for version in both.values()}) > 1:
        newer = max(both.values(), key=_numbers)
        for name in both:
            if way := _in_front(found[name]):
                raise ConfigError(f"{_pair(both)}: {name} is in {_folder(found[name])}; {way}.")
        raise ConfigError(
            f"{_pair(both)} do not work together: run `python -m pip install dask=={newer} "
            f"distributed=={newer}`, or the equivalent with conda."
        )


@functools.cache
def tell_untested() -> None:
    """Tell the user, once per process, that Dask is newer than the newest tested release."""
    try:
        version = metadata.version("dask")
    except metadata.PackageNotFoundError:
        return  # importing it will raise an error
    if _numbers(version)[:2] > _numbers(NEWEST_TESTED):
        messages.info(
            f"Dask {version} is newer than {NEWEST_TESTED}, the newest release that this toolkit "
            "was tested with. If something goes wrong, update the toolkit or install Dask "
            f"{NEWEST_TESTED}."
        )


def _wanted() -> dict:
    """Return the versions that this package requires, by name."""
    try:
        from packaging.requirements import Requirement

        needed = [Requirement(text) for text in metadata.requires("dask-hpc") or []]
    except (ImportError, metadata.PackageNotFoundError, ValueError):
        return {}
    return {it.name: it.specifier for it in needed if it.marker is None}


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _pair(versions: dict[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in versions.items())


def _folder(package: metadata.Distribution) -> str:
    return str(package.locate_file(""))


def _in_front(package: metadata.Distribution) -> str:
    """Return how to disable a package from outside the environment; empty for one inside."""
    folder = Path(_folder(package)).absolute()
    if site.ENABLE_USER_SITE and folder == Path(site.getusersitepackages()).absolute():
        return "set PYTHONNOUSERSITE=1 (`export PYTHONNOUSERSITE=1` in ~/.bashrc)"
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if folder in {Path(path).absolute() for path in paths if path}:
        return "remove that folder from PYTHONPATH"
    return ""

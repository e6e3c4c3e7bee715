"""Find, install and read the files of a lab's configuration."""

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import yaml

from ..errors import ConfigError

SECTION = "dask-hpc"
# First line of a file that was copied, where links are not allowed: it is ours to replace.
COPY_HEADER = "# A copy made by `dask hpc setup`, of "
COPY_HEADER_END = "; run it again after an edit there."


def find_project(start: Path | str | None = None) -> Path:
    """Return the project's folder: the nearest, from `start` up, with ``config/jobqueue.yaml``.

    Raises
    ------
    ConfigError
        There is no such folder.
    """
    start = Path.cwd() if start is None else Path(start).expanduser().absolute()
    if ".." in start.parts:
        start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "config" / "jobqueue.yaml").is_file():
            return folder
    raise ConfigError(
        f"No config/jobqueue.yaml in {start} or a folder above it: go to the lab's project, "
        "or name its folder."
    )


def install(project: Path | str | None = None, prefix: Path | str = sys.prefix) -> list[Path]:
    """Make the project's ``config/*.yaml`` count in the environment at `prefix`.

    They are linked into ``{prefix}/etc/dask``, which Dask reads in every shell and kernel of that
    environment, so that an edit of the project's file counts the next time Python starts. Where
    links are not allowed they are copied.

    Parameters
    ----------
    project : path, optional
        A folder in the project; default: the current one.
    prefix : path
        Default: the environment of this Python.

    Returns
    -------
    list of Path
        The files that are now in ``etc/dask``; one is a copy if its ``is_symlink()`` is false.

    Raises
    ------
    ConfigError
        A file is not YAML, the environment can't be written to, or another file of the same name
        is there.
    """
    project = find_project(project)
    sources = sorted((project / "config").glob("*.yaml"))
    for source in sources:
        read(source)  # Dask refuses to be imported while one of its files can't be read
    folder = Path(prefix) / "etc" / "dask"
    targets = [folder / source.name for source in sources]
    # All are looked at before any is touched.
    for target in targets:
        if not is_managed(target):
            raise ConfigError(
                f"{target} is there already and is not ours: move it away, then try again."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, targets, strict=True):
            _install(source, target)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder}: {error.strerror}. Run this with the Python of an "
            "environment of your own."
        ) from None
    return targets


def installed_project(prefix: Path | str = sys.prefix) -> Path | None:
    """Return the project whose ``config/`` counts in the environment at `prefix`, if any."""
    target = Path(prefix) / "etc" / "dask" / "jobqueue.yaml"
    source = source_file(target)
    return None if source == target else source.parent.parent


def is_managed(target: Path) -> bool:
    """Return whether a file of ``etc/dask`` is absent, or was put there by `link`."""
    if target.is_symlink():
        aim = target.parent / target.readlink()
        # Ours point to a file of the same name in a project's config/; the project may have gone.
        return aim.name == target.name and aim.parent.name == "config"
    if not target.exists():
        return True
    if not target.is_file():
        return False
    with target.open(errors="replace") as file:
        return file.readline().startswith(COPY_HEADER)


def _install(source: Path, target: Path) -> None:
    # Under another name first: a Python that starts just now finds the old file or the new one.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(source)
    except OSError:
        draft.write_text(f"{COPY_HEADER}{source}{COPY_HEADER_END}\n{source.read_text()}")
    try:
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """Read one YAML file of Dask's configuration.

    Raises
    ------
    ConfigError
        It can't be read, or is not a mapping at its top; the message says where in the file.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{path}{where} is not valid YAML: {problem}.") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path} holds no sections: it should begin like `jobqueue:`.")
    return content or {}


@cache
def jobqueue_defaults() -> dict[str, dict[str, Any]]:
    """Return the sections and keys of dask-jobqueue's own file: those that it reads."""
    # Not imported for this: see _jobqueue.
    spec = importlib.util.find_spec("dask_jobqueue")
    assert spec is not None  # it is a dependency
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "jobqueue.yaml").read_text()
    sections: dict[str, dict[str, Any]] = yaml.safe_load(text)["jobqueue"]
    return sections


def source_file(path: Path) -> Path:
    """Return the file to edit for what Dask reads at `path`: the project's if `link` made it."""
    if path.is_symlink() and is_managed(path):
        return path.resolve()
    try:
        with path.open(errors="replace") as file:
            first = file.readline()
    except OSError:
        return path
    if not first.startswith(COPY_HEADER):
        return path
    return Path(first.strip().removeprefix(COPY_HEADER).removesuffix(COPY_HEADER_END))


def files() -> list[tuple[Path, dict[str, Any]]]:
    """Return the files that Dask reads here and what they say; later ones take precedence."""
    return _files(tuple(dask.config.paths))


@cache
def _files(paths: tuple[str, ...]) -> list[tuple[Path, dict[str, Any]]]:
    # Kept, since reading them takes as long as the rest of making a cluster; an edit counts from
    # the next start of Python on in any case.
    return list(dask.config.collect_yaml(list(paths), return_paths=True))


def place_of(section: str, key: str) -> str:
    """Return the file or variable that a setting is from; empty for the lab's file, or none."""
    name = f"jobqueue.{section}.{key}"
    if found := variable(section, key):
        return f"the variable {found}"
    for path, content in reversed(files()):
        if dask.config.get(name, _ABSENT, config=content) is not _ABSENT:
            return "" if is_labs(path) else str(path)
    return ""


def variable(section: str, key: str) -> str:
    """Return the environment variable that sets a key, such as ``DASK_JOBQUEUE__SLURM__CORES``."""
    name = f"jobqueue.{section}.{key}".replace("-", "_")
    for found in os.environ:
        if found.startswith("DASK_"):
            path = found.removeprefix("DASK_").lower().replace("__", ".").replace("-", "_")
            if path == name:
                return found
    return ""


_ABSENT = object()


def is_labs(path: Path) -> bool:
    """Return whether this is a file that `link` puts into the environment, or would."""
    return path.parent == Path(sys.prefix) / "etc" / "dask"

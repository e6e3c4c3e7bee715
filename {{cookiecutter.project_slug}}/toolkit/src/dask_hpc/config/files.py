"""Find, install and read the files of a lab's configuration."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import yaml

from ..errors import ConfigError
from . import nodes, syntax

NO_KEYS = "holds no keys; write them as `cores: 4`, one a line, without a hyphen before"
# What the names of sections begin with that are there for a moment only (`profiles.read_as`).
PRIVATE = "dask-hpc-"
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
        syntax.read(source)  # Dask refuses to be imported while one of its files can't be read
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


def profile_names() -> list[str]:
    """Return the names of the profiles that the configuration has."""
    sections = dask.config.get("jobqueue", None)
    return sorted(
        str(name)
        for name, keys in (sections if isinstance(sections, dict) else {}).items()
        if name not in jobqueue_defaults()
        and isinstance(keys, dict)
        and not str(name).startswith(PRIVATE)
    )


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
    try:
        return list(dask.config.collect_yaml(list(paths), return_paths=True))
    except ValueError as error:
        raise syntax.explain(error) or error from None


def variables() -> list[tuple[Path, dict[str, Any]]]:
    """Return the environment variables that set keys of ours, as if each name were a file's."""
    ours = ("DASK_JOBQUEUE__", "DASK_DASK_HPC__")
    names = sorted(name for name in os.environ if name.upper().startswith(ours))
    return [(Path(it), dask.config.collect_env({it: os.environ[it]})) for it in names]


def reread() -> None:
    """Look at the files anew: they may have been edited or installed since."""
    _files.cache_clear()
    nodes.read.cache_clear()


def is_labs(path: Path) -> bool:
    """Return whether this is a file that `install` puts into the environment, or would."""
    return path.parent == Path(sys.prefix) / "etc" / "dask"


def sections(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections of ``jobqueue`` in a file, the names of their keys as in the docs."""
    found = content.get("jobqueue")
    for name, keys in (found if isinstance(found, dict) else {}).items():
        if isinstance(keys, dict):
            plain: dict[str, Any] = {}
            for key, value in keys.items():
                # Dask takes - and _ for the same, and of both in one file the first.
                plain.setdefault(str(key).replace("_", "-"), value)
            yield str(name), plain

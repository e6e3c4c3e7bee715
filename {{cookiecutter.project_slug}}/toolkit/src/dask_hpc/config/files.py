"""Find, install, and read the files of a lab's configuration."""

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
from . import nodes, syntax, trust
from .paths import create_folder

NO_KEYS = "has no keys; write one per line, as in `cores: 4`, without a leading hyphen"
# The toolkit's settings of Dask, installed beside the lab's, and of Jupyter servers.
OWN_FILE = Path(__file__).with_name("dask-hpc.yaml")
# Its name in the user's folder, where dask-hpc.yaml is for the user's own settings.
USER_NAME = "dask-hpc-toolkit.yaml"
JUPYTER_FILE = OWN_FILE.with_suffix(".json")
JUPYTER_FOLDER = "etc/jupyter/jupyter_server_config.d"
# Prefix of temporary sections (`profiles.read_as`).
PRIVATE = "dask-hpc-"
# First line of a copied file, where links are not allowed. It shows that we may replace the file.
COPY_HEADER = "# A copy made by `dask hpc setup`, of "
COPY_HEADER_END = "; rerun it after editing that file."


def find_project(start: Path | str | None = None) -> Path:
    """Return the project's folder: the nearest one, from `start` up, with config/jobqueue.yaml.

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
        f"No config/jobqueue.yaml in {start} or any folder above it: change to the lab's project, "
        "or pass its path."
    )


def install(
    project: Path | str | None = None, prefix: Path | str = sys.prefix, user: bool = False
) -> list[Path]:
    """Activate the project's ``config/*.yaml`` in the environment at `prefix`, or for this user.

    Links the files, and the toolkit's own, into ``{prefix}/etc/dask``, which Dask reads in every
    shell and kernel of that environment, so that edits in the project take effect the next time
    Python starts. Another file of the toolkit's is for Jupyter servers. Where links are not
    allowed, the files are copied.

    Parameters
    ----------
    project : path, optional
        A folder in the project; by default, the current directory.
    prefix : path
        By default, the environment of this Python.
    user : bool
        Whether to use ``~/.config/dask``, which counts in all environments of this user, and
        Jupyter's folder in the home directory.

    Returns
    -------
    list of Path
        The files now in these folders: links, or copies if ``is_symlink()`` is false.

    Raises
    ------
    ConfigError
        A file is not valid YAML, or other users could replace it; the environment is not writable,
        or it already has another file of the same name.
    """
    project = find_project(project)
    sources = [*sorted((project / "config").glob("*.yaml")), OWN_FILE]
    for source in sources:
        trust.check(source)
        syntax.read(source)  # importing Dask fails while one of its files is invalid
    folder = user_folder() if user else Path(prefix) / "etc" / "dask"
    jupyter = user_jupyter_folder() if user else Path(prefix) / JUPYTER_FOLDER
    names = {OWN_FILE.name: USER_NAME} if user else {}
    installed = {folder / names.get(source.name, source.name): source for source in sources}
    installed[jupyter / JUPYTER_FILE.name] = JUPYTER_FILE
    # Check all files before changing any.
    for target in installed:
        if not is_managed(target) and not has_only_comments(target):
            raise ConfigError(
                f"{target} already exists and does not come from a project: move it away and retry."
            )
    try:
        for target, source in installed.items():
            create_folder(target.parent.absolute(), 0o755)
            if not is_managed(target):
                target.replace(f"{target}.old")
            _install(source, target)
    except OSError as error:
        remedy = (
            ""
            if user
            else (
                " Activate an environment of your own first, or activate the configuration for you "
                "alone: `dask hpc setup --user`."
            )
        )
        raise ConfigError(f"{error.filename or folder}: {error.strerror}.{remedy}") from None
    return list(installed)


def user_folder() -> Path:
    """Return the folder of Dask's configuration files of this user."""
    return Path.home() / ".config" / "dask"


def user_jupyter_folder() -> Path:
    """Return the folder of this user's settings of Jupyter servers, as Jupyter finds it."""
    own = os.environ.get("JUPYTER_CONFIG_DIR")
    return (Path(own) if own else Path.home() / ".jupyter") / Path(JUPYTER_FOLDER).name


def installed_project(prefix: Path | str = sys.prefix) -> Path | None:
    """Return the project whose ``config/`` is active: for this user, or in the environment."""
    for folder in (user_folder(), Path(prefix) / "etc" / "dask"):
        target = folder / "jobqueue.yaml"
        if (source := source_file(target)) != target:
            return source.parent.parent
    return None


def is_own_file_installed(prefix: Path | str = sys.prefix) -> bool:
    """Return whether the toolkit's own file is active: for this user, or in the environment."""
    own = user_folder() / USER_NAME
    return own.exists() or (Path(prefix) / "etc" / "dask" / OWN_FILE.name).exists()


def is_managed(target: Path) -> bool:
    """Return whether a file in ``etc/dask`` is absent, or was put there by `install`."""
    if target.is_symlink():
        aim = target.parent / target.readlink()
        # Our links point to a file of the same name in a project's config/, even if that is gone.
        name = OWN_FILE.name if target.name == USER_NAME else target.name
        return aim.name == name and aim.parent.name == "config"
    is_ours = target.name == JUPYTER_FILE.name  # JSON has no comments to say so
    return not target.exists() or is_ours or _copied_from(target) is not None


def has_only_comments(target: Path) -> bool:
    """Return whether a YAML file has no key, as the one that dask-jobqueue puts into each home."""
    try:
        return not target.is_symlink() and yaml.safe_load(target.read_text()) is None
    except (OSError, ValueError, yaml.YAMLError):
        return False


def _copied_from(path: Path) -> Path | None:
    """Return the file of which `install` made this copy; None if it is no such copy."""
    try:
        with path.open(errors="replace") as file:
            first = file.readline().rstrip()
    except OSError:
        return None
    if not first.startswith(COPY_HEADER):
        return None
    return Path(first.removeprefix(COPY_HEADER).removesuffix(COPY_HEADER_END))


def _install(source: Path, target: Path) -> None:
    # Write to a temporary name and rename, so that a Python that is just starting reads either the
    # old file or the new one.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(source)
    except OSError:
        header = f"{COPY_HEADER}{source}{COPY_HEADER_END}\n" if source != JUPYTER_FILE else ""
        draft.write_text(header + source.read_text())
        draft.chmod(draft.stat().st_mode & ~0o022)
    try:
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


@cache
def jobqueue_defaults() -> dict[str, dict[str, Any]]:
    """Return the sections and keys of dask-jobqueue's own file, which are all that it reads."""
    # Without importing it: see _compat/jobqueue_import.py.
    spec = importlib.util.find_spec("dask_jobqueue")
    assert spec is not None  # a dependency
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "jobqueue.yaml").read_text()
    sections: dict[str, dict[str, Any]] = yaml.safe_load(text)["jobqueue"]
    return sections


def profile_names() -> list[str]:
    """Return the names of the profiles in the configuration."""
    sections = dask.config.get("jobqueue", None)
    return sorted(
        str(name)
        for name, keys in (sections if isinstance(sections, dict) else {}).items()
        if name not in jobqueue_defaults()
        and isinstance(keys, dict)
        and not str(name).startswith(PRIVATE)
    )


def source_file(path: Path) -> Path:
    """Return the file to edit: the project's if `install` linked or copied it, else `path`."""
    if path.is_symlink() and is_managed(path):
        return path.resolve()
    return _copied_from(path) or path


def files() -> list[tuple[Path, dict[str, Any]]]:
    """Return the files that Dask reads here and their contents; later ones take precedence."""
    return _files(tuple(dask.config.paths))


@cache
def _files(paths: tuple[str, ...]) -> list[tuple[Path, dict[str, Any]]]:
    # Cached, since reading them takes as long as the rest of creating a cluster. Edits take effect
    # only when Python starts anyway.
    try:
        return list(dask.config.collect_yaml(list(paths), return_paths=True))
    except ValueError as error:
        raise syntax.explain(error) or error from None


def variables() -> list[tuple[Path, dict[str, Any]]]:
    """Return the environment variables that set keys of ours, as if each name were a file's."""
    ours = ("DASK_JOBQUEUE__", "DASK_DASK_HPC__")
    names = sorted(name for name in os.environ if name.upper().startswith(ours))
    return [(Path(it), dask.config.collect_env({it: os.environ[it]})) for it in names]


def named_files() -> list[tuple[Path, dict[str, Any]]]:
    """Return the files that Dask reads here, each by the name that people edit, and variables."""
    return [(source_file(path), content) for path, content in files()] + variables()


def reread() -> None:
    """Drop cached files, which may have been edited or installed since."""
    _files.cache_clear()
    nodes.read.cache_clear()


def is_labs(path: Path) -> bool:
    """Return whether `path` is the lab's: where `install` puts files, or put there by it."""
    return path.parent == Path(sys.prefix) / "etc" / "dask" or source_file(path) != path


def sections(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections of ``jobqueue`` in a file, with hyphens in the names of keys."""
    found = content.get("jobqueue")
    for name, keys in (found if isinstance(found, dict) else {}).items():
        if isinstance(keys, dict):
            plain: dict[str, Any] = {}
            for key, value in keys.items():
                # Dask treats - and _ alike, and uses the first if a file has both.
                plain.setdefault(str(key).replace("_", "-"), value)
            yield str(name), plain

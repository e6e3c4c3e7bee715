"""Tell which release of the toolkit this is, and whether somebody has edited it.

The version is `dask_hpc.__version__` and is given nowhere else. When a project is created, the
template's post_gen hook calls `write`, which lists every file of the toolkit with its SHA-256 in
`release.sha256`. Run in the toolkit's folder, ``sha256sum --check src/dask_hpc/release.sha256``
reads the list, too. A toolkit without that list is the developers' own.

Nothing here uses the network. Only the template's git repository knows whether there is a newer
release: ``cruft check`` asks it.

The hook runs in whatever Python cookiecutter has, so this file keeps to the standard library and
imports nothing of this package.
"""

import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
MANIFEST = "release.sha256"
IN_TOOLKIT = "src/dask_hpc/"  # where the package is, below the toolkit's folder
SHOWN = 5  # edits that are named; more are counted


def digest(path: Path) -> str:
    """Return a file's SHA-256, with Unix line ends: git may change them on Windows."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def files(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder, except what Python and tools leave."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in paths
        if path.name != MANIFEST
        and not any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    )


def write(toolkit: Path) -> None:
    """Write the list of a new toolkit's files; `toolkit` is the folder of its pyproject.toml."""
    lines = [f"{digest(toolkit / name)}  {name}\n" for name in files(toolkit)]
    (toolkit / IN_TOOLKIT / MANIFEST).write_bytes("".join(lines).encode())


def edits(package: Path = PACKAGE) -> list[str] | None:
    """Return which files are not as they were released.

    Parameters
    ----------
    package : Path
        The folder of the package `dask_hpc`. In a project it is in ``toolkit/src/``, and the whole
        toolkit is checked; where it was installed as a wheel, only the package is.

    Returns
    -------
    list of str or None
        ``"src/dask_hpc/jobs.py differs"``, ``"… is missing"`` or ``"… was added"`` for each such
        file; None for the developers' own toolkit, which is no release.
    """
    try:
        lines = (package / MANIFEST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    released = {name: known for known, _, name in (line.partition("  ") for line in lines) if name}
    toolkit = package.parents[1]
    whole = package == toolkit / IN_TOOLKIT and (toolkit / "pyproject.toml").is_file()
    found = []
    for name, known in sorted(released.items()):
        inside = name.startswith(IN_TOOLKIT)
        if not inside and not whole:
            continue
        path = package / name[len(IN_TOOLKIT) :] if inside else toolkit / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif digest(path) != known:
            found.append(f"{name} differs")
    added = (IN_TOOLKIT + name for name in files(package))
    return found + [f"{name} was added" for name in added if name not in released]


def template(package: Path = PACKAGE) -> tuple[str, str] | None:
    """Return address and commit of the template that cruft links the project to, or None."""
    try:
        text = (package.parents[2] / ".cruft.json").read_text(encoding="utf-8")
        state = json.loads(text)
        return state["template"], state["commit"]
    except (OSError, IndexError, ValueError, KeyError, TypeError):
        return None  # not linked, or not cruft's own file: cruft itself says so better


def describe(version: str, package: Path = PACKAGE) -> str:
    """Return what ``dask hpc --version`` prints: a line or two."""
    changed = edits(package)
    first = f"dask-hpc {version}"
    if changed is None:
        first += " (development)"
    elif changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        first += f", edited: {', '.join(changed[:SHOWN])}{more}"
    linked = template(package)
    if linked is None:
        return first
    address, commit = linked
    return f"{first}\nfrom {address}, commit {commit[:12]} (`cruft check` tells whether it is old)"

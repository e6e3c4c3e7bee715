"""Which packages are installed in this environment, and a digest of them."""

import hashlib
import importlib.metadata
import json

from packaging.utils import canonicalize_name

# These install packages. A new environment has some of them, and which ones has no meaning.
INSTALLERS = {"pip", "setuptools", "uv", "wheel"}


def installed() -> dict[str, str]:
    """Return the version of each installed package, by its normalized name.

    What is installed from a folder, as the lab's package and the toolkit, is left out: git has it.
    """
    found: dict[str, str] = {}
    own = set()
    for package in importlib.metadata.distributions():
        if not (given := package.metadata["Name"]):  # left by an interrupted installation
            continue
        name = canonicalize_name(given)
        if name not in found and name not in own:  # Python, too, takes the first one
            if _is_from_folder(package):
                own.add(name)
            else:
                found[name] = package.version
    return found


def digest(packages: dict[str, str] | None = None) -> str:
    """Return the SHA-256 of the sorted lines ``name==version``, to compare environments.

    Parameters
    ----------
    packages : dict of str to str, optional
        Versions by name; by default, those of `installed`.
    """
    versions = installed() if packages is None else packages
    lines = sorted(f"{name}=={version}\n" for name, version in versions.items())
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _is_from_folder(package: importlib.metadata.Distribution) -> bool:
    try:
        source = json.loads(package.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return "dir_info" in source

"""Install a Python project on the testbed, on the shared home and in its own environment."""

from collections.abc import Sequence
from pathlib import Path

from hpc_testbed.testbed import Testbed


def install_project(
    testbed: Testbed,
    source: Path,
    *,
    user: str = "alice",
    packages: Sequence[str] = (".",),
    download: bool = False,
) -> str:
    """Copy a project to the shared home and install it there, by default without downloads.

    Its environment is a venv in the project's folder, which login and compute nodes see under the
    same path, on top of the packages of the image.

    Parameters
    ----------
    source : Path
        The project's folder.
    packages : sequence of str
        What to install (editable), relative to the project's folder.
    download : bool
        Whether pip may download packages that the image does not have, including build tools, as a
        user would on a login node.

    Returns
    -------
    str
        The project's folder on the testbed; its interpreter is ``.venv/bin/python`` in that folder.

    Raises
    ------
    TestbedError
        The installation failed, for example because the image does not have a dependency.
    """
    home = f"/home/{user}/{source.name}"
    testbed.put(source, home, user=user)
    offline = "" if download else "--no-index --no-build-isolation "
    editable = " ".join(f"--editable {package}" for package in packages)
    testbed.run(
        f"cd {home} && python3 -m venv --system-site-packages .venv && {_COPY_SCRIPTS} && "
        # A pip.conf may set `user = true`, which pip rejects in an environment.
        f"PIP_USER=0 .venv/bin/pip install --quiet --disable-pip-version-check {offline}{editable}",
        user=user,
    )
    return home


# The commands of the image's packages (dask, jupyter, pytest, …) run the system's Python, which
# does not see the project. Copy them to the environment, with its own Python.
_COPY_SCRIPTS = (
    "grep -lE '^#!.*/python3' /usr/local/bin/* | while read -r file; do "
    'sed "1s|.*|#!$PWD/.venv/bin/python|" "$file" > ".venv/bin/${file##*/}" '
    '&& chmod +x ".venv/bin/${file##*/}"; done'
)

"""The repository's license, and what a lab gets of it."""

import email
import subprocess
import sys
import zipfile

import pytest

from .conftest import REPOSITORY, TEMPLATE
from .rendering import files

DISTRIBUTIONS = {
    "dask_hpc": TEMPLATE / "toolkit",
    "hpc_testbed": REPOSITORY / "hpc-slurm-testbed",
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_each_distribution_carries_the_repositorys_licence(name, tmp_path):
    folder = DISTRIBUTIONS[name]
    assert (folder / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    flags = ["--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path]
    subprocess.run([*pip, *flags, folder], check=True, capture_output=True)
    [path] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        inside = f"{'-'.join(path.name.split('-')[:2])}.dist-info"
        metadata = email.message_from_bytes(wheel.read(f"{inside}/METADATA"))
        assert b"BSD 3-Clause" in wheel.read(f"{inside}/licenses/LICENSE")
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == ["LICENSE"]


def test_a_lab_chooses_its_own_licence(blank):
    # The toolkit's covers the toolkit; a license at the top would speak for the lab.
    found = [name for name in files(blank("slurm")) if "licen" in name.lower()]
    assert found == ["toolkit/LICENSE"]

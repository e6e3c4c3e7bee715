"""What happens to a cluster, with our classes and with plain ones, on real Slurm."""

import json
import os
import platform
from datetime import UTC, datetime

import pytest

from .expectations import CASES
from .render import BUILD


def observed(lab, case, side):
    """Let a case happen, keep what was seen in build/comparison, and return it."""
    found = CASES[case].observe(lab, side)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{case}.{side}.json").write_text(json.dumps(found, indent=1) + "\n")
    (BUILD / "about.json").write_text(json.dumps(about(lab), indent=1) + "\n")
    return found


def about(lab):
    """Return where and with what the results came to be."""
    packages = ("dask-jobqueue", "distributed")
    versions = lab.python(
        "from importlib.metadata import version\n"
        f"print(', '.join(f'{{name}} {{version(name)}}' for name in {packages}))"
    ).strip()
    slurm = lab.testbed.run("sinfo --version").stdout.split()[1]
    return {
        "versions": f"{versions}, Slurm {slurm}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), shared with other work",
    }


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES)
def test_plain(lab, case):
    """What docs/reference/dask-jobqueue.md says of dask-jobqueue's own class is true."""
    found = observed(lab, case, "plain")
    wrong = CASES[case].problems("plain", found)
    assert not wrong, (
        "dask-jobqueue does differently now: update docs/reference/dask-jobqueue.md (its rows with "
        f"{case}). Not true any more: {'; '.join(wrong)}. Seen: {found}"
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case.id, marks=[] if case.quick else [pytest.mark.full])
        for case in CASES.values()
    ],
)
def test_ours(lab, case):
    found = observed(lab, case, "ours")
    wrong = CASES[case].problems("ours", found)
    assert not wrong, f"not true: {'; '.join(wrong)}. Seen: {found}"
    assert lab.testbed.jobs() == []

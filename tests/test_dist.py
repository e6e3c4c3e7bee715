"""The distributions that a release is made of."""

import pytest

from . import dist

CHANGELOG = f"""# Changelog

## 99.0.0 (unreleased)

* Later.

## {dist.version()} (2027-01-31)

### Added

* Now.

## 0.0.1 (2026-01-01)

* Before.
"""


def test_build(tmp_path):
    """Each package once as source and once as a wheel, in the version that it says."""
    dist.build(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in names if name.startswith("dask_hpc")] == [
        f"dask_hpc-{dist.version()}-py3-none-any.whl",
        f"dask_hpc-{dist.version()}.tar.gz",
    ]
    assert len([name for name in names if name.startswith("hpc_testbed-")]) == 2
    assert len(names) == 4


def test_release_notes():
    notes = dist.release_notes(f"v{dist.version()}", CHANGELOG)
    assert notes == "### Added\n\n* Now.\n"


@pytest.mark.parametrize("tag", ["v99.0.0", "0.1.0", "v"])
def test_another_tag(tag):
    with pytest.raises(ValueError, match=f"the tag is {tag}, and the toolkit's version"):
        dist.release_notes(tag, CHANGELOG)


def test_changelog_without_date():
    with pytest.raises(ValueError, match="no section"):
        dist.release_notes(f"v{dist.version()}", CHANGELOG.replace("2027-01-31", "unreleased"))

"""What `make test-oldest` takes for the oldest versions."""

import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

VERSIONS = runpy.run_path(str(Path(__file__).with_name("versions.py")))
lower_bounds = VERSIONS["lower_bounds"]


def pyproject(*dependencies):
    return {
        "project": {
            "dependencies": list(dependencies),
            "optional-dependencies": {"notebook": ["jupyterlab>=4.2,<5"], "test": ["pytest>=8"]},
        },
        "build-system": {"requires": ["hatchling>=1.27"]},
    }


def test_the_lowest_version_of_each_requirement():
    assert lower_bounds(pyproject("dask>=2026.8,<2026.9", "dask-jobqueue==0.9.*")) == {
        "dask": "2026.8",
        "dask-jobqueue": "0.9",
        "jupyterlab": "4.2",
        "pytest": "8",
        "hatchling": "1.27",
    }


@pytest.mark.parametrize("text", ["bokeh", "bokeh<4", "bokeh>=3,>=3.1"])
def test_a_requirement_without_one_lower_bound_is_refused(text):
    with pytest.raises(ValueError, match="bokeh"):
        lower_bounds(pyproject(text))


def test_every_lower_bound_of_the_toolkit_is_allowed_by_its_own_requirement():
    content = tomllib.loads((VERSIONS["TOOLKIT"] / "pyproject.toml").read_text())
    found = lower_bounds(content)
    for text in content["project"]["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(found[requirement.name])

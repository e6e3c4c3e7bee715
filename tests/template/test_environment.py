"""conda's list and pip's lists ask for the same things."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from .rendering import BATCH_SYSTEMS, own_texts

# Where conda-forge calls a package otherwise. dask-core is Dask without what we do not use.
CONDA_NAMES = {"dask": "dask-core", "matplotlib": "matplotlib-base"}
# conda needs no word about these from us, or only conda does.
ONLY_CONDA = {"python", "pip"}
# The part of conda's grammar that we use: a name and its bounds, without a build or a channel.
BOUND = r"(>=|<|=)\d+(\.\d+)*"
SPEC = re.compile(rf"[a-z0-9-]+ {BOUND}(,{BOUND})*")


def lower_bound(specifiers):
    """Return the lowest version that ">=4.2,<5", "=2026.8" or "==2026.8.*" allows."""
    found = re.findall(r"(?:>=|~=|==?)\s*(\d+(?:\.\d+)*)", str(specifiers))
    assert len(found) == 1, f"no lower bound in {specifiers!r}"
    return Version(found[0])


def bounds(specifiers):
    """Return what conda's "=2026.8" or pip's "==2026.8.*" allows, as >=2026.8,<2026.9."""

    def between(match):
        *first, last = match[1].split(".")
        return f">={match[1]},<{'.'.join([*first, str(int(last) + 1)])}"

    return SpecifierSet(re.sub(r"(?<![<>])==?(\d+(?:\.\d+)*)(?:\.\*)?", between, str(specifiers)))


def conda_texts(project):
    """Return the lines of environment.yml that conda reads, without pip's part."""
    listed = yaml.safe_load((project / "environment.yml").read_text())["dependencies"]
    return [spec for spec in listed if isinstance(spec, str)]


def conda_specs(project):
    """Return {name: version specification} of environment.yml."""
    parts = (spec.partition(" ") for spec in conda_texts(project))
    return {name: version for name, _, version in parts}


def pip_specs(project):
    """Return {name: version specification} of what pip installs, in conda's names."""
    texts = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    requirements = [Requirement(text) for text in texts]
    return {CONDA_NAMES.get(r.name.lower(), r.name.lower()): r.specifier for r in requirements}


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS)
class TestEveryScheduler:
    def test_conda_and_pip_install_the_same_packages(self, blank, batch_system):
        project = blank(batch_system)
        assert set(conda_specs(project)) - ONLY_CONDA == set(pip_specs(project))

    def test_bounds_are_the_same(self, blank, batch_system):
        """What pip can't install is then seen by whoever installs the toolkit to work on it."""
        project = blank(batch_system)
        conda, pip = conda_specs(project), pip_specs(project)
        for name in pip:
            assert bounds(conda[name]) == bounds(pip[name]), name

    def test_conda_reads_every_spec(self, blank, batch_system):
        for text in conda_texts(blank(batch_system)):
            assert text == "pip" or SPEC.fullmatch(text), text

    def test_conda_forge_is_the_only_channel(self, blank, batch_system):
        project = blank(batch_system)
        channels = yaml.safe_load((project / "environment.yml").read_text())["channels"]
        assert channels == ["conda-forge", "nodefaults"]
        for path, text in own_texts(project):
            assert not re.search(r"(?<!no)defaults", text), path


@pytest.mark.parametrize(
    "text",
    [
        *("bokeh =>3.1", "bokeh >=3.1,", "dask[complete] =2026.8", "distributed ==2026.8.*"),
        *("bokeh", "bokeh >=3.1 py312_0", "main::bokeh >=3.1"),
    ],
)
def test_a_spec_that_conda_may_not_read_is_told(text):
    assert not SPEC.fullmatch(text)


def test_the_project_asks_for_what_its_toolkit_asks_for(blank):
    project = blank("slurm")
    own = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    toolkit = tomllib.loads((project / "toolkit/pyproject.toml").read_text())["project"]
    extras = toolkit["optional-dependencies"]
    needed = toolkit["dependencies"] + extras["bench"] + extras["notebook"]
    assert own["dependencies"] == [*needed, "pytest>=8", "editables>=0.5", "hatchling>=1.27"]
    assert own["entry-points"] == toolkit["entry-points"]


def test_conda_installs_the_project_with_its_toolkit_from_its_folder(rendered):
    environment = yaml.safe_load((rendered("slurm") / "environment.yml").read_text())
    assert environment["name"] == "demo-lab"
    pip = next(spec for spec in environment["dependencies"] if isinstance(spec, dict))
    assert pip == {"pip": ["-e ."]}


def test_every_python_that_is_promised_is_the_same(blank):
    project = blank("slurm")
    promised = set()
    for path in [project / "pyproject.toml", project / "toolkit" / "pyproject.toml"]:
        promised.add(tomllib.loads(path.read_text())["project"]["requires-python"])
    assert promised == {">=3.11"}
    assert lower_bound(conda_specs(project)["python"]) >= Version("3.11")
    assert "Python (3.11 or newer)" in (project / "README.md").read_text()

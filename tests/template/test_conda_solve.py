"""environment.yml is solved by a conda solver, against a small channel on disk.

The channel is made of the Python packages that run these tests: their real versions and the real
relations between them, in conda's names, together with releases that must not be chosen. That shows
that every spec can be read, that all of them fit together and with what the packages ask of each
other, and what they choose. It does not show that conda-forge itself can be solved: for that, one
has to ask conda-forge.
"""

import asyncio
import importlib.metadata
import json

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec, SparseRepoData, solve
from rattler.channel import Channel
from rattler.exceptions import InvalidMatchSpecError, SolverError

from .test_environment import CONDA_NAMES
from .test_render import BATCH_SYSTEMS

# Releases that are not installed here: name, version, dependencies. The pairs of dask-core and
# distributed are as Dask releases them. Versions 99 stand for the future.
OTHERS = [
    ("python", "3.11.9", []),
    ("python", "3.12.7", []),
    ("python", "3.13.1", []),
    ("dask-core", "2025.12.0", ["python >=3.10"]),
    ("distributed", "2025.12.0", ["dask-core >=2025.12.0,<2025.12.1"]),
    ("dask-core", "2026.9.0", ["python >=3.10"]),
    ("distributed", "2026.9.0", ["dask-core >=2026.9.0,<2026.9.1"]),
    ("dask-jobqueue", "0.99.0", ["dask-core", "distributed"]),
    ("jupyterlab", "3.6.8", ["python >=3.7"]),
    ("jupyterlab", "99.0.0", ["python >=3.10"]),
]


def conda_name(name):
    """Return a distribution's name as conda knows it (the same, for all that we do not name)."""
    return CONDA_NAMES.get(canonicalize_name(name), canonicalize_name(name))


def depends(distribution):
    """Return what an installed distribution asks for without extras, as conda's specs."""
    wanted = [f"python {distribution.metadata.get('Requires-Python', '')}"]
    for text in distribution.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            wanted.append(f"{conda_name(requirement.name)} {requirement.specifier}".strip())
    return [" ".join(spec.replace(", ", ",").split()) for spec in wanted]


def installed_closure(names):
    """Return {name: distribution} of these installed packages and all that they need."""
    found = {}
    known = {conda_name(d.metadata["Name"]): d for d in importlib.metadata.distributions()}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found or name == "python":
            continue
        found[name] = known[name]
        queue += [spec.split()[0] for spec in depends(known[name])]
    return found


def specs_of(project):
    """Return the specs that conda is given: environment.yml without pip's part."""
    listed = yaml.safe_load((project / "environment.yml").read_text())["dependencies"]
    return [spec for spec in listed if isinstance(spec, str)]


@pytest.fixture(scope="module")
def channel(rendered, tmp_path_factory):
    """Return a conda channel on disk, as SparseRepoData."""
    names = {MatchSpec(spec).name.normalized for spec in specs_of(rendered("slurm"))}
    releases = [
        (name, distribution.version, depends(distribution))
        for name, distribution in installed_closure(names).items()
    ]
    records = {
        f"{name}-{version}-py_0.conda": {
            **{"name": name, "version": version, "depends": needs},
            **{"build": "py_0", "build_number": 0, "subdir": "noarch", "noarch": "python"},
        }
        for name, version, needs in [*releases, *OTHERS]
    }
    path = tmp_path_factory.mktemp("channel") / "repodata.json"
    repodata = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": records}
    path.write_text(json.dumps(repodata))
    return SparseRepoData(Channel(path.parent.as_uri()), "noarch", path)


def solved(channel, specs):
    """Return {name: version} that the solver chooses for these specs."""
    records = asyncio.run(solve([channel], [MatchSpec(spec, strict=True) for spec in specs]))
    return {record.name.normalized: str(record.version) for record in records}


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS)
class TestEveryScheduler:
    def test_every_spec_is_a_name_and_a_version(self, rendered, batch_system):
        for text in specs_of(rendered(batch_system)):
            spec = MatchSpec(text, strict=True)
            assert spec.version is not None or text == "pip", text
            assert spec.build is None, text
            assert spec.channel is None, text  # environment.yml's own list of channels decides

    def test_the_environment_is_solved(self, channel, rendered, batch_system):
        specs = specs_of(rendered(batch_system))
        chosen = solved(channel, specs)
        for text in specs:
            assert MatchSpec(text).name.normalized in chosen
        assert chosen["python"] == "3.12.7"
        assert chosen["dask-core"] == chosen["distributed"]
        for name, begins in [
            ("dask-core", "2026.9."),
            ("dask-jobqueue", "0.9."),
            ("jupyterlab", "4."),
        ]:
            assert chosen[name].startswith(begins)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        # The panel is made for JupyterLab 4, whatever else is to be had.
        ("jupyterlab >=4.2,<5", "jupyterlab >=99", ["dask-labextension", "jupyterlab"]),
        ("distributed >=2026.1.3", "distributed =2025.12", ["distributed", "dask-core"]),
        ("bokeh >=3.1", "bokeh >=77", ["bokeh"]),
        ("pytest >=8", "pyttest >=8", ["pyttest"]),
    ],
)
def test_specs_that_contradict_the_channel_are_refused_by_name(channel, rendered, old, new, named):
    specs = specs_of(rendered("slurm"))
    assert old in specs
    with pytest.raises(SolverError) as caught:
        solved(channel, [new if spec == old else spec for spec in specs])
    message = str(caught.value)
    for name in named:
        assert name in message
    assert "defaults" not in message


@pytest.mark.parametrize("spec", ["dask=>1", "dask-core >=2026.1,", "dask[complete]", "a b c d e"])
def test_a_spec_that_conda_can_not_read_is_refused(spec):
    with pytest.raises((InvalidMatchSpecError, SolverError, ValueError)):
        MatchSpec(spec, strict=True)

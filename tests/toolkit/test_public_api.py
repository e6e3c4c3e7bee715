"""Everything that a user may call has a docstring, in numpydoc's form."""

import inspect
import re

import click
import pytest

import dask_hpc
from dask_hpc.cli.main import main

CLASSES = [name for name in dask_hpc.__all__ if inspect.isclass(getattr(dask_hpc, name))]
# What users call with arguments: these explain each of them.
EXPLAINED = ["SLURMCluster.adapt", "SLURMCluster.close", "SLURMCluster.scale"]
EXPLAINED += ["SLURMCluster.wait_for_workers", "get_cluster"]


def own_members(cls):
    """Return the public functions and properties of a class that the toolkit defines, by name."""
    found = {}
    for owner in reversed(inspect.getmro(cls)):
        if owner.__module__.startswith("dask_hpc."):
            found |= {
                name: value
                for name, value in vars(owner).items()
                if not name.startswith("_")
                and (inspect.isfunction(value) or isinstance(value, property))
            }
    return found


def functions():
    """Return what can be called, by name; what several classes have, once."""
    found = {"get_cluster": dask_hpc.get_cluster}
    names = ["SLURMCluster", *sorted(set(CLASSES) - {"SLURMCluster"})]
    for cls in names:
        for name, member in own_members(getattr(dask_hpc, cls)).items():
            if member not in found.values():
                found[f"{cls}.{name}"] = member
    return found


def commands(command=main, name="hpc"):
    """Return the command line's commands, by their words."""
    found = {name: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            found |= commands(command.get_command(context, word), f"{name} {word}")
    return found


def documented_parameters(docstring):
    """Return the names in the section "Parameters", None where there is no such section."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", docstring, re.S | re.M)
    if section is None:
        return None
    heads = re.findall(r"^(\S[^:\n]*?)(?: *:.*)?$", section[1], re.M)
    return [name.strip() for head in heads for name in head.split(",")]


def parameters(function):
    """Return the names of a function's parameters, as a docstring has them."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(function).parameters.values()
    return [f"{stars.get(p.kind, '')}{p.name}" for p in found if p.name != "self"]


def assert_summary(docstring, imperative=True):
    """Assert that the first line is a sentence and alone, and no noun phrase if `imperative`."""
    lines = (docstring or "").splitlines()
    assert lines, "no docstring"
    assert re.fullmatch(r"[A-Z].*\.", lines[0]), lines[0]
    assert not lines[1:2] or not lines[1].strip(), f"the summary has two lines: {lines[:2]}"
    if imperative:
        assert not re.match(r"(An?|The|What|How|Whether|\w+s|\w+ing)\b", lines[0]), lines[0]


@pytest.mark.parametrize("name", dask_hpc.__all__)
def test_docstring(name):
    """Dask-jobqueue's own text, where a class has it, is written in another way."""
    thing = getattr(dask_hpc, name)
    docstring = inspect.getdoc(thing)
    if name.endswith("Cluster"):
        assert docstring
    else:
        assert_summary(docstring, imperative=not inspect.isclass(thing))


@pytest.mark.parametrize("name", functions())
def test_docstring_of_function(name):
    function = functions()[name]
    docstring = inspect.getdoc(function)
    assert_summary(docstring, imperative=not isinstance(function, property))
    if isinstance(function, property):
        return
    documented = documented_parameters(docstring)
    if documented is None:
        assert name not in EXPLAINED
    else:
        assert documented == parameters(function)


def test_explained_functions_are_there():
    assert set(EXPLAINED) <= set(functions())


@pytest.mark.parametrize("name", commands())
def test_help_of_command(name):
    command = commands()[name]
    assert_summary(command.help.replace("\b\n", ""))
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_documented_parameters():
    docstring = """Do it.

Parameters
----------
first, second : int
    One and two: both.
*args, **kwargs
    More.

Returns
-------
result : int
"""
    assert documented_parameters(docstring) == ["first", "second", "*args", "**kwargs"]
    assert documented_parameters("Do it.") is None

"""Tests of the count of lines of code, and of the length of modules."""

from . import TOOLKIT
from .code_lines import MAX_LINES, check_lengths, count

MODULE = '''"""Docstring,
of two lines."""

import os  # code


class Class:
    """No code."""

    def method(self):
        """No code."""
        # no code
        return (
            os.name,

            """Two lines
            of code.""",
        )
'''


def write_module(root, lines):
    path = root / TOOLKIT / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text("a = 1\n" * lines)


def test_count():
    assert count(MODULE) == 8


def test_count_of_nothing():
    assert count("") == 0


def test_module_that_is_too_long(tmp_path):
    write_module(tmp_path, MAX_LINES + 1)
    [line] = check_lengths(tmp_path, exceptions=())
    assert line == f"{TOOLKIT}/module.py: {MAX_LINES + 1} lines, at most {MAX_LINES} are allowed"
    assert check_lengths(tmp_path, exceptions=["dask_hpc/module.py"]) == []


def test_needless_exception(tmp_path):
    write_module(tmp_path, MAX_LINES)
    assert check_lengths(tmp_path, exceptions=()) == []
    [line] = check_lengths(tmp_path, exceptions=["dask_hpc/module.py"])
    assert "no longer too long" in line

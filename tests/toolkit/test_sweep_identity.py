"""What counts as the same function and the same input."""

import functools
import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dask_hpc import SweepError
from dask_hpc._sweep.identity import InputKeys, code_digest, function_name, split_partial


def digest_of(text, name="f", **variables):
    """Return the digest of a function that has no file, as in an interpreter."""
    space = {"__name__": "module", **variables}
    exec(text, space)
    return code_digest(space[name])


def from_file(folder, text, name="f"):
    """Return the digest of a function in a new module's file, as another Python sees it."""
    number = len(list(folder.iterdir()))
    (folder / f"m{number}.py").write_text(text)
    code = f"import m{number} as m; from dask_hpc._sweep.identity import code_digest as c; "
    code += f"m.f.__module__ = 'm'; print(c(m.{name}))"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_comments_docstring_and_form_of_a_source_do_not_count_but_code_does(tmp_path):
    first = from_file(tmp_path, "def f(x):\n    return x + 1\n")
    same = 'def f( x ):\n    """Add one."""\n\n    # one\n    return (x + 1)\n'
    assert from_file(tmp_path, same) == first
    assert from_file(tmp_path, "def f(x):\n    return x + 2\n") != first
    assert from_file(tmp_path, "def f(x, y=1):\n    return x + 1\n") != first


def test_a_set_in_the_code_has_no_order(tmp_path):
    """Its order is another one in each Python process."""
    program = (
        "from dask_hpc._sweep.identity import bytecode_digest, code_digest\n"
        "f = lambda x: x in {'red', 'green', 'blue', 'black', 'white'}\n"
        "print(code_digest(f), bytecode_digest(f))\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_an_edit_of_the_file_counts_only_when_it_is_imported_again(tmp_path, monkeypatch):
    """What runs is the old code, so its results must not be taken for those of the new code."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "edited_module.py"
    path.write_text("def f(x):\n    return x + 1\n")
    module = importlib.import_module("edited_module")
    first = code_digest(module.f)
    path.write_text("import os\n\n\ndef f(x):\n    return x + 1\n")
    os.utime(path, (1, 1))
    moved = code_digest(module.f)
    path.write_text("import os\n\n\ndef f(x):\n    return x + 200\n")
    os.utime(path, (2, 2))
    edited = code_digest(module.f)
    new = code_digest(importlib.reload(module).f)
    assert module.f(1) == 201
    assert moved == first
    assert len({first, edited, new}) == 3
    del sys.modules["edited_module"]


@pytest.mark.parametrize(
    "other",
    [
        "def f(x): return x + 2",
        "def f(x): return x - 1",
        "def f(x): return y + 1",
        "def f(x, *, y=3): return x + 1",
        "def f(x):\n def g(): return 5\n return x + 1",
    ],
)
def test_bytecode_counts_where_there_is_no_source(other):
    same = "def f(x): return x + 1"
    assert digest_of(same) == digest_of(f"\n\n{same}")
    assert digest_of(other) != digest_of(same)


def test_values_of_defaults_count():
    text = "def f(x, y=LIMIT): return x + y"
    assert digest_of(text, LIMIT=1) == digest_of(text, LIMIT=1)
    assert digest_of(text, LIMIT=1) != digest_of(text, LIMIT=2)
    assert digest_of(text, LIMIT=np.zeros(3)) != digest_of(text, LIMIT=np.ones(3))


def make(step, lock=None):
    def f(x):
        return lock or x + step

    return f


def test_variables_of_enclosing_functions_count():
    assert code_digest(make(1)) == code_digest(make(1))
    assert code_digest(make(1)) != code_digest(make(2))
    assert code_digest(make(make(1))) != code_digest(make(make(2)))


def decorated(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(x)

    return wrapper


def test_the_function_inside_of_a_decorator_counts():
    assert code_digest(decorated(make(1))) == code_digest(decorated(make(1)))
    assert code_digest(decorated(make(1))) != code_digest(decorated(make(2)))
    assert code_digest(functools.lru_cache(make(1))) != code_digest(functools.lru_cache(make(2)))


class Model:
    def __init__(self, step):
        self.step = step

    def __call__(self, x):
        return x + self.step

    def predict(self, x):
        return x + self.step


def test_objects_and_methods_count_with_their_attributes():
    assert code_digest(Model(1)) == code_digest(Model(1))
    assert code_digest(Model(1)) != code_digest(Model(2))
    assert code_digest(Model(1).predict) != code_digest(Model(2).predict)
    assert code_digest(Model(1).predict) != code_digest(Model(1))


def test_a_function_that_calls_itself_has_a_digest():
    def f(x):
        return f(x - 1) if x else 0

    assert code_digest(f) == code_digest(f)


@pytest.mark.parametrize("function", [abs, np.sin, str, os.path.getsize])
def test_functions_without_python_code(function):
    assert code_digest(function) == code_digest(function)


def test_what_cannot_be_recognized_again_is_named():
    with pytest.raises(SweepError, match=r"make.<locals>.f, variable lock: .* type lock .*\.$"):
        code_digest(make(1, threading.Lock()))


def test_names():
    assert function_name(make(1)).endswith(":make.<locals>.f")
    assert function_name(decorated(make)).endswith("test_sweep_identity:make")
    assert function_name(abs) == "builtins:abs"
    assert function_name(Model(1)).endswith(":Model")


def test_arguments_of_partials_are_arguments_of_calls():
    partial = functools.partial(functools.partial(pow, 2), mod=5)
    assert split_partial(partial, {"x": 1}) == (pow, (2,), {"mod": 5, "x": 1})
    assert split_partial(functools.partial(pow, mod=5), {"mod": 7})[2] == {"mod": 7}


def key(value, *arguments, files="time", **kwargs):
    return InputKeys(arguments, kwargs, files).key(value, 1)


def test_keys_of_inputs():
    assert key(1) == key(1)
    values = [1, 2, 1.0, "1", True, None, (1,), [1], {"a": 1}, np.arange(3), np.arange(4)]
    assert len({key(value) for value in values}) == len(values)
    assert key(1, tol=1) != key(1, tol=2)
    assert key(1, 3) != key(1, 4)
    assert len(key(1)) == 16


def test_a_file_is_known_by_its_size_and_time(tmp_path):
    path = tmp_path / "a.nc"
    path.write_text("one")
    os.utime(path, (1, 1))
    before = [key(path), key((path, 2)), key({"file": [path]})]
    assert before == [key(path), key((path, 2)), key({"file": [path]})]
    assert key(str(path)) != key(path)
    os.utime(path, (2, 2))
    assert not set(before) & {key(path), key((path, 2)), key({"file": [path]})}
    os.utime(path, (1, 1))
    assert key(path) == before[0]
    path.write_text("more")
    os.utime(path, (1, 1))
    assert key(path) != before[0]


def test_a_file_is_known_by_its_content_if_asked(tmp_path):
    path = tmp_path / "a.nc"
    path.write_text("one")
    before = key(path, files="hash")
    os.utime(path, (1, 1))
    assert key(path, files="hash") == before
    path.write_text("two")
    assert key(path, files="hash") != before


def test_folders_and_files_that_are_not_there_are_known_by_name(tmp_path):
    folder = tmp_path / "a.zarr"
    missing = key(folder)
    folder.mkdir()
    before = key(folder)
    (folder / "0.0").touch()
    assert key(folder) == before != missing
    assert key(Path("b.nc")) == key(Path("b.nc"))


def test_an_input_that_cannot_be_recognized_is_named():
    with pytest.raises(SweepError, match=r"^Dask cannot recognize input 1 \(of type lock\)"):
        key(threading.Lock())

"""Decide what counts as the same function and the same input.

A function is known by its name and by a digest of its own code: its source without comments and
docstring, or its code object where there is no source, with the values of its defaults and of the
variables of enclosing functions. An input is known by `dask.base.tokenize` of it and of the other
arguments of the call; a file (a `pathlib.Path`), by its path, size, and time of change.

What these do not notice: changes in functions that the function calls, in imported packages, in
global variables, and in files that are given as strings.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from dask.base import tokenize
from dask.tokenize import TokenizationError

from ..errors import SweepChangedError, SweepError

KEY_BYTES = 16
FILE_CHECKS = ("time", "hash")


def split_partial(
    function: Callable[..., Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the function inside of `functools.partial`, and the arguments for each call."""
    arguments, keywords = (), dict(kwargs)
    while isinstance(function, functools.partial):
        arguments = (*function.args, *arguments)
        keywords = {**function.keywords, **keywords}
        function = function.func
    return function, arguments, keywords


def function_name(function: Callable[..., Any]) -> str:
    """Return a function's name, as in "my_lab.example:clean"."""
    found = inspect.unwrap(function)
    name = getattr(found, "__qualname__", None) or type(found).__qualname__
    return f"{getattr(found, '__module__', None) or '?'}:{name}"


def code_digest(function: Callable[..., Any]) -> str:
    """Return a digest of a function's own code.

    Raises
    ------
    SweepError
        The function contains an object that cannot be recognized in another Python process.
    """
    parts = _code_parts(function, function_name(function), set())
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _code_parts(value: Any, where: str, seen: set[int]) -> tuple[Any, ...]:
    """Return what identifies a function, or an object that one contains, as nested tuples."""
    if id(value) in seen:
        return ("seen",)  # it contains itself
    seen.add(id(value))
    if inspect.isfunction(value):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        inner = [(name, _cell(cell, f"{where}, variable {name}", seen)) for name, cell in cells]
        defaults: dict[Any, Any] = dict(enumerate(value.__defaults__ or ()))
        defaults |= value.__kwdefaults__ or {}
        given = [
            (str(name), _code_parts(default, f"{where}, a default", seen))
            for name, default in defaults.items()
        ]
        return ("function", _source(value) or _bytecode(value.__code__), given, inner)
    if inspect.ismethod(value):
        bound = _code_parts(value.__self__, where, seen)
        return ("method", _code_parts(value.__func__, where, seen), bound)
    if isinstance(value, functools.partial):
        parts = [*value.args, *(item for pair in sorted(value.keywords.items()) for item in pair)]
        inner = [_code_parts(part, where, seen) for part in (value.func, *parts)]
        return ("partial", inner)
    if isinstance(value, ModuleType):
        return ("module", value.__name__)
    if inspect.isclass(value) or inspect.isbuiltin(value):
        return ("name", value.__module__, value.__qualname__)
    if inspect.isfunction(
        wrapped := getattr(value, "__wrapped__", getattr(value, "py_func", None))
    ):
        return ("wrapped", type(value).__name__, _code_parts(wrapped, where, seen))
    call = inspect.getattr_static(type(value), "__call__", None)
    code = _code_parts(call, where, seen) if inspect.isfunction(call) else ()
    try:
        return ("object", tokenize(value, ensure_deterministic=True), code)
    except TokenizationError:
        raise SweepError(
            f"{where}: Dask cannot recognize an object of type {type(value).__name__} in another "
            "Python process, so results could not be found again. Create it inside the function, "
            "or give its class a method __dask_tokenize__."
        ) from None


def _cell(cell: Any, where: str, seen: set[int]) -> tuple[Any, ...]:
    try:
        return _code_parts(cell.cell_contents, where, seen)
    except ValueError:
        return ("empty",)


def check_is_current(function: Callable[..., Any]) -> None:
    """Check that a function of a module is what the module's file has now.

    Raises
    ------
    SweepChangedError
        The file was edited after this process had imported it.
    """
    code = getattr(function, "__code__", None)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    # Tools that rewrite code when it is imported, as pytest and beartype do, have other loaders.
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if not isinstance(code, CodeType) or type(loader) is not SourceFileLoader:
        return
    if code.co_filename != loader.path:
        return
    try:
        versions = _codes(code, "".join(_lines(function)))
    except (SyntaxError, ValueError):
        return
    if versions and _bytecode(code) not in map(_bytecode, versions):
        raise SweepChangedError(
            f"{code.co_filename} was edited after this Python had imported "
            f"{function_name(function)} from it: start Python (in a notebook, its kernel) and the "
            "cluster again, then run the same line."
        )


def _source(function: Any) -> str | None:
    """Return a function's source without comments and docstring; None if it cannot be told apart.

    The bytecode differs between versions of Python, so the source is preferred.
    """
    code, lines = function.__code__, _lines(function)
    try:
        start = _first_line(code, "".join(lines))
        tree = ast.parse(textwrap.dedent("".join(inspect.getblock(lines[start - 1 :]))))
    except (LookupError, SyntaxError, ValueError):
        return None
    if len(tree.body) != 1 or not isinstance(
        node := tree.body[0], ast.FunctionDef | ast.AsyncFunctionDef
    ):
        return None  # a lambda, whose line may have others
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(node)


def _first_line(code: CodeType, text: str) -> int:
    """Return the line at which a file has this code, which may have moved since it was imported.

    Raises
    ------
    LookupError
        The file does not have it: the function was edited meanwhile, and what runs is the old code.
    """
    wanted = _bytecode(code)
    for found in _codes(code, text):
        if _bytecode(found) == wanted:
            return found.co_firstlineno
    raise LookupError


def _lines(function: Any) -> list[str]:
    """Return the lines of a function's file, as it is now; none if there is no file."""
    name = function.__code__.co_filename
    linecache.checkcache(name)
    return linecache.getlines(name, function.__globals__)


@functools.lru_cache(maxsize=8)  # a function's file is compiled once
def _codes(code: CodeType, text: str) -> list[CodeType]:
    """Return the code of all functions of a text that have this code's name."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # in a notebook's cell
    waiting = [compile(text, code.co_filename, "exec", flags, dont_inherit=True)]
    codes = []
    while waiting:
        found = waiting.pop()
        if found.co_qualname == code.co_qualname:
            codes.append(found)
        waiting += [it for it in found.co_consts if isinstance(it, CodeType)]
    return codes


def bytecode_digest(function: Callable[..., Any]) -> tuple[bytes, str] | None:
    """Return which bytecode this Python has, and a digest of a function's; None if it has none.

    With it, two processes compare the code that they run, which may not be the file's: a process
    keeps what it has imported.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return None
    text = repr(_bytecode(code)).encode()
    return importlib.util.MAGIC_NUMBER, hashlib.blake2b(text, digest_size=16).hexdigest()


def _bytecode(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(map(_constant, code.co_consts))
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _bytecode(value)
    if isinstance(value, tuple):
        return tuple(map(_constant, value))
    if isinstance(value, frozenset):  # its order is another in each Python process
        return ("set", sorted(repr(_constant(it)) for it in value))
    return repr(value)


class InputKeys:
    """Computes the key of each input: 16 bytes that are equal for equal calls.

    Parameters
    ----------
    arguments, kwargs : tuple, dict
        Arguments that are the same in each call, besides the input.
    files : {"time", "hash"}
        Whether files are recognized by size and time, or by their content.
    """

    def __init__(
        self,
        arguments: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        files: str = "time",
    ) -> None:
        self._files = files
        same = (list(arguments), sorted((kwargs or {}).items()))
        self._same = self._token(same, "an argument of each call").encode()

    def key(self, value: Any, number: int) -> bytes:
        """Return the key of the input `value`; `number` counts inputs, for messages."""
        token = self._token(value, f"input {number}").encode()
        return hashlib.blake2b(token + self._same, digest_size=KEY_BYTES).digest()

    def _token(self, value: Any, what: str) -> str:
        try:
            return tokenize(self._with_files(value), ensure_deterministic=True)
        except TokenizationError:
            raise SweepError(
                f"Dask cannot recognize {what} (of type {type(value).__name__}) in another Python "
                "process, so its result could not be found again. Pass what it is made from, such "
                "as a file name, or give its class a method __dask_tokenize__."
            ) from None

    def _with_files(self, value: Any) -> Any:
        """Return a value in which a file has its size and time, or its content's digest."""
        if isinstance(value, Path):
            return self._file(value)
        if type(value) in (list, tuple):
            return type(value)(map(self._with_files, value))
        if type(value) is dict:
            return {key: self._with_files(item) for key, item in value.items()}
        return value

    def _file(self, path: Path) -> tuple[Any, ...]:
        try:
            if path.is_dir():  # its own time says nothing about the files in it
                return ("folder", str(path))
            if self._files == "hash":
                with path.open("rb") as file:
                    return ("file", str(path), hashlib.file_digest(file, "blake2b").hexdigest())
            status = path.stat()
        except OSError:
            return ("no file", str(path))  # the function will report it, or create it
        return ("file", str(path), status.st_size, status.st_mtime_ns)

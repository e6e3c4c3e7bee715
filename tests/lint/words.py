"""Refuse words in names that say less than the field's own; words.toml lists them.

Checked are the names that Python code defines, the names of files, the commands and options of
command lines, and the Makefile's verbs. Prose is free.
"""

import ast
import re
import sys
import tomllib

from . import REPOSITORY, TESTBED, TOOLKIT, repository_files

TABLE = REPOSITORY / "tests/lint/words.toml"
PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# What defines a command, an option or an argument of a command line by a string: click, argparse
# and pytest.
COMMAND_LINE = {"command", "group", "option", "argument", "add_argument", "add_parser", "addoption"}


def parts(name):
    """Return the words of a name, as in ``resubmit_job``, ``ResubmitJob`` and ``resubmit-job``."""
    return [piece.lower() for piece in PIECE.findall(name)]


def defined_names(tree):
    """Yield (line, name) of all that a syntax tree defines, and of its command lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str()):
                yield node.lineno, node.asname
            case ast.ExceptHandler(name=str()) | ast.MatchAs(name=str()):
                yield node.lineno, node.name
            case ast.Call(func=ast.Attribute(attr=function)) if function in COMMAND_LINE:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.lineno, argument.value.partition("/")[0]


def names_in(path):
    """Yield (line, name) of a file's names; its own name is in line 0."""
    yield 0, path.name
    if path.suffix in (".py", ".pyi"):
        yield from defined_names(ast.parse(path.read_text()))
    elif path.name == "Makefile":
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if verb := re.match(r"[a-z][a-z-]*(?=:)", line):
                yield number, verb[0]


def find(name, refused):
    """Return the refused words in a name, each with what to say instead."""
    joined = f" {' '.join(parts(name))} "
    return {word: say for word, say in refused.items() if f" {' '.join(parts(word))} " in joined}


def check(paths, table, root=REPOSITORY):
    """Return a line for each refused word in the names of these files and of their folders.

    Parameters
    ----------
    paths : list of Path
        Files below `root`.
    table : dict
        As words.toml: ``refused``, ``whole`` and ``only_under`` have the words, each with what to
        say instead; ``exceptions`` has the names that may stay, each with the reason.
    root : Path
        The repository.
    """
    problems, needless = {}, dict(table["exceptions"])
    for path in paths:
        place = path.relative_to(root).as_posix()
        refused = dict(table["refused"])
        for folder, words in table["only_under"].items():
            if place.startswith(f"{folder}/"):
                refused |= words
        whole = table["whole"] if place.startswith((TOOLKIT, TESTBED)) else {}
        folders = [(f"{folder}/", 0, folder.name) for folder in path.relative_to(root).parents]
        for where, line, name in [*folders, *((place, *found) for found in names_in(path))]:
            advice = find(name, refused) | ({name: whole[name]} if name in whole else {})
            if advice and name in table["exceptions"]:
                needless.pop(name, None)
            elif advice:
                address = f"{where}:{line}" if line else where
                word, instead = advice.popitem()
                problems[address, name] = f"{address}: {word!r} in {name!r}; say: {instead}"
    return [
        *problems.values(),
        *(f"words.toml: no name needs the exception for {name!r} any more" for name in needless),
    ]


def main():
    """Check the whole repository; return the exit code."""
    lines = check(repository_files(), tomllib.loads(TABLE.read_text()))
    print("\n".join(lines) or "No refused word is in a name.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

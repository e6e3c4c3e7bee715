"""Count the lines of code of the toolkit and of the testbed's driver; refuse long modules.

Docstrings, comments and blank lines are no code, but count for the length of a module. Beside the
counts are those of the commit `before-house` (docs/data/before-house).
"""

import ast
import io
import json
import sys
import tokenize

from . import REPOSITORY, TESTBED, TOOLKIT

RECORD = REPOSITORY / "docs/data/before-house/code-lines.json"
MAX_LINES = 350  # of a module, all lines
# Modules that may be longer, by the ends of their paths, each with the reason.
EXCEPTIONS: dict[str, str] = {}
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


def count(source):
    """Return the number of lines of code of a module, given its text."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Module(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.ClassDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.AsyncFunctionDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
            ):
                lines.difference_update(range(docstring.lineno, docstring.end_lineno + 1))
    return len(lines)


def count_all(root=REPOSITORY):
    """Return the number of lines of code of each package below `root`, by its name."""
    return {
        package.rpartition("/")[2]: sum(
            count(path.read_text()) for path in sorted((root / package).rglob("*.py"))
        )
        for package in (TOOLKIT, TESTBED)
    }


def check_lengths(root=REPOSITORY, exceptions=EXCEPTIONS):
    """Return a line for each module that is too long, and for each needless exception."""
    problems, needed = [], set()
    for package in (TOOLKIT, TESTBED):
        for path in sorted((root / package).rglob("*.py")):
            place = path.relative_to(root).as_posix()
            if (length := len(path.read_text().splitlines())) <= MAX_LINES:
                continue
            if known := [end for end in exceptions if place.endswith(f"/{end}")]:
                needed.update(known)
            else:
                problems.append(f"{place}: {length} lines, at most {MAX_LINES} are allowed")
    needless = sorted(set(exceptions) - needed)
    return problems + [f"code_lines.py: {end} is no longer too long" for end in needless]


def main():
    """Print the counts and what is too long; return the exit code."""
    before = json.loads(RECORD.read_text())
    for package, now in count_all().items():
        then = before["code_lines"][package]
        print(f"{package}: {now:,} lines of code ({then:,} before-house, {now - then:+,})")
    problems = check_lengths()
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

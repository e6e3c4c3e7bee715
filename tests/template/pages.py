"""Lines for a terminal in READMEs and pages of docs/."""

import re

ADDRESS = "https://github.com/org/"  # of whoever has a copy of the template


def blocks(text):
    """Return the blocks for a terminal of a page, each as its lines; job scripts are none."""
    found = re.findall(r"^( *)```(?:console|bash)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    found = [[line.removeprefix(indent) for line in body.splitlines()] for indent, body in found]
    return [lines for lines in found if not lines[0].startswith("#!")]


def block(text, begin):
    """Return the first block that begins so."""
    return next(lines for lines in blocks(text) if lines[0].startswith(begin))

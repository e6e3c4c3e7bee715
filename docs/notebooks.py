"""The starter notebooks of a project as pages of the tutorial, with what their cells print.

``python -m docs.notebooks EXECUTED.ipynb ...`` keeps the output of notebooks that were executed in
a project on the testbed (``jupyter nbconvert --to notebook --execute notebooks/*.ipynb``).
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "{{cookiecutter.project_slug}}/notebooks"
OUTPUT = Path(__file__).parent / "data/notebooks.json"


def page(name: str) -> str:
    """Return the cells of a notebook as Markdown, without its title, which the page has itself."""
    output = json.loads(OUTPUT.read_text())[name]
    text = "\n\n".join(_markdown(cell, output) for cell in cells(FOLDER / name))
    _title, _, body = text.partition("\n")
    # A link to another notebook leads to its page.
    return re.sub(r"\]\(\d+-(\w+)\.ipynb\)", r"](\1.md)", body)


def cells(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook."""
    found: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return found


def _markdown(cell: dict[str, Any], output: dict[str, str]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    printed = output.get(key(cell))
    return f"```python\n{source}\n```" + (f"\n\n```text\n{printed}\n```" if printed else "")


def key(cell: dict[str, Any]) -> str:
    """Return what the output of a cell is kept under; it is another one when the code changes."""
    return hashlib.sha256("".join(cell["source"]).encode()).hexdigest()[:12]


def output_of(cell: dict[str, Any]) -> str:
    """Return what an executed cell has printed and what it is, as text."""
    texts = [it.get("text") or it["data"]["text/plain"] for it in cell["outputs"]]
    lines = "\n".join("".join(text).strip("\r\n") for text in texts).splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    kept = {
        Path(name).name: {
            key(cell): output_of(cell)
            for cell in cells(Path(name))
            if cell["cell_type"] == "code" and cell["outputs"]
        }
        for name in sys.argv[1:]
    }
    OUTPUT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

"""Write the comparison into docs/reference/dask-jobqueue.md, from the recorded results.

    python -m tests.comparison.render

`pytest tests/comparison` (with the slow ones) leaves the results of all cases, ours and plain, in
build/comparison. They go into docs/data, and their figures into the words of rows.yaml. What these
say without a figure is held by the checks of the cases (`expectations.py`).
"""

import json
import re
from pathlib import Path

import jinja2
import yaml

from ..tables import markdown, replace_table, span

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "comparison"
DATA = REPOSITORY / "docs" / "data" / "comparison.json"
PAGE = REPOSITORY / "docs" / "reference" / "dask-jobqueue.md"
ROWS = yaml.safe_load(Path(__file__).with_name("rows.yaml").read_text())
HEAD = ("situation", "dask-jobqueue", "dask_hpc", "why ours differs")


def collected(build: Path = BUILD, data: Path = DATA) -> dict:
    """Return the committed record with what build/ has that is newer."""
    record = json.loads(data.read_text())
    for path in sorted(build.glob("*.json")):
        name, _, side = path.stem.rpartition(".")
        if name:
            record["cases"].setdefault(name, {})[side] = json.loads(path.read_text())
        else:
            record["about"] = json.loads(path.read_text())
    return record


def table(record: dict) -> str:
    """Return the Markdown of the comparison."""
    about = "Measured on the [testbed](testbed.md) with {versions}, {date}, on {machine}."
    rows = [cells(row, record["cases"]) for row in ROWS]
    return f"{about.format(**record['about'])}\n\n{markdown(HEAD, rows)}"


def cells(row: dict, results: dict) -> list[str]:
    """Return a row's cells, with the figures of its cases."""
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined)
    jinja.filters |= {"span": span, "first_sentence": first_sentence}
    plain, ours = (
        jinja.from_string(row[side]).render(
            # The first case's by name, and those of all.
            **results[row["cases"][0]][side],
            seen=[results[case][side] for case in row["cases"]],
        )
        for side in ("plain", "ours")
    )
    goes = f" *Goes with upstream: {row['goes']}.*" if "goes" in row else ""
    return [row["situation"], f"{plain} ({linked(row['issues'])})", ours, f"{row['why']}.{goes}"]


def first_sentence(text: str) -> str:
    """Return a message's first sentence, without a task's random name."""
    return re.sub(r"'(\w+)-[0-9a-f-]{20,}'", r"'\1-…'", text.partition(". ")[0])


def linked(issues: str) -> str:
    """Return the issues' numbers as links."""
    found = []
    for issue in issues.split(", "):
        name, hash_, number = issue.partition("#")
        address = f"https://github.com/dask/{name or 'dask-jobqueue'}/issues/{number}"
        found.append(f"[{issue}]({address})" if hash_ else f"upstream: {issue}")
    return ", ".join(found)


if __name__ == "__main__":
    newest = collected()
    DATA.write_text(json.dumps(newest, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(replace_table(PAGE.read_text(), "comparison", table(newest)))

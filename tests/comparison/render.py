"""The comparison in docs/reference/dask-jobqueue.md, made from the recorded results.

    python -m tests.comparison.render            # build/comparison into docs/data and the page
    python -m tests.comparison.render --check    # whether the page has the table of docs/data

`pytest tests/comparison` (with the slow ones) leaves the results of all cases, ours and plain, in
build/comparison.
"""

import json
import sys
from pathlib import Path

from .table_text import ROWS

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "comparison"
DATA = REPOSITORY / "docs" / "data" / "comparison.json"
PAGE = REPOSITORY / "docs" / "reference" / "dask-jobqueue.md"
BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
HEADS = ("situation", "dask-jobqueue", "dask_hpc", "why ours differs")
# Until a row's cases have been seen on both sides.
OPEN = "(not measured yet)"


def collected(build: Path = BUILD, data: Path = DATA) -> dict:
    """Return the committed record with what build/ has that is newer."""
    record = json.loads(data.read_text()) if data.exists() else {"about": {}, "cases": {}}
    for path in sorted(build.glob("*.json")):
        name, _, side = path.stem.rpartition(".")
        if name:
            record["cases"].setdefault(name, {})[side] = json.loads(path.read_text())
    about = build / "about.json"
    if about.exists():
        record["about"] = json.loads(about.read_text())
    return record


def table(record: dict) -> str:
    """Return the Markdown of the comparison."""
    about, cases = record["about"], record["cases"]
    lines = [
        "Measured on the [testbed](testbed.md) with {versions}, {date}, on {machine}.".format(
            **about
        ),
        "",
        f"| {' | '.join(HEADS)} |",
        "|---" * len(HEADS) + "|",
    ]
    for row in ROWS:
        cells = [row.situation]
        for side in ("plain", "ours"):
            seen = {case: cases.get(case, {}).get(side) for case in row.cases}
            text = getattr(row, side)(seen) if all(seen.values()) else OPEN
            cells.append(text + (f" ({_linked(row.issues)})" if side == "plain" else ""))
        goes = f" *Goes with upstream: {row.goes}.*" if row.goes else ""
        cells.append(f"{row.why}.{goes}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _linked(issues: str) -> str:
    """Return the issues' numbers as links."""
    linked = []
    for issue in issues.split(", "):
        name, hash_, number = issue.partition("#")
        repository = name or "dask-jobqueue"
        address = f"https://github.com/dask/{repository}/issues/{number}"
        linked.append(f"[{issue}]({address})" if hash_ else f"upstream: {issue}")
    return ", ".join(linked)


def replaced(page: str, new: str) -> str:
    """Return a page with the comparison between its two comments."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the data and the page, or check the page; return the exit code."""
    if arguments == ["--check"]:
        page = PAGE.read_text()
        same = replaced(page, table(json.loads(DATA.read_text()))) == page
        print("The same." if same else f"{PAGE.name} differs: run this without --check.")
        return int(not same)
    record = collected()
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(replaced(PAGE.read_text(), table(record)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The reports in docs/development/upstream: their programs still show what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dask_hpc._compat import upstream

UPSTREAM = Path(__file__).parents[2] / "docs" / "development" / "upstream"
REPORTS = {path.stem: path.read_text() for path in sorted(UPSTREAM.glob("*.md"))}
PROGRAM = re.compile(
    r"^## Program\n\n```python\n(?P<program>.*?)^```$.*?", re.MULTILINE | re.DOTALL
)
SEEN = re.compile(r"^## Seen\n\n```text\n(?P<seen>.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = [name for name, text in REPORTS.items() if PROGRAM.search(text)]


# What upstream has mended is found with its newest versions: `make test-newest` runs these.
@pytest.mark.full
@pytest.mark.parametrize("name", PROGRAMS)
def test_report_is_still_true(name):
    # Where this fails, upstream has mended it, and index.md says what can go.
    program, seen = PROGRAM.search(REPORTS[name]), SEEN.search(REPORTS[name])
    done = subprocess.run(
        [sys.executable, "-c", program["program"]], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == seen["seen"]


def test_index_lists_all_workarounds_reports_and_parts():
    index = REPORTS["index"]
    folder = Path(upstream.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "upstream"}
    rows = re.findall(r"^\|[^|]+\| `(\w+)`", index, re.MULTILINE)
    assert sorted(rows) == sorted(modules)
    for report in REPORTS.keys() - {"index"}:
        assert f"({report}.md)" in index
    own = "".join((folder / f"{module}.py").read_text() for module in modules)
    elsewhere = {name for name in upstream.PARTS if f'"{name}"' not in own}
    assert elsewhere == set(re.findall(r"\| `([a-z-]+)` \|$", index, re.MULTILINE))
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    pins = re.findall(r"`(test_\w+)`", index)
    assert len(pins) == len(rows)
    for pin in pins:
        assert f"def {pin}(" in here

"""Write the table of attacks into docs/explanation/who-can-do-what.md, from the recorded results.

    python -m tests.testbed.intruder.render

`pytest tests/testbed/test_intruder.py` (with the slow ones) leaves its results in
build/intruder.json. They go into docs/data.
"""

import json
from pathlib import Path

from ...tables import markdown, replace_table
from .harness import RESULTS
from .rows import ATTACKS

DOCS = Path(__file__).resolve().parents[3] / "docs"
DATA, PAGE = DOCS / "data" / "intruder.json", DOCS / "explanation" / "who-can-do-what.md"
HEAD = ("somebody else", "dask-jobqueue", "dask_hpc")


def table(results: dict) -> str:
    """Return the Markdown of the table: who succeeded, and who tried."""
    rows = []
    for attack in ATTACKS:
        found = results.get(attack.name, {})
        plain = f"{attack.instead}: " if attack.instead else ""
        ours = cell(found, "ours") + (", whom she trusts" if attack.opened else "")
        rows.append((attack.words, plain + cell(found, "plain"), ours))
    return markdown(HEAD, rows)


def cell(found: dict, side: str) -> str:
    """Return for whom an attack works: all that tried, some, or nobody."""
    tried = {who: sides[side]["worked"] for who, sides in found.items() if side in sides}
    if not tried:
        return "not tried"
    users = sorted({who.split("@")[0] for who in tried}, reverse=True)  # mallory, and then bob
    won = [user for user in users if any(tried[who] for who in tried if who.startswith(user))]
    return f"works for {' and '.join(won)}" if won else f"fails for {' and '.join(users)}"


def merged(old: dict, new: dict) -> dict:
    """Return old results with newer ones in their places."""
    names = {attack.name for attack in ATTACKS}
    found: dict = {}
    for results in (old, new):
        for name, tried in results.items():
            for who, sides in tried.items():
                found.setdefault(name, {}).setdefault(who, {}).update(sides)
    return {name: found[name] for name in sorted(names & found.keys())}


if __name__ == "__main__":
    record = json.loads(DATA.read_text()) if DATA.exists() else {}
    newest = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    record = merged(record, newest)
    DATA.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    PAGE.write_text(replace_table(PAGE.read_text(), "attacks", table(record)))

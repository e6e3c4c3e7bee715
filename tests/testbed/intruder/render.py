"""The table of who can do what, from build/intruder.json.

``python -m tests.testbed.intruder.render`` prints it.
"""

import json

from ...tables import markdown
from .harness import RESULTS
from .rows import ATTACKS

HEAD = ("somebody else", "dask-jobqueue", "dask_hpc")


def table(results: dict) -> str:
    """Return the Markdown of the table: who succeeded, and who tried."""
    rows = []
    for attack in ATTACKS:
        found = results.get(attack.name, {})
        plain = f"{attack.instead}: " if attack.instead else ""
        rows.append((attack.words, plain + cell(found, "plain"), cell(found, "ours")))
    return markdown(HEAD, rows)


def cell(found: dict, side: str) -> str:
    """Return for whom an attack works: all that tried, some, or nobody."""
    tried = {who: sides[side]["worked"] for who, sides in found.items() if side in sides}
    if not tried:
        return "not tried"
    users = sorted({who.split("@")[0] for who in tried}, reverse=True)  # mallory, and then bob
    won = [user for user in users if any(tried[who] for who in tried if who.startswith(user))]
    return f"works for {' and '.join(won)}" if won else f"fails for {' and '.join(users)}"


if __name__ == "__main__":
    print(table(json.loads(RESULTS.read_text())))

"""Tables of the docs: how results become one, and how a test reads one."""

from collections.abc import Iterable, Sequence
from statistics import median


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [[str(cell).replace("|", r"\|") for cell in row] for row in (head, *rows)]
    first, *others = ("".join(f"| {cell} " if cell else "| " for cell in line) for line in lines)
    return "\n".join([f"{first}|", "|" + "---|" * len(head), *(f"{line}|" for line in others)])


def replace_table(page: str, name: str, text: str) -> str:
    """Return a page with this text between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def read_table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this heading, a list for each row."""
    lines = page.split(f"\n| {heading} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def span(values: Iterable[float | None], unit: str = "s") -> str:
    """Return from where to where values go, as "3 s" or "3 to 17 s"; None is no value."""
    known = [f"{value:.0f}" for value in sorted(value for value in values if value is not None)]
    if not known:
        return "-"
    return f"{' to '.join(dict.fromkeys([known[0], known[-1]]))} {unit}"


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Return median and range of values, as "5.22 s (5.14 to 5.35)"."""
    return f"{median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"

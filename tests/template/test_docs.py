"""Pages under docs/ say what the code does."""

import json
import re

import pytest

import dask_hpc
from dask_hpc import batch as batch_systems
from dask_hpc.config import fields
from docs import keys, notebooks

from .conftest import REPOSITORY

SYSTEMS = [batch for batch in batch_systems.BATCH_SYSTEMS.values() if batch.cluster_class]


def rows(page, label):
    """Return the cells of each of a page's table rows that begin with this label."""
    lines = (REPOSITORY / "docs" / page).read_text().splitlines()
    tables = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in tables if cells[0] == label]


@pytest.mark.parametrize("batch", SYSTEMS, ids=lambda batch: batch.name)
def test_the_page_on_batch_systems_has_each_ones_commands_and_keys(batch):
    commands, keys = rows("reference/batch-systems.md", batch.label)
    _, _, submit, listing, cancel, size, version = commands
    assert submit == f"`{batch.submit}`"
    assert cancel == f"`{batch.cancel}`"
    # What is said of a list or a count is a part of the command, in its order.
    asked = {listing: batch.list_command(["1"]), size: batch.capacity_command("q")}
    for cell, command in {**asked, version: batch.settings_command}.items():
        said = [word.strip("`").rstrip("…") for word in cell.split()]
        words = iter(command)
        assert cell == "-" or all(
            any(word.startswith(part) for word in words) for part in said if part
        ), cell
        assert (cell == "-") == (not command)
    _, account, queue, walltime, needed = keys
    assert account == (f"`{batch.account_key}`" if batch.account_key else "-")
    assert queue.split()[0] == (f"`{batch.queue_key}`" if batch.queue_key else "-")
    if batch.walltime_key:
        for form in re.findall(r"`([A-Z:-]+)`", walltime):
            assert form in batch.walltime_forms
    else:
        assert walltime == "-"
    assert set(re.findall(r"`(\w+)`", needed)) == set(batch.required)


def test_the_page_on_the_api_has_every_public_name():
    page = (REPOSITORY / "docs/reference/api.md").read_text()
    assert set(re.findall(r":: dask_hpc\.(\w+)$", page, re.MULTILINE)) == set(dask_hpc.__all__)
    assert "automodule:: hpc_testbed\n   :members:" in page


def test_the_page_on_the_configuration_has_the_places_of_both_tables():
    page = (REPOSITORY / "docs/reference/configuration.md").read_text()
    for section, table in {"dask-hpc": fields.OWN_FIELDS, "jobqueue": fields.FIELDS}.items():
        assert f"\n% keys of {section}\n" in page  # docs/conf.py fills them in
        rows = [re.match(r"\| `([\w-]+)` \|", line) for line in keys.table(section)]
        assert [row[1] for row in rows if row] == list(table)


@pytest.mark.parametrize(
    "path", sorted(notebooks.FOLDER.glob("*.ipynb")), ids=lambda path: path.stem
)
def test_each_notebook_is_a_page_of_the_tutorial(path):
    """When code has changed: CONTRIBUTING.md says how to record what the cells print."""
    cells = notebooks.cells(path)
    page = REPOSITORY / f"docs/tutorial/{path.stem.partition('-')[2]}.md"
    title, *rest = page.read_text().splitlines()
    assert title == cells[0]["source"][0].strip()
    assert f"% cells of {path.name}" in rest  # docs/conf.py fills them in
    recorded = json.loads(notebooks.OUTPUT.read_text())[path.name]
    assert recorded.keys() <= {notebooks.key(cell) for cell in cells}


def anchors(text):
    """Return the names of a page's headings and labels, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {word.replace(" ", "-") for word in words}


PAGES = [*REPOSITORY.glob("*.md"), REPOSITORY / "hpc-slurm-testbed/README.md"]
PAGES += sorted((REPOSITORY / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_pages_links_lead_somewhere_on_github_too(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", page.read_text())):
        file, _, anchor = target.partition("#")
        if "://" in target or not file:
            continue
        path = (page.parent / file).resolve()
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text()), target

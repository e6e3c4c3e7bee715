"""What is published is what its records give, and has a record."""

import json
import runpy
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parent


@pytest.fixture(scope="module")
def published():
    sys.path.insert(0, str(HERE))
    try:
        import published
    finally:
        sys.path.remove(str(HERE))
    return published


TABLES = [
    pytest.param(name, marks=[pytest.mark.full] if table.is_slow else [])
    for name, table in runpy.run_path(str(HERE / "published.py"))["TABLES"].items()
]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_its_record_gives(published, monkeypatch, name):
    monkeypatch.syspath_prepend(str(HERE))
    page = (published.DOCS / published.TABLES[name].page).read_text()
    assert published.made(name, page) == page, "run `make figures`"


def test_the_images_are_of_the_records_that_are_committed(published):
    assert json.loads(published.DIGESTS.read_text()) == published.digests(), "run `make figures`"


def test_every_image_is_drawn_from_records_or_shows_no_measurement(published):
    images = {path.name for path in published.IMAGES.iterdir() if path.suffix != ".json"}
    assert images == {*published.DRAWN, *published.NOT_MEASURED}


def test_every_table_of_measurements_has_a_record_or_says_what_measures_it(published):
    pages = [REPOSITORY / "README.md", REPOSITORY / "hpc-slurm-testbed" / "README.md"]
    pages += [REPOSITORY / "{{cookiecutter.project_slug}}" / "README.md"]
    pages += published.DOCS.rglob("*.md")
    found = set()
    for page in pages:
        # Decisions are of their day, and say where their records are.
        if "decisions" not in page.parts:
            text = without_tables(published, page.read_text())
            name = page.relative_to(REPOSITORY).as_posix()
            found |= {(name, head) for head in published.measured_tables(text)}
    listed = {
        next((it for it in found if it[0] == page and it[1].startswith(begin)), (page, begin))
        for page, begin in published.WITHOUT_RECORD
    }
    assert found == listed


def without_tables(published, page):
    """Return a page without what is made from records."""
    for name in published.TABLES:
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin in page:
            page = page[: page.index(begin)] + page[page.index(end) :]
    return page


def test_a_table_with_two_figures_in_a_row_is_one_of_measurements(published):
    table = "| {} | {} |\n|---|---|\n| {} | {} |\n"
    assert published.measured_tables(table.format("way", "time", "3.2 s", "at most 20 s (n = 3)"))
    assert not published.measured_tables(table.format("key", "default", "`cores`", "8"))


@pytest.mark.full
def test_the_images_are_drawn_again_as_they_are(published, monkeypatch, tmp_path):
    """Another version of Matplotlib may draw them a little differently."""
    import numpy as np
    from PIL import Image

    monkeypatch.syspath_prepend(str(HERE))
    for name, path in published.draw(tmp_path, published.DRAWN).items():
        old, new = (np.asarray(Image.open(it), float) for it in (published.IMAGES / name, path))
        assert old.shape == new.shape, name
        assert np.abs(old - new).mean() < 2, name

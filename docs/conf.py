"""Sphinx's configuration for the documentation: `make docs` builds it into build/docs."""

import re

import dask_hpc
from docs import keys, notebooks

project = "dask-hpc-starter"
author = "the dask-hpc-starter developers"
copyright = f"2026, {author}"
release = dask_hpc.__version__
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_click",
]
exclude_patterns = ["data", "images"]
# A name in single backticks in a docstring is a link where the API page has that name.
default_role = "py:obj"

# --- Markdown -------------------------------------------------------------------------------------

myst_heading_anchors = 4  # as GitHub makes them

# --- Docstrings -----------------------------------------------------------------------------------

numpydoc_show_class_members = False  # autodoc lists them
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say the types

# --- HTML -----------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "dask-hpc-starter"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "source_repository": "https://github.com/org/dask-hpc-starter/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def _plain(_app, _context, lines):
    """Take a command's help for text: asterisks and hyphens in it are no markup."""
    for number, line in enumerate(lines):
        if not line.startswith(".."):
            lines[number] = line.replace("*", r"\*").replace("--", r"\-\-")


def _insert_generated(_app, page, source):
    """Put what is written elsewhere, tables of keys and notebooks, in its places in a page."""
    if page == "reference/configuration":
        for section in ("dask-hpc", "jobqueue"):
            table = "\n".join(keys.table(section))
            source[0] = source[0].replace(f"% keys of {section}\n", f"{table}\n")
    if cells := re.search(r"^% cells of (.+)$", source[0], re.MULTILINE):
        source[0] = source[0].replace(cells[0], notebooks.page(cells[1]))


def setup(app):
    """Connect what the extensions leave to the project."""
    app.connect("source-read", _insert_generated)
    app.connect("sphinx-click-process-description", _plain)
    app.connect("sphinx-click-process-options", _plain)

"""The commit that is measured: its files and its wheel, which asv has built.

asv takes the benchmarks from the checkout in which it runs, and what they measure from a commit.
"""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def tree() -> Path:
    """Return the folder with the commit's files; in an existing environment, this checkout."""
    environment = os.environ.get("ASV_ENV_DIR")
    return Path(environment, "project") if environment else REPOSITORY


def wheel() -> Path | None:
    """Return the toolkit's wheel; None in an existing environment, for which asv builds none."""
    if "ASV_ENV_DIR" not in os.environ:
        return None
    cache = Path(os.environ["ASV_ENV_DIR"], "asv-build-cache", os.environ["ASV_COMMIT"])
    (path,) = cache.glob("*.whl")
    return path

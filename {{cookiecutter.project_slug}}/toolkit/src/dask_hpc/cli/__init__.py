"""The command ``dask hpc``."""

from .main import main

__all__ = ["main"]

"""Dask on a batch system, from a lab's own configuration."""

__version__ = "0.1.0"

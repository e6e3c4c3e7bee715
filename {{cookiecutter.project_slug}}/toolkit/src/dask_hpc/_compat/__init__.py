"""Workarounds for faults of Dask, distributed and dask-jobqueue.

Each module names the fault and when it can go; ``test_upstream.py`` pins what it relies on.
"""

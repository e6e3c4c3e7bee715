"""Workarounds for faults of Dask, distributed, dask-jobqueue and Python, one a module.

Each names the fault, and is left out where `upstream` finds that Dask has changed what it relies
on. docs/development/upstream/index.md lists them: the upstream issue or our report, when each can
go, and the test that says so.
"""

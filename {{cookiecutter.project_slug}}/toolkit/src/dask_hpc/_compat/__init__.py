"""Workarounds for bugs of Dask, distributed, dask-jobqueue, and Python, one per module.

Each module describes the bug, and is disabled where `upstream` finds that Dask has changed the code
that it relies on. docs/development/upstream/index.md lists them: the upstream issue or our report,
when each can be removed, and the test that tells.
"""

"""Inject faults of a real site into the testbed, and repair them.

>>> with testbed.fault("kill-node", node="node2"):      # doctest: +SKIP
...     ...                                             # Slurm notices after SlurmdTimeout, 10 s

Each fault is a `Fault` in the catalog: what it does, what Slurm shows and after how long, and how
to inject it. Repair does not undo a particular fault: it checks all containers and nodes and fixes
whatever is wrong, even after a crash or manual changes.
"""

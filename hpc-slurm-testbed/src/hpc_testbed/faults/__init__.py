"""What goes wrong on a real site, done to the testbed on purpose, and put right again.

>>> with testbed.fault("kill-node", node="node2"):      # doctest: +SKIP
...     ...                                             # Slurm notices after SlurmdTimeout, 10 s

Each fault is a `Fault` in the catalog: what it does, what Slurm shows and after how long, and how
it is injected. Repair does not undo a particular fault: it looks at every container and every node
and puts right whatever is wrong, after a crash, too, or what somebody did by hand.
"""

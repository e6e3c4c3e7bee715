"""distributed keeps every scheduler that a process has had, in two caches without a bound.

A notebook that makes a cluster now and then would grow with each, by all that its scheduler knew of
tasks. Both caches spare microseconds only.
"""

from __future__ import annotations

import sys

from distributed import core


def let_schedulers_go() -> None:
    """Forget the schedulers that are closed; the caches of those that run fill again."""
    # Whether a handler, that is a method of a scheduler, takes a comm.
    if clear := getattr(getattr(core, "_expects_comm", None), "cache_clear", None):
        clear()
    # The dashboard's list of pages, once for each scheduler.
    dashboard = sys.modules.get("distributed.dashboard.scheduler")
    cached = getattr(dashboard, "template_variables", None)
    if (uncached := getattr(cached, "__wrapped__", None)) is not None:
        dashboard.template_variables = uncached

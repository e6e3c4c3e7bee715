"""Free the memory of closed schedulers.

distributed keeps every scheduler that a process has had, in two unbounded caches. A notebook that
creates a cluster now and then would grow each time, by everything that the scheduler knew about its
tasks. Both caches save only microseconds.
"""

import sys
from typing import Any

from distributed import core


def clear_scheduler_caches() -> None:
    """Forget closed schedulers; the caches fill again for those that run."""
    # Whether a handler, that is a method of a scheduler, takes a comm.
    if clear := getattr(getattr(core, "_expects_comm", None), "cache_clear", None):
        clear()
    # The dashboard's list of pages, once for each scheduler.
    dashboard: Any = sys.modules.get("distributed.dashboard.scheduler")
    cached = getattr(dashboard, "template_variables", None)
    if (uncached := getattr(cached, "__wrapped__", None)) is not None:
        dashboard.template_variables = uncached

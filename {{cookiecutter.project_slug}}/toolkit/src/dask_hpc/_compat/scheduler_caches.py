"""Free the memory of closed schedulers.

distributed keeps every scheduler of a process in two unbounded caches. A notebook that creates
several clusters would grow each time by everything that the scheduler knew about its tasks. Both
caches save only microseconds.
"""

import inspect
import sys
from typing import Any

from distributed import core

from . import upstream


def clear_scheduler_caches() -> None:
    """Forget closed schedulers; the caches refill for running ones."""
    # Caches whether a handler, a method of a scheduler, takes a comm.
    if upstream.is_known("handler-cache"):
        core._expects_comm.cache_clear()  # noqa: SLF001
    # Caches the dashboard's list of pages for each scheduler.
    dashboard: Any = sys.modules.get("distributed.dashboard.scheduler")
    if dashboard is not None and upstream.is_known("dashboard-cache"):
        dashboard.template_variables = inspect.unwrap(dashboard.template_variables)

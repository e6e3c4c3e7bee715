"""Know whether Dask still has the lines that a workaround was written for.

The toolkit does not limit which Dask it runs with, so a part that replaces or relies on private
lines of Dask looks at them first. Where a release has changed them, that part is left out: Dask
does what it does without the toolkit, and the log says what is missing. What a cluster can't do
without is not here; docs/development/upstream/index.md lists both.
"""

import importlib
import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

logger = logging.getLogger("dask_hpc")


@dataclass(frozen=True, eq=False)
class UpstreamPart:
    """Lines of Dask that something here relies on, and that it can do without.

    Parameters
    ----------
    without : str
        What is so without that, for the log.
    lines : mapping of str to str
        By the place of a function, as in ``"distributed.core:Server.close"``: lines that its source
        contains. White space does not count.
    """

    without: str
    lines: Mapping[str, str]

    @cached_property
    def is_known(self) -> bool:
        """Whether all of the lines are there; where one is not, say so in the log, once."""
        for place, lines in self.lines.items():
            if _dense(lines) not in _dense(_source(place)):
                # Not a message to the user, who can do nothing about it.
                logger.info("Dask has changed %s: %s.", place, self.without)
                return False
        return True


def _source(place: str) -> str:
    """Return the source of a function; empty where there is no such function, or no source."""
    module, _, name = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        return inspect.getsource(reduce(getattr, name.split("."), found))
    except (ImportError, AttributeError, TypeError, OSError):
        return ""


def _dense(text: str) -> str:
    return "".join(text.split())


SCHEDULER = "distributed.scheduler:Scheduler"
SECURITY = "distributed.security:Security"
ROUTING = "distributed.http.routing:RoutingApplication"
TRANSITIONS = {f"{SCHEDULER}.transitions": "(self, recommendations: Recs, stimulus_id: str)"}

# --- in _compat -----------------------------------------------------------------------------------

INTERRUPT_NAME_ERROR = UpstreamPart(
    "a Ctrl-C that comes very early may log a NameError",
    {"distributed.utils:sync": "future: asyncio.Future[T] @gen.coroutine"},
)
HANDLER_CACHE = UpstreamPart(
    "closed schedulers may stay in memory",
    {"distributed.core:_expects_comm": "@functools.cache def _expects_comm(func: Callable)"},
)
DASHBOARD_CACHE = UpstreamPart(
    "closed schedulers may stay in memory",
    {
        "distributed.dashboard.scheduler:template_variables": "@memoize def template_variables(",
        "distributed.dashboard.scheduler:connect": "=template_variables(scheduler)",
    },
)
DASHBOARD_AT_START = UpstreamPart(
    "the dashboard is loaded when a cluster starts",
    {
        f"{SCHEDULER}.__init__": "(self.http_application, self.http_server, self, prefix=",
        f"{ROUTING}.find_handler": "for app in self.applications:",
        f"{ROUTING}.add_application": "self.applications.append(application)",
        "distributed.http.utils:get_handlers": "(server, modules: list[str]",
    },
)
TLS_CONTEXTS = UpstreamPart(
    "a TLS connection that breaks may break others",
    {
        f"{SECURITY}.get_connection_args": '"ssl_context": self._get_tls_context(',
        f"{SECURITY}.get_listen_args": '"ssl_context": self._get_tls_context(',
        f"{SECURITY}._attr_to_dict": "keys = sorted(self.__slots__)",
        "distributed.deploy.spec:SpecCluster._start": 'cls(**self.scheduler_spec.get("options"',
    },
)
TASKS_WITHOUT_WORKER = UpstreamPart(
    "tasks that prefer a worker that is gone may not start",
    TRANSITIONS
    | {
        f"{SCHEDULER}.bulk_schedule_unrunnable_after_adding_worker": (
            "valid = self.valid_workers(ts) if valid is None or ws in valid: runnable.append(ts)"
        )
    },
)

# --- elsewhere ------------------------------------------------------------------------------------

BLAME = UpstreamPart(
    "the end of a worker that left in order counts against its tasks",
    {f"{SCHEDULER}.remove_worker": "ts.suspicious += 1 ts.prefix.suspicious += 1"},
)
REMOVALS = UpstreamPart(
    "the death of a worker counts as one that left in order",
    {f"{SCHEDULER}.remove_worker": '"expected": expected, } self.log_event(address, event_msg'},
)
CLOSING_WORKERS = UpstreamPart(
    "workers of a job that ends get new tasks until their results are moved",
    {
        f"{SCHEDULER}.retire_workers": (
            "self.handle_worker_status_change(Status.closing_gracefully, ws, stimulus_id)"
        )
    },
)
QUEUED_ON_WORKERS = UpstreamPart(
    "tasks that wait on the workers of a job that ends stay there until it has ended", TRANSITIONS
)
FAILING_TASKS = UpstreamPart(
    "a task that takes longer than a job begins again each time",
    TRANSITIONS
    | {f"{SCHEDULER}._transition_processing_erred": "worker: str | None = None, cause: Key | None"},
)
WORKER_EXIT = UpstreamPart(
    "a script without a main guard is not recognized by how its workers end",
    {
        "distributed.nanny:Nanny.instantiate": "on_exit=self._on_worker_exit_sync,",
        "distributed.nanny:Nanny._on_worker_exit_sync": "(self, exitcode)",
    },
)
JOB_SCRIPT = UpstreamPart(
    "a job's shell may end before its worker",
    {"dask_jobqueue.core:Job.job_script": "self._script_template % pieces"},
)

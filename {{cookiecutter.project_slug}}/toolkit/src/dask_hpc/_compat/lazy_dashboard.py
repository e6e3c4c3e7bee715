"""Load Dask's dashboard when somebody first looks at it.

Loading it takes most of a second at a program's start and 20 MiB, and most programs end before
anybody has looked. The web server and the link are there from the beginning; the first page takes
that second longer.
"""

import asyncio
import importlib

import distributed
from distributed.core import Status
from distributed.http import get_handlers
from tornado import web

from . import upstream

# What distributed's Scheduler loads when it starts, and what it shows where that can't be loaded.
PAGES = "distributed.dashboard.scheduler"
MISSING_PAGES = "distributed.http.scheduler.missing_bokeh"
# distributed's own list of the dashboard's parts, empty without it. JupyterLab's Dask panel begins
# with it.
PARTS = r"/individual-plots.json"


class DashboardOnDemand:
    """Mixin for `SpecCluster` classes that loads the scheduler's dashboard at the first look."""

    async def _start(self):
        options = self.scheduler_spec.get("options", {})
        plain = self.scheduler_spec["cls"] is distributed.Scheduler and upstream.is_known(
            "dashboard-at-start"
        )
        # Whoever says more of the dashboard than its address gets what distributed makes of it.
        said = {"dashboard", "http_prefix"} & set(options)
        if plain and not said and options.get("dashboard_address") is not None:
            self.scheduler_spec = self.scheduler_spec | {"cls": Scheduler}
        await super()._start()


class Scheduler(distributed.Scheduler):
    """A `distributed.Scheduler` that loads its dashboard at the first request for a page of it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, dashboard=False, **kwargs)
        self._loading = asyncio.Lock()
        pages, mine = self.http_application, {"scheduler": self}
        # After all that distributed has without a dashboard, and before its list.
        self._without_pages = web.Application([(r".*", _Page, mine)])
        pages.add_application(self._without_pages)
        before = list(pages.default_router.rules)
        pages.add_handlers(".*$", [(PARTS, _Page, mine)])
        (self._parts,) = (rule for rule in pages.default_router.rules if rule not in before)

    @property
    def has_dashboard(self) -> bool:
        """Whether the dashboard has been loaded."""
        return self._without_pages not in self.http_application.applications

    async def load_dashboard(self) -> None:
        """Load the dashboard, unless it has been loaded or the scheduler is not running."""
        async with self._loading:
            if self.has_dashboard:
                return
            try:
                # In a thread: it takes long where Python's files come from a slow file system.
                dashboard = await asyncio.to_thread(importlib.import_module, PAGES)
            except ImportError:
                dashboard = None
            if self.status is not Status.running:
                return
            pages = self.http_application
            if dashboard is None:
                pages.add_handlers(".*$", get_handlers(self, [MISSING_PAGES]))
            else:
                dashboard.connect(pages, self.http_server, self, prefix="/")
            pages.applications.remove(self._without_pages)
            pages.default_router.rules.remove(self._parts)


class _Page(web.RequestHandler):
    """Loads the dashboard, whose own handler then answers."""

    def initialize(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def prepare(self) -> None:
        await self._scheduler.load_dashboard()
        if not self._scheduler.has_dashboard:
            raise web.HTTPError(503)
        self._finished = True  # this handler has nothing to say itself
        self._scheduler.http_application.find_handler(self.request).execute()

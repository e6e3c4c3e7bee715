"""Load Dask's dashboard only when it is first opened.

Loading it takes most of a second at startup and 20 MiB of memory, and most programs end before
anyone opens it. The web server and the link exist from the start; the first page takes that second
longer.
"""

import asyncio
import importlib
import re
from typing import Any

import distributed
from distributed.core import Status
from distributed.http import get_handlers
from tornado import routing, web

from . import upstream
from .open_files import limit_pages

# What distributed's Scheduler loads on startup, and what it shows if that fails.
PAGES = "distributed.dashboard.scheduler"
MISSING_PAGES = "distributed.http.scheduler.missing_bokeh"
# distributed's list of the dashboard's plots, empty without a dashboard. JupyterLab's Dask panel
# requests it first.
PARTS = r"/individual-plots.json"


class DashboardOnDemand(distributed.SpecCluster):
    """Mixin for `SpecCluster` classes that loads the scheduler's dashboard on first use."""

    async def _start(self):
        options = self.scheduler_spec.get("options", {})
        plain = self.scheduler_spec["cls"] is distributed.Scheduler and upstream.is_known(
            "dashboard-at-start"
        )
        if plain and options.get("dashboard") is not False:
            options = {name: value for name, value in options.items() if name != "dashboard"}
            self.scheduler_spec = {**self.scheduler_spec, "cls": Scheduler, "options": options}
        await super()._start()
        if (options.get("http_prefix") or "/") != "/":
            # For other scheduler classes; ours has done it.
            adapt_to_prefix(getattr(self.scheduler, "http_application", None))


# Rules outside the prefix that tell it to everyone: a redirection, and a list of all pages.
TELLING = {"/$", "/sitemap.json$"}


def adapt_to_prefix(pages: web.Application | None) -> None:
    """Adapt a scheduler's web server to a prefix that is secret, and that a proxy may precede."""
    for application in [pages, *getattr(pages, "applications", [])] if pages else []:
        for router in (application.default_router, application.wildcard_router):
            _remove_telling(router)
        if hasattr(application, "resources"):  # Bokeh's
            _use_relative_links(application)


def _use_relative_links(pages: Any) -> None:
    """Let Bokeh's pages load their scripts by relative links, as they do without a prefix.

    With a prefix, the links begin with it, and lead nowhere behind a proxy, as in JupyterLab.
    """
    resources = pages.resources

    def relative(absolute_url=None):
        found = resources(absolute_url)
        if not found.mode.startswith("server"):
            return found
        return type(found)(mode=found.mode, root_url="", path_versioner=found.path_versioner)

    pages.resources = relative


def _remove_telling(router: routing.RuleRouter) -> None:
    for rule in list(router.rules):
        if isinstance(rule.target, routing.RuleRouter):
            _remove_telling(rule.target)
        pattern = getattr(rule.matcher, "regex", None)
        if pattern is not None and pattern.pattern in TELLING:
            router.rules.remove(rule)


class Scheduler(distributed.Scheduler):
    """A `distributed.Scheduler` that loads its dashboard on the first request for a page."""

    def __init__(self, *args, http_prefix="/", **kwargs):
        super().__init__(*args, dashboard=False, http_prefix=http_prefix, **kwargs)
        limit_pages(self.http_server)
        self._loading = asyncio.Lock()
        self._prefix = (http_prefix or "").strip("/")
        pages, mine = self.http_application, {"scheduler": self}
        under = re.escape(f"/{self._prefix}") if self._prefix else ""
        # After everything that distributed serves without a dashboard, but before its list.
        self._without_pages = web.Application([(f"{under}/.*", _Page, mine)])
        pages.add_application(self._without_pages)
        before = list(pages.default_router.rules)
        pages.add_handlers(".*$", [(under + PARTS, _Page, mine)])
        (self._parts,) = (rule for rule in pages.default_router.rules if rule not in before)
        if self._prefix:
            adapt_to_prefix(pages)

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
                # In a thread, since it takes long on a slow file system.
                dashboard = await asyncio.to_thread(importlib.import_module, PAGES)
            except ImportError:
                dashboard = None
            if self.status is not Status.running:
                return
            pages = self.http_application
            if dashboard is None:
                pages.add_handlers(".*$", get_handlers(self, [MISSING_PAGES], self._prefix))
            else:
                dashboard.connect(pages, self.http_server, self, prefix=self._prefix)
                if self._prefix:
                    adapt_to_prefix(pages)
            pages.applications.remove(self._without_pages)
            pages.default_router.rules.remove(self._parts)


class _Page(web.RequestHandler):
    """Load the dashboard, and let its own handler answer the request."""

    def initialize(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def prepare(self) -> None:
        await self._scheduler.load_dashboard()
        if not self._scheduler.has_dashboard:
            raise web.HTTPError(503)
        self._finished = True  # this handler does not answer itself
        self._scheduler.http_application.find_handler(self.request).execute()

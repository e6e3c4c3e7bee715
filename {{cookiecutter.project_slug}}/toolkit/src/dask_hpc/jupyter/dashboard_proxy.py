"""A Jupyter server extension that forwards requests to the dashboards of running clusters.

jupyter-server-proxy forwards to any port, with the browser's cookies and tokens. After a cluster
has closed, another user of the login node may listen on its port and receive them. This forwards
only to a dashboard that the user's own, running cluster has on this computer, and keeps the
credentials of the Jupyter server to itself.
"""

from typing import Any

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado import web

from ..security import records
from ..security.dashboard import LOOPBACK

PATH = "proxy/dask"  # below the server's address; JupyterLab's Dask panel requires "proxy"
SECRET_HEADERS = ("Cookie", "Authorization", "X-XSRFToken")


class DashboardHandler(ProxyHandler):
    """Forward a request to a cluster's dashboard: ``proxy/dask/PORT/PREFIX/PAGE``."""

    async def prepare(self) -> None:
        """Authenticate the request, check that the cluster runs, and remove the credentials."""
        await super().prepare()
        port, path = self.path_args
        if not records.has_dashboard(int(port), path):
            raise web.HTTPError(410, "The cluster of this dashboard has closed.")
        self.proxy_base = f"{PATH}/{port}"
        for name in SECRET_HEADERS:
            self.request.headers.pop(name, None)

    async def http_get(self, port: str, path: str) -> Any:
        return await self.proxy(LOOPBACK, port, path)

    async def open(self, port: str, path: str) -> Any:
        return await self.proxy_open(LOOPBACK, port, path)

    def post(self, port: str, path: str) -> Any:
        return self.proxy(LOOPBACK, port, path)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    route = url_path_join(server.web_app.settings["base_url"], PATH, r"(\d+)(/.*)")
    server.web_app.add_handlers(".*$", [(route, DashboardHandler)])

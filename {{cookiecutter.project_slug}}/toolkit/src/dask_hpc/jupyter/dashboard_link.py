"""Set the link to Dask's dashboard, depending on where this Python runs.

Dask shows ``distributed.dashboard.link``, the same text everywhere. In a notebook, the link must
lead through the notebook's own server, whose address only that server knows; elsewhere, it must
not. Dask loads this module in each scheduler and client (``preload`` in the project's
``config/distributed.yaml``). It sets the link unless the user has done so.
"""

import asyncio
import http.client
import json
import os
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import dask.config
import psutil

from ..security import records
from ..security.dashboard import with_prefix

LINK_KEY = "distributed.dashboard.link"
# For a laptop, and for a login node through an ssh tunnel with the same port at both ends.
LOCAL_LINK = "{scheme}://localhost:{port}/status"
# For computers that can reach the scheduler's node, such as a login node. Dask's default.
NODE_LINK = "{scheme}://{host}:{port}/status"
# Below a server's address: jupyter-server-proxy forwards it to that port on its computer, ours only
# to clusters that we record.
PROXY_PATH, OWN_PROXY_PATH = "proxy/{port}/status", "proxy/dask/{port}/status"
# Pages that a server has only if it forwards requests. (It redirects pages that end with a slash.)
PROXY_PAGE, OWN_PROXY_PAGE = "server-proxy/servers-info", "proxy/dask/0/x"
TIMEOUT_S = 2.0  # for a server's answer
# Variables that batch systems set in jobs, and only on compute nodes.
JOB_VARIABLES = (
    "SLURMD_NODENAME",
    "PBS_JOBID",
    "LSB_JOBID",
    "OAR_JOB_ID",
    "SGE_TASK_ID",
    "_CONDOR_SLOT",
)


async def dask_setup(_scheduler_or_client) -> None:
    """Set the link. Dask calls this hook in every scheduler and client on startup."""
    link = dask.config.get(LINK_KEY)
    if not is_set():
        # In a thread, since the server to ask may be this very process. In a thread of our own,
        # since a loop with a default executor starts another thread when it closes, which fails
        # with a traceback while Python 3.12.0 to 3.12.2 exits.
        pool = ThreadPoolExecutor(1)
        try:
            link = await asyncio.get_running_loop().run_in_executor(pool, find_link)
        finally:
            pool.shutdown(wait=False)
    dask.config.set({LINK_KEY: PrefixedLink(link)})


class PrefixedLink(str):
    """A link's template that adds the prefix of the cluster's pages when Dask fills it in.

    A cluster knows its prefix, but a client that joins a cluster of another Python does not.
    """

    __slots__ = ()

    def format(self, *args, host, port, **fields):
        """Return the link of the cluster whose scheduler has this host and this HTTP port."""
        prefix = records.http_prefix(host, port)
        template = str(self) if prefix else self.replace(OWN_PROXY_PATH, PROXY_PATH)
        return with_prefix(template.format(*args, host=host, port=port, **fields), prefix)


def is_set() -> bool:
    """Return whether the user has set the link: in a file, a variable, or `dask.config.set`."""
    shown = dask.config.get(LINK_KEY, None)
    if find_link.cache_info().currsize and shown == find_link():
        return True
    if shown != dask.config.get(LINK_KEY, None, config=dask.config.merge(*dask.config.defaults)):
        return True
    return dask.config.get(LINK_KEY, None, config=dask.config.collect()) is not None


@cache
def find_link() -> str:
    """Return the link for this process, as a template that Dask fills in.

    Returns
    -------
    str
        ``{base_url}proxy/dask/{port}/status`` in a notebook, and for clusters of JupyterLab's Dask
        panel; the same with the server's full address in a terminal of JupyterLab;
        ``{scheme}://{host}:{port}/status`` in a batch job, since users are not on its node;
        ``{scheme}://localhost:{port}/status`` elsewhere. The last two also apply if the Jupyter
        server has no jupyter-server-proxy.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    in_a_job = any(name in os.environ for name in JOB_VARIABLES)
    direct = NODE_LINK if in_a_job else LOCAL_LINK
    server = parent_server()
    if server is None or (proxies := answers(server["url"], PROXY_PAGE)) is None:
        # There is no visible server, but a hub's server may be on another computer. A job inherits
        # the hub's variable from the shell that submitted it.
        return _escaped(prefix) + PROXY_PATH if prefix and not in_a_job else direct
    if not proxies:
        return direct
    # A path is enough for the browser that shows the notebook, under whatever address it reaches
    # the server. A hub's servers do not know the hub's public address.
    path_only = prefix or server["pid"] == os.getpid() or "ipykernel.kernelapp" in sys.modules
    path = OWN_PROXY_PATH if answers(server["url"], OWN_PROXY_PAGE) else PROXY_PATH
    return _escaped(server["base_url"] if path_only else server["url"]) + path


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def parent_server() -> dict | None:
    """Return the published data of the Jupyter server that this process belongs to.

    The server is this process or its nearest ancestor: the server of this kernel or terminal.
    Environment variables cannot tell, since batch jobs inherit them on other computers.
    """
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return None
    folder = Path(jupyter_runtime_dir())
    this = psutil.Process()
    for pid in [this.pid, *(process.pid for process in this.parents())]:
        try:
            server = json.loads((folder / f"jpserver-{pid}.json").read_text())
            return {name: server[name] for name in ("pid", "url", "base_url")}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def answers(url: str, page: str) -> bool | None:
    """Return whether a Jupyter server has a page; None without a server.

    This asks the server, since it may run in another Python. The request needs no token: a missing
    page is "not found" without one, too.
    """
    address = urlsplit(url)
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        # Certificates are often self-signed, and nothing secret is sent or received.
        context = ssl._create_unverified_context()  # noqa: SLF001 - documented (PEP 476)
        connection = http.client.HTTPSConnection(address.netloc, timeout=TIMEOUT_S, context=context)
    elif address.scheme == "http":
        connection = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_S)
    else:  # a server on a Unix socket
        return None
    try:
        connection.request("GET", f"{address.path.rstrip('/')}/{page}")
        return connection.getresponse().status != 404
    except TimeoutError:
        return True  # the server is busy; assume the usual case
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()

"""Set the link to Dask's dashboard that suits the place where this Python runs.

Dask shows ``distributed.dashboard.link``, one text for all places. In a notebook, the link has to
lead through the notebook's own server, whose address only that server knows; anywhere else it must
not. Dask loads this module in each scheduler and client (``preload`` in the project's
``config/distributed.yaml``). The module fills in the link where nobody else has set one.
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

LINK_KEY = "distributed.dashboard.link"
# Right on a laptop, and on a login node through an ssh tunnel with the same port at both ends.
LOCAL_LINK = "{scheme}://localhost:{port}/status"
# Right where the scheduler's node can be reached: from a login node, say. Dask's own.
NODE_LINK = "{scheme}://{host}:{port}/status"
# Below a server's own address: jupyter-server-proxy passes it on to that port of its computer.
PROXY_PATH = "proxy/{port}/status"
TIMEOUT_S = 2.0  # that a server may take to answer
# Set by batch systems in their jobs, and only on compute nodes.
JOB_VARIABLES = (
    "SLURMD_NODENAME",
    "PBS_JOBID",
    "LSB_JOBID",
    "OAR_JOB_ID",
    "SGE_TASK_ID",
    "_CONDOR_SLOT",
)


async def dask_setup(_scheduler_or_client) -> None:
    """Set the link. This is Dask's hook, called in every scheduler and client when it starts."""
    if not is_set():
        # In a thread: the server that is asked may be this very process. In one of our own: a loop
        # with a default executor starts one more thread when it is closed, which Python 3.12.0 to
        # 3.12.2 refuses while it ends, with a traceback.
        pool = ThreadPoolExecutor(1)
        try:
            link = await asyncio.get_running_loop().run_in_executor(pool, find_link)
        finally:
            pool.shutdown(wait=False)
        dask.config.set({LINK_KEY: link})


def is_set() -> bool:
    """Return whether somebody has set the link: in a file, a variable or by `dask.config.set`."""
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
        ``{base_url}proxy/{port}/status`` in a notebook, and for clusters of JupyterLab's Dask
        panel; the same after the server's full address in a terminal of JupyterLab;
        ``{scheme}://{host}:{port}/status`` in a batch job, since people are on a computer other
        than its node; ``{scheme}://localhost:{port}/status`` elsewhere. The last two also apply
        where the Jupyter server has no jupyter-server-proxy.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    in_a_job = any(name in os.environ for name in JOB_VARIABLES)
    direct = NODE_LINK if in_a_job else LOCAL_LINK
    server = parent_server()
    if server is None or (proxies := has_proxy(server["url"])) is None:
        # No server that we see; a hub's may be on another computer. A job has the hub's variable
        # from the shell that submitted it.
        return _escaped(prefix) + PROXY_PATH if prefix and not in_a_job else direct
    if not proxies:
        return direct
    # A path is enough for the browser that shows the notebook, whatever it calls the server. A
    # hub's servers do not know the address under which the hub is reached.
    path_only = prefix or server["pid"] == os.getpid() or "ipykernel.kernelapp" in sys.modules
    return _escaped(server["base_url"] if path_only else server["url"]) + PROXY_PATH


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def parent_server() -> dict | None:
    """Return what the Jupyter server that this process belongs to has written about itself.

    The server is this process, or the nearest one of those that started it: a kernel's server, or
    the one whose terminal this is. Environment variables would not tell, since batch jobs inherit
    them on other computers.
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


def has_proxy(url: str) -> bool | None:
    """Return whether a Jupyter server can pass requests on to other ports; None without a server.

    The server is asked, since its Python need not be ours. The request needs no token: a page that
    a server does not have is "not found" for everybody.
    """
    address = urlsplit(url)
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        # Often self-signed, and nothing secret is sent or received.
        context = ssl._create_unverified_context()  # noqa: SLF001 - documented (PEP 476)
        connection = http.client.HTTPSConnection(address.netloc, timeout=TIMEOUT_S, context=context)
    elif address.scheme == "http":
        connection = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_S)
    else:  # a server on a socket file
        return None
    try:
        connection.request("GET", f"{address.path.rstrip('/')}/server-proxy/servers-info")
        return connection.getresponse().status != 404
    except TimeoutError:
        return True  # busy; the usual case
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()

"""Keep a cluster's dashboard private: on the loopback, below a path that nobody can guess.

The dashboard has no password, and shows logs and running code. Other users of a login node share
its loopback, so the address alone does not protect it.
"""

import secrets
from collections.abc import Mapping
from typing import Any

LOOPBACK = "127.0.0.1"
DEFAULT = ":8787"  # dask-jobqueue's and distributed's
PAGE = "/status"


def private(options: Mapping[str, Any], host: str = LOOPBACK) -> dict[str, Any]:
    """Return a scheduler's options with a private dashboard.

    Parameters
    ----------
    options : mapping
        The user's options. A host in ``dashboard_address``, or an ``http_prefix``, is kept.
    host : str
        The address to listen on.
    """
    changed: dict[str, Any] = {"http_prefix": f"/{secrets.token_urlsafe(16)}", **options}
    address = options.get("dashboard_address", DEFAULT)
    if address is None:  # no dashboard; distributed would still listen on port 8787
        changed["dashboard"], address = False, ":0"
    port = str(address).removeprefix(":")
    changed["dashboard_address"] = f"{host}:{port}" if port.isdecimal() else address
    return changed


def with_prefix(link: str, prefix: str) -> str:
    """Return a link to the dashboard with the prefix of its pages."""
    prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
    if not link or (prefix and prefix in link):
        return link
    before, page, after = link.rpartition(PAGE)
    return f"{before}{prefix}{page}{after}" if page else link.rstrip("/") + prefix

"""Find the client whose workers compute, or start a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import distributed

from .. import _get_cluster
from .._output import messages
from ..allocation.cluster import AllocationCluster
from ..errors import SweepError


def current_client() -> distributed.Client | None:
    """Return the client that the program has created last, or None."""
    try:
        return distributed.default_client()
    except ValueError:
        return None


@contextlib.contextmanager
def open_client(client: Any = None, jobs: int | None = None) -> Iterator[distributed.Client]:
    """Yield the client: the given one, the current one, or one of a new cluster.

    Parameters
    ----------
    client : distributed.Client, optional
    jobs : int, optional
        Jobs of a new cluster. Default: all nodes in a job of ``dask hpc run``, all cores of a
        computer without a batch system, or one job.

    Raises
    ------
    SweepError
        The client cannot be used.
    """
    found = client if client is not None else current_client()
    if found is not None:
        check(found)
        if jobs is not None:
            messages.info("jobs has no effect here: the sweep uses the workers of the client.")
        yield found
        return
    with _get_cluster.get_cluster() as cluster:
        if isinstance(cluster, AllocationCluster) and jobs is None:
            cluster.adapt()
        elif not isinstance(cluster, distributed.LocalCluster) or jobs is not None:
            cluster.scale(jobs=jobs or 1)
        cluster.wait_for_workers(1)
        with distributed.Client(cluster, set_as_default=False) as own:
            yield own


def check(client: Any) -> None:
    """Raise an error for a client that cannot be used."""
    if not isinstance(client, distributed.Client):
        raise SweepError(
            f"client has to be a dask.distributed.Client, not {type(client).__name__}."
        )
    if client.asynchronous:
        raise SweepError("sweep needs a client that was created without asynchronous=True.")
    if client.status != "running":
        raise SweepError(f"The client is {client.status}: create a new one.")

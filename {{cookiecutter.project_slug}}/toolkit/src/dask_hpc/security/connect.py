"""Connect to a cluster that runs in another Python of the same user."""

from typing import Any

from distributed import Client

from ..errors import ConfigError
from . import records


def connect(cluster: str, **kwargs: Any) -> Client:
    """Return a client of a running cluster of yours.

    The cluster may have been created in another notebook or shell, also on another login node.

    Parameters
    ----------
    cluster : str
        The name with which it was created, as in ``SLURMCluster(name="physics")``, or the
        scheduler's address.
    **kwargs
        Further arguments of `distributed.Client`.

    Raises
    ------
    ConfigError
        No running cluster has this name, or several have.
    """
    if "://" in cluster:
        kwargs.setdefault("security", records.load({"address": cluster}))
        return Client(cluster, **kwargs)
    running = [record for record in records.records() if not record.is_dead]
    found = [record for record in running if record.name == cluster]
    if not found:
        names = ", ".join(sorted({record.name for record in running})) or "none"
        raise ConfigError(f"No cluster of yours is named {cluster}. Running: {names}.")
    answers = {record.address: _client(record, kwargs) for record in found}
    clients = [client for client in answers.values() if client is not None]
    if len(clients) == 1:
        return clients[0]
    for client in clients:
        client.close()
    places = ", ".join(address for address, client in answers.items() if client or not clients)
    if clients:
        raise ConfigError(f"Several clusters are named {cluster}: {places}. Pass the address.")
    raise ConfigError(f"The cluster {cluster} does not answer at {places}: it has probably ended.")


def _client(record: records.Record, kwargs: dict[str, Any]) -> Client | None:
    try:
        return Client(record.address, **{"security": record.security, **kwargs})
    except OSError:
        return None

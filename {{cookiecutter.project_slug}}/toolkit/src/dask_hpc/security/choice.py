"""Choose the security settings of a new cluster: encrypted, unless the user decides otherwise."""

from typing import Any

from distributed import Security

from .._output import messages
from ..config import options
from ..errors import ConfigError

try:
    from . import certificates
except ImportError:  # an environment that is older than this
    certificates = None  # type: ignore[assignment]

NOT_ENCRYPTED = (
    "This cluster is not encrypted ({why}): every account that can reach this network can read its "
    "data and run code as you."
)


def choose(security: Any = None, protocol: str | None = None) -> Security | None:
    """Return the security settings for a cluster with these arguments; None for no encryption.

    Parameters
    ----------
    security : Security or bool, optional
        True or nothing for credentials of the cluster's own, unless Dask's configuration names
        key files; False for no encryption.
    protocol : str, optional
        The user's own protocol; any other than ``tls`` is not encrypted.

    Raises
    ------
    ConfigError
        The package cryptography is missing, or the key ``security`` is invalid.
    """
    if security not in (None, True, False):
        return security  # a Security, or what upstream refuses
    plain = (protocol or "tls").partition("://")[0]
    if security is None and plain == "inproc":
        return None  # nothing leaves the process
    if security is False:
        why = "security=False"
    elif security is None and not options.get("security"):
        why = "`security: false` in the section dask-hpc of the configuration"
    elif security is None and plain != "tls":
        why = f"its protocol is {plain}"
    else:
        return _configured() or _new()
    messages.warning(NOT_ENCRYPTED.format(why=why))
    return None


def _configured() -> Security | None:
    """Return what Dask's own configuration says, if it names keys."""
    security = Security()
    return security if security.get_tls_config_for_role("scheduler").get("cert") else None


def _new() -> Security:
    if certificates is None:
        raise ConfigError(
            "Encryption needs the package cryptography, which is not installed: run `python -m pip "
            "install cryptography` or `conda install cryptography`."
        )
    return certificates.security(*certificates.create())

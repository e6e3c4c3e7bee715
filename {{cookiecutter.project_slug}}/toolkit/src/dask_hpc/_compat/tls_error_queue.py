"""Keep TLS connections alive when another one breaks.

OpenSSL keeps errors in a list for each thread until somebody empties it. Python does so for most
errors, but not where the system refused to read or to write because a peer is gone. In that case
the next operation on *another* connection of this thread fails with the same error, and so does the
one after it (cpython#148594; Python since 3.11.12, 3.12.9 and 3.13.2, with OpenSSL since 3.4).
Dask's scheduler has all of its connections in one thread, often together with the client's.
"""

import contextlib
import functools
import ssl
from typing import TYPE_CHECKING

from distributed import Security

from . import upstream

if TYPE_CHECKING:
    from distributed import SpecCluster as _Base
else:
    _Base = object


def forget_errors() -> None:
    """Empty OpenSSL's list of errors for this thread."""
    # This is refused, and Python empties the list after that.
    with contextlib.suppress(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none of them")


def _leaves_no_error(method):
    @functools.wraps(method)
    def call(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except ssl.SSLError:
            raise  # Python has emptied the list
        except OSError:
            forget_errors()
            raise

    return call


class IsolatedSSLSocket(ssl.SSLSocket):
    """A TLS socket whose errors affect no other. Tornado's streams use these methods."""

    do_handshake = _leaves_no_error(ssl.SSLSocket.do_handshake)
    recv_into = _leaves_no_error(ssl.SSLSocket.recv_into)
    send = _leaves_no_error(ssl.SSLSocket.send)


class IsolatedSecurity(Security):
    """A `distributed.Security` whose connections use `IsolatedSSLSocket`."""

    def get_connection_args(self, role):
        return _with_sockets(super().get_connection_args(role))

    def get_listen_args(self, role):
        return _with_sockets(super().get_listen_args(role))


def _with_sockets(arguments: dict) -> dict:
    if (context := arguments.get("ssl_context")) is not None:
        context.sslsocket_class = IsolatedSSLSocket
    return arguments


def isolate(security: Security | None) -> Security | None:
    """Return the same security, with connections that do not break together.

    An object of the user's own class is returned as it is.
    """
    if type(security) is not Security or not upstream.is_known("tls-contexts"):
        return security
    other = IsolatedSecurity.__new__(IsolatedSecurity)
    for name in Security.__slots__:
        setattr(other, name, getattr(security, name))
    return other


class IsolatedTLSMixin(_Base):
    """Mixin for `SpecCluster` classes whose scheduler and clients connect in this way."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # On an event loop it has not been started yet, and a client may be made of it before.
        self._connect_apart()

    async def _start(self):
        self._connect_apart()
        await super()._start()

    def _connect_apart(self) -> None:
        if self.scheduler is not None:
            return
        self.security = isolate(self.security)
        options = self.scheduler_spec.get("options", {})
        security = isolate(options.get("security") or self.security)
        self.scheduler_spec = self.scheduler_spec | {"options": options | {"security": security}}

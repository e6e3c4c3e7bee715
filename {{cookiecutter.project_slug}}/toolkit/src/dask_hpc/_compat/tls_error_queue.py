"""Keep TLS connections alive when another one breaks.

OpenSSL keeps errors in a queue for each thread until it is cleared. Python clears the queue after
most errors, but not after a failed read or write because a peer is gone. Then the next operation on
*another* connection of the thread fails with the same error, and so does the one after it
(cpython#148594; Python since 3.11.12, 3.12.9, and 3.13.2, with OpenSSL since 3.4). Dask's scheduler
has all its connections in one thread, often together with the client's.

A connection whose read fails with an error also stays in memory, and its scheduler with it
(docs/development/upstream/distributed-reset-connections.md). With TLS, this is how most end.
"""

import contextlib
import functools
import ssl

from distributed import Security, SpecCluster

from . import upstream
from .open_files import pending


def forget_errors() -> None:
    """Clear OpenSSL's error queue for this thread."""
    # This raises an error, after which Python clears the queue.
    with contextlib.suppress(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none of them")


def _leaves_no_error(method):
    @functools.wraps(method)
    def call(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except ssl.SSLError:
            raise  # Python has cleared the queue
        except OSError:
            forget_errors()
            raise

    return call


_handshake = _leaves_no_error(ssl.SSLSocket.do_handshake)
_recv_into = _leaves_no_error(ssl.SSLSocket.recv_into)


class IsolatedSSLSocket(ssl.SSLSocket):
    """A TLS socket whose errors do not affect others. Tornado's streams use these methods."""

    def do_handshake(self, *args):
        if self.server_side:
            pending.add(self)
        try:
            _handshake(self, *args)
        except ssl.SSLWantReadError:
            raise
        except BaseException:
            pending.remove(self)
            raise
        pending.remove(self)

    def recv_into(self, *args):
        try:
            return _recv_into(self, *args)
        except (BrokenPipeError, ConnectionResetError):
            return 0  # the end, as without TLS; Tornado's stream would keep the error

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
    """Return the same security settings, with connections that do not break each other.

    An object of the user's own class is returned unchanged.
    """
    if type(security) is not Security or not upstream.is_known("tls-contexts"):
        return security
    other = IsolatedSecurity.__new__(IsolatedSecurity)
    for name in Security.__slots__:
        setattr(other, name, getattr(security, name))
    return other


class IsolatedTLSMixin(SpecCluster):
    """Mixin for `SpecCluster` classes whose scheduler and clients use `IsolatedSecurity`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # An asynchronous cluster has not started yet, and a client may be created before it does.
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

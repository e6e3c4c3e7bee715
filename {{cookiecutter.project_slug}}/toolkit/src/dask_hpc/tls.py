"""TLS connections live on when another one breaks.

OpenSSL keeps what went wrong in a list of the thread's, until somebody empties it. Python does so
for most errors, but not where the system refused to read or to write, since a peer is gone: then
whatever is done next with *another* connection of this thread fails with the same error, and so
does the next one (cpython#148594; Python since 3.11.12, 3.12.9 and 3.13.2, with OpenSSL since 3.4).
Dask's scheduler has all of its connections in one thread, and the client is often there, too.
"""

from __future__ import annotations

import contextlib
import functools
import ssl

from distributed import Security


def forget_errors() -> None:
    """Empty OpenSSL's list of errors of this thread."""
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


class Socket(ssl.SSLSocket):
    """One whose errors are its own. These are the methods that Tornado's streams use."""

    do_handshake = _leaves_no_error(ssl.SSLSocket.do_handshake)
    recv_into = _leaves_no_error(ssl.SSLSocket.recv_into)
    send = _leaves_no_error(ssl.SSLSocket.send)


class ApartSecurity(Security):
    """`distributed.Security` with such sockets."""

    def get_connection_args(self, role):
        return _with_sockets(super().get_connection_args(role))

    def get_listen_args(self, role):
        return _with_sockets(super().get_listen_args(role))


def _with_sockets(arguments: dict) -> dict:
    if (context := arguments.get("ssl_context")) is not None:
        context.sslsocket_class = Socket
    return arguments


def apart(security: Security | None) -> Security | None:
    """The same security, with connections that do not break together.

    One of a class of the user's own is left as it is.
    """
    if type(security) is not Security:
        return security
    other = ApartSecurity.__new__(ApartSecurity)
    for name in Security.__slots__:
        setattr(other, name, getattr(security, name))
    return other


class ConnectsApart:
    """Mixed into a `SpecCluster` class: its scheduler and the clients made of it connect so."""

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
        self.security = apart(self.security)
        options = self.scheduler_spec.get("options", {})
        security = apart(options.get("security") or self.security)
        self.scheduler_spec = self.scheduler_spec | {"options": options | {"security": security}}

"""Keep connections of strangers from using up the files that a scheduler may open.

distributed waits without a limit for the TLS handshake of a new connection, and Tornado for a
request. Whoever opens many connections and says nothing uses up the files that the process may
open. After that, nobody can connect, and each turn of the event loop logs a traceback. Here, the
oldest connections to the scheduler make room, and the dashboard takes no more than a share.
"""

import contextlib
import logging
import socket
import ssl
import time
import weakref
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

LOGGER = logging.getLogger("distributed.comm.tcp")
MESSAGE = "Listener on %r: TLS handshake failed with remote %r: %s"
# For either kind, of the files that the process may open. Not more, since Tornado accepts hundreds
# of connections before the first of them is handled.
OPEN_FILES_FRACTION = 0.25
# On Windows, which has no such limit; its `select` takes so many sockets.
WINDOWS_OPEN_FILES = 512
MAX_MESSAGES, PERIOD_S = 5, 600.0


def _limit() -> int:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else WINDOWS_OPEN_FILES
    return max(1, int(OPEN_FILES_FRACTION * most))


class PendingHandshakes:
    """The connections to this process that have not completed their handshake, oldest first."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakKeyDictionary[ssl.SSLSocket, None] = weakref.WeakKeyDictionary()

    def add(self, connection: ssl.SSLSocket) -> None:
        """Add a connection that has begun its handshake; end the oldest one if there are many."""
        if connection in self._sockets:
            return
        self._sockets[connection] = None
        while len(self._sockets) > _limit():
            oldest = next(iter(self._sockets))
            self.remove(oldest)
            # Not `SSLSocket.shutdown`: Tornado's stream is to see the end, and close itself.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(oldest, socket.SHUT_RDWR)

    def remove(self, connection: ssl.SSLSocket) -> None:
        """Remove a connection whose handshake is over, successful or not."""
        self._sockets.pop(connection, None)


def limit_pages(server: HTTPServer) -> None:
    """Refuse connections to a web server when it has many."""
    handle, streams = server.handle_stream, weakref.WeakSet[IOStream]()

    def handle_stream(stream: IOStream, address: tuple[Any, ...]) -> None:
        if sum(not each.closed() for each in streams) < _limit():
            streams.add(stream)
            handle(stream, address)
        else:
            stream.close()

    server.handle_stream = handle_stream  # type: ignore[method-assign]


class FewMessages(logging.Filter):
    """Show only a few messages about failed handshakes in a period of time."""

    def __init__(self) -> None:
        super().__init__()
        self._begin, self._number = -PERIOD_S, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show a message."""
        if record.msg != MESSAGE:
            return True
        if (now := time.monotonic()) - self._begin > PERIOD_S:
            self._begin, self._number = now, 0
        self._number += 1
        if self._number == MAX_MESSAGES:
            record.msg += " (not shown again for %d minutes)"
            record.args = (*record.args, PERIOD_S // 60)  # type: ignore[misc]
        return self._number <= MAX_MESSAGES


pending = PendingHandshakes()
LOGGER.addFilter(FewMessages())

"""One stream of bytes between two processes: what the network or the loopback can do without Dask.

`open_stream` runs on the worker that the other process connects to. It listens at the address at
which the worker listens itself, for one connection that knows a secret, and only for a moment. What
it sends is noise.
"""

import hmac
import os
import socket
import threading
import time

TIMEOUT_S = 60.0
SECRET_BYTES = 32
RECEIVE, SEND = "receive", "send"  # what the worker that listens does


class StreamError(OSError):
    """The other process did not send what it should have."""


def open_stream(host: str, number: int, direction: str) -> tuple[str, int, bytes]:
    """Listen for a process that sends or receives `number` bytes; return how to reach this one.

    Parameters
    ----------
    host : str
        The address to listen at.
    number : int
    direction : {"receive", "send"}
        What this process does.

    Returns
    -------
    host : str
    port : int
    secret : bytes
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    secret = os.urandom(SECRET_BYTES)
    server = socket.create_server((host, 0), family=family, backlog=1)
    server.settimeout(TIMEOUT_S)
    data = noise(number) if direction == SEND else b""
    threading.Thread(target=_serve, args=(server, secret, number, data), daemon=True).start()
    return host, server.getsockname()[1], secret


def _serve(server: socket.socket, secret: bytes, number: int, data: bytes) -> None:
    with server:
        peer, _ = server.accept()
    with peer:
        peer.settimeout(TIMEOUT_S)
        if not hmac.compare_digest(_receive(peer, SECRET_BYTES), secret):
            return
        if data:
            peer.sendall(data)
        else:
            _receive(peer, number)
            peer.sendall(b"k")


def connect(host: str, port: int, secret: bytes, number: int, direction: str) -> float:
    """Send or receive what `open_stream` expects or sends; return the seconds it took.

    Parameters
    ----------
    host, port, secret
        What `open_stream` has returned.
    number : int
        Of bytes.
    direction : {"receive", "send"}
        What the process that listens does.
    """
    data = noise(number) if direction == RECEIVE else b""
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as peer:
        clock = time.perf_counter()
        peer.sendall(secret)
        if data:
            peer.sendall(data)
            _receive(peer, 1)
        else:
            _receive(peer, number)
        return time.perf_counter() - clock


def _receive(peer: socket.socket, number: int) -> bytes:
    data = bytearray(number)
    view, received = memoryview(data), 0
    while received < number:
        new = peer.recv_into(view[received:])
        if not new:
            raise StreamError("the connection was closed")
        received += new
    return bytes(data) if number <= SECRET_BYTES else b""


def noise(number: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return os.urandom(number)

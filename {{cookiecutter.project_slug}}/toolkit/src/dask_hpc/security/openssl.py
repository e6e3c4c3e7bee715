"""Initialize OpenSSL, once for all workers of a job."""

import functools
import ssl


@functools.cache
def initialize() -> ssl.SSLContext:
    """Return a context. Processes that are copied from this one share what OpenSSL keeps for it.

    OpenSSL needs 2 MiB for itself once the first context exists.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

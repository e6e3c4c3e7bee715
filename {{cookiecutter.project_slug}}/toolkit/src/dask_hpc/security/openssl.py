"""Initialize OpenSSL on import.

OpenSSL needs 2 MiB for itself once the first context exists. The workers of a job share them if the
forkserver from which they are forked has imported this module.
"""

import ssl

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

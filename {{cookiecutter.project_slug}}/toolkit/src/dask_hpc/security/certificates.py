"""Create the key and the certificate of one cluster.

Whoever has both can connect to the cluster, so they are never shared between clusters. This does
what `distributed.Security.temporary` does, with two differences: the certificate is valid on
computers whose clocks differ from this one's, and the key is one that is created in a millisecond.
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from distributed import Security

NAME = "dask-hpc"
VALID_BEFORE = timedelta(days=1)  # for nodes whose clocks are late
VALID_FOR = timedelta(days=366)


def create(now: datetime | None = None) -> tuple[str, str]:
    """Return a new certificate, which signs itself, and its key, both in PEM format.

    Parameters
    ----------
    now : datetime, optional
        The time, with its zone, instead of this computer's.
    """
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - VALID_BEFORE)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(form).decode(), key.private_bytes(form, *plain).decode()


def security(certificate: str, key: str) -> Security:
    """Return the settings of a cluster and its clients with these credentials.

    The texts may also be the paths of files.
    """
    names = [f"tls_{role}_" for role in ("client", "scheduler", "worker")]
    cert, keys = {f"{it}cert": certificate for it in names}, {f"{it}key": key for it in names}
    return Security(require_encryption=True, tls_ca_file=certificate, **cert, **keys)

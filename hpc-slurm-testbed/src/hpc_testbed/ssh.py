"""Connect to the login nodes with ssh, as from a laptop, through ports on localhost."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpc_testbed.docker_engine import TEXT
from hpc_testbed.errors import TestbedError, last_lines
from hpc_testbed.testbed import Testbed

HOST_KEY = "/etc/ssh/testbed/host_key.pub"


def ssh_port(testbed: Testbed, service: str = "login") -> int:
    """Return the port on 127.0.0.1 for a login node's sshd."""
    [published] = testbed.container(service).attrs["Ports"]
    return int(published["PublicPort"])


@contextmanager
def ssh_config(testbed: Testbed, user: str = "alice") -> Iterator[Path]:
    """Create a key, authorize it while the block runs, and write a configuration for ssh.

    The configuration has the hosts ``login1``, ``login2``, and ``login`` (the first), with their
    common host key. Use it with ``ssh -F FILE login2``, scp, rsync, and so on.

    Parameters
    ----------
    user : str
        The user to log in as.

    Yields
    ------
    Path
        The configuration file. It is deleted with the key when the block ends.

    Raises
    ------
    TestbedError
        The testbed is not up, or the user does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="hpc-testbed-ssh-") as made:
        folder = Path(made)
        key = folder / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", made, "-f", str(key)]
        try:
            done = subprocess.run(command, capture_output=True, **TEXT)
        except FileNotFoundError:
            raise TestbedError("`ssh-keygen` is missing: install the OpenSSH client") from None
        if done.returncode != 0:
            raise TestbedError(f"ssh-keygen failed: {last_lines(done.stderr)}")
        public = (folder / "key.pub").read_text()
        host_key = testbed.run(f"cat {HOST_KEY}", user="root").stdout
        (folder / "known_hosts").write_text(f"login {host_key}")
        config = folder / "config"
        config.write_text(
            "".join(
                f"Host {names}\n  Port {ssh_port(testbed, names.split()[-1])}\n"
                for names in ("login login1", "login2")
            )
            + f"Host login login1 login2\n  HostName 127.0.0.1\n  User {user}\n"
            f'  IdentityFile "{key}"\n  IdentitiesOnly yes\n'
            f'  HostKeyAlias login\n  UserKnownHostsFile "{folder / "known_hosts"}"\n'
            "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
        )
        testbed.authorize(user, public)
        try:
            yield config
        finally:
            testbed.authorize(user, public, revoke=True)

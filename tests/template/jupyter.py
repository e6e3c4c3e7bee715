"""A real JupyterLab for the tests: started in an installed project, with kernels that run code."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from jupyter_client import BlockingKernelClient

from .conftest import environment

TOKEN = "a-token-of-the-tests"


def fetch(url, token=None, data=None, method=None):
    """Return (status, text) of what an address answers; a dictionary as `data` is posted."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, data=body, method=method)
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class JupyterLab:
    """A server with a token of its own, on a free port; a context manager.

    Parameters
    ----------
    installed : Installed
        The project whose environment it runs in.
    *options : str
        Of `jupyter lab`.
    base_url : str
        Where its addresses begin.
    """

    def __init__(self, installed, *options, base_url="/"):
        self.installed = installed
        self.base_url = base_url
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.root = f"http://localhost:{self.port}"
        self.runtime = installed.home / f"jupyter-{self.port}"
        self.options = [
            *["--no-browser", "--allow-root", f"--port={self.port}", "--port-retries=0"],
            *[f"--IdentityProvider.token={TOKEN}", f"--ServerApp.base_url={base_url}", *options],
        ]
        outer = Path(sys.prefix)  # the packages, and so Jupyter's extensions, are installed there
        self.env = environment(
            installed.home,
            JUPYTER_RUNTIME_DIR=str(self.runtime),
            JUPYTER_CONFIG_PATH=str(outer / "etc/jupyter"),
            JUPYTER_PATH=str(outer / "share/jupyter"),
        )

    def __enter__(self):
        self.log = (self.installed.home / f"jupyter-{self.port}.log").open("w+")
        self.process = subprocess.Popen(
            [self.installed.python, "-m", "jupyterlab", *self.options],
            cwd=self.installed.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise AssertionError(f"no JupyterLab: {Path(self.log.name).read_text()[-3000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.close()

    def _answers(self):
        try:
            return self.get(f"{self.base_url}api")[0] == 200
        except OSError:
            return False

    def get(self, path):
        """Return (status, text) of a page, fetched as somebody who has the token."""
        return fetch(self.root + path, TOKEN)

    def ask(self, method, path):
        """Send a request; return (status, text)."""
        return fetch(self.root + path, TOKEN, method=method)

    def run(self, code):
        """Run code in a new kernel of this server; return what it printed. The kernel goes on."""
        status, text = fetch(f"{self.root}{self.base_url}api/kernels", TOKEN, data={})
        assert status == 201, text
        kernel = BlockingKernelClient()
        kernel.load_connection_file(str(self.runtime / f"kernel-{json.loads(text)['id']}.json"))
        printed = []

        def note(message):
            content = message["content"]
            printed.append(content.get("text", "") + "\n".join(content.get("traceback", [])))

        # Without the heartbeat: a kernel that on a busy machine takes more than a second to start
        # would be taken for dead.
        kernel.start_channels(hb=False)
        try:
            kernel.wait_for_ready(timeout=60)
            kernel.execute_interactive(code, timeout=60, output_hook=note)
        finally:
            kernel.stop_channels()
        return "".join(printed)

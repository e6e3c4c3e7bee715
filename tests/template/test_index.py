"""No name of ours is looked for in a package index, where anybody could take it.

pip and uv get an index of this test's own, which notes each name that it is asked for. It has the
metadata of the packages that run the tests, and no files; pip finds the packages themselves in
the environment behind.
"""

import html
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from .conftest import environment, run

OURS = {"dask-hpc", "hpc-testbed", "blue-lab"}


class Index(BaseHTTPRequestHandler):
    """A simple index (PEP 503) with metadata beside the files (PEP 658)."""

    def do_GET(self):
        path = self.path.removeprefix("/simple").strip("/")
        if path.endswith(".metadata"):
            name, version = path.split("-")[:2]
            self.answer(metadata(name, version))
            return
        name = canonicalize_name(path)
        self.server.asked.add(name)
        if name in OURS:
            self.send_error(404)
            return
        # Not installed here, as for another operating system: of a version that suits everybody.
        version = self.server.versions.get(name, "99")
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        self.answer(f'<a href="/{file}" data-core-metadata="true">{html.escape(file)}</a>')

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def metadata(name, version):
    """Return what a distribution says of itself, but for the Pythons: uv locks for all of them."""
    try:
        text = importlib.metadata.distribution(name).read_text("METADATA")
        return re.sub("^Requires-Python: .*\n", "", text, flags=re.MULTILINE)
    except importlib.metadata.PackageNotFoundError:
        return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


@pytest.fixture
def index():
    """Yield the index; `index.asked` has the names that it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        server.asked = set()
        server.versions = {
            canonicalize_name(d.metadata["Name"]): d.version
            for d in importlib.metadata.distributions()
        }
        server.address = f"http://127.0.0.1:{server.server_port}/simple"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def project(render_to, tmp_path):
    """Return a new project, in a folder with a space and an umlaut."""
    return render_to(tmp_path / "a pläce", project_slug="blue-lab")


@pytest.fixture
def prefix(tmp_path):
    """Return a new environment that sees the packages of this one, but for ours, behind its own."""
    prefix, others = tmp_path / "env", tmp_path / "others"
    run([sys.executable, "-m", "venv", "--without-pip", prefix])
    purelib = run([prefix / "bin/python", "-c", "import site; print(site.getsitepackages()[0])"])
    others.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not any(ours.replace("-", "_") in path.name for ours in OURS):
            (others / path.name).symlink_to(path)
    Path(purelib.strip(), "behind.pth").write_text(f"{others}\n")
    return prefix


def settings(home, index):
    """Return the variables of a user whose only index is the given one."""
    kept = {k: v for k, v in environment(home).items() if not k.startswith(("PIP_", "UV_"))}
    pip = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": index.address, "PIP_RETRIES": "0"}
    return {**kept, **pip, "UV_DEFAULT_INDEX": index.address, "UV_NO_CONFIG": "1"}


@pytest.mark.parametrize(
    "form",
    ["-e .", *(pytest.param(it, marks=pytest.mark.full) for it in (".", "-e ./toolkit -e ."))],
)
def test_pip_takes_the_toolkit_from_the_folder(project, prefix, index, tmp_path, form):
    # Build isolation would fetch hatchling: a matter between the user and the index.
    pip = [sys.executable, "-m", "pip", "--python", prefix / "bin/python", "install"]
    pip += ["--no-build-isolation", *form.split()]
    run(pip, cwd=project, env=settings(tmp_path, index))
    assert not OURS & index.asked

    def python(*words):
        command = [str(prefix / "bin/python"), *words]
        options = {"cwd": tmp_path, "env": environment(tmp_path), "check": True}
        return subprocess.run(command, capture_output=True, text=True, **options)

    found = python("-c", "import dask_hpc, blue_lab; print(dask_hpc.__file__)").stdout
    assert found.startswith(str(prefix if form == "." else project / "toolkit/src"))
    # Also where both have been installed, and bring the command.
    command = python("-m", "dask", "hpc", "--version")
    assert command.stdout.startswith("dask-hpc ")
    assert command.stderr == ""


@pytest.mark.full
def test_uv_takes_the_toolkit_from_the_folder(project, index, tmp_path):
    # What `uv sync` does before it installs anything.
    uv = [sys.executable, "-m", "uv", "lock", "--python", sys.executable]
    run(uv, cwd=project, env=settings(tmp_path, index))
    assert {"dask", "jupyterlab", "pytest"} <= index.asked
    assert not OURS & index.asked
    assert '[[package]]\nname = "dask"\n' in (project / "uv.lock").read_text()

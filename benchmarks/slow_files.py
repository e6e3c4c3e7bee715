"""Measure what starting a worker costs where each operation on a file is slow, and the remedy.

    python benchmarks/slow_files.py [--delay-ms 1] [--rounds 3] [--environment FOLDER]

Mounts an environment a second time, by FUSE, as a file system on which each operation takes some
time, as on a shared one that has to ask its server. Like NFS, the system remembers for 3 s what it
has asked. Prints a table: the number of operations, and the time, of several programs from the
environment itself and from the slow mount; then from a copy that is unpacked from an archive on
the slow mount, with the time to unpack it. The shortest of several rounds counts, each with a new
mount. Files outside of the environment, such as the standard library of a venv, are not slowed.

Needs Linux with FUSE (Debian's packages fuse and libfuse2) and `pip install mfusepy`. The figures
in docs/how-to/slow-file-systems.md come from this script.
"""

import argparse
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the tables of tests/
PROGRAMS = {
    "Python alone": "pass",
    "a worker": "import distributed.cli.dask_worker",
    "a program with a cluster": "from dask_hpc import SLURMCluster",
}
WORKER = "a worker"
REMEMBERED_S = 3  # acregmin, NFS's default


def serve(source, target, delay_s):
    """Mount a folder read-only in another place, slowed; at the end, print how often it was asked.

    Returns when it is unmounted.
    """
    import mfusepy

    asked = []  # append is atomic, and there are several threads

    def slowly(operation):
        @functools.wraps(operation)
        def slow(*words):
            asked.append(operation)
            time.sleep(delay_s)
            return operation(*words)

        return slow

    class Slow(mfusepy.Operations):
        use_ns = True

        @slowly
        def getattr(self, path, fh=None):  # noqa: ARG002 - given by FUSE
            try:
                status = os.lstat(source + path)
            except OSError as error:
                raise mfusepy.FuseOSError(error.errno) from None
            wanted = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_mtime_ns")
            found = {name.removesuffix("_ns"): getattr(status, name) for name in wanted}
            return found | {"st_atime": status.st_atime_ns, "st_ctime": status.st_ctime_ns}

        @slowly
        def readdir(self, path, fh):  # noqa: ARG002 - given by FUSE
            return [".", "..", *os.listdir(source + path)]  # noqa: PTH208 - as a str

        @slowly
        def readlink(self, path):
            return os.readlink(source + path)  # noqa: PTH115 - as a str

        @slowly
        def open(self, path, flags):
            return os.open(source + path, flags)

        @slowly
        def read(self, path, size, offset, fh):  # noqa: ARG002 - given by FUSE
            return os.pread(fh, size, offset)

        def release(self, path, fh):  # noqa: ARG002 - given by FUSE
            os.close(fh)
            return 0

    kept = dict.fromkeys(("attr_timeout", "entry_timeout", "negative_timeout"), REMEMBERED_S)
    mfusepy.FUSE(Slow(), target, foreground=True, ro=True, **kept)
    print(len(asked), flush=True)


@contextlib.contextmanager
def slowed(source, delay_s, asked):
    """Yield a folder through which another one is slow; append the number of operations."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, __file__, "serve", str(source), name, str(delay_s)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while not os.path.ismount(name):
            if server.poll() is not None:
                sys.exit("Error: cannot mount by FUSE here")
            time.sleep(0.01)
        try:
            yield Path(name)
        finally:
            subprocess.run(["fusermount", "-u", name], check=True)
            asked.append(int(server.communicate()[0]))


def timed(*command):
    """Run a command; return its duration in seconds."""
    begin = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"Error: {command[0]} failed: {done.stderr.strip()}")
    return time.perf_counter() - begin


def remedy(archive, delay_s, folder):
    """Return the seconds to unpack an archive from a slow mount, and then of two workers."""
    with slowed(archive.parent, delay_s, []) as slow:
        unpacking = timed("tar", "-xf", slow / archive.name, "-C", folder)
    worker = (folder / "bin/python", "-c", PROGRAMS[WORKER])
    return unpacking, timed(*worker), timed(*worker)


def main():
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--delay-ms", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environment", type=Path, default=Path(sys.prefix))
    parser.add_argument("--suffix", default=".tar.gz", help="compression of the archive: .tar.zst")
    chosen = parser.parse_args()
    try:
        import mfusepy  # noqa: F401 - loads libfuse, too
    except (ImportError, OSError):
        sys.exit("Error: FUSE is missing: pip install mfusepy; apt install fuse libfuse2")
    if shutil.which("fusermount") is None:
        sys.exit("Error: there is no fusermount; on Debian and Ubuntu: apt install fuse")

    from tests import tables

    source, delay_s = chosen.environment.absolute(), chosen.delay_ms / 1000
    rows, worker_s = [], {}
    for name, code in PROGRAMS.items():
        plain, slow, asked = [], [], []
        for _ in range(chosen.rounds):
            plain.append(timed(source / "bin/python", "-c", code))
            with slowed(source, delay_s, asked) as mount:
                slow.append(timed(mount / "bin/python", "-c", code))
        rows.append([name, f"{min(asked):,}", f"{min(plain):.1f} s", f"{min(slow):.1f} s"])
        worker_s[name] = min(slow)
    head = ["start of", "operations on slow files", "local disk", f"{chosen.delay_ms:g} ms each"]
    print(tables.markdown(head, rows))

    with tempfile.TemporaryDirectory() as name:
        archive = Path(name, "environment").with_suffix(chosen.suffix)
        packing = timed("tar", "-caf", archive, "-C", source, ".")
        found = []
        for _ in range(chosen.rounds):
            with tempfile.TemporaryDirectory() as folder:
                found.append(remedy(archive, delay_s, Path(folder)))
        size = archive.stat().st_size / 1e6
    unpacking, first, second = (min(values) for values in zip(*found, strict=True))
    rows = [
        [f"pack it once ({size:.0f} MB)", f"{packing:.1f} s"],
        ["a worker from the slow environment", f"{worker_s[WORKER]:.1f} s"],
        ["unpack the archive, which is as slow", f"{unpacking:.1f} s"],
        ["then a worker from the copy, the first", f"{first:.1f} s"],
        ["the second", f"{second:.1f} s"],
    ]
    print(tables.markdown(["", f"{chosen.delay_ms:g} ms each"], rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        main()

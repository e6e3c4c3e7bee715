"""Connections that say nothing leave a scheduler files to open, and its log readable."""

import logging
import resource
import subprocess
import sys

import pytest

from dask_hpc._compat.open_files import MAX_MESSAGES, MESSAGE, PERIOD_S, FewMessages

# With few files, few connections are enough.
FILES, IDLE = 600, 900
PROGRAM = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {hard}))
from urllib.request import urlopen
from distributed import Client
from dask_hpc import LocalCluster

ATTACK = '''
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({hard}, {hard}))
held = [socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) for _ in range({idle})]
print(len(held), flush=True)
input()
'''

if __name__ == "__main__":
    import subprocess
    with LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        pages = f"127.0.0.1:{{cluster.scheduler.http_server.port}}"
        for place in (cluster.scheduler_address.removeprefix("tls://"), pages):
            words = [sys.executable, "-c", ATTACK, *place.split(":")]
            attack = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert attack.stdout.readline() == "{idle}\\n"
            for _ in range(10):
                with Client(cluster.scheduler_address, security=cluster.security, timeout=20):
                    pass
            print("connected", flush=True)
            attack.communicate("\\n")
        print(urlopen(cluster.dashboard_link).status)
"""


@pytest.mark.full
def test_idle_connections_keep_nobody_out():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2 * IDLE:
        pytest.skip("this needs more open files")
    program = PROGRAM.format(files=FILES, hard=hard, idle=IDLE)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=180
    )
    assert done.stdout.splitlines() == ["connected", "connected", "200"], done.stderr[-3000:]
    assert len(done.stderr.splitlines()) <= MAX_MESSAGES + 5
    assert "Traceback" not in done.stderr


def test_only_some_failed_handshakes_are_told_in_a_while(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    few = FewMessages()

    def told(text=MESSAGE):
        record = logging.LogRecord("a", 30, "", 0, text, ("tls://a", "tls://b", "EOF"), None)
        return record.getMessage() if few.filter(record) else None

    lines = [told() for _ in range(MAX_MESSAGES + 3)]
    assert sum(line is not None for line in lines) == MAX_MESSAGES
    assert lines[MAX_MESSAGES - 1].endswith("EOF (not shown again for 10 minutes)")
    assert told("%s %s %s") == "tls://a tls://b EOF"
    clock[0] = PERIOD_S + 1
    assert told() is not None

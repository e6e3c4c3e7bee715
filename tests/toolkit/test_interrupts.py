"""Ctrl-C before a call into Dask's event loop has begun.

What Dask shows then is in docs/development/upstream/distributed-sync-interrupt.md.
"""

import re
import subprocess
import sys

# The loop is busy while the call is made and interrupted, and runs on for a moment after that.
PROGRAM = """
import signal, threading, time
from distributed.utils import LoopRunner, sync
from dask_hpc._compat import interrupts
interrupts.hide_calls_not_begun()
runner = LoopRunner()
runner.start()
runner.loop.add_callback(time.sleep, 1)
threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()

async def nothing():
    pass

try:
    sync(runner.loop, nothing)
except KeyboardInterrupt:
    print("interrupted")
time.sleep(1.2)
runner.loop.add_callback(lambda: 1 / 0)
runner.loop.add_callback(lambda: unknown)
time.sleep(0.3)
runner.stop()
"""


def test_its_error_is_not_shown_and_others_are():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == "interrupted\n"
    errors = [line for line in done.stderr.splitlines() if re.match(r"\w+Error: ", line)]
    assert [line.partition(":")[0] for line in errors] == ["ZeroDivisionError", "NameError"]
    assert "unknown" in errors[1]

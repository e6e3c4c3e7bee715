"""Ctrl-C before a call into Dask's event loop has begun."""

import subprocess
import sys
import textwrap

import pytest

# The loop is busy while the call is made and interrupted, and runs on for a moment after that.
PROGRAM = """
import signal, threading, time
from distributed.utils import LoopRunner, sync
from dask_hpc._compat import interrupts
{hide}
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
{after}
runner.stop()
"""


def said(hide: str = "", after: str = "") -> tuple[str, str]:
    code = textwrap.dedent(PROGRAM.format(hide=hide, after=after))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr.strip()


def test_distributed_reads_a_variable_without_a_value():
    # Where this fails, upstream has mended it, and dask_hpc._compat.interrupts can go.
    printed, log = said()
    assert printed == "interrupted"
    assert "NameError: cannot access free variable 'future'" in log


def test_that_is_not_shown():
    assert said("interrupts.hide_calls_not_begun()") == ("interrupted", "")


@pytest.mark.parametrize("wrong", ["1 / 0", "unknown"])
def test_other_errors_are(wrong):
    fails = f"runner.loop.add_callback(lambda: {wrong}); time.sleep(0.3)"
    _, log = said("interrupts.hide_calls_not_begun()", fails)
    assert "Error: " in log

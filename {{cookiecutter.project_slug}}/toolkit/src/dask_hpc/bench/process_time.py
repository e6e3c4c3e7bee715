"""The start time of a process, precise enough to time a start of a few seconds."""

import contextlib
import os
import time
from pathlib import Path


def process_start() -> float:
    """Return when this process was started, in seconds since 1970.

    On Linux, it is precise to a hundredth of a second, from the kernel's clock since boot; psutil's
    `create_time` rounds the boot time to seconds and can be a second early.
    """
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        # The command's name, in parentheses, may contain spaces: count the fields after it.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
        if age >= 0:
            return time.time() - age
    import psutil

    return psutil.Process().create_time()

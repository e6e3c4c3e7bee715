"""What workers do in the workload ``data``."""

import zlib
from pathlib import Path
from typing import Any

from .._process_use import peak_memory


def array(number: int) -> Any:
    """Return an array of random bytes, which cannot be compressed."""
    import numpy as np

    from .streams import noise

    return np.frombuffer(noise(number), dtype="uint8")


def checksum(data: Any) -> int:
    """Return a number that shows whether two arrays are equal."""
    return zlib.crc32(memoryview(data))


def checksums(arrays: list) -> list[int]:
    """Return the checksums of arrays that are in this worker's memory."""
    return [checksum(data) for data in arrays]


def received(*arrays: Any) -> int:
    """Return the number of bytes of arrays that Dask has brought here."""
    return sum(data.nbytes for data in arrays)


def reset_peak() -> bool:
    """Make this process's peak memory what it has now; return whether that is possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_mib() -> float | None:
    """Return the most memory that this process has had since `reset_peak`, in MiB."""
    peak = peak_memory()
    return None if peak is None else peak / 2**20

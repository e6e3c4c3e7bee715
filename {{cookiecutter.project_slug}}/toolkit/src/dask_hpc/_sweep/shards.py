"""The files of a sweep: records with checksums, appended one after another.

docs/reference/sweep-format.md describes the format. A record counts only if it is complete and its
checksums are right, so a file may end anywhere, as when its writer was killed.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import SweepError

MAGIC = b"DASKHPC-SWEEP-1\n"
MARKER = b"rec\n"
# Marker, kind, key, position of the record in its file, length of the payload, the payload's
# CRC-32. The position keeps a copy of a record inside another's payload from being taken for one.
_HEADER = struct.Struct("<4s c 3x 16s Q Q I")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
_CHUNK_BYTES = 2**20

SESSION, RESULT, FILE, FAILURE, ORDER, END = b"S", b"R", b"P", b"F", b"O", b"E"
NO_KEY = bytes(16)


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's payload is."""

    kind: bytes
    key: bytes
    position: int  # of the record
    length: int
    crc: int

    @property
    def end(self) -> int:
        return self.position + HEADER_BYTES + self.length


def form_record(kind: bytes, key: bytes, payload: bytes, position: int) -> list[bytes]:
    """Return a record's bytes, in parts, for this position of its file."""
    header = _HEADER.pack(MARKER, kind, key, position, len(payload), zlib.crc32(payload))
    return [header, _CRC.pack(zlib.crc32(header)), payload]


def scan(
    path: Path, verify: bool = True, on_damage: Callable[[Path, int], None] | None = None
) -> Iterator[tuple[Record, bytes]]:
    """Yield the complete records of a file, with the payloads of the small ones.

    Parameters
    ----------
    path : Path
    verify : bool
        Whether to check the payloads of results, too, which reads the whole file.
    on_damage : callable, optional
        Takes the file and the position of what was skipped, since a checksum is wrong. An
        incomplete record at the end of the file is no damage: its writer was killed.

    Raises
    ------
    SweepError
        Another version of the toolkit has written the file.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(len(MAGIC))
        if len(magic) == len(MAGIC) and magic != MAGIC:
            if magic.startswith(MAGIC[:-2]):
                raise SweepError(f"{path}: another version of dask-hpc has written this file.")
            if on_damage is not None:
                on_damage(path, 0)
        position = len(MAGIC)
        while position + HEADER_BYTES <= size:
            record = _read_header(file, position)
            if record is None:
                if on_damage is not None:
                    on_damage(path, position)
                position = _find_marker(file, position + 1, size)
                continue
            if record.end > size:
                return  # incomplete
            position = record.end
            is_result = record.kind in (RESULT, FAILURE)
            if is_result and not verify:
                yield record, b""
                continue
            payload = file.read(record.length)
            if zlib.crc32(payload) == record.crc:
                yield record, b"" if is_result else payload
            elif on_damage is not None:
                on_damage(path, record.position)


def _read_header(file: BinaryIO, position: int) -> Record | None:
    """Return the record at this position, or None if there is no valid header."""
    file.seek(position)
    header, crc = file.read(_HEADER.size), file.read(_CRC.size)
    if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(header):
        return None
    marker, kind, key, said, length, payload_crc = _HEADER.unpack(header)
    if marker != MARKER or said != position:
        return None
    return Record(kind, key, position, length, payload_crc)


def _find_marker(file: BinaryIO, start: int, size: int) -> int:
    """Return the position of the next marker, or the size of the file."""
    while start < size:
        file.seek(start)
        chunk = file.read(_CHUNK_BYTES)
        if (found := chunk.find(MARKER)) >= 0:
            return start + found
        if len(chunk) < len(MARKER):
            break
        start += len(chunk) - len(MARKER) + 1
    return size


def read_payload(path: Path, position: int) -> bytes:
    """Return the payload of the record at this position.

    Raises
    ------
    SweepError
        The record was damaged since it was written.
    """
    with path.open("rb") as file:
        record = _read_header(file, position)
        payload = file.read(record.length) if record is not None else b""
    if record is None or len(payload) < record.length or zlib.crc32(payload) != record.crc:
        raise SweepError(
            f"{path}, byte {position}: a saved result is damaged. Run the sweep again: it computes "
            "what is damaged."
        )
    return payload


class ShardWriter:
    """Appends records to a new file.

    Records are kept in memory until `flush`; `sync` waits until the disk has them.

    Parameters
    ----------
    path : Path
        A file that does not exist yet.

    Raises
    ------
    OSError
        In all methods: the file cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not buffered: after an error, Python would try to write the rest when the file is closed.
        self._file = path.open("xb", buffering=0)
        self._parts: list[bytes] = [MAGIC]
        self._position = len(MAGIC)
        self._is_synced = False

    def append(self, kind: bytes, key: bytes, payload: bytes) -> int:
        """Append a record; return its position."""
        position = self._position
        self._parts += form_record(kind, key, payload, position)
        self._position += HEADER_BYTES + len(payload)
        return position

    def flush(self) -> None:
        """Hand what is in memory to the operating system, which survives this process."""
        if not self._parts:
            return
        parts, self._parts = self._parts, []
        self._is_synced = False
        view = memoryview(b"".join(parts))
        while view:
            view = view[self._file.write(view) :]

    def sync(self) -> None:
        """Wait until the disk has what was flushed."""
        if self._is_synced:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems have no such call
                raise
        self._is_synced = True

    def close(self) -> None:
        self._file.close()

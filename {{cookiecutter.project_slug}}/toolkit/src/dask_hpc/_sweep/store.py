"""A folder of results: which inputs it has, in which order, and how to add to them.

Each sweep that computes something adds a file, a shard (see `shards`), and changes no other. The
index of all results is made by reading the shards.
"""

from __future__ import annotations

import getpass
import itertools
import json
import socket
import struct
import sys
import time
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .._output import messages
from . import payloads, shards
from .folder import PATTERN, folder_errors
from .identity import KEY_BYTES

SYNC_INTERVAL_S = 1.0
_POSITION_BITS = 48  # of a number that has a shard's number, too: 256 TiB

_COUNT = struct.Struct("<Q")


@dataclass(frozen=True)
class Session:
    """What a shard says about the sweep that wrote it.

    Attributes
    ----------
    function, code : str
        The function's name, and the digest of its code.
    accepted : list of str
        Digests of earlier versions of the function whose results count as well.
    total : int or None
        Number of inputs; None if it was not known.
    """

    function: str
    code: str
    accepted: list[str]
    total: int | None
    user: str = ""
    host: str = ""
    python: str = ""
    started: float = 0.0


def new_session(function: str, code: str, accepted: list[str], total: int | None) -> Session:
    """Return the session of a sweep that begins now, in this process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "?"
    version = ".".join(map(str, sys.version_info[:3]))
    return Session(
        function, code, accepted, total, user, socket.gethostname(), version, time.time()
    )


@dataclass
class Store:
    """What a folder has.

    Attributes
    ----------
    folder : Path
    paths : list of Path
        The shards, oldest first.
    session : Session or None
        The last one; None in a folder without results.
    results, failures : dict
        For each key, where its record is: a number for `read`.
    order : bytearray
        The keys of the last sweep's inputs, one after another.
    total : int or None
        Number of inputs of the last sweep, if it is known.
    damaged : int
        How many records were skipped since a checksum was wrong.
    """

    folder: Path
    paths: list[Path] = field(default_factory=list)
    session: Session | None = None
    results: dict[bytes, int] = field(default_factory=dict)
    failures: dict[bytes, int] = field(default_factory=dict)
    order: bytearray = field(default_factory=bytearray)
    total: int | None = None
    damaged: int = 0
    files: set[bytes] = field(default_factory=set)  # keys of results in files of their own

    def __len__(self) -> int:
        return len(self.order) // KEY_BYTES

    def key(self, number: int) -> bytes:
        """Return the key of an input, by its number in the order."""
        return bytes(self.order[number * KEY_BYTES : (number + 1) * KEY_BYTES])

    def location(self, key: bytes) -> int | None:
        """Return where the record of an input is; None if it was not computed yet."""
        return self.results.get(key, self.failures.get(key))

    def read(self, key: bytes) -> tuple[bytes, bytes]:
        """Return the kind and the payload of an input's record."""
        where = self.location(key)
        assert where is not None, "no record"
        path = self.paths[where >> _POSITION_BITS]
        with folder_errors(self.folder):
            payload = shards.read_payload(path, where & (1 << _POSITION_BITS) - 1)
        if key not in self.results:
            return shards.FAILURE, payload
        return shards.FILE if key in self.files else shards.RESULT, payload

    def add(self, kind: bytes, key: bytes, shard: int, position: int) -> None:
        """Note where a record is."""
        where = shard << _POSITION_BITS | position
        if kind == shards.FAILURE:
            if key not in self.results:
                self.failures[key] = where
            return
        self.results[key] = where
        self.failures.pop(key, None)
        if kind == shards.FILE:
            self.files.add(key)
        else:
            self.files.discard(key)

    def set_order(self, start: int, keys: bytes) -> None:
        """Note the keys of inputs from number `start` on."""
        self.order[start * KEY_BYTES : start * KEY_BYTES + len(keys)] = keys


def last_session(folder: Path) -> Session | None:
    """Return the last session of a folder; None if there is none."""
    with folder_errors(folder):
        found = map(_first_session, sorted(folder.glob(PATTERN), reverse=True))
        return next((session for session in found if session is not None), None)


def load(folder: Path, verify: bool = False, versions: Collection[str] | None = None) -> Store:
    """Return what a folder has; an empty store if there is no such folder.

    Parameters
    ----------
    folder : Path
    verify : bool
        Whether to check every result, which reads the whole folder. Results that are damaged then
        count as missing.
    versions : collection of str, optional
        Digests of the function's versions whose results count. Default: as in the last session.

    Raises
    ------
    SweepError
        The folder cannot be read, or was written by another version of the toolkit.
    """
    store = Store(folder)
    with folder_errors(folder):
        store.paths = sorted(folder.glob(PATTERN))
        sessions = [_first_session(path) for path in store.paths]
        store.session = next((it for it in reversed(sessions) if it is not None), None)
        if versions is None and store.session is not None:
            versions = (store.session.code, *store.session.accepted)
        for number, (path, session) in enumerate(zip(store.paths, sessions, strict=True)):
            counts = session is not None and session.code in (versions or ())
            _load_shard(store, number, path, verify, counts)
    return store


def _first_session(path: Path) -> Session | None:
    for record, payload in itertools.islice(shards.scan(path, verify=False), 2):
        if record.kind == shards.SESSION:
            return Session(**json.loads(payload))
    return None


def _load_shard(store: Store, number: int, path: Path, verify: bool, counts: bool) -> None:
    def on_damage(path: Path, position: int) -> None:
        store.damaged += 1
        if verify:
            messages.warning(
                f"{path}, byte {position}: a record is damaged. If it was a result, it is computed "
                "again."
            )

    for record, payload in shards.scan(path, verify, on_damage):
        if record.kind == shards.ORDER:
            store.set_order(_COUNT.unpack_from(payload)[0], payload[_COUNT.size :])
        elif record.kind == shards.SESSION:
            store.total = json.loads(payload)["total"]
        elif record.kind == shards.END:
            (store.total,) = _COUNT.unpack(payload)
            del store.order[store.total * KEY_BYTES :]
        elif counts and record.kind in (shards.RESULT, shards.FILE, shards.FAILURE):
            if verify and record.kind == shards.FILE:
                _, file = payloads.read(record.kind, payload, store.folder)
                if not file.exists():
                    continue  # somebody removed it
            store.add(record.kind, record.key, number, record.position)


class StoreWriter:
    """Adds to a store, in a new shard. The caller has the folder's lock.

    Nothing is written before the first input that is new, so that a sweep with nothing to do leaves
    the folder as it is.

    Parameters
    ----------
    store : Store
    session : Session
        What the shard says about this sweep.
    """

    def __init__(self, store: Store, session: Session) -> None:
        self.store = store
        self.session = session
        self._shard: shards.ShardWriter | None = None
        self._taken = 0
        self._new_order = bytearray()  # keys that differ from the store's order, not written yet
        self._synced_at = time.monotonic()
        if store.session is not None and store.session != session and _differs(store, session):
            self._open()

    def take(self, key: bytes) -> None:
        """Note the key of the next input, in the order of the inputs."""
        store, number = self.store, self._taken
        self._taken += 1
        if number < len(store) and store.key(number) == key:
            self._write_order(number)
            return
        store.set_order(number, key)
        self._new_order += key
        if len(self._new_order) >= 4096 * KEY_BYTES:
            self._write_order(number + 1)

    def end(self) -> None:
        """Note that there are no more inputs."""
        self._write_order(self._taken)
        if (len(self.store), self.store.total) != (self._taken, self._taken):
            self._append(shards.END, shards.NO_KEY, _COUNT.pack(self._taken))
            del self.store.order[self._taken * KEY_BYTES :]
            self.store.total = self._taken

    def save(self, kind: bytes, key: bytes, payload: bytes) -> None:
        """Save the result or failure of an input; `flush` writes it."""
        self._write_order(self._taken)
        position = self._append(kind, key, payload)
        self.store.add(kind, key, len(self.store.paths) - 1, position)

    def flush(self) -> None:
        """Write what was saved; at most once a second, wait until the disk has it."""
        if self._shard is None:
            return
        with folder_errors(self.store.folder):
            self._shard.flush()
            if time.monotonic() - self._synced_at >= SYNC_INTERVAL_S:
                self._shard.sync()
                self._synced_at = time.monotonic()

    def close(self) -> None:
        """Write everything, and wait until the disk has it."""
        self._write_order(self._taken)
        if self._shard is None:
            return
        try:
            with folder_errors(self.store.folder):
                self._shard.flush()
                self._shard.sync()
        finally:
            self._shard.close()

    def _write_order(self, end: int) -> None:
        if self._new_order:
            keys, self._new_order = bytes(self._new_order), bytearray()
            start = end - len(keys) // KEY_BYTES
            self._append(shards.ORDER, shards.NO_KEY, _COUNT.pack(start) + keys)

    def _append(self, kind: bytes, key: bytes, payload: bytes) -> int:
        if self._shard is None:
            self._open()
        assert self._shard is not None
        return self._shard.append(kind, key, payload)

    def _open(self) -> None:
        paths = self.store.paths
        number = int(paths[-1].name.partition("-")[0]) + 1 if paths else 1
        path = self.store.folder / f"{number:06}-{uuid.uuid4().hex[:8]}.shard"
        with folder_errors(self.store.folder):
            self._shard = shards.ShardWriter(path)
        paths.append(path)
        text = json.dumps(asdict(self.session)).encode()
        for _ in range(2):  # without it, the shard's results could not be used
            self._shard.append(shards.SESSION, shards.NO_KEY, text)
        self.store.session, self.store.total = self.session, self.session.total


def _differs(store: Store, session: Session) -> bool:
    """Return whether the folder would be read in another way after this session."""
    last = store.session
    assert last is not None
    return (last.code, set(last.accepted)) != (session.code, set(session.accepted))

"""What a recording process does for its database beside appending: checkpoints and rescue.

SQLite goes on without an error when its file is removed or replaced while it is open: what it
then writes is gone with the process. So the file's identity is compared before each group.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import StoreUnavailable
from .opening import Location, make_private_file
from .peeking import connecting, peek

if TYPE_CHECKING:
    from .store import SqlStore

CHECKPOINT_BYTES: Final = 4 * 1024 * 1024
"""This much in the WAL that is not in the database yet is copied there, by another thread."""

RESTART_BYTES: Final = 64 * 1024 * 1024
"""WAL from this size on is begun anew, which makes the recorder wait a moment."""

RESTART_SECONDS: Final = 0.05
"""How long that moment may be: a reader that is in the way keeps the recorder waiting too."""

_WAL_INDEX: Final = struct.Struct("=14xH I76xI")
"""Of a `-shm` file (sqlite.org/walformat.html): page size, frames in the WAL, frames copied."""

FileId = tuple[int, int]


def file_id(path: Path) -> FileId | None:
    """Device and inode of the file at this path; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def checkpoint(store: SqlStore, *, hurry: bool = False) -> None:
    """Copy the WAL into the database if it has grown; off the recording path.

    A passive checkpoint does the work without holding anybody up. Under steady writing it never
    reaches the end of the WAL, so a big WAL is then begun anew under the writer's lock; in a
    `hurry`, when the disk is full, any WAL is.
    """
    if store.path is None:
        return
    whole, waiting = _wal_bytes(store.path)
    if waiting < CHECKPOINT_BYTES and not hurry:
        return
    where = f"{store.path.as_uri()}?mode=rw"
    # Somebody else is at it, the disk is full, the file was removed: the WAL waits for the next
    # time, and whether the database is what it should be is found out by who appends.
    with contextlib.suppress(sqlite3.Error):
        with connecting():
            connection = sqlite3.connect(where, uri=True, timeout=RESTART_SECONDS)
        with contextlib.closing(connection):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if whole >= RESTART_BYTES or hurry:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def _wal_bytes(path: Path) -> tuple[int, int]:
    """How much is in the WAL, and how much of it is not in the database yet."""
    try:
        size, frames, copied = _WAL_INDEX.unpack(peek(f"{path}-shm", _WAL_INDEX.size)[0])
    except (OSError, struct.error):
        return 0, 0
    page = 65536 if size == 1 else size
    return frames * page, max(frames - copied, 0) * page


def rescue(store: SqlStore) -> Path:
    """Copy what the open connection still sees into a new file beside the lost one.

    The store goes on in the new file. Raises `StoreUnavailable` if nothing could be saved; the
    connection then stays as it is, so that it can be tried again.
    """
    with store.alone():  # what is begun between the copy and the move would be in neither file
        return _rescue(store)


def _rescue(store: SqlStore) -> Path:
    lost = store.path
    assert lost is not None
    new = _unused_name(lost)
    try:
        make_private_file(new)
        target = sqlite3.connect(new)
        try:
            store.open_file().backup(target)
        finally:
            target.close()
    except (sqlite3.Error, OSError) as error:
        new.unlink(missing_ok=True)
        raise StoreUnavailable(f"{lost} is gone, and saving to {new} failed: {error}") from None
    store.move_to(Location(sa.URL.create("sqlite", database=str(new)), False))
    return new


def _unused_name(lost: Path) -> Path:
    stem = f"{lost.stem}.rescued-{time.strftime('%Y%m%dT%H%M%S')}"
    for count in itertools.count(1):
        new = lost.with_name(f"{stem}{f'-{count}' if count > 1 else ''}{lost.suffix}")
        if not new.exists():
            return new
    raise AssertionError("unreachable")

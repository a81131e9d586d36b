"""What a recording process does for its database beside appending: checkpoints and rescue.

SQLite goes on without an error when its file is removed or replaced while it is open: what it
then writes is gone with the process. So the file's identity is compared before each group.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import StoreUnavailable
from .opening import Location, make_private_file

if TYPE_CHECKING:
    from .store import SqlStore

CHECKPOINT_BYTES: Final = 8 * 1024 * 1024
"""WAL from this size on is copied into the database, by a thread that does not record."""

RESTART_BYTES: Final = 64 * 1024 * 1024
"""WAL from this size on is begun anew, which makes the recorder wait a moment."""

FileId = tuple[int, int]


def file_id(path: Path) -> FileId | None:
    """Device and inode of the file at this path; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def checkpoint(store: SqlStore) -> None:
    """Copy the WAL into the database if it has grown; off the recording path.

    A passive checkpoint does the work without holding anybody up. Under steady writing it never
    reaches the end of the WAL, so a big WAL is then begun anew under the writer's lock.
    """
    path = store.path
    if path is None:
        return
    size = _size(Path(f"{path}-wal"))
    if size < CHECKPOINT_BYTES:
        return
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=2.0)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if size >= RESTART_BYTES:
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    except sqlite3.OperationalError:
        pass  # somebody else is at it, or the disk is full: the WAL waits for the next time
    finally:
        connection.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def rescue(store: SqlStore) -> Path:
    """Copy what the open connection still sees into a new file beside the lost one.

    The store goes on in the new file. Raises `StoreUnavailable` if nothing could be saved; the
    connection then stays as it is, so that it can be tried again.
    """
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

"""Is this file ours: told from its first bytes and its schema, without writing to it or beside it.

What is ours and damaged is told apart from what never was ours, and nothing is repaired.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import DamagedLog, ForeignDatabase, StoreError, StoreUnavailable, UsageError
from .peeking import connecting, peek
from .schema import APPLICATION_ID, FINGERPRINTS, HEAD, SHAPE, VERSION_TABLE, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PATIENCE: Final = 30.0
"""Seconds for which a file that somebody else is writing is looked at again."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = struct.Struct(">16xH6xII36xI20xI4xB2xH")
_OTHER: Final = "Restore a backup of it, or name another one with --db"


class _Header(NamedTuple):
    """Of page 1 (sqlite.org/fileformat2.html)."""

    page_size: int
    """1 stands for 65536."""
    changes: int
    pages: int
    application: int
    counted_at: int
    """The value of `changes` when `pages` was true."""
    node: int
    """Kind of the first page's tree node: 13 is a leaf."""
    entries: int


def is_fresh(path: Path, create: bool) -> bool:
    """Whether the file is still to be filled; raises if it cannot be, or is not ours."""
    try:
        if not path.exists():
            if create:
                return True
            raise UsageError(
                f"there is no database at {path}; record something first (`recorder demo`), "
                "or name another one with --db"
            )
        if not path.is_file():
            raise UsageError(f"{path} is not a file; name a database file with --db")
        fresh = _recognise(path)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}") from None
    if fresh and not create:
        raise UsageError(
            f"{path} is empty: nothing was ever recorded in it. Record something first "
            "(`recorder demo`), or name another one with --db"
        )
    return fresh


def _recognise(path: Path) -> bool:
    """Whether the file is still to be filled; raises if it is not ours, or damaged."""
    first, size = peek(path, _HEADER.size)
    if not first:
        return True
    if not first.startswith(_MAGIC):
        raise ForeignDatabase(f"{path} is not a SQLite database; it was left as it is")
    if len(first) < _HEADER.size:
        raise ForeignDatabase(
            f"{path} is a SQLite database, cut short after {size} bytes; it was left as it is"
        )
    header = _Header._make(_HEADER.unpack(first))
    if header.application != APPLICATION_ID:
        blank = (header.application, header.node, header.entries) == (0, 13, 0)
        if blank and not size_of(beside(path, "-wal")):
            return True  # a SQLite file without a table
        raise ForeignDatabase(
            f"{path} is a SQLite database, but not one of ours; it was left as it is. "
            "Name another file with --db"
        )
    _check_length(path, header, size)
    _check_shape(path)
    return False


def _check_length(path: Path, header: _Header, size: int) -> None:
    """Raises `DamagedLog` for a file that ends before its last page.

    While a WAL lies beside it, the missing pages may stand there.
    """
    expected = header.pages * (65536 if header.page_size == 1 else header.page_size)
    known = header.changes == header.counted_at and not size_of(beside(path, "-wal"))
    if known and size < expected:
        raise DamagedLog(
            f"{path} is a recorder database that is cut short: {size:,} of its {expected:,} bytes "
            f"are there. It was left as it is. {_OTHER}"
        )


def _check_shape(path: Path) -> None:
    """Raises `ForeignDatabase` if the schema of our file is not what its revision says."""
    deadline = time.monotonic() + PATIENCE
    while True:
        before = _marks(path)
        try:
            revision, rows = _read_shape(path)
            return check_schema(str(path), revision, rows, FINGERPRINTS)
        except (ForeignDatabase, sqlite3.Error) as error:
            # Read without a lock, while somebody else was just writing? Then look again.
            if before != _marks(path) and time.monotonic() < deadline:
                time.sleep(0.02)
            elif isinstance(error, sqlite3.Error):
                raise _unreadable(path, error) from None
            else:
                raise


def _marks(path: Path) -> tuple[object, ...]:
    """Of which one changes when somebody writes to the file or opens it."""
    status = path.stat()
    return (
        (status.st_size, status.st_mtime_ns),
        beside(path, "-wal").exists(),
        beside(path, "-journal").exists(),
    )


def _read_shape(path: Path) -> tuple[str | None, list[tuple[str]]]:
    """The revision and the rows of `SHAPE`.

    Where a WAL lies beside the file the truth is in both, and where a journal does, somebody
    writes or broke off: these are read with locks, and a broken transaction is rolled back.
    """
    if size_of(beside(path, "-journal")):
        mode = "mode=rw"
    elif beside(path, "-wal").exists() and not lies_still(path):
        mode = "mode=ro"
    else:
        mode = AS_IT_LIES
    with connecting():
        connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=PATIENCE)
    try:
        rows = connection.execute(SHAPE).fetchall()
        revision = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    finally:
        connection.close()
    return (revision[0] if revision else None), rows


AS_IT_LIES: Final = "mode=ro&immutable=1"
"""How SQLite is asked to read a file without locks, and without making one beside it."""


def lies_still(path: Path) -> bool:
    """Whether the file can only be read as it lies there: a read-only file system, file or folder.

    SQLite cannot read it in the usual way, because that takes a `-shm` beside it. Not so while
    a WAL or a journal holds something: then the file alone is not the truth.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    return not writable and not any(size_of(beside(path, end)) for end in ("-wal", "-journal"))


def beside(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside a database: its WAL, its journal."""
    return path.with_name(path.name + suffix)


def size_of(path: Path) -> int:
    """Bytes; 0 where there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    """Our file, by its mark, whose schema could not be read."""
    if "no such" in str(error):
        return ForeignDatabase(f"{path} is not a recorder database ({error}); it was left as it is")
    if isinstance(error, sqlite3.OperationalError):
        return StoreUnavailable(f"{path} cannot be read: {told(path, str(error))}")
    return DamagedLog(
        f"{path} is a recorder database that is damaged ({error}); it was left as it is. {_OTHER}"
    )


def told(path: Path, error: str) -> str:
    """Why a file cannot be read or written, where SQLite itself says little."""
    if "unable to open" not in error and "readonly" not in error:
        return error
    if size_of(beside(path, "-wal")):
        return (
            f"its newest events are in {beside(path, '-wal').name}, and reading that takes writing "
            "beside it; copy both files to a folder of your own"
        )
    return f"{error}; recording takes writing to the file and beside it"


def _check_revision(name: str, revision: str | None) -> None:
    if revision not in FINGERPRINTS:
        raise ForeignDatabase(
            f"{name} has schema revision {revision}, and this version knows up to {HEAD}: it was "
            "written by a newer realtime-recorder. Upgrade it; the database was left as it is"
        )


def check_schema(
    name: str, revision: str | None, rows: Iterable[tuple[str]], prints: Mapping[str, str]
) -> None:
    """Raises `ForeignDatabase` if these rows are not what the revision says."""
    _check_revision(name, revision)
    if fingerprint(rows) != prints[str(revision)]:
        raise ForeignDatabase(
            f"{name} is a recorder database whose tables were changed by hand (revision "
            f"{revision}); it was left as it is. {_OTHER}"
        )

"""Taking sessions away for good: rows, what was derived from them, and the bytes on disk.

Laws:

1. Every transaction is short, so that a recorder beside us is not held up.
2. A session goes from its end to its beginning and its row goes last: whatever interrupts this
   leaves a shorter session that still verifies, and can be removed again.
3. Words go from the index of transcripts too: it only notes what was deleted until it is merged,
   which `free_pages` does (`text_index.forget_deleted`).
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from . import text_index
from .faults import translated
from .peeking import connecting
from .schema import SEQ_MASK, VIEW_PREFIX, events, pack, sessions

if TYPE_CHECKING:
    from pathlib import Path

    from .store import SqlStore

STEP: Final = 1000
"""Events deleted a transaction, about: they are zeroed on disk, so each costs its whole size."""

VACUUM_PAGES: Final = 200
"""Free pages given back a transaction."""

_BUSY_SECONDS: Final = 0.05
"""How long a checkpoint that is to empty the WAL may keep recorders waiting for a reader."""


def erase(store: SqlStore, number: int) -> bool:
    """Delete everything of the session with this number; what is left of it, at once.

    False if somebody else has done that meanwhile.
    """
    low, high = pack(number, 0), pack(number, SEQ_MASK)
    while _erase_step(store, low, high):
        pass
    with store.writing() as connection:
        # The row goes first: a builder of read models that looks for it then keeps nothing.
        gone = connection.execute(sa.delete(sessions).where(sessions.c.number == number))
        connection.execute(sa.delete(events).where(events.c.key.between(low, high)))
        for view in sa.inspect(connection).get_table_names():
            if is_view(view) and _has_number(connection, view):
                table = sa.table(view, sa.column("number"))
                connection.execute(sa.delete(table).where(table.c.number == number))
    return bool(gone.rowcount)


def is_view(table: str) -> bool:
    """Whether a table is a read model's."""
    return table.startswith(VIEW_PREFIX)


def _has_number(connection: sa.Connection, table: str) -> bool:
    columns = sa.inspect(connection).get_columns(table)
    return any(column["name"] == "number" for column in columns)


def _erase_step(store: SqlStore, low: int, high: int) -> bool:
    """Delete the last groups, about `STEP` events; whether there may be more."""
    key = events.c.key
    ahead = sa.select(key).where(key.between(low, high)).order_by(key.desc()).offset(STEP)
    with store.writing() as connection:
        bound = connection.execute(ahead.limit(1)).scalar()
        if bound is None:
            return False
        sealed = sa.select(sa.func.max(key)).where(
            key.between(low, bound), events.c.digest.is_not(None)
        )
        end = connection.execute(sealed).scalar() or bound
        connection.execute(sa.delete(events).where(key > end, key <= high))
    return True


def free_pages(store: SqlStore, *, patience: float = 10.0) -> bool:
    """Give freed pages back and empty the WAL, so that no byte of what was erased stays on disk.

    `secure_delete` has zeroed the pages already. False if a reader or recorder kept the database
    in use for `patience` seconds: the bytes then go with the next session that is removed, and
    most of them when the last of the others closes the database.
    PostgreSQL frees dead rows for reuse when it is vacuumed, which this asks for; when their
    bytes on its disks are written over is its own affair.
    """
    with translated(store.location, store.engine.dialect):
        if store.engine.dialect.name != "sqlite":
            with store.engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            ) as connection:
                views = [n for n in sa.inspect(connection).get_table_names() if is_view(n)]
                names = ", ".join(["events", "sessions", *views])
                connection.exec_driver_sql(f"VACUUM {names}")
            return True
        if store.path is None:
            return True
        return _free_file(store.path, time.monotonic() + patience)


def _free_file(path: Path, deadline: float) -> bool:
    with connecting():
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
    try:
        connection.execute("PRAGMA secure_delete=ON").fetchall()
        while time.monotonic() < deadline:
            if not _more(connection) and not _all(connection, "wal_checkpoint(TRUNCATE)")[0][0]:
                return True
            time.sleep(0.005)  # somebody records: let them, and come back
        return False
    finally:
        connection.close()


def _more(connection: sqlite3.Connection) -> bool:
    """Take some words out of the index, or give some free pages back; whether there may be more."""
    try:
        return text_index.forget_deleted(connection) or _vacuumed(connection)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return True


def _vacuumed(connection: sqlite3.Connection) -> bool:
    before: int = _all(connection, "freelist_count")[0][0]
    if not before:
        return False
    _all(connection, f"incremental_vacuum({VACUUM_PAGES})")
    after: int = _all(connection, "freelist_count")[0][0]
    return 0 < after < before


def _all(connection: sqlite3.Connection, pragma: str) -> list[Any]:
    return connection.execute(f"PRAGMA {pragma}").fetchall()

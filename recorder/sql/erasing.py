"""Taking sessions away for good: rows, what was derived from them, and the bytes on disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from .schema import SEQ_MASK, VIEW_PREFIX, pack

if TYPE_CHECKING:
    from .store import SqlStore

STEP: Final = 4000
"""Events deleted a transaction: well under 50 ms, so that a recorder beside us is not held up."""


def erase(store: SqlStore, number: int) -> None:
    """Delete everything of the session with this number, its row last."""
    low, high = pack(number, 0), pack(number, SEQ_MASK)
    while _erase_step(store, low, high):
        pass
    with store.writing() as connection:
        views = [
            name
            for name in sa.inspect(connection).get_table_names()
            if name.startswith(VIEW_PREFIX)
        ]
        span = {"low": low, "high": high, "number": number}
        connection.execute(sa.text("DELETE FROM groups WHERE key BETWEEN :low AND :high"), span)
        for view in views:
            if _has_number(connection, view):
                connection.execute(sa.text(f"DELETE FROM {view} WHERE number = :number"), span)
        connection.execute(sa.text("DELETE FROM sessions WHERE number = :number"), span)


def _has_number(connection: sa.Connection, table: str) -> bool:
    columns = sa.inspect(connection).get_columns(table)
    return any(column["name"] == "number" for column in columns)


def _erase_step(store: SqlStore, low: int, high: int) -> bool:
    keys = sa.text("SELECT max(key) FROM (SELECT key FROM events WHERE key BETWEEN :low AND :high "
                   "ORDER BY key LIMIT :step) AS page")  # fmt: skip
    with store.writing() as connection:
        last = connection.execute(keys, {"low": low, "high": high, "step": STEP}).scalar()
        if last is None:
            return False
        connection.execute(
            sa.text("DELETE FROM events WHERE key BETWEEN :low AND :last"),
            {"low": low, "last": last},
        )
    return True


def free_pages(store: SqlStore, *, patience: float = 10.0) -> bool:
    """Give freed pages back and empty the WAL, so that no byte of what was erased stays on disk.

    `secure_delete` has zeroed the pages already. False if a reader or recorder kept the WAL in
    use for `patience` seconds: the bytes then go when the last of them closes the database.
    PostgreSQL keeps dead rows until it is vacuumed, which this asks for.
    """
    raw = store.engine.raw_connection()
    try:
        if store.engine.dialect.name != "sqlite":
            driver = raw.driver_connection
            assert driver is not None
            driver.autocommit = True
            try:
                driver.execute("VACUUM events, groups, sessions")
            finally:
                driver.autocommit = False
            return True
        cursor = raw.cursor()
        cursor.execute("PRAGMA incremental_vacuum").fetchall()
        deadline = time.monotonic() + patience
        while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True
    finally:
        raw.close()

"""Read models: tables that are made from the log, and the only writing that is done to them.

Laws:

1. The tables of a read model carry the version of the code that made them. Whoever comes with
   another version drops them and makes its own; whoever still works with the old one reads and
   stores nothing more.
2. Everything is written in transactions of a few milliseconds, so that a recorder beside us is
   not held up: filling, emptying and dropping too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from recorder.errors import StoreUnavailable

from . import text_index
from .schema import APPLICATION_ID, sessions
from .view_tables import metadata, stamps, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .store import SqlStore

ROWS_DROPPED: Final = 500
"""Rows deleted a transaction when a read model is taken away."""


class Superseded(Exception):
    """Another version of the code has taken the read model over."""


class ReadModel:
    """Tables of one read model, in one version: made on first use, written in small steps."""

    def __init__(
        self, store: SqlStore, name: str, version: str, tables: Sequence[sa.Table]
    ) -> None:
        self.store, self.name, self.version, self.tables = store, name, version, tables
        self._usable: bool | None = None
        self._writable = True

    @property
    def usable(self) -> bool:
        """Whether the tables are there in this version; makes them if that can be done."""
        if self._usable is None:
            self._usable = self._prepared()
        return self._usable

    def read(self, query: sa.Executable) -> Sequence[sa.Row[Any]] | None:
        """The rows of this query on our tables; None if they are not there, or not ours."""
        if not self.usable:
            return None
        try:
            with self.store.reading() as connection:
                if _stamp_in(connection, self.name) == self.version:
                    return connection.execute(query).all()
        except StoreUnavailable:
            pass  # dropped by another version between the two queries
        self._usable = False
        return None

    def write(
        self, numbers: Collection[int], put: Callable[[sa.Connection, set[int]], None]
    ) -> bool:
        """Call `put` with those of the sessions that still exist, in one transaction.

        False if nothing was stored: the database cannot be written, another builder was first,
        or another version of the code has taken over.
        """
        if not self.usable or not self._writable:
            return False
        try:
            with self.store.writing() as connection:
                self._check_stamp(connection)
                put(connection, _existing(connection, numbers))
        except (StoreUnavailable, Superseded):
            self._writable = False
            return False
        except sa.exc.IntegrityError:
            return False
        return True

    def drop(self) -> None:
        """Take the tables away, in steps. Raises `StoreUnavailable`."""
        self._retire(even=self.version)
        with self.store.writing() as connection:
            _lock(connection)
            if _stamp_in(connection, self.name) is None:
                self._drop_tables(connection)
        self._usable, self._writable = None, True

    def _prepared(self) -> bool:
        try:
            if self._stamp() == self.version:
                return True
            self._retire()
            with self.store.writing() as connection:
                _lock(connection)
                if _stamp_in(connection, self.name) is None:
                    self._drop_tables(connection)
                    self._make_tables(connection)
            return self._stamp() == self.version
        except StoreUnavailable:
            return False

    def _make_tables(self, connection: sa.Connection) -> None:
        metadata.create_all(connection, [stamps, *self.tables])
        if texts in self.tables:
            text_index.make(connection)
        values = {"name": self.name, "version": self.version}
        connection.execute(sa.insert(stamps).values(values))

    def _stamp(self) -> str | None:
        with self.store.reading() as connection:
            return _stamp_in(connection, self.name)

    def _check_stamp(self, connection: sa.Connection) -> None:
        """Held until the transaction ends, so that nobody drops the tables meanwhile."""
        query = sa.select(stamps.c.version).where(stamps.c.name == self.name)
        if connection.execute(query.with_for_update(read=True)).scalar() != self.version:
            raise Superseded

    def _retire(self, even: str | None = None) -> None:
        """Take another version's stamp off, so that nobody uses the tables; then empty them."""
        with self.store.writing() as connection:
            stamp = _stamp_in(connection, self.name)
            if stamp is not None and (stamp != self.version or stamp == even):
                connection.execute(sa.delete(stamps).where(stamps.c.name == self.name))
            if texts in self.tables and _stamp_in(connection, self.name) is None:
                text_index.detach(connection)
        steps = [(table.name, "number", -1) for table in self.tables]
        for table, key, above in [*steps, text_index.WORDS] if texts in self.tables else steps:
            while self._empty_step(table, key, above):
                pass

    def _empty_step(self, table: str, key: str, above: int) -> bool:
        """Delete some rows; whether there may be more. A big table takes long to drop."""
        with self.store.writing() as connection:
            if _stamp_in(connection, self.name) or not sa.inspect(connection).has_table(table):
                return False
            rows = f"FROM {table} WHERE {key} > {above}"
            ahead = f"SELECT {key} {rows} ORDER BY {key} LIMIT 1 OFFSET {ROWS_DROPPED}"
            bound = connection.exec_driver_sql(ahead).scalar()
            upto = "" if bound is None else f" AND {key} <= {int(bound)}"
            connection.exec_driver_sql(f"DELETE {rows}{upto}")
            return bound is not None

    def _drop_tables(self, connection: sa.Connection) -> None:
        if texts in self.tables:
            text_index.drop(connection)
        for table in self.tables:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table.name}")


def upsert_later(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Put a row, unless one is there that knows more of the session (`last_seq`).

    Whether it was put.
    """
    names = list(table.c.keys())
    news = ", ".join(f"{name} = excluded.{name}" for name in names)
    query = (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES (:{', :'.join(names)}) "
        f"ON CONFLICT (number) DO UPDATE SET {news} "
        f"WHERE excluded.last_seq >= {table.name}.last_seq"
    )
    return connection.execute(sa.text(query), row).rowcount > 0


def _stamp_in(connection: sa.Connection, name: str) -> str | None:
    if not sa.inspect(connection).has_table(stamps.name):
        return None
    query = sa.select(stamps.c.version).where(stamps.c.name == name)
    found: str | None = connection.execute(query).scalar()
    return found


def _existing(connection: sa.Connection, numbers: Collection[int]) -> set[int]:
    """Those sessions that were not removed meanwhile; locked, so that they stay till the end."""
    query = sa.select(sessions.c.number).where(sessions.c.number.in_(list(numbers)))
    return set(connection.execute(query.with_for_update(read=True)).scalars())


def _lock(connection: sa.Connection) -> None:
    """One at a time makes or drops tables. SQLite's transaction is the lock already."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLICATION_ID + 1})")

"""The tables of the read models, their version, and the only writing that is done to them.

They are no part of the schema: code makes and drops them, and no migration knows of them. Their
names begin with `VIEW_PREFIX`; those that tell of sessions have a column `number`, by which
`recorder.sql.erasing` takes a removed session out of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from recorder.errors import StoreUnavailable

from .schema import APPLICATION_ID, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .store import SqlStore

STEP: Final = 2000
"""Ids written a transaction: well under 50 ms, so that a recorder beside us is not held up."""

OUTLINES: Final = 200
"""Outlines written a transaction: with their summaries these weigh more."""

metadata = sa.MetaData()

stamps = sa.Table(
    "view_stamps",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
)
"""Which version of the code made each read model."""

_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

outlines = sa.Table(
    "view_sessions",
    metadata,
    sa.Column("number", _number, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("duration_ns", sa.BigInteger, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("turns", sa.Integer, nullable=False),
    sa.Column("errors", sa.Integer, nullable=False),
    sa.Column("findings", sa.Integer, nullable=False),
    sa.Column("lost", sa.BigInteger, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
)
"""One row a session: the columns of `ls`, and the summary as JSON."""

ids = sa.Table(
    "view_ids",
    metadata,
    sa.Column("number", _number, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Index("view_ids_by_id", "id"),
    sqlite_with_rowid=False,
)
"""Every id that was seen in a session, and the event that had it first."""

ids_read = sa.Table(
    "view_ids_read",
    metadata,
    sa.Column("number", _number, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
)
"""How far each session was read for ids."""


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
        with self.store.writing() as connection:
            self._retire(connection)
        self._empty()
        with self.store.writing() as connection:
            _lock(connection)
            if _stamp_in(connection, self.name) is None:
                self._drop_tables(connection)
        self._usable = None

    def _prepared(self) -> bool:
        try:
            if self._stamp() == self.version:
                return True
            with self.store.writing() as connection:
                if _stamp_in(connection, self.name) != self.version:
                    self._retire(connection)
            self._empty()
            with self.store.writing() as connection:
                _lock(connection)
                if _stamp_in(connection, self.name) is None:
                    self._drop_tables(connection)
                    metadata.create_all(connection, [stamps, *self.tables])
                    values = {"name": self.name, "version": self.version}
                    connection.execute(sa.insert(stamps).values(values))
            return self._stamp() == self.version
        except StoreUnavailable:
            return False

    def _stamp(self) -> str | None:
        with self.store.reading() as connection:
            return _stamp_in(connection, self.name)

    def _check_stamp(self, connection: sa.Connection) -> None:
        """Held until the transaction ends, so that nobody drops the tables meanwhile."""
        query = sa.select(stamps.c.version).where(stamps.c.name == self.name)
        if connection.execute(query.with_for_update(read=True)).scalar() != self.version:
            raise Superseded

    def _retire(self, connection: sa.Connection) -> None:
        """Take the stamp off: from here on nobody reads or writes the tables."""
        if sa.inspect(connection).has_table(stamps.name):
            connection.execute(sa.delete(stamps).where(stamps.c.name == self.name))

    def _empty(self) -> None:
        """Delete what is in the tables, a session a transaction: a big one takes long to drop."""
        for table in self.tables:
            while self._empty_step(table.name):
                pass

    def _empty_step(self, table: str) -> bool:
        with self.store.writing() as connection:
            if _stamp_in(connection, self.name) or not sa.inspect(connection).has_table(table):
                return False
            first = connection.execute(sa.text(f"SELECT min(number) FROM {table}")).scalar()
            if first is None:
                return False
            query = sa.text(f"DELETE FROM {table} WHERE number <= :number")
            connection.execute(query, {"number": first})
            return True

    def _drop_tables(self, connection: sa.Connection) -> None:
        for table in self.tables:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table.name}")


def upsert_later(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]
) -> None:
    """Put rows that know as much of their session (`last_seq`) as those that are there, or more."""
    names = list(table.c.keys())
    news = ", ".join(f"{name} = excluded.{name}" for name in names)
    query = (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES (:{', :'.join(names)}) "
        f"ON CONFLICT (number) DO UPDATE SET {news} "
        f"WHERE excluded.last_seq >= {table.name}.last_seq"
    )
    if rows:
        connection.execute(sa.text(query), rows)


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

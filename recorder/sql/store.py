"""`SqlStore`: the log in SQLite or PostgreSQL.

Appending goes over one connection that is kept (`appending`), reading in pages over others
(`reading`); the ORM is not used: a group of events written through it takes three times as long.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa

from ..chain import genesis
from ..errors import SequenceConflict, SessionNotFound, UsageError
from ..events import Event, Session
from ..store import RecorderProcess, unknown_session
from . import reading
from .appending import Inserts, Prepared, Tail, prepared
from .faults import translated
from .locating import Location, named
from .opening import BUSY_SECONDS, Durability, open_engine, sync_wal
from .schema import SEQ_MASK, pack, recorders, sessions
from .schema import events as event_table

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path


TAILS: Final = 4096
"""Ends of sessions that are remembered; of others the end is read before they are continued."""


class SqlStore:
    """An `EventStore` in a database. Open it with `SqlStore.open`."""

    in_memory = False

    def __init__(
        self,
        engine: sa.Engine,
        location: Location,
        durability: Durability = "full",
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self.engine, self.location = engine, location
        self.durability, self.busy_seconds = durability, busy_seconds
        self._abandoned: list[object] = []
        self._tails: dict[str, Tail] = {}
        self._lock = threading.RLock()
        self._writer: sa.Connection | None = None
        self._held: Any = None
        """The driver's own connection of the writer."""
        self._inserts = Inserts(engine.dialect.name)

    @classmethod
    def open(
        cls,
        place: Location | str | os.PathLike[str],
        *,
        durability: Durability = "full",
        create: bool = True,
        busy_seconds: float = BUSY_SECONDS,
    ) -> SqlStore:
        """The store at this place, a path or a database URL; migrated if it had to be.

        Raises as `open_engine` does.
        """
        location = place if isinstance(place, Location) else named(place)
        engine = open_engine(
            location, durability=durability, create=create, busy_seconds=busy_seconds
        )
        return cls(engine, location, durability, busy_seconds)

    @property
    def path(self) -> Path | None:
        """The SQLite file, where there is one."""
        return self.location.path

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            self._drop_writer()
            self.engine.dispose()

    # ---- writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A short write transaction. Raises `StoreUnavailable` for what the database refuses."""
        with self._lock, translated(self.location, self.engine.dialect):
            try:
                self._driver()
                assert self._writer is not None
                with self._writer.begin():
                    yield self._writer
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated:
                    self._drop_writer()  # a server went away; a file's connection stays, see rescue
                raise

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                self._writer.close()
            self._writer = self._held = None

    def _driver(self) -> Any:
        """The driver's own connection of the writer, opened if it was not."""
        if self._writer is None:
            self._writer = self.engine.connect().execution_options(recorder_begin="IMMEDIATE")
            self._held = self._writer.connection.driver_connection
        return self._held

    def open_file(self) -> sqlite3.Connection:
        """The SQLite connection that writing is done on, opened if it was not."""
        with self._lock, translated(self.location, self.engine.dialect):
            driver = self._driver()
            assert isinstance(driver, sqlite3.Connection)
            return driver

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes through this store meanwhile."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def synced_late(self) -> Iterator[None]:
        """What is appended meanwhile is safe from a power failure when the block is left, all at
        once: a sync for each group costs an import a tenth of its time. SQLite only."""
        if self.path is None or self.durability != "full":
            yield
            return
        self._synchronous("NORMAL")
        try:
            yield
        finally:
            self._synchronous("FULL")
            sync_wal(self.path)

    def _synchronous(self, how: str) -> None:
        with self._lock, translated(self.location, self.engine.dialect):
            self._driver().execute(f"PRAGMA synchronous={how}").close()

    def move_to(self, location: Location) -> None:
        """Go on in another file, which holds all that this one did.

        The lost file's connections are left to the garbage collector: closing the last one
        would delete the WAL that stands at the old path, whoever's that is by now.
        """
        with self._lock:
            self._abandoned.append((self.engine, self._writer))
            self.engine = open_engine(
                location, durability=self.durability, busy_seconds=self.busy_seconds
            )
            self.location, self._writer, self._held = location, None, None

    def register(self, process: RecorderProcess) -> None:
        """Make a recording process known, or renew its lease."""
        values = {name: getattr(process, name) for name in recorders.c.keys()}  # noqa: SIM118
        with self.writing() as connection:
            known = recorders.c.id == process.id
            updated = connection.execute(
                sa.update(recorders).where(known).values(lease_ns=process.lease_ns)
            )
            if not updated.rowcount:
                connection.execute(sa.insert(recorders).values(values))

    def begin(self, session: Session) -> None:
        """Enter a session, before its first event."""
        row = _row(session)
        try:
            with self.writing() as connection:
                result = connection.execute(sa.insert(sessions).values(row))
                number = result.inserted_primary_key[0] if result.inserted_primary_key else 0
        except sa.exc.IntegrityError:
            raise UsageError(f"session {session.id} is in this store already") from None
        self._tails[session.id] = Tail(number, 0, genesis(_session(row)))

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        """Append each (session id, events), all in one transaction."""
        batch = [(session_id, events) for session_id, events in groups if events]
        if not batch:
            return
        with self._lock:
            # What we remember may be outdated by another process: then once more from its rows.
            for last_try in (False, True):
                try:
                    made = prepared(batch, self._tail)
                    if self._written(made):
                        self._tails.update(made.tails)
                        while len(self._tails) > TAILS:
                            del self._tails[next(iter(self._tails))]
                        return
                    error: UsageError | SequenceConflict = self._removed(batch)
                except SequenceConflict as conflict:
                    error = conflict
                if last_try or not self._forget(batch):
                    raise error

    def _written(self, made: Prepared) -> bool:
        """Commit the rows. Raises `SequenceConflict` if another writer was there before us."""
        with translated(self.location, self.engine.dialect):
            driver = self._driver()
            try:
                return self._inserts.write(driver, made)
            except self.engine.dialect.loaded_dbapi.IntegrityError as error:
                raise self._conflict(made) from error
            finally:
                if getattr(driver, "closed", False):
                    self._drop_writer()  # the server went away

    def _forget(self, batch: Sequence[tuple[str, Sequence[Event]]]) -> bool:
        """Forget the tails of these sessions; whether any was remembered."""
        found = [self._tails.pop(session_id, None) for session_id, _ in batch]
        return any(found)

    def _removed(self, batch: Sequence[tuple[str, Sequence[Event]]]) -> SessionNotFound:
        for session_id, _ in batch:
            try:
                self.number(session_id)
            except SessionNotFound as error:
                return error
        return unknown_session(batch[0][0])

    def _tail(self, session_id: str) -> Tail:
        if known := self._tails.get(session_id):
            return known
        with self.reading() as connection:
            query = sa.select(sessions).where(sessions.c.id == session_id)
            row = connection.execute(query).first()
            if row is None:
                raise unknown_session(session_id)
            key = event_table.c.key
            tail = connection.execute(
                sa.select(key, event_table.c.digest)
                .where(key.between(pack(row.number, 0), pack(row.number, SEQ_MASK)))
                .order_by(key.desc())
                .limit(1)
            ).first()
        if tail is None:
            return Tail(row.number, 0, genesis(_session(row._mapping)))
        return Tail(row.number, tail.key & SEQ_MASK, bytes(tail.digest or b""))

    def _conflict(self, made: Prepared) -> SequenceConflict:
        """The error that names the session which another writer continued meanwhile."""
        for session_id, first in made.starts:
            if first != self.last_seq(session_id) + 1:
                break
        return SequenceConflict(session_id, self.last_seq(session_id) + 1, first)

    def remove(self, session_id: str) -> None:
        """Take the session away: events, what was derived from it, and its row.

        Raises `SessionNotFound` if it is not there, or if somebody else took it away meanwhile.
        Pages are freed by `recorder.sql.erasing.free_pages`, once for many sessions.
        """
        from .erasing import erase

        number = self.number(session_id)
        self._tails.pop(session_id, None)
        if not erase(self, number):
            raise unknown_session(session_id)

    def used_bytes(self) -> int:
        """How large the database is, free pages not counted. Raises `StoreUnavailable`."""
        with self.reading() as connection:
            if connection.dialect.name == "postgresql":
                query = "SELECT pg_database_size(current_database())"
                return int(connection.exec_driver_sql(query).scalar_one())
            pages, free, size = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    # ---- reading

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A short read transaction. Raises `StoreUnavailable`."""
        with (
            translated(self.location, self.engine.dialect),
            self.engine.connect() as connection,
        ):
            yield connection

    def read(
        self,
        session_id: str,
        *,
        after: int = 0,
        until: int | None = None,
        audio: bool = True,
        types: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Events with `after < seq <= until`, in order; each page is a transaction of its own."""
        names = None if types is None else tuple(types)
        span = reading.Span(self.number(session_id), after, until, limit, audio, names)
        return reading.Reading(self, span)

    def session(self, session_id: str) -> Session:
        """The session with exactly this id."""
        with self.reading() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).first()
        if row is None:
            raise unknown_session(session_id)
        return _session(row._mapping)

    def sessions(self) -> Iterator[Session]:
        """All sessions, in the order in which they were entered, in pages."""
        last = 0
        while True:
            query = sa.select(sessions).where(sessions.c.number > last)
            with self.reading() as connection:
                rows = connection.execute(query.order_by(sessions.c.number).limit(500)).all()
            yield from (_session(row._mapping) for row in rows)
            if len(rows) < 500:
                return
            last = rows[-1].number

    def last_seq(self, session_id: str) -> int:
        """The number of the session's last event; 0 where it has none."""
        with self.reading() as connection:
            return reading.last_seq(connection, self._number(connection, session_id))

    def number(self, session_id: str) -> int:
        """The session's number in this database. Raises `SessionNotFound`."""
        with self.reading() as connection:
            return self._number(connection, session_id)

    @staticmethod
    def _number(connection: sa.Connection, session_id: str) -> int:
        query = sa.select(sessions.c.number).where(sessions.c.id == session_id)
        number = connection.execute(query).scalar()
        if number is None:
            raise unknown_session(session_id)
        return int(number)

    def processes(self) -> dict[str, RecorderProcess]:
        """All recording processes that were ever registered, by id."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(recorders)).all()
        return {row.id: RecorderProcess(**row._mapping) for row in rows}

    def verify(self, session_id: str) -> int:
        """How many events stand as they were appended. Raises `DamagedLog` at the first doubt."""
        return reading.verify(self, session_id)


_JSON_COLUMNS: Final = ("headers", "versions", "labels")


def _row(session: Session) -> dict[str, Any]:
    """The session as columns hold it. Databases refuse NUL and lone surrogates in text."""
    row = {name: getattr(session, name) for name in sessions.c.keys() if name != "number"}  # noqa: SIM118
    row |= {"versions": dict(session.versions), "labels": dict(session.labels)}
    for name, value in row.items():
        if isinstance(value, str):
            row[name] = value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    for name in _JSON_COLUMNS:
        row[name] = orjson.dumps(row[name]).decode()
    return row


def _session(row: Mapping[str, Any] | sa.RowMapping) -> Session:
    values = {str(name): value for name, value in row.items() if name != "number"}
    for name in _JSON_COLUMNS:
        values[name] = orjson.loads(values[name])
    values["headers"] = tuple((name, value) for name, value in values["headers"])
    return Session(**values)

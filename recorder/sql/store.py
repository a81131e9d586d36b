"""`SqlStore`: the log in SQLite or PostgreSQL.

The hot path is one `executemany` of prepared rows a group, on one connection that is kept; the
ORM is not used (a group of events written through it takes three times as long). What the store
remembers of a session (its number, last event and digest) is checked by the primary key: another
writer makes the append fail, never the log.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa

from ..chain import GENESIS, as_appended, audio_digests, group_digest
from ..errors import DamagedLog, SequenceConflict, StoreUnavailable, UsageError
from ..events import Event, Origin, Session
from ..store import RecorderProcess, check_sequence, unknown_session
from .opening import BUSY_SECONDS, Durability, Location, open_engine
from .schema import SEQ_MASK, groups, pack, recorders, sessions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Future
    from pathlib import Path

PAGE_ROWS: Final = 1000
"""Events a page of `read`; with audio a quarter of it, because those weigh more."""

PARALLEL_AUDIO: Final = 100_000
"""Bytes of audio in a group from which on its digests are computed in a thread beside SQLite."""

_COLUMNS: Final = "at_ns, origin, type, opcode, head, meta"
_ORIGINS: Final = tuple(Origin)
_PLAIN: Final = tuple(map(int, Origin))  # drivers bind plain integers faster than enums


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where a session ends in this database."""

    number: int
    last: int
    digest: bytes


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
        self._tails: dict[str, _Tail] = {}
        self._lock = threading.RLock()
        self._writer: sa.Connection | None = None
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="recorder-digest")
        mark = "?" if engine.dialect.name == "sqlite" else "%s"
        self._insert_events = f"INSERT INTO events VALUES ({', '.join([mark] * 8)})"
        self._insert_group = f"INSERT INTO groups VALUES ({mark}, {mark}, {mark})"

    @classmethod
    def open(
        cls,
        location: Location,
        *,
        durability: Durability = "full",
        create: bool = True,
        busy_seconds: float = BUSY_SECONDS,
    ) -> SqlStore:
        """The store at this place, migrated if it had to be. Raises as `open_engine` does."""
        engine = open_engine(
            location, durability=durability, create=create, busy_seconds=busy_seconds
        )
        return cls(engine, location, durability, busy_seconds)

    @property
    def path(self) -> Path | None:
        """The SQLite file, where there is one."""
        return self.location.path

    def close(self) -> None:
        """Let go of connections and threads."""
        with self._lock:
            self._drop_writer()
            self.engine.dispose()
            self._hashing.shutdown(wait=False)

    # ---- writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A short write transaction. Raises `StoreUnavailable` for what the database refuses."""
        with self._lock:
            try:
                if self._writer is None:
                    self._writer = self.engine.connect().execution_options(
                        recorder_begin="IMMEDIATE"
                    )
                with self._writer.begin():
                    yield self._writer
            except sa.exc.IntegrityError:
                raise
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated:
                    self._drop_writer()  # a server went away; a file's connection stays, see rescue
                raise unavailable(self.location, error) from error

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                self._writer.close()
            self._writer = None

    def open_file(self) -> sqlite3.Connection:
        """The SQLite connection that writing is done on, opened if it was not."""
        with self._lock:
            if self._writer is None:
                with self.writing():
                    pass
            assert self._writer is not None
            driver = self._writer.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            return driver

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
            self.location, self._writer = location, None

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
        values = {
            name: getattr(session, name)
            for name in sessions.c.keys()  # noqa: SIM118
            if name not in ("number", "headers", "versions", "labels")
        }
        for name in ("headers", "versions", "labels"):
            values[name] = orjson.dumps(getattr(session, name)).decode()
        try:
            with self.writing() as connection:
                result = connection.execute(sa.insert(sessions).values(values))
                number = result.inserted_primary_key[0] if result.inserted_primary_key else 0
        except sa.exc.IntegrityError:
            raise UsageError(f"session {session.id} is in this store already") from None
        self._tails[session.id] = _Tail(number, 0, GENESIS)

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        """Append each (session id, events), all in one transaction."""
        groups = [(session_id, events) for session_id, events in groups if events]
        if not groups:
            return
        with self._lock:
            try:
                with self.writing() as connection:
                    tails = self._append(connection, groups)
            except sa.exc.IntegrityError as error:
                raise self._conflict(groups) from error
            self._tails.update(tails)

    def _append(
        self, connection: sa.Connection, batch: Sequence[tuple[str, Sequence[Event]]]
    ) -> dict[str, _Tail]:
        tails: dict[str, _Tail] = {}
        rows: list[tuple[Any, ...]] = []
        hashes: list[Future[list[bytes]] | None] = []
        for session_id, events in batch:
            tail = tails.get(session_id) or self._tail(connection, session_id)
            check_sequence(session_id, tail.last, events)
            hashes.append(self._hash_beside(events))
            base = pack(tail.number, 0)
            rows += [
                (base + seq, at_ns, _PLAIN[origin], kind, opcode, head, meta, audio)
                for seq, at_ns, origin, kind, opcode, head, meta, audio in events
            ]
            tails[session_id] = replace(tail, last=tail.last + len(events))
        connection.exec_driver_sql(self._insert_events, rows)
        return self._append_digests(connection, batch, hashes, tails)

    def _append_digests(
        self,
        connection: sa.Connection,
        batch: Sequence[tuple[str, Sequence[Event]]],
        hashes: list[Future[list[bytes]] | None],
        tails: dict[str, _Tail],
    ) -> dict[str, _Tail]:
        rows, digests = [], {}
        for (session_id, events), hashed in zip(batch, hashes, strict=True):
            tail = tails[session_id]
            previous = digests.get(session_id) or tail.digest
            digest = group_digest(previous, events, hashed.result() if hashed else None)
            digests[session_id] = digest
            rows.append((pack(tail.number, events[0].seq), len(events), digest))
        connection.exec_driver_sql(self._insert_group, rows)
        return {name: replace(tail, digest=digests[name]) for name, tail in tails.items()}

    def _hash_beside(self, events: Sequence[Event]) -> Future[list[bytes]] | None:
        pieces = [event.audio for event in events if event.audio is not None]
        if sum(map(len, pieces)) < PARALLEL_AUDIO:
            return None
        return self._hashing.submit(audio_digests, pieces)

    def _tail(self, connection: sa.Connection, session_id: str) -> _Tail:
        if known := self._tails.get(session_id):
            return known
        number = self._number(connection, session_id)
        low, high = pack(number, 0), pack(number, SEQ_MASK)
        last = connection.execute(
            sa.text("SELECT max(key) FROM events WHERE key BETWEEN :low AND :high"),
            {"low": low, "high": high},
        ).scalar()
        digest = connection.execute(
            sa.select(groups.c.digest)
            .where(groups.c.key.between(low, high))
            .order_by(groups.c.key.desc())
            .limit(1)
        ).scalar()
        return _Tail(number, last & SEQ_MASK if last else 0, bytes(digest) if digest else GENESIS)

    def _conflict(self, batch: Sequence[tuple[str, Sequence[Event]]]) -> SequenceConflict:
        """The error that names the session which another writer continued meanwhile."""
        for session_id, events in batch:
            self._tails.pop(session_id, None)
            last = self.last_seq(session_id)
            if events[0].seq != last + 1:
                return SequenceConflict(session_id, last + 1, events[0].seq)
        session_id, events = batch[0]
        return SequenceConflict(session_id, self.last_seq(session_id) + 1, events[0].seq)

    def remove(self, session_id: str) -> None:
        """Take the session away: events, groups, what was derived from it, and its row.

        Pages are freed by `recorder.sql.erasing.free_pages`, once for many sessions.
        """
        from .erasing import erase

        number = self.number(session_id)
        erase(self, number)
        self._tails.pop(session_id, None)

    # ---- reading

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A short read transaction. Raises `StoreUnavailable`."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise unavailable(self.location, error) from error

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
        number = self.number(session_id)
        sql, extra = self._page_sql(audio, types)
        return self._pages(number, sql, extra, after, until, limit, audio)

    def _page_sql(self, audio: bool, types: Collection[str] | None) -> tuple[str, list[Any]]:
        mark = "?" if self.engine.dialect.name == "sqlite" else "%s"
        where = f"key > {mark} AND key <= {mark}"
        names = sorted(types) if types is not None else []
        if types is not None:
            where += f" AND type IN ({', '.join([mark] * len(names)) or 'NULL'})"
        last = "audio" if audio else "NULL"
        sql = f"SELECT key, {_COLUMNS}, {last} FROM events WHERE {where} ORDER BY key LIMIT {mark}"
        return sql, names

    def _pages(
        self,
        number: int,
        sql: str,
        names: list[Any],
        after: int,
        until: int | None,
        limit: int | None,
        audio: bool,
    ) -> Iterator[Event]:
        low = pack(number, after)
        high = pack(number, SEQ_MASK if until is None else min(until, SEQ_MASK))
        page = PAGE_ROWS // 4 if audio else PAGE_ROWS
        left = limit if limit is not None else SEQ_MASK
        while left > 0:
            size = min(page, left)
            with self.reading() as connection:
                cursor = connection.exec_driver_sql(sql, (low, high, *names, size)).cursor
                rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor else []
            yield from self._events(rows)
            if len(rows) < size:
                return
            low, left = rows[-1][0], left - size

    @staticmethod
    def _events(rows: list[tuple[Any, ...]]) -> Iterator[Event]:
        for key, at_ns, origin, kind, opcode, head, meta, audio in rows:
            yield Event(key & SEQ_MASK, at_ns, _ORIGINS[origin], kind, opcode, head, meta, audio)

    def session(self, session_id: str) -> Session:
        """The session with exactly this id."""
        with self.reading() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).first()
        if row is None:
            raise unknown_session(session_id)
        return _session(row)

    def sessions(self) -> Iterator[Session]:
        """All sessions, in the order in which they were entered, in pages."""
        last = 0
        while True:
            query = sa.select(sessions).where(sessions.c.number > last)
            with self.reading() as connection:
                rows = connection.execute(query.order_by(sessions.c.number).limit(500)).all()
            yield from map(_session, rows)
            if len(rows) < 500:
                return
            last = rows[-1].number

    def last_seq(self, session_id: str) -> int:
        """The number of the session's last event; 0 where it has none."""
        number = self.number(session_id)
        query = sa.text("SELECT max(key) FROM events WHERE key BETWEEN :low AND :high")
        with self.reading() as connection:
            last = connection.execute(
                query, {"low": pack(number, 0), "high": pack(number, SEQ_MASK)}
            ).scalar()
        return last & SEQ_MASK if last else 0

    def number(self, session_id: str) -> int:
        """The session's number in this database. Raises `SessionNotFound`."""
        if known := self._tails.get(session_id):
            return known.number
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
        number = self.number(session_id)
        query = sa.select(groups.c.key, groups.c.count, groups.c.digest).where(
            groups.c.key.between(pack(number, 0), pack(number, SEQ_MASK))
        )
        with self.reading() as connection:
            rows = connection.execute(query.order_by(groups.c.key)).all()
        previous, last = GENESIS, 0
        for key, count, digest in rows:
            first = key & SEQ_MASK
            events = list(self.read(session_id, after=first - 1, until=first + count - 1))
            if first != last + 1 or len(events) != count:
                raise DamagedLog(f"session {session_id}: events {last + 1} to {first} are missing")
            previous = group_digest(previous, *as_appended(events))
            if previous != bytes(digest):
                raise DamagedLog(
                    f"session {session_id}: events {first} to {first + count - 1} are not what "
                    "was recorded, or the group before them was replaced"
                )
            last = first + count - 1
        if (found := self.last_seq(session_id)) != last:
            raise DamagedLog(f"session {session_id}: events {last + 1} to {found} have no digest")
        return last


def _session(row: sa.Row[Any]) -> Session:
    values = dict(row._mapping)
    del values["number"]
    values["headers"] = tuple((name, value) for name, value in orjson.loads(values["headers"]))
    values["versions"] = orjson.loads(values["versions"])
    values["labels"] = orjson.loads(values["labels"])
    return Session(**values)


def unavailable(location: Location, error: sa.exc.DBAPIError) -> StoreUnavailable:
    """Our error for what a driver said, without the statement and its values."""
    told = str(error.orig).strip().partition("\n")[0]
    return StoreUnavailable(f"{location}: {told}")

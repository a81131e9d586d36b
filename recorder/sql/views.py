"""Read models: what lists, selections and look-ups need of sessions, kept beside the log.

Laws:

1. Everything here can be dropped and is then built again; the log alone is the truth.
2. Nothing is built by a process that records: folding would hold the interpreter against live
   calls. Whoever first asks builds, in write transactions of a few milliseconds.
3. The tables carry the version of the code that made them. Another version drops them and
   makes its own; whoever still works with the old one then stores nothing more.
4. A database that cannot be written still answers: what would be stored is computed and lives
   as long as the `Views`.
5. What depends on the time (whether a session is live) is never stored.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import sqlalchemy as sa

from recorder.errors import SessionNotFound, StoreUnavailable
from recorder.selecting import ENDED, IMPORTED, INTERRUPTED, LIVE, REFUSED, Known

from . import view_tables as tables
from .outlines import OPEN, VERSION, Outline, ids_in, outcome, outline_of
from .outlines import REFUSED as WAS_REFUSED
from .schema import SEQ_BITS, SEQ_MASK, sessions
from .view_tables import OUTLINES, STEP, ReadModel, upsert_later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recorder.events import Session
    from recorder.projections.model import Summary

    from .store import SqlStore

    Report = Callable[[int, int], None]

IDS_VERSION: Final = "1"
"""Of what counts as an id."""

FLUSH_SECONDS: Final = 0.5
"""Outlines are stored together this often: a commit costs a disk's round trip."""


class Entry(NamedTuple):
    """One session as the log's own tables have it."""

    number: int
    id: str
    wall_ns: int
    kind: str
    vantage: str
    call: str
    model: str
    capture: str
    lease_ns: int | None
    """Until when its recorder counts as alive; None where none is known."""
    last_seq: int


@dataclass(frozen=True, slots=True)
class Row:
    """One session in a list: what the log says, what it amounts to, and its status now."""

    entry: Entry
    outline: Outline
    status: str

    @property
    def id(self) -> str:
        """The session's own id."""
        return self.entry.id

    @property
    def wall_ns(self) -> int:
        """When it was opened."""
        return self.entry.wall_ns

    @property
    def call(self) -> str:
        """The call it belongs to."""
        return self.entry.call

    @property
    def tags(self) -> tuple[str, ...]:
        """As they stand now."""
        return self.outline.tags

    @property
    def model(self) -> str:
        """As the server stated it, else as it was asked for."""
        return self.outline.model or self.entry.model

    @property
    def models(self) -> tuple[str, ...]:
        """Both."""
        return self.outline.model, self.entry.model


_ENTRIES: Final = (
    "SELECT s.number, s.id, s.wall_ns, s.kind, s.vantage, s.call, s.model, s.capture, r.lease_ns, "
    f"coalesce((SELECT e.key FROM events AS e WHERE e.key >= s.number * {1 << SEQ_BITS} "
    f"AND e.key <= s.number * {1 << SEQ_BITS} + {SEQ_MASK} ORDER BY e.key DESC LIMIT 1), 0) "
    f"& {SEQ_MASK} AS last_seq FROM sessions AS s LEFT JOIN recorders AS r ON r.id = s.recorder"
)


_LISTED: Final = [column for column in tables.outlines.c if column.name != "summary"]
_NUMBER: Final = tables.outlines.c.number


class Views:
    """The read models of one store, as they are at one moment."""

    def __init__(self, store: SqlStore, now_ns: int) -> None:
        """`now_ns` is the wall clock: it decides which sessions are live."""
        self.store, self.now_ns = store, now_ns
        self._outlines = ReadModel(store, "sessions", VERSION, [tables.outlines])
        self._ids = ReadModel(store, "ids", IDS_VERSION, [tables.ids, tables.ids_read])
        self._computed: dict[int, Outline] = {}

    # ---- without reading events

    def known(self) -> list[Known]:
        """All sessions, as references name them."""
        columns = (sessions.c.id, sessions.c.wall_ns, sessions.c.call, sessions.c.kind)
        with self.store.reading() as connection:
            return [Known(*row) for row in connection.execute(sa.select(*columns))]

    def is_live(self, session_id: str) -> bool:
        """Whether the session is still being recorded. Raises `SessionNotFound`."""
        entry = self._entry(session_id)
        if entry.lease_ns is None or entry.lease_ns <= self.now_ns:
            return False
        closed = self.store.read(session_id, types={"recorder.closed"}, audio=False, limit=1)
        return next(closed, None) is None

    def status(self, session: Session, summary: Summary) -> str:
        """What became of a session that was folded already, as of now."""
        return status_of(self._entry(session.id), outcome(session, summary), self.now_ns)

    # ---- outlines

    def rows(self, report: Report | None = None) -> list[Row]:
        """Every session, in the order in which they were entered."""
        return self._rows(self.entries(), report)

    def row(self, session_id: str, report: Report | None = None) -> Row:
        """One session. Raises `SessionNotFound`."""
        found = self._rows([self._entry(session_id)], report)
        if not found:
            raise SessionNotFound(f"session {session_id} was removed meanwhile")
        return found[0]

    def _rows(self, entries: list[Entry], report: Report | None) -> list[Row]:
        outlines = self._stored() | self._computed
        stale = [
            entry
            for entry in entries
            if (known := outlines.get(entry.number)) is None or known.last_seq != entry.last_seq
        ]
        for done, outline in enumerate(self._built(stale)):
            outlines[outline.number] = outline
            if report:
                report(done + 1, len(stale))
        found = ((entry, outlines.get(entry.number)) for entry in entries)
        return [
            Row(entry, outline, status_of(entry, outline.outcome, self.now_ns))
            for entry, outline in found
            if outline
        ]

    def _built(self, stale: list[Entry]) -> Iterator[Outline]:
        """The outlines of these sessions, stored on the way where that can be done."""
        waiting: list[Outline] = []
        since = time.monotonic()
        for entry in stale:
            try:
                outline = outline_of(self.store, entry.id, entry.number, entry.last_seq)
            except SessionNotFound:
                continue  # removed while we looked
            self._computed[outline.number] = outline
            yield outline
            if not outline.trouble:
                waiting.append(outline)
            if time.monotonic() - since > FLUSH_SECONDS or len(waiting) >= OUTLINES:
                self._store(waiting)
                waiting, since = [], time.monotonic()
        self._store(waiting)

    def _store(self, outlines: list[Outline]) -> None:
        def put(connection: sa.Connection, existing: set[int]) -> None:
            rows = [_to_row(outline) for outline in outlines if outline.number in existing]
            upsert_later(connection, tables.outlines, rows)

        if outlines:
            self._outlines.write([outline.number for outline in outlines], put)

    def _stored(self) -> dict[int, Outline]:
        if not self._outlines.usable:
            return {}
        try:
            with self.store.reading() as connection:
                rows = connection.execute(sa.select(*_LISTED)).all()
        except StoreUnavailable:
            return {}  # dropped by another version meanwhile
        return {row.number: _from_row(row._mapping) for row in rows}

    def summary(self, session_id: str) -> dict[str, Any]:
        """All that is kept of one session. Raises `SessionNotFound`."""
        outline = self.row(session_id).outline
        if not outline.summary:
            query = sa.select(tables.outlines.c.summary)
            with self.store.reading() as connection:
                found = connection.execute(query.where(_NUMBER.in_([outline.number]))).scalar()
            outline = outline._replace(summary=found or "{}")
        summary: dict[str, Any] = orjson.loads(outline.summary)
        return summary

    # ---- ids

    def find(self, server_id: str, report: Report | None = None) -> list[str]:
        """The sessions in which this id was seen, in the order in which they were entered."""
        return [session_id for session_id, _ in self.where(server_id, report)]

    def where(self, server_id: str, report: Report | None = None) -> list[tuple[str, int]]:
        """The sessions in which this id was seen, each with the event that had it first."""
        entries = {entry.number: entry for entry in self.entries()}
        found = self._read_ids(list(entries.values()), server_id, report)
        found = {**found, **self._looked_up(server_id)}
        return [(entries[n].id, found[n]) for n in sorted(found) if n in entries]

    def _looked_up(self, server_id: str) -> dict[int, int]:
        columns = sa.select(tables.ids.c.number, tables.ids.c.seq)
        return self._pairs(columns.where(tables.ids.c.id == server_id))

    def _ids_read(self) -> dict[int, int]:
        return self._pairs(sa.select(tables.ids_read.c.number, tables.ids_read.c.last_seq))

    def _pairs(self, query: sa.Select[int, int]) -> dict[int, int]:
        if not self._ids.usable:
            return {}
        try:
            with self.store.reading() as connection:
                return {row[0]: row[1] for row in connection.execute(query)}
        except StoreUnavailable:
            return {}  # dropped by another version meanwhile

    def _read_ids(self, entries: list[Entry], wanted: str, report: Report | None) -> dict[int, int]:
        """Read what is new for ids and store them; where the wanted one was among these."""
        read = self._ids_read()
        stale = [entry for entry in entries if read.get(entry.number, 0) < entry.last_seq]
        found: dict[int, int] = {}
        waiting: list[tuple[Entry, dict[str, int]]] = []
        for done, entry in enumerate(stale, 1):
            ids = self._ids_of(entry, read.get(entry.number, 0))
            if wanted in ids:
                found[entry.number] = ids[wanted]
            waiting.append((entry, ids))
            if sum(len(each) for _, each in waiting) >= STEP or done == len(stale):
                self._store_ids(waiting)
                waiting = []
            if report:
                report(done, len(stale))
        return found

    def _ids_of(self, entry: Entry, after: int) -> dict[str, int]:
        """Every id after this event, and where it was seen first."""
        first: dict[str, int] = {}
        with suppress(SessionNotFound):  # removed meanwhile
            for event in self.store.read(entry.id, after=after, until=entry.last_seq, audio=False):
                for name in ids_in(event):
                    first.setdefault(name, event.seq)
        return first

    def _store_ids(self, found: list[tuple[Entry, dict[str, int]]]) -> None:
        """Store them in steps, and then, how far each session was read."""
        numbers = [entry.number for entry, _ in found]
        rows = [
            {"number": entry.number, "id": name, "seq": seq}
            for entry, first in found
            for name, seq in first.items()
        ]
        read = [{"number": entry.number, "last_seq": entry.last_seq} for entry, _ in found]
        puts = [partial(_put_ids, rows=rows[n : n + STEP]) for n in range(0, len(rows), STEP)]
        for put in (*puts, partial(_put_read, rows=read)):
            if not self._ids.write(numbers, put):
                return

    # ---- upkeep

    def entries(self) -> list[Entry]:
        """Every session as the log's own tables have it, in order of entry."""
        with self.store.reading() as connection:
            query = sa.text(f"{_ENTRIES} ORDER BY s.number")
            return [Entry(*row) for row in connection.execute(query)]

    def engine_facts(self) -> dict[str, str | int]:
        """What the database engine says of itself."""
        with self.store.reading() as connection:
            if connection.dialect.name != "sqlite":
                return {"engine": str(connection.exec_driver_sql("SELECT version()").scalar())}
            pragmas = ("page_size", "journal_mode", "freelist_count")
            page, journal, free = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas
            )
            version = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
        return {
            "engine": f"SQLite {version}",
            "page_bytes": int(page),
            "journal": str(journal),
            "free_bytes": int(free) * int(page),
        }

    def drop(self) -> None:
        """Take all read models away; they are built again when somebody asks."""
        self._computed.clear()
        self._outlines.drop()
        self._ids.drop()

    def _entry(self, session_id: str) -> Entry:
        with self.store.reading() as connection:
            query = sa.text(f"{_ENTRIES} WHERE s.id = :id")
            row = connection.execute(query, {"id": session_id}).first()
        if row is None:
            raise SessionNotFound(f"no session {session_id} in {self.store.location}")
        return Entry(*row)


def status_of(entry: Entry, outcome: str, now_ns: int) -> str:
    """What became of the session, as of now, from the `Outline.outcome` of its events."""
    if entry.vantage == "imported":
        return IMPORTED
    if outcome == WAS_REFUSED:
        return REFUSED
    if outcome != OPEN:
        return ENDED
    return LIVE if entry.lease_ns is not None and entry.lease_ns > now_ns else INTERRUPTED


def _to_row(outline: Outline) -> dict[str, Any]:
    values = {**outline._asdict(), "tags": orjson.dumps(outline.tags).decode()}
    del values["trouble"]
    return values


def _from_row(values: Any) -> Outline:
    return Outline(**{**values, "tags": tuple(orjson.loads(values["tags"])), "summary": ""})


def _put_ids(connection: sa.Connection, existing: set[int], rows: list[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["number"] in existing]
    query = f"INSERT INTO {tables.ids.name} (number, id, seq) VALUES (:number, :id, :seq)"
    if rows:
        connection.execute(sa.text(f"{query} ON CONFLICT DO NOTHING"), rows)


def _put_read(connection: sa.Connection, existing: set[int], rows: list[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["number"] in existing]
    upsert_later(connection, tables.ids_read, rows)

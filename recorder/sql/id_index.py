"""The read model of ids: in which session, and at which event, an id was seen first."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from recorder.errors import SessionNotFound
from recorder.events import Origin
from recorder.wire import parse

from .read_models import ReadModel, upsert_later
from .view_tables import ids, ids_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recorder.events import Event
    from recorder.store import EventStore

    from .entries import Entry
    from .store import SqlStore

    Report = Callable[[int, int], None]

VERSION: Final = "1"
"""Raised when something else counts as an id."""

STEP: Final = 1000
"""Ids written a transaction: well under 50 ms, so that a recorder beside us is not held up."""

_ID = re.compile(rb'"(?:id|[a-z_]*_id)"\s*:\s*"([^"\\\x00-\x1f]{4,128})"')
_REQUEST_ID = re.compile(r"(?i)(^|-)(request|correlation|trace|ray)(-?id)?$")


class Seen(NamedTuple):
    """The ids that stand in one session after what was read before, each with its first event."""

    number: int
    last_seq: int
    ids: dict[str, int]


def ids_in(event: Event) -> Iterator[str]:
    """Every id that the message carries, whoever chose it.

    In the JSON text of a message a key stands between plain quotation marks; inside a string
    they are escaped, so what somebody said is never taken for an id.
    """
    if event.type == "recorder.handshake":
        yield from _request_ids(event)
        return
    if event.origin == Origin.RECORDER or b'id"' not in event.head:
        return
    for found in _ID.finditer(event.head):
        yield found.group(1).decode("utf-8", "replace")


def _request_ids(event: Event) -> Iterator[str]:
    headers = parse(event).get("headers")
    for pair in headers if isinstance(headers, list) else ():
        match pair:
            case [str(name), str(value)] if _REQUEST_ID.search(name) and 4 <= len(value) <= 128:
                yield value


def seen_in(store: EventStore, entry: Entry, after: int = 0) -> Seen:
    """Every id after this event, and where it was seen first."""
    first: dict[str, int] = {}
    with suppress(SessionNotFound):  # removed meanwhile
        for event in store.read(entry.id, after=after, until=entry.last_seq, audio=False):
            for name in ids_in(event):
                first.setdefault(name, event.seq)
    return Seen(entry.number, entry.last_seq, first)


class IdIndex:
    """Where every id was seen. Sessions are read when somebody asks, and only what is new."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.model = ReadModel(store, "ids", VERSION, [ids, ids_read])
        self._waiting: list[Seen] = []

    def find(self, entries: Sequence[Entry], wanted: str, report: Report | None) -> dict[int, int]:
        """By number of session: the event that had this id first."""
        found = self._read(entries, wanted, report)
        kept = self.model.read(sa.select(ids.c.number, ids.c.seq).where(ids.c.id == wanted))
        return found | dict(map(_pair, kept or ()))

    def add(self, seen: Seen) -> None:
        """Store what was seen, together with what comes before `flush`."""
        self._waiting.append(seen)
        if sum(len(each.ids) for each in self._waiting) >= STEP:
            self.flush()

    def flush(self) -> None:
        """Store everything in steps, and then, how far each session was read."""
        waiting, self._waiting = self._waiting, []
        numbers = [seen.number for seen in waiting]
        rows = [
            {"number": seen.number, "id": name, "seq": seq}
            for seen in waiting
            for name, seq in seen.ids.items()
        ]
        read = [{"number": seen.number, "last_seq": seen.last_seq} for seen in waiting]
        puts = [partial(_put_ids, rows=rows[n : n + STEP]) for n in range(0, len(rows), STEP)]
        for put in (*puts, partial(_put_read, rows=read)):
            if not self.model.write(numbers, put):
                return

    def _read(self, entries: Sequence[Entry], wanted: str, report: Report | None) -> dict[int, int]:
        """Read what is new for ids and store them; where the wanted one was among these."""
        kept = self.model.read(sa.select(ids_read.c.number, ids_read.c.last_seq))
        read = dict(map(_pair, kept or ()))
        stale = [entry for entry in entries if read.get(entry.number, 0) < entry.last_seq]
        found: dict[int, int] = {}
        for done, entry in enumerate(stale, 1):
            seen = seen_in(self.store, entry, read.get(entry.number, 0))
            if wanted in seen.ids:
                found[entry.number] = seen.ids[wanted]
            self.add(seen)
            if report:
                report(done, len(stale))
        self.flush()
        return found


def _pair(row: Sequence[int]) -> tuple[int, int]:
    return row[0], row[1]


def _put_ids(connection: sa.Connection, existing: set[int], rows: list[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["number"] in existing]
    query = f"INSERT INTO {ids.name} (number, id, seq) VALUES (:number, :id, :seq)"
    if rows:
        connection.execute(sa.text(f"{query} ON CONFLICT DO NOTHING"), rows)


def _put_read(connection: sa.Connection, existing: set[int], rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["number"] in existing:
            upsert_later(connection, ids_read, row)

"""Reading the log page by page, and checking it against its digests.

A page is a short transaction of its own: a long reader would let the WAL grow without bound.
Pages are bounded in rows and in bytes, so memory is too, however large single events are.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from operator import gt
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
import sqlalchemy as sa

from ..chain import genesis, group_digest
from ..errors import DamagedLog
from ..events import Event, Origin
from ..store import APPEND, Appends, Sound
from .faults import translated
from .schema import SEQ_MASK, events, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .store import SqlStore

T = TypeVar("T")

PAGE_ROWS: Final = 256
"""Events a page at most: what is read stays in the processor's cache until it was looked at."""

PAGE_BYTES: Final = 4 * 1024 * 1024
"""A page ends with the event that exceeds this."""

_FIRST_ROWS: Final = 64
"""Rows of the first page where a driver fetches a whole result at once (PostgreSQL)."""

_COLUMNS: Final = f"key & {SEQ_MASK}, at_ns, origin, type, opcode, head, meta"
_ORIGINS: Final = tuple(Origin)
_new = tuple.__new__


@dataclass(frozen=True, slots=True)
class Span:
    """Which events of which session: `after < seq <= until`, and no more than `limit`."""

    number: int
    after: int = 0
    until: int | None = None
    limit: int | None = None
    audio: bool = True
    types: tuple[str, ...] | None = None
    appends: bool = True
    """False: without those that `appended` gives."""


class Reading:
    """The events of a span, as an iterator; or in two parts (`recorder.store.Parted`)."""

    def __init__(self, store: SqlStore, span: Span) -> None:
        self._store, self._span = store, span
        self._events = pages(store, span)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    def apart(self) -> tuple[Iterator[Event], Iterator[Appends]]:
        """Both parts end where the session ends now, though it be recorded to meanwhile."""
        span = self._span
        if span.types is not None or span.limit is not None:
            return pages(self._store, span), iter(())
        with self._store.reading() as connection:
            last = last_seq(connection, span.number)
        until = last if span.until is None else min(span.until, last)
        return (
            others(self._store, replace(span, until=until, appends=False)),
            appended(self._store, replace(span, until=until)),
        )

    def sound(self) -> Iterator[Sound]:
        """On an SQLite file, in half the time of `apart`."""
        return sound(self._store, self._span)


def last_seq(connection: sa.Connection, number: int) -> int:
    """The number of the session's last event; 0 where it has none."""
    span = events.c.key.between(pack(number, 0), pack(number, SEQ_MASK))
    last = connection.execute(sa.select(sa.func.max(events.c.key)).where(span)).scalar()
    return last & SEQ_MASK if last else 0


_SMALL: Final = PAGE_BYTES // PAGE_ROWS
"""Longer audio is read row by row, so that a page stays small."""
_STEP: Final = 2
"""How many times `PAGE_ROWS` numbers a page of either part goes on by."""
_PLAIN: Final = 26
"""A `meta` shorter than this has room for nothing but one cut: `{"cuts":[[47,12345678]]}`."""


def others(store: SqlStore, span: Span) -> Iterator[Event]:
    """What `appended` leaves of the span, up to its `until`.

    On an SQLite file both go through it in steps of as many numbers, not rows: whoever reads them
    side by side finds the pages of the file that the other one has just read.
    """
    if store.path is None:
        yield from pages(store, span)
        return
    sql = _page_sql("?", span, limited=False)
    low, until = max(span.after, 0), span.until or 0
    while low < until:
        high = min(low + _STEP * PAGE_ROWS, until)
        values = (pack(span.number, low), pack(span.number, high), APPEND)
        page, size = _fetched(store, sql, values, _page, on_file=True)
        yield from page
        low = page[-1].seq if size > PAGE_BYTES else high


def appended(store: SqlStore, span: Span) -> Iterator[Appends]:
    """The appends of the span by columns, a page at a time: those that are small and whole."""
    on_file = store.path is not None
    mark = "?" if on_file else "%s"
    take = _with_audio if span.audio else _as_text if on_file else _by_row
    sql = (
        f"SELECT {_APPENDED[take]} FROM events WHERE key > {mark} AND "
        f"key <= {mark} AND {_is_append(mark)}"
    )
    sql += "" if take is _as_text else " ORDER BY key"
    low, until = max(span.after, 0), span.until or 0
    while low < until:
        high = min(low + _STEP * PAGE_ROWS, until)
        values = (pack(span.number, low), pack(span.number, high), APPEND)
        if found := _fetched(store, sql, values, take, on_file=on_file):
            yield found
        low = high


def _with_audio(cursor: Any) -> Appends | None:
    rows = cursor.fetchall()
    if not rows:
        return None
    seqs, times, audio = zip(*rows, strict=True)
    return Appends(seqs, times, tuple(map(len, audio)), audio)


def _by_row(cursor: Any) -> Appends | None:
    rows = cursor.fetchall()
    if not rows:
        return None
    seqs, times, sizes = zip(*rows, strict=True)
    return Appends(seqs, times, sizes, ())


def _as_text(cursor: Any) -> Appends | None:
    """Columns of numbers that SQLite wrote one after the other: making a row of each takes longer
    than to read them again. It takes rows in no order that is promised."""
    texts = cursor.fetchone()
    if texts[0] is None:
        return None
    try:
        seqs, times, sizes = (array("q", orjson.loads(f"[{text}]")) for text in texts)
    except (TypeError, ValueError) as error:
        raise DamagedLog(f"events that append audio are not what was written: {error}") from None
    if any(map(gt, seqs, seqs[1:])):
        order = sorted(range(len(seqs)), key=seqs.__getitem__)
        seqs, times, sizes = (
            array("q", map(column.__getitem__, order)) for column in (seqs, times, sizes)
        )
    return Appends(seqs, times, sizes, ())


_NUMBER: Final = f"key & {SEQ_MASK}"
_APPENDED: Final = {
    _with_audio: f"{_NUMBER}, at_ns, audio",
    _by_row: f"{_NUMBER}, at_ns, length(audio)",
    _as_text: f"group_concat({_NUMBER}), group_concat(at_ns), group_concat(length(audio))",
}
"""What of an append is asked for, by who takes it."""
_SOUND: Final = (
    f"SELECT {_NUMBER}, audio FROM events WHERE key > ? AND key <= ? AND audio IS NOT NULL "
    "ORDER BY key"
)


def sound(store: SqlStore, span: Span) -> Iterator[Sound]:
    """The audio of the span's events, up to where the session ends now."""
    if store.path is None or span.types is not None or span.limit is not None:
        yield from _sound_of(pages(store, span))
        return
    with store.reading() as connection:
        last = last_seq(connection, span.number)
    low, until = max(span.after, 0), last if span.until is None else min(span.until, last)
    while low < until:
        high = min(low + _STEP * PAGE_ROWS, until)
        values = (pack(span.number, low), pack(span.number, high))
        page, whole = _fetched(store, _SOUND, values, _sounding, on_file=True)
        if page:
            yield Sound(*map(list, zip(*page, strict=True)))
        low = high if whole else page[-1][0]


def _sounding(cursor: Any) -> tuple[list[tuple[int, bytes]], bool]:
    """Rows until the page is full, and whether these are all."""
    page: list[tuple[int, bytes]] = []
    size = 0
    for row in cursor:
        page.append(row)
        size += len(row[1])
        if size > PAGE_BYTES:
            return page, False
    return page, True


def _sound_of(found: Iterable[Event]) -> Iterator[Sound]:
    """The same from whole events."""
    page, size = Sound([], []), 0
    for event in found:
        if event.audio is not None:
            page.seqs.append(event.seq)
            page.audio.append(event.audio)
            size += len(event.audio)
        if size > PAGE_BYTES or len(page.seqs) == PAGE_ROWS:
            yield page
            page, size = Sound([], []), 0
    if page.seqs:
        yield page


def _is_append(mark: str) -> str:
    return (
        f"origin = {Origin.CLIENT:d} AND type = {mark} AND length(meta) < {_PLAIN} AND "
        f"length(audio) < {_SMALL}"
    )


def pages(store: SqlStore, span: Span) -> Iterator[Event]:
    """The events of the span, in order."""
    lazy, on_file = store.engine.dialect.name == "sqlite", store.path is not None
    sql = _page_sql("?" if lazy else "%s", span)
    low, until = max(span.after, 0), SEQ_MASK if span.until is None else min(span.until, SEQ_MASK)
    high = pack(span.number, max(until, 0))
    left = SEQ_MASK if span.limit is None else span.limit
    rows = PAGE_ROWS if lazy else _FIRST_ROWS
    while left > 0:
        asked = min(rows, left)
        values = (
            pack(span.number, low),
            high,
            *(span.types or ()),
            *(() if span.appends else (APPEND,)),
            asked,
        )
        page, size = _fetched(store, sql, values, _page, on_file=on_file)
        yield from page
        if len(page) < asked and size <= PAGE_BYTES:
            return
        low, left = page[-1].seq, left - len(page)
        if not lazy:
            rows = max(1, min(PAGE_ROWS, 2 * rows, PAGE_BYTES * len(page) // (size + 1)))


def _fetched(
    store: SqlStore,
    sql: str,
    values: tuple[Any, ...],
    take: Callable[[Any], T],
    *,
    on_file: bool,
) -> T:
    """One page, as `take` makes it of the cursor, in a transaction of its own.

    On an SQLite file the statement is that transaction: opening one through SQLAlchemy takes five
    times as long as fetching a row.
    """
    if not on_file:
        with store.reading() as connection:
            return take(connection.exec_driver_sql(sql, values).cursor)
    with translated(store.location, store.engine.dialect):
        pooled = store.engine.raw_connection()
        try:
            cursor = pooled.cursor()
            cursor.execute(sql, values)
            try:
                return take(cursor)
            finally:
                cursor.close()
        finally:
            pooled.close()


def _page_sql(mark: str, span: Span, *, limited: bool = True) -> str:
    where = f"key > {mark} AND key <= {mark}"
    if span.types is not None:
        where += f" AND type IN ({', '.join([mark] * len(span.types)) or 'NULL'})"
    if not span.appends:
        where += f" AND ({_is_append(mark)}) IS NOT TRUE"
    last = "audio" if span.audio else "NULL"
    limit = f" LIMIT {mark}" if limited else ""
    return f"SELECT {_COLUMNS}, {last} FROM events WHERE {where} ORDER BY key{limit}"


def _page(cursor: Any) -> tuple[list[Event], int]:
    """Events from the cursor until it or the page is at its end, and how many bytes they are."""
    page: list[Event] = []
    size = 0
    try:
        for seq, at_ns, origin, kind, opcode, head, meta, audio in cursor:
            row = (seq, at_ns, _ORIGINS[origin], kind, opcode, head, meta, audio)
            page.append(_new(Event, row))
            size += len(head) + (len(audio) if audio else 0)
            if size > PAGE_BYTES:
                break
    except (IndexError, TypeError) as error:
        raise DamagedLog(f"event {len(page)} of a page is none: {error}") from error
    return page, size


def verify(store: SqlStore, session_id: str) -> int:
    """How many events stand as they were appended. Raises `DamagedLog` at the first doubt."""
    number = store.number(session_id)
    found = store.last_seq(session_id)  # first: it may be recorded to meanwhile
    digest, last = genesis(store.session(session_id)), 0
    for end, wanted in _digests(store, number):
        group = list(pages(store, Span(number, after=last, until=end)))
        told = f"session {session_id}: events {last + 1} to {end}"
        if [event.seq for event in group] != list(range(last + 1, end + 1)):
            missing = end - last - len(group)
            are = "is" if missing == 1 else "are"
            raise DamagedLog(f"{told}: {missing} of them {are} missing")
        try:
            digest = group_digest(digest, group)
        except (TypeError, ValueError) as error:  # not even the types of the columns are right
            raise DamagedLog(f"{told} cannot be read as events ({error})") from error
        if digest != wanted:
            raise DamagedLog(
                f"{told} are not what was recorded, or the session or what stood before them was "
                "changed"
            )
        last = end
    if found > last:
        raise DamagedLog(f"session {session_id}: events {last + 1} to {found} have no digest")
    return last


def _digests(store: SqlStore, number: int) -> Iterator[tuple[int, bytes]]:
    """Last sequence number and digest of each committed group, in pages."""
    low, high = pack(number, 0), pack(number, SEQ_MASK)
    while True:
        query = sa.select(events.c.key, events.c.digest).where(
            events.c.key > low, events.c.key <= high, events.c.digest.is_not(None)
        )
        with store.reading() as connection:
            rows = connection.execute(query.order_by(events.c.key).limit(PAGE_ROWS)).all()
        for key, digest in rows:
            yield key & SEQ_MASK, bytes(digest)
        if len(rows) < PAGE_ROWS:
            return
        low = rows[-1].key

"""Reading the log page by page, and checking it against its digests.

A page is a short transaction of its own: a long reader would let the WAL grow without bound.
Pages are bounded in rows and in bytes, so memory is too, however large single events are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ..chain import genesis, group_digest
from ..errors import DamagedLog
from ..events import Event, Origin
from .faults import translated
from .schema import SEQ_MASK, events, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .store import SqlStore

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


def pages(store: SqlStore, span: Span) -> Iterator[Event]:
    """The events of the span, in order."""
    lazy = store.engine.dialect.name == "sqlite"
    sql = _page_sql("?" if lazy else "%s", span)
    low, until = max(span.after, 0), SEQ_MASK if span.until is None else min(span.until, SEQ_MASK)
    high = pack(span.number, max(until, 0))
    left = SEQ_MASK if span.limit is None else span.limit
    rows = PAGE_ROWS if lazy else _FIRST_ROWS
    while left > 0:
        asked = min(rows, left)
        values = (pack(span.number, low), high, *(span.types or ()), asked)
        page, size = _fetched(store, sql, values)
        yield from page
        if len(page) < asked and size <= PAGE_BYTES:
            return
        low, left = page[-1].seq, left - len(page)
        if not lazy:
            rows = max(1, min(PAGE_ROWS, 2 * rows, PAGE_BYTES * len(page) // (size + 1)))


def _fetched(store: SqlStore, sql: str, values: tuple[Any, ...]) -> tuple[list[Event], int]:
    """One page, in a transaction of its own.

    On an SQLite file the statement is that transaction: opening one through SQLAlchemy takes five
    times as long as fetching a row.
    """
    if store.path is None:
        with store.reading() as connection:
            return _page(connection.exec_driver_sql(sql, values).cursor)
    with translated(store.location, store.engine.dialect):
        pooled = store.engine.raw_connection()
        try:
            cursor = pooled.cursor()
            cursor.execute(sql, values)
            try:
                return _page(cursor)
            finally:
                cursor.close()
        finally:
            pooled.close()


def _page_sql(mark: str, span: Span) -> str:
    where = f"key > {mark} AND key <= {mark}"
    if span.types is not None:
        where += f" AND type IN ({', '.join([mark] * len(span.types)) or 'NULL'})"
    last = "audio" if span.audio else "NULL"
    return f"SELECT {_COLUMNS}, {last} FROM events WHERE {where} ORDER BY key LIMIT {mark}"


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

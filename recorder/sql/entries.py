"""Sessions as lists show them: what the log says, what they amount to, and their status now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import sqlalchemy as sa

from recorder.selecting import ENDED, IMPORTED, INTERRUPTED, LIVE, REFUSED

from ..store import unknown_session
from .direct import Direct
from .outlines import OPEN, Outline
from .outlines import REFUSED as WAS_REFUSED
from .schema import SEQ_BITS, SEQ_MASK, events, recorders, sessions
from .view_tables import outlines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .outlines import Made
    from .store import SqlStore


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

    @property
    def findings(self) -> int | None:
        """What `show` finds wrong: a session that nobody closed is one finding more."""
        found = self.outline.findings
        return found if found is None else found + (self.status == INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Folded:
    """A session that was folded and not stored, as `Selection.matches` looks at it."""

    row: Row
    made: Made

    @property
    def id(self) -> str:
        """The session's own id."""
        return self.row.id

    @property
    def wall_ns(self) -> int:
        """When it was opened."""
        return self.row.wall_ns

    @property
    def status(self) -> str:
        """As of now."""
        return self.row.status

    @property
    def text(self) -> str:
        """Its transcript, searchable."""
        return self.made.text

    def labels(self, kind: str) -> Collection[str]:
        """The labels of this kind, folded."""
        return [label for each, label in self.made.labels if each == kind]

    def figure(self, name: str) -> int | None:
        """A figure of the session, by its name in the selection language."""
        if name == "findings":
            return self.row.findings
        found: int | None = getattr(self.made.outline, FIGURES[name])
        return found

    def turns(self, metric: str) -> Iterable[float | None]:
        """The metric of each turn in milliseconds."""
        return (row[metric] for row in self.made.turns)


FIGURES: Final = {
    "turns": "turns",
    "errors": "errors",
    "lost": "lost",
    "events": "last_seq",
    "duration": "duration_ns",
}
"""Figures by their names in the selection language: fields of `Outline`, columns of its table."""


def status_of(entry: Entry, outcome: str, now_ns: int) -> str:
    """What became of the session, as of now, from the `Outline.outcome` of its events."""
    if entry.vantage == "imported":
        return IMPORTED
    if outcome == WAS_REFUSED:
        return REFUSED
    if outcome != OPEN:
        return ENDED
    return LIVE if entry.lease_ns is not None and entry.lease_ns > now_ns else INTERRUPTED


def sql_status(now_ns: int) -> sa.ColumnElement[str]:
    """The same in SQL."""
    return sa.case(
        (sessions.c.vantage == "imported", IMPORTED),
        (outlines.c.outcome == WAS_REFUSED, REFUSED),
        (outlines.c.outcome != OPEN, ENDED),
        (recorders.c.lease_ns > now_ns, LIVE),
        else_=INTERRUPTED,
    )


def sql_figure(name: str, now_ns: int) -> sa.ColumnElement[int]:
    """A figure of the session, by its name in the selection language."""
    if name == "findings":
        interrupted = sa.case((sql_status(now_ns) == INTERRUPTED, 1), else_=0)
        return outlines.c.findings + interrupted
    return outlines.c[FIGURES[name]]


# ---- queries

_SESSION: Final = [sessions.c[name] for name in Entry._fields[:8]] + [recorders.c.lease_ns]


def _of_the_last(column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    """What a session's last event has there: one step down the tree of events."""
    low, high = sessions.c.number * (1 << SEQ_BITS), sessions.c.number * (1 << SEQ_BITS) + SEQ_MASK
    last = sa.select(column).where(events.c.key >= low, events.c.key <= high)
    return last.order_by(events.c.key.desc()).limit(1).scalar_subquery()


LAST_SEQ: Final = sa.func.coalesce(_of_the_last(events.c.key), 0).op("&")(SEQ_MASK)

_RECORDED: Final = sessions.outerjoin(recorders, recorders.c.id == sessions.c.recorder)

ENTRIES: Final = sa.select(*_SESSION, LAST_SEQ).select_from(_RECORDED).order_by(sessions.c.number)
"""Every session, as `Entry`."""

_ENTRY: Final = Direct(ENTRIES.where(sessions.c.id == sa.bindparam("id")))


def entry_of(store: SqlStore, session_id: str) -> Entry:
    """The session with exactly this id. Raises `SessionNotFound`, `StoreUnavailable`."""
    row = _ENTRY.first(store, id=session_id)
    if row is None:
        raise unknown_session(session_id)
    return Entry._make(row)


_STALE: Final = (
    sa.select(*_SESSION, LAST_SEQ)
    .select_from(_RECORDED.outerjoin(outlines, outlines.c.number == sessions.c.number))
    .where(sa.or_(outlines.c.last_seq.is_(None), outlines.c.last_seq != LAST_SEQ))
    .order_by(sessions.c.number)
)

YOUNG: Final = 20
"""A live session's outline holds for a twentieth of the time that it tells of, so that looking at
long calls again and again does not fold them again and again."""


def stale(now_ns: int) -> sa.Select[Any]:
    """Those of whose events something is not in the outlines, as far as it matters by now."""
    known_ns = sessions.c.wall_ns + outlines.c.duration_ns
    goes_on = sa.and_(
        recorders.c.lease_ns > now_ns,
        outlines.c.outcome == OPEN,
        ~_of_the_last(events.c.type).like("recorder.%"),  # a close, a tag: to be seen at once
        now_ns - known_ns < outlines.c.duration_ns / YOUNG,
    )
    return _STALE.where(sa.not_(sa.func.coalesce(goes_on, sa.false())))


_OUTLINE: Final = list(outlines.c)[1:]

ROWS: Final = (
    sa.select(*_SESSION, *_OUTLINE)
    .select_from(_RECORDED.join(outlines, outlines.c.number == sessions.c.number))
    .order_by(sessions.c.number)
)
"""Every session of which an outline is kept, for `row_of`."""


def row_of(values: tuple[Any, ...], now_ns: int) -> Row:
    """The row of a session from what `ROWS` gives."""
    last_seq, outcome, duration_ns, model, tags, *counts = values[9:]
    told = tuple(orjson.loads(tags))
    outline = Outline(values[0], last_seq, outcome, duration_ns, model, told, *counts)
    entry = Entry._make((*values[:9], last_seq))
    return Row(entry, outline, status_of(entry, outcome, now_ns))

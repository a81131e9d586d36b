"""One page of a list of sessions: chosen, put in order, counted and cut by the database.

Laws:

1. What is being recorded comes first, in whatever order the rest is.
2. What is unknown comes last, in either direction; what is alike, the newest first.
3. Sessions that could not be stored (`Views`, law 3) are put in order here, to the same effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from recorder.selecting import LIVE, Said

from . import selections
from .entries import ROWS, Row, row_of, sql_figure, sql_status
from .schema import SEQ_BITS, SEQ_MASK, events, sessions
from .view_tables import outlines, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recorder.selecting import Selection

    from .entries import Folded
    from .views import Views

AROUND: Final = 90
"""Characters of a transcript that are shown before and after what was found."""


class Sort(NamedTuple):
    """One way to put sessions in order, as SQL and as Python has it."""

    column: Callable[[int], sa.ColumnElement[Any]]
    """Of the wall clock, which decides what is live."""
    key: Callable[[Row], Any]


def _plain(column: sa.ColumnElement[Any], key: Callable[[Row], Any]) -> Sort:
    return Sort(lambda _now: column, key)


SORTS: Final[Mapping[str, Sort]] = {
    "time": _plain(sessions.c.wall_ns, lambda row: row.wall_ns),
    "status": Sort(sql_status, lambda row: row.status),
    "duration": _plain(outlines.c.duration_ns, lambda row: row.outline.duration_ns),
    "model": _plain(
        sa.func.coalesce(sa.func.nullif(outlines.c.model, ""), sessions.c.model),
        lambda row: row.model,
    ),
    "call": _plain(sessions.c.call, lambda row: row.call),
    "turns": _plain(outlines.c.turns, lambda row: row.outline.turns),
    "findings": Sort(lambda now: sql_figure("findings", now), lambda row: row.findings),
    "errors": _plain(outlines.c.errors, lambda row: row.outline.errors),
    "lost": _plain(outlines.c.lost, lambda row: row.outline.lost),
    "events": _plain(outlines.c.last_seq, lambda row: row.outline.last_seq),
    "vantage": _plain(sessions.c.vantage, lambda row: row.entry.vantage),
}
"""By what a list can be put in order."""


class Found(NamedTuple):
    """Where a text stands in a transcript: folded, as it is searched."""

    before: str
    match: str
    after: str


class Page(NamedTuple):
    """Some sessions of those that are meant."""

    rows: list[Row]
    total: int
    """How many are meant."""
    found: dict[str, list[Found]]
    """By session: where the texts of the selection stand."""
    now: dict[str, tuple[int, int]]
    """By session that is being recorded: its last event, and when that was on its own clock."""


def page_of(views: Views, selection: Selection, sort: str, offset: int, limit: int) -> Page:
    """So many sessions from the `offset`th on. `sort` is one of `SORTS`, `-` in front of it the
    largest first. Read models are taken as they are: the caller has brought them up to date."""
    if views.unstored:
        return _page_here(views, selection, sort, offset, limit)
    name, falling = sort.removeprefix("-"), sort.startswith("-")
    column = SORTS[name].column(views.now_ns)
    live = sa.case((sql_status(views.now_ns) == LIVE, 0), else_=1)
    condition = selections.condition(selection, views.now_ns, views.store.engine.dialect.name)
    query = ROWS.where(condition).order_by(None)
    query = query.order_by(
        live,
        sa.case((column.is_(None), 1), else_=0),
        column.desc() if falling else column,
        sessions.c.wall_ns.desc(),
        sessions.c.number.desc(),
    )
    kept = views.ask(query.limit(limit).offset(offset))
    total = offset + len(kept)
    if len(kept) == limit or (offset and not kept):
        total = _count(views, condition)
    rows = [row_of(tuple(row), views.now_ns) for row in kept]
    found = _found(views, selection, {row.entry.number: row.id for row in rows})
    return Page(rows, total, found, _now(views, rows))


def _count(views: Views, condition: sa.ColumnElement[bool]) -> int:
    """How many sessions are meant."""
    found = views.ask(ROWS.where(condition).order_by(None).with_only_columns(sa.func.count()))
    return int(found[0][0]) if found else 0


def _page_here(views: Views, selection: Selection, sort: str, offset: int, limit: int) -> Page:
    """The same where some are not stored."""
    name, falling = sort.removeprefix("-"), sort.startswith("-")
    key, here = SORTS[name].key, _still_there(views)
    apart = {each.row.entry.number for each in here}
    condition = selections.condition(selection, views.now_ns, views.store.engine.dialect.name)
    stored = [row_of(tuple(row), views.now_ns) for row in views.ask(ROWS.where(condition))]
    rows = [row for row in stored if row.entry.number not in apart]
    rows += [each.row for each in here if selection.matches(each)]
    rows.sort(key=lambda row: (row.wall_ns, row.entry.number))
    rows.reverse()
    known = [row for row in rows if key(row) is not None]
    known.sort(key=key, reverse=falling)
    rows = known + [row for row in rows if key(row) is None]
    rows.sort(key=lambda row: row.status != LIVE)
    shown = rows[offset : offset + limit]
    found = _found(views, selection, {row.entry.number: row.id for row in shown})
    return Page(shown, len(rows), found, _now(views, shown))


def _still_there(views: Views) -> list[Folded]:
    """What could not be stored, but for what was removed since."""
    here = views.unstored
    numbers = [each.row.entry.number for each in here]
    with views.store.reading() as connection:
        query = sa.select(sessions.c.number).where(sessions.c.number.in_(numbers))
        there = set(connection.scalars(query))
    return [each for each in here if each.row.entry.number in there]


def _now(views: Views, rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """How far those that are being recorded have come: the read models lag behind."""
    live = [row.entry for row in rows if row.status == LIVE]
    found: dict[str, tuple[int, int]] = {}
    if not live:
        return found
    with views.store.reading() as connection:
        for entry in live:
            low = entry.number << SEQ_BITS
            last = (
                sa.select(events.c.key, events.c.at_ns)
                .where(events.c.key >= low, events.c.key <= low + SEQ_MASK)
                .order_by(events.c.key.desc())
                .limit(1)
            )
            if row := connection.execute(last).first():
                found[entry.id] = (row[0] & SEQ_MASK, row[1])
    return found


# ---- what was found


def _found(views: Views, selection: Selection, ids: Mapping[int, str]) -> dict[str, list[Found]]:
    """Where each text that is wanted stands first in the transcripts of these sessions."""
    wanted = [test for need in selection.needs if need.wanted
              for test in need.tests if isinstance(test, Said)]  # fmt: skip
    found: dict[str, list[Found]] = {}
    for said in wanted:
        for number, text, at in _pieces(views, said, ids):
            found.setdefault(ids[number], []).append(_cut(text, at, said))
    return found


def _pieces(views: Views, said: Said, ids: Mapping[int, str]) -> list[tuple[int, str, int]]:
    """(number of the session, some of its text, where in that the words stand)."""
    here = {each.row.entry.number: each.text for each in views.unstored if each.text}
    pieces = [(number, *_around(text, said)) for number, text in here.items()
              if number in ids and said.needle in text]  # fmt: skip
    where = sa.func.instr if views.store.engine.dialect.name == "sqlite" else sa.func.strpos
    place = where(texts.c.text, said.needle)
    begin = sa.case((place > AROUND, place - AROUND), else_=1)
    room = 2 * AROUND + len(said.needle) + 40
    query = sa.select(texts.c.number, sa.func.substr(texts.c.text, begin, room), place - begin)
    query = query.where(texts.c.number.in_(sorted(ids)), place > 0)
    stored = map(tuple, views.ask(query))
    return pieces + [(n, text, at) for n, text, at in stored if n not in here]


def _around(text: str, said: Said) -> tuple[str, int]:
    place = text.index(said.needle)
    begin = max(place - AROUND, 0)
    return text[begin : place + len(said.needle) + AROUND + 40], place - begin


def _cut(text: str, at: int, said: Said) -> Found:
    """The line that it stands in, as far as there is room, cut between words."""
    end = at + len(said.needle)
    if said.begun:
        while end < len(text) and text[end] not in " \n":
            end += 1
    before, after = text[:at].rpartition("\n")[2], text[end:].partition("\n")[0]
    if before and "\n" not in text[:at]:
        before = "\u2026 " + before.partition(" ")[2] if at >= AROUND else before
    if "\n" not in text[end:]:
        after = after.rpartition(" ")[0] + " \u2026"
    return Found(before.strip(), text[at:end].strip(), after.strip())

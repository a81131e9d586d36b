"""The selection language in SQL: what `Selection.matches` says, asked of the read models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from recorder.selecting import (
    Among,
    AnyTurn,
    Figure,
    InState,
    Labelled,
    Named,
    Opened,
    Said,
    Selection,
)

from . import text_index, turn_table
from .entries import sql_figure, sql_status
from .schema import sessions
from .view_tables import labels, texts

if TYPE_CHECKING:
    from recorder.selecting.conditions import Test

_ESCAPE: Final = "\\"
_LIKE: Final = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})


def of_the_log(selection: Selection) -> Selection:
    """The needs that the log's own tables can tell without anything having been folded."""
    known = (Among, Opened)
    needs = [n for n in selection.needs if all(isinstance(test, known) for test in n.tests)]
    return Selection(tuple(needs))


def condition(selection: Selection, now_ns: int, dialect: str) -> sa.ColumnElement[bool]:
    """What must hold of a row of sessions, joined with outlines and recorders as in `ROWS`."""
    every: list[sa.ColumnElement[bool]] = [sa.true()]
    for need in selection.needs:
        any_of = sa.or_(*(_holds(test, now_ns, dialect) for test in need.tests))
        every.append(any_of if need.wanted else sa.not_(any_of))
    return sa.and_(*every)


def _holds(test: Test, now_ns: int, dialect: str) -> sa.ColumnElement[bool]:
    match test:
        case Among(ids):
            return sessions.c.id.in_(sorted(ids))
        case Opened(since_ns, until_ns):
            early = sa.true() if since_ns is None else sessions.c.wall_ns >= since_ns
            return sa.and_(early, sa.true() if until_ns is None else sessions.c.wall_ns < until_ns)
        case Labelled(kind, glob):
            return _has(labels, sa.and_(labels.c.kind == kind, _fits(labels.c.label, glob)))
        case InState(status):
            return sql_status(now_ns) == status
        case Figure(name, sign, value):
            return _compared(sql_figure(name, now_ns), sign, value)
        case AnyTurn(metric, sign, value_ms):
            turns = turn_table.table
            return _has(turns, _compared(turns.c[metric], sign, value_ms))
        case Said():
            return _has(texts, text_index.contains(test, dialect))
        case Named(word):
            raise ValueError(f"{word!r} was not looked up")


def _has(table: sa.Table, such: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The session has such a row in the table; never unknown, so that it can be negated."""
    return sessions.c.number.in_(sa.select(table.c.number).where(such))


def _compared(
    column: sa.ColumnElement[int] | sa.ColumnElement[float], sign: str, value: float
) -> sa.ColumnElement[bool]:
    return column.op(sign, is_comparison=True)(value)


def _fits(column: sa.Column[str], glob: str) -> sa.ColumnElement[bool]:
    """The labels are folded, so that it makes no difference which LIKE looks at the case."""
    if "*" not in glob and "?" not in glob:
        return column == glob
    return column.like(glob.translate(_LIKE), escape=_ESCAPE)

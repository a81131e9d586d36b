"""`recorder ls`: which sessions there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from .output import Column, Piece
from .shared import Shared, filter_options, json_option, selection_argument
from .shared import command as in_table
from .text import NA, counted, iso, length, when

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorder.sql.entries import Row

SORTS: Final[dict[str, Callable[[Any], Any]]] = {
    "time": lambda row: row.wall_ns,
    "duration": lambda row: row.outline.duration_ns or 0,
    "turns": lambda row: row.outline.turns or 0,
    "errors": lambda row: row.outline.errors,
    "findings": lambda row: row.findings or 0,
    "model": lambda row: row.model,
    "call": lambda row: row.call,
}

STYLES: Final = {
    "live": "green",
    "interrupted": "yellow",
    "refused": "red",
}


@in_table("ls")
@selection_argument
@filter_options
@click.option(
    "--sort",
    type=click.Choice([*SORTS, *(f"-{name}" for name in SORTS)]),
    default="-time",
    show_default=True,
    metavar="KEY",
    help=f"By {', '.join(SORTS)}; with - in front the largest first.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@json_option
def command(
    shared: Shared, selection: tuple[str, ...], sort: str, limit: int | None, as_json: bool
) -> None:
    """The first column is enough to name a session to every other command."""
    found = shared.chosen(selection)
    found.sort(key=SORTS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    shown = found[:limit]
    for row in shown:
        if row.outline.trouble:
            name = shared.directory.tail(row.id)
            shared.out.say(f"session {name} could not be analysed: {row.outline.trouble}")
    if as_json:
        shared.out.json([_as_json(row) for row in shown])
        return
    if not shown:
        _say_none(shared)
        return
    shared.out.table(_COLUMNS, [_cells(shared, row) for row in shown])
    if len(found) > len(shown) and shared.out.watched:
        shared.out.say(f"{len(found) - len(shown)} more, which --limit {limit} left out")


def _say_none(shared: Shared) -> None:
    if total := shared.views.count():
        shared.out.say(f"none of {counted(total, 'session')} is meant")
    else:
        shared.out.say("nothing was recorded yet; `recorder demo` makes a first session")


_COLUMNS: Final = (
    Column("id"),
    Column("when"),
    Column("status"),
    Column("length", right=True),
    Column("model", least=12),
    Column("call", least=6, optional=True),
    Column("tags", least=6, optional=True),
    Column("turns", right=True),
    Column("wrong", right=True),
    Column("errors", right=True, optional=True),
    Column("lost", right=True, optional=True),
)


def _cells(shared: Shared, row: Row) -> list[Piece]:
    from recorder.selecting import local

    outline = row.outline
    if shared.out.terminal:
        name = shared.directory.tail(row.id)
        time = when(row.wall_ns, local(shared.now_ns, None))
    else:
        name, time = row.id, iso(row.wall_ns)
    return [
        (name, "bold"),
        time,
        (row.status, STYLES.get(row.status, "")),
        length(outline.duration_ns),
        row.model,
        row.call,
        " ".join(row.tags),
        _count(outline.turns),
        (_count(row.findings), "yellow" if row.findings else "dim"),
        (_unless_zero(outline.errors), "red"),
        (_unless_zero(outline.lost), "red"),
    ]


def _count(count: int | None) -> str:
    return NA if count is None else str(count)


def _unless_zero(count: int) -> str:
    return str(count) if count else ""


def _as_json(row: Row) -> dict[str, Any]:
    entry, outline = row.entry, row.outline
    return {
        "id": row.id,
        "opened_ns": row.wall_ns,
        "opened": iso(row.wall_ns),
        "status": row.status,
        "kind": entry.kind,
        "vantage": entry.vantage,
        "capture": entry.capture,
        "call": row.call,
        "model": row.model,
        "model_asked": entry.model,
        "tags": row.tags,
        "duration_ns": outline.duration_ns,
        "last_seq": outline.last_seq,
        "turns": outline.turns,
        "errors": outline.errors,
        "findings": row.findings,
        "lost": outline.lost,
    }

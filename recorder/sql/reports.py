"""The turns of many sessions, read from the read model as columns.

One query, however many turns there are, and no object for any of them. A session whose turns are
not kept, because the database cannot be written, is folded; one that cannot be analysed is named,
not left out silently.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson

from recorder.reporting.turns import Sources, Told, Turns, numbered

from .entries import ROWS
from .schema import sessions
from .turn_table import PACKED, pack, packs, understood
from .view_tables import outlines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recorder.selecting import Selection

    from .entries import Folded
    from .views import Views

PACKS: Final = ROWS.join(packs, packs.c.number == sessions.c.number).with_only_columns(
    sessions.c.number,
    sessions.c.id,
    sessions.c.wall_ns,
    sessions.c.call,
    sessions.c.model,
    outlines.c.model,
    outlines.c.tags,
    packs.c.measured,
    packs.c.told,
    packs.c.turns,
    packs.c.configurations,
)
"""Every session with what is kept of its turns."""


class _Columns(NamedTuple):
    """`PACKS`, turned round: a sequence of each column."""

    numbers: Sequence[int]
    ids: Sequence[str]
    walls: Sequence[int]
    calls: Sequence[str]
    asked: Sequence[str]
    models: Sequence[str]
    tags: Sequence[str]
    measured: Sequence[bytes]
    told: Sequence[str]
    turns: Sequence[int]
    configurations: Sequence[str]


_NOTHING: Final = _Columns(*[()] * len(_Columns._fields))


class Unread(NamedTuple):
    """A session that could not be analysed."""

    id: str
    why: str


def turns_of(
    views: Views,
    selection: Selection,
    metrics: Iterable[str],
    report: Callable[[int, int], None] | None = None,
) -> tuple[Turns, list[Unread]]:
    """The turns of the sessions that are meant, and those sessions that could not be analysed."""
    kept, folded = views.read(PACKS, selection, report)
    unread = [Unread(each.id, each.row.outline.trouble) for each in folded
              if each.row.outline.trouble]  # fmt: skip
    rows = [*kept, *(_row(each) for each in folded if not each.row.outline.trouble)]
    columns = _Columns(*zip(*rows, strict=True)) if rows else _NOTHING
    return _turns(columns, tuple(metrics), [each.id for each in unread]), unread


def _row(folded: Folded) -> tuple[Any, ...]:
    """What `PACKS` would give of a session that could not be stored."""
    entry, outline = folded.row.entry, folded.row.outline
    tags = orjson.dumps(outline.tags).decode()
    told = pack(entry.number, outline.last_seq, folded.made.turns)
    head = (entry.number, entry.id, entry.wall_ns, entry.call, entry.model, outline.model, tags)
    return (*head, told["measured"], told["told"], told["turns"], told["configurations"])


def _turns(columns: _Columns, metrics: Sequence[str], unread: list[str]) -> Turns:
    numbers = np.frombuffer(b"".join(columns.measured), dtype="<f8").reshape(-1, len(PACKED))
    wanted = ("turn", "start_ns", *metrics)
    picked = np.take(numbers, [PACKED.index(name) for name in wanted], axis=1).T.copy()
    column = dict(zip(wanted, picked, strict=True))
    lines = "\n".join(told for told in columns.told if told).split("\n") if len(numbers) else []
    told, different = numbered(lines)
    counts = np.array(columns.turns, dtype=np.intp)
    return Turns(
        sources=_sources(columns),
        source=np.repeat(np.arange(len(counts), dtype=np.intp), counts),
        turn=column["turn"],
        start_ns=column["start_ns"],
        values={name: column[name] for name in metrics},
        told=told,
        kinds=_kinds(different),
        configurations=_configurations(set(columns.configurations)),
        unread=unread,
    )


def _sources(columns: _Columns) -> Sources:
    stated = zip(columns.models, columns.asked, strict=True)
    models = [model or asked for model, asked in stated]
    tags = list(map(_tags, columns.tags))
    return Sources(columns.ids, columns.walls, models, columns.asked, columns.calls, tags)


@cache
def _tags(text: str) -> tuple[str, ...]:
    """Of JSON. Many sessions have the same."""
    return tuple(orjson.loads(text))


def _kinds(lines: Iterable[str]) -> list[Told]:
    """What each different line says. The same notes stand beside many configurations."""
    known: dict[str, Mapping[str, str]] = {}
    found = []
    for line in lines:
        status, configuration, notes = line.split("\t")
        said = known.get(notes)
        if said is None:
            said = known[notes] = understood(notes)
        found.append(Told(status, configuration, said))
    return found


def _configurations(texts: Iterable[str]) -> Mapping[str, str]:
    found: dict[str, Any] = {}
    for text in texts:
        found.update(orjson.loads(text))
    return found

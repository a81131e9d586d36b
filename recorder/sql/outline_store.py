"""The read model of sessions: what each fold made, stored, or kept in memory where it cannot be.

One fold makes outline, turns, labels and words of a session together, and they are stored
together: whoever finds an outline of today's `last_seq` finds the rest too.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa

from . import text_index, turn_table, view_tables
from .outlines import Made, version
from .read_models import ReadModel, upsert_later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .store import SqlStore

FLUSH_SECONDS: Final = 0.5
"""What was made is stored together this often: a commit costs a disk's round trip."""

WEIGHT: Final = 400
"""Rows, or about 200 words each, that are stored a transaction: well under 50 ms."""

_WORDS_WEIGH: Final = 1000
"""Characters of a transcript that cost as much as a row."""

_TABLES: Final = (
    view_tables.outlines,
    view_tables.labels,
    view_tables.texts,
    *turn_table.TABLES,
)


class OutlineStore:
    """What was made of the sessions of one store."""

    def __init__(self, store: SqlStore) -> None:
        index = text_index.kind(store.engine.dialect.name)
        stamp = f"{version()} {turn_table.VERSION} {index}"
        self.model = ReadModel(store, "sessions", stamp, _TABLES)
        self.unstored: dict[int, Made] = {}
        """By number: what could not be stored, or not yet."""
        self._waiting: list[Made] = []
        self._weight = 0
        self._since = time.monotonic()

    def add(self, made: Made) -> None:
        """Keep what was made, and store it together with what comes before `flush`.

        What tells of trouble is never stored: it is looked at anew next time.
        """
        self.unstored[made.outline.number] = made
        if made.outline.trouble:
            return
        self._waiting.append(made)
        self._weight += 4 + len(made.turns) + len(made.labels) + len(made.text) // _WORDS_WEIGH
        if self._weight >= WEIGHT or time.monotonic() - self._since > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Store what waits, where that can be done."""
        waiting = sorted(self._waiting, key=lambda made: made.outline.number)
        self._waiting, self._weight, self._since = [], 0, time.monotonic()
        numbers = [made.outline.number for made in waiting]
        if waiting and self.model.write(numbers, partial(_put, made=waiting)):
            for number in numbers:
                self.unstored.pop(number, None)

    def read(self, query: sa.Executable) -> Sequence[sa.Row[Any]] | None:
        """The rows of this query on our tables; None if nothing is stored for us."""
        return self.model.read(query)

    def drop(self) -> None:
        """Take everything away."""
        self.unstored.clear()
        self._waiting = []
        self.model.drop()


def _put(connection: sa.Connection, existing: set[int], made: Sequence[Made]) -> None:
    """Everything of these sessions; nothing of one of which more is known already."""
    taken = [
        each
        for each in made
        if each.outline.number in existing
        and upsert_later(connection, view_tables.outlines, _row(each))
    ]
    numbers = [each.outline.number for each in taken]
    rows = {
        view_tables.labels: [{"number": n, "kind": kind, "label": label}
                             for n, each in zip(numbers, taken, strict=True)
                             for kind, label in sorted(each.labels)],
        view_tables.texts: [{"number": n, "text": each.text}
                            for n, each in zip(numbers, taken, strict=True)],
    }  # fmt: skip
    for table, news in rows.items():
        connection.execute(sa.delete(table).where(table.c.number.in_(numbers)))
        if news:
            connection.execute(sa.insert(table), news)
    for each in taken:
        turn_table.put(connection, each.outline.number, each.outline.last_seq, each.turns)


def _row(made: Made) -> dict[str, Any]:
    values = made.outline._asdict() | {"tags": orjson.dumps(made.outline.tags).decode()}
    del values["trouble"]
    return values

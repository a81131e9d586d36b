"""The hot path: groups of events as prepared rows, written by the driver in one transaction.

Through SQLAlchemy a group of 16 takes a fifth longer. What is remembered of a session is checked
by the primary key: another writer makes the append fail, never the log.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ..chain import columns_digest
from ..store import check_sequence
from .schema import events, groups, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..events import Event

    Batch = Sequence[tuple[str, Sequence[Event]]]


class Tail(NamedTuple):
    """Where a session ends in this database."""

    number: int
    last: int
    digest: bytes


class Prepared(NamedTuple):
    """The rows of a batch, and where its sessions end with them."""

    events: list[tuple[Any, ...]]
    groups: list[tuple[Any, ...]]
    tails: dict[str, Tail]


def prepared(batch: Batch, tail_of: Callable[[str], Tail]) -> Prepared:
    """The rows of these groups. Raises `SequenceConflict` if one does not continue its session."""
    rows: list[tuple[Any, ...]] = []
    made: list[tuple[Any, ...]] = []
    tails: dict[str, Tail] = {}
    for session_id, group in batch:
        number, last, digest = tails.get(session_id) or tail_of(session_id)
        columns = tuple(zip(*group, strict=True))
        first, end = last + 1, last + 1 + len(group)
        if columns[0] != tuple(range(first, end)):
            check_sequence(session_id, last, group)
        base = pack(number, 0)
        # Drivers bind plain integers faster than enums.
        _, ats, origins, *rest = columns
        rows += zip(range(base + first, base + end), ats, map(int, origins), *rest, strict=True)
        digest = columns_digest(digest, columns)
        made.append((base + first, len(group), digest, number))
        tails[session_id] = Tail(number, end - 1, digest)
    return Prepared(rows, made, tails)


class Inserts:
    """The statements for one kind of database."""

    def __init__(self, dialect: str) -> None:
        self.begin = "BEGIN IMMEDIATE" if dialect == "sqlite" else None
        """psycopg begins by itself."""
        mark = "?" if dialect == "sqlite" else "%s"
        self.events = (
            f"INSERT INTO events ({', '.join(events.c.keys())}) "
            f"VALUES ({', '.join([mark] * len(events.c))})"
        )
        # Only where the session still is: another process may have removed it under us.
        self.group = (
            f"INSERT INTO groups ({', '.join(groups.c.keys())}) SELECT {mark}, {mark}, {mark} "
            f"WHERE EXISTS (SELECT 1 FROM sessions WHERE number = {mark})"
        )

    def write(self, driver: Any, made: Prepared) -> bool:
        """Commit the rows; False, and nothing is written, if a session of theirs is gone."""
        cursor = driver.cursor()
        try:
            if self.begin:
                cursor.execute(self.begin)
            cursor.executemany(self.events, made.events)
            cursor.executemany(self.group, made.groups)
            if cursor.rowcount != len(made.groups):
                driver.rollback()
                return False
            driver.commit()
            return True
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be what failed
                driver.rollback()
            raise
        finally:
            cursor.close()

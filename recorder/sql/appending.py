"""The hot path: groups of events as prepared rows, written by the driver in one transaction.

Through SQLAlchemy a group of 16 takes a tenth longer. What is remembered of a session is checked
by the primary key: another writer makes the append fail, never the log.

In SQLite many rows go into one statement, which takes less time than as many statements. The
digests are made before, in the same thread: beside the statements, in another one, they take
longer than one after the other, because each piece of audio asks for the interpreter's lock.
"""

from __future__ import annotations

import contextlib
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..chain import columns_digest
from ..events import Event
from ..store import check_sequence
from .schema import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Batch = Sequence[tuple[str, Sequence[Event]]]

ROWS: Final = 51
"""Rows of one statement, so that a group of 256, whose last row goes by itself, comes out even.
More are no faster, and 999 parameters are what any SQLite takes."""

STATEMENT_BYTES: Final = 4 << 20
"""Batches of more bytes go row by row: the driver keeps a copy of all that a statement is given."""


class Tail(NamedTuple):
    """Where a session ends in this database."""

    number: int
    last: int
    digest: bytes


class Prepared(NamedTuple):
    """The rows of a batch, and where its sessions end with them."""

    rows: list[Iterator[tuple[Any, ...]]]
    """Of each group, without its last event; made as they are bound, and only once."""
    ends: list[tuple[Any, ...]]
    """The last events, with the digests of their groups."""
    starts: list[tuple[str, int]]
    """Of each group its session and the first sequence number."""
    tails: dict[str, Tail]
    sizes: list[int]
    """Of each group the bytes of its heads and audio."""


def prepared(batch: Batch, tail_of: Callable[[str], Tail]) -> Prepared:
    """The rows of these groups. Raises `SequenceConflict` if one does not continue its session."""
    made = Prepared([], [], [], {}, [])
    for session_id, group in batch:
        number, last, digest = made.tails.get(session_id) or tail_of(session_id)
        columns = tuple(zip(*group, strict=True))
        seqs, ats, origins, *rest = columns
        end = last + len(group)
        if seqs != tuple(range(last + 1, end + 1)):
            check_sequence(session_id, last, group)
        digest = columns_digest(digest, columns)
        base = pack(number, 0)
        keys = range(base + last + 1, base + end)
        made.rows.append(
            zip(keys, ats, bytes(origins), *rest, strict=False)
        )  # plain integers bind faster
        made.ends.append((base + end, ats[-1], int(origins[-1]), *(c[-1] for c in rest), digest))
        made.starts.append((session_id, last + 1))
        made.tails[session_id] = Tail(number, end, digest)
        made.sizes.append(sum(map(len, rest[2])) + sum(map(len, filter(None, rest[4]))))
    return made


class Inserts:
    """The statements for one kind of database."""

    def __init__(self, dialect: str) -> None:
        self.sqlite = dialect == "sqlite"
        self.mark = "?" if self.sqlite else "%s"
        self.row = self._insert(*Event._fields[1:])
        self.end = self._insert(*Event._fields[1:], "digest")
        # Without OR ROLLBACK a statement of several rows can be undone by itself: for that SQLite
        # copies each page before it changes, and is slower than row by row.
        head, row = self.row.replace("INSERT", "INSERT OR ROLLBACK").split(" VALUES ")
        self.rows = f"{head} VALUES {', '.join([row] * ROWS)}"

    def _insert(self, *names: str) -> str:
        marks = ", ".join([self.mark] * (1 + len(names)))
        return f"INSERT INTO events (key, {', '.join(names)}) VALUES ({marks})"

    def write(self, driver: Any, made: Prepared) -> bool:
        """Commit the rows; False, and nothing is written, if a session of theirs is gone."""
        cursor = driver.cursor()
        try:
            if self.sqlite:
                cursor.execute("BEGIN IMMEDIATE")  # psycopg begins by itself
            # Another process may have removed a session under us.
            if not self._all_there(cursor, [tail.number for tail in made.tails.values()]):
                driver.rollback()
                return False
            self._write_rows(cursor, made)
            cursor.executemany(self.end, made.ends)
            driver.commit()
            return True
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be what failed
                driver.rollback()
            raise
        finally:
            cursor.close()

    def _write_rows(self, cursor: Any, made: Prepared) -> None:
        rows = chain.from_iterable(made.rows)
        if self.sqlite and sum(made.sizes) <= STATEMENT_BYTES:
            while len(some := [*islice(rows, ROWS)]) == ROWS:
                cursor.execute(self.rows, [*chain.from_iterable(some)])
            cursor.executemany(self.row, some)
        else:
            cursor.executemany(self.row, rows)

    def _all_there(self, cursor: Any, numbers: list[int]) -> bool:
        """Whether the sessions are there, and stay until we have committed."""
        stay = "" if self.sqlite else " FOR KEY SHARE"
        marks = ", ".join([self.mark] * len(numbers))
        cursor.execute(f"SELECT number FROM sessions WHERE number IN ({marks}){stay}", numbers)
        return len(cursor.fetchall()) == len(numbers)

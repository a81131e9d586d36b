"""The hot path: groups of events as prepared rows, written by the driver in one transaction.

Through SQLAlchemy a group of 16 takes a tenth longer. What is remembered of a session is checked
by the primary key: another writer makes the append fail, never the log.

In SQLite many rows go into one statement, which takes less time than as many statements. The
digests are made before, in the same thread: beside the statements, in another one, they take
longer than one after the other, because each piece of audio asks for the interpreter's lock.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..chain import columns_digest
from ..events import Event
from ..store import check_sequence
from .schema import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Batch = Sequence[tuple[str, Sequence[Event]]]

WIDTH: Final = len(Event._fields)
"""Values of a row, in the order of `Event`, whose `seq` is the key's part."""

HEAD, META, AUDIO = map(Event._fields.index, ("head", "meta", "audio"))

ROWS: Final = 15
"""Rows of one statement. More take longer, row for row; and the last of a group goes by itself, so
that groups of 16 and of 256 come out even."""

STATEMENT_BYTES: Final = 4 << 20
"""Where a statement may get more bytes the batch goes row by row: the driver keeps a copy of all
that it is given."""


class Tail(NamedTuple):
    """Where a session ends in this database."""

    number: int
    last: int
    digest: bytes


class Prepared(NamedTuple):
    """The rows of a batch, and where its sessions end with them."""

    values: list[Any]
    """Row after row, of all events but the last of each group."""
    ends: list[tuple[Any, ...]]
    """The last events, with the digests of their groups."""
    starts: list[tuple[str, int]]
    """Of each group its session and the first sequence number."""
    tails: dict[str, Tail]


def prepared(batch: Batch, tail_of: Callable[[str], Tail]) -> Prepared:
    """The rows of these groups. Raises `SequenceConflict` if one does not continue its session."""
    made = Prepared([], [], [], {})
    for session_id, group in batch:
        number, last, digest = made.tails.get(session_id) or tail_of(session_id)
        columns = tuple(zip(*group, strict=True))
        seqs, ats, origins, *rest = columns
        end = last + len(group)
        if seqs != tuple(range(last + 1, end + 1)):
            check_sequence(session_id, last, group)
        digest = columns_digest(digest, columns)
        base = pack(number, 0)
        # Plain integers, as bytes hold them, bind faster than members of an enumeration.
        stored = (range(base + last + 1, base + end + 1), ats, bytes(origins), *rest)
        values: list[Any] = [None] * (len(group) * WIDTH)
        for place, column in enumerate(stored):
            values[place::WIDTH] = column
        made.ends.append((*values[-WIDTH:], digest))
        made.values.extend(values[:-WIDTH])
        made.starts.append((session_id, last + 1))
        made.tails[session_id] = Tail(number, end, digest)
    return made


class Inserts:
    """The statements for one kind of database."""

    def __init__(self, dialect: str) -> None:
        self.sqlite = dialect == "sqlite"
        self.mark = "?" if self.sqlite else "%s"
        self.row = _insert([self._row(0)])
        self.end = _insert([f"{self._row(0)}, {self.mark}"], "digest")
        # Without OR ROLLBACK a statement of several rows can be undone by itself: for that SQLite
        # copies each page before it changes, and is slower than row by row.
        many = _insert([*map(self._row, range(ROWS))])
        self.rows = many.replace("INSERT", "INSERT OR ROLLBACK")

    def _row(self, number: int) -> str:
        """The marks of a row. In SQLite 0 stands for NULL where `_quickly_bound` puts it."""
        if not self.sqlite:
            return ", ".join([self.mark] * WIDTH)
        marks = [f"?{number * WIDTH + place + 1}" for place in range(WIDTH)]
        for place in (META, AUDIO):
            marks[place] = f"CASE {marks[place]} WHEN 0 THEN NULL ELSE {marks[place]} END"
        return ", ".join(marks)

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
        values, even = made.values, 0
        if self.sqlite and _statement_bytes(values) <= STATEMENT_BYTES:
            values, many = _quickly_bound(values), ROWS * WIDTH
            even = len(values) // many * many
            for begin in range(0, even, many):
                cursor.execute(self.rows, values[begin : begin + many])
        if rest := values[even:]:
            cursor.executemany(self.row, zip(*[iter(rest)] * WIDTH, strict=True))

    def _all_there(self, cursor: Any, numbers: list[int]) -> bool:
        """Whether the sessions are there, and stay until we have committed."""
        stay = "" if self.sqlite else " FOR KEY SHARE"
        marks = ", ".join([self.mark] * len(numbers))
        cursor.execute(f"SELECT number FROM sessions WHERE number IN ({marks}){stay}", numbers)
        return len(cursor.fetchall()) == len(numbers)


def _statement_bytes(values: list[Any]) -> int:
    """At most so many, of heads and audio, are in any `ROWS` of these rows."""
    heads = [*map(len, values[HEAD::WIDTH])]
    audios = [*map(len, filter(None, values[AUDIO::WIDTH]))]
    longest = max(heads, default=0) + max(audios, default=0)
    return min(sum(heads) + sum(audios), ROWS * longest)


def _quickly_bound(values: list[Any]) -> list[Any]:
    """The same for the statements of SQLite.

    For each None, and each `bytes`, Python's driver looks for an adapter, which takes longer than
    binding it; not so for numbers and for a `bytearray`. Audio is too long to be worth a copy.
    """
    bound = values.copy()
    bound[HEAD::WIDTH] = map(bytearray, values[HEAD::WIDTH])
    for place in (META, AUDIO):
        bound[place::WIDTH] = [0 if each is None else each for each in values[place::WIDTH]]
    return bound


def _insert(rows: Sequence[str], *more: str) -> str:
    names = ", ".join(("key", *Event._fields[1:], *more))
    return f"INSERT INTO events ({names}) VALUES {', '.join(f'({row})' for row in rows)}"

"""Events as other programs write them down: JSON Lines or one JSON array, bare or wrapped.

Direction, times and message are found where they usually stand (`sides`, `times`,
`unwrapping`). How a file is to be read is decided by its first records and then holds for all
of it. What is no event (a log line, a header) is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from .elements import Cursor
from .entering import Entry, Found
from .nouns import Asked, Damaged, File, Item, Remark, Unreadable
from .raw import BOM, lines, unpacked
from .sides import BY_TYPE, SERVER
from .times import NONE, Clock, find_clock
from .unwrapping import Record, unwrapped

if TYPE_CHECKING:
    from ..events import Origin

WINDOW: Final = 256
"""Records by which times and directions are understood."""
WINDOW_BYTES: Final = 4 * 1024 * 1024


class Placed(NamedTuple):
    """A record, or what is none, and where it stands."""

    byte: int
    line: int | None
    """None in an array, where lines mean nothing."""
    record: Record | None


def read(file: File, asked: Asked) -> Iterator[Item]:
    """The one session of the file. Raises `Damaged`, `Unreadable`."""
    return _Reading(asked).items(_records(unpacked(file())))


def _records(pieces: Iterator[bytes]) -> Iterator[Placed]:
    head = next(pieces, b"")
    while head and not head.removeprefix(BOM).strip():
        head += next(pieces, b"") or b"?"  # only spaces so far: what follows them decides
    whole = chain([head], pieces)
    if head.removeprefix(BOM).lstrip().startswith(b"["):
        return _from_array(whole)
    return _from_lines(whole)


def _from_lines(pieces: Iterable[bytes]) -> Iterator[Placed]:
    for number, byte, text in lines(pieces):
        text = text.removeprefix(BOM) if number == 1 else text
        if text and not text.isspace():
            yield Placed(byte, number, _record(text, byte, number))


def _from_array(pieces: Iterable[bytes]) -> Iterator[Placed]:
    cursor = Cursor(pieces)
    for byte in cursor.elements():
        yield Placed(byte, None, _record(cursor.value(), byte, None))
    if cursor.peek():
        raise Damaged("something follows the end of the array", byte=cursor.byte)


def _record(text: bytes, byte: int, line: int | None) -> Record | None:
    try:
        return unwrapped(text, orjson.loads(text))
    except orjson.JSONDecodeError as error:
        at = len(error.doc[: error.pos].encode()) if isinstance(error.doc, str) else error.pos
        raise Damaged(f"it is no JSON ({error.msg})", byte=byte + at, line=line) from None
    except RecursionError:
        raise Damaged("JSON that is nested too deeply", byte=byte, line=line) from None


@dataclass(slots=True)
class _Counts:
    """What a person should know in the end."""

    skipped: int = 0
    untimed: int = 0
    guessed: int = 0
    first_skipped: str = ""


class _Reading:
    """One file while it is read."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._counts = _Counts()
        self._clock: Clock | None = None
        self._by_server = False

    def items(self, placed: Iterator[Placed]) -> Iterator[Item]:
        """Everything that the file holds, and what is to be said about it."""
        records = self._events(placed)
        window, trouble = _window(records)
        if not window:
            raise trouble or self._nothing()
        entry = self._begun(window)
        yield from entry.begin()
        try:
            for each in chain(window, () if trouble else records):
                yield entry.message(*self._read(each, entry.last_ns), each.message)
        except Damaged as damage:
            trouble = damage
        if trouble:
            yield entry.note("note", entry.last_ns, text=f"the imported file is {trouble}")
        yield from map(Remark, self._remarks(entry))
        if trouble:
            raise trouble

    def _events(self, placed: Iterator[Placed]) -> Iterator[Record]:
        for byte, line, record in placed:
            if record is not None:
                yield record
                continue
            self._counts.skipped += 1
            where = f"byte {byte:,}" if line is None else f"line {line:,}"
            self._counts.first_skipped = self._counts.first_skipped or where

    def _nothing(self) -> Unreadable:
        if not self._counts.skipped:
            return Unreadable("there is nothing in it")
        return Unreadable(
            "there is no event in it: expected JSON objects with a type, bare or under event, "
            "data, message, payload or raw"
        )

    def _begun(self, window: list[Record]) -> Entry:
        around = [record.around for record in window]
        self._clock = find_clock(around, self._asked.times)
        if self._clock is None and self._asked.times not in ("auto", NONE):
            raise Unreadable(f"no member of its records can be a time in {self._asked.times}")
        self._by_server = _is_by_server(window)
        epoch = self._clock is not None and self._clock.epoch
        found = Found(
            format="events",
            times=str(self._clock or NONE),
            text="exact" if window[0].text else "parsed",
            wall_ns=self._clock.zero_ns if self._clock and epoch else None,
        )
        return Entry(self._asked, found)

    def _read(self, record: Record, last_ns: int) -> tuple[Origin, int]:
        """Who sent it, and when."""
        at_ns = last_ns
        if self._clock is not None:
            found = self._clock.read(record.around)
            self._counts.untimed += found is None
            at_ns = last_ns if found is None else found
        if record.named is not None:
            return record.named.seen(by_server=self._by_server), at_ns
        origin = BY_TYPE.get(record.type)
        self._counts.guessed += origin is None
        return SERVER if origin is None else origin, at_ns

    def _remarks(self, entry: Entry) -> Iterator[str]:
        counts = self._counts
        if self._clock is None:
            yield "it has no times: only the order of its events is known"
        else:
            yield f"times: {self._clock}"
        if self._by_server:
            yield "its directions are named as the server sees them"
        if counts.skipped:
            yield f"skipped what is no event: {counts.skipped:,}, the first at " + (
                counts.first_skipped
            )
        if counts.untimed:
            yield f"without a time of their own: {counts.untimed:,} events, put at the last one's"
        if entry.lifted:
            yield f"out of order in time: {entry.lifted:,} events, put at the last one's time"
        if counts.guessed:
            yield f"taken for the server's, since nothing tells: {counts.guessed:,} events"


def _window(records: Iterator[Record]) -> tuple[list[Record], Damaged | None]:
    """The first records, and the damage that ended them early."""
    window: list[Record] = []
    size = 0
    try:
        for record in islice(records, WINDOW):
            window.append(record)
            size += len(record.message)
            if size > WINDOW_BYTES:
                break
    except Damaged as damage:
        return window, damage
    return window, None


def _is_by_server(window: list[Record]) -> bool:
    """Whether the words for the directions contradict the types more often than not."""
    votes = [
        record.named.origin == BY_TYPE[record.type]
        for record in window
        if record.named is not None and record.named.by_view and record.type in BY_TYPE
    ]
    return 2 * sum(votes) < len(votes)

"""The raw log in a page: columns in blocks, equal messages once, audio as its length."""

from __future__ import annotations

import base64
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from .. import wire
from ..dialects import decode
from ..dialects.facts import AudioDelta, InputAppended, SessionAsked, SessionStated
from ..projections.formats import FormatsInForce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..events import Event
    from .facts import Call

BLOCK: Final = 4_096
"""Events in a block."""
_COLUMNS: Final = ("origin", "opcode", "type", "head", "bytes", "us")


class Lines(NamedTuple):
    """Some events, one after the other."""

    columns: dict[str, object]
    """`first` number; then by row: `at` (ns since the row before, the first since the open),
    `origin`, `type` and `head` (rows of `types` and of the messages), `bytes` and `us` of audio."""
    messages: list[object]
    """The text of each message without its audio; [base64] where it is no text."""


def blocks(call: Call) -> Iterator[Lines]:
    """The whole log."""
    formats, source = Formats(), iter(call.events(False))
    while events := list(islice(source, BLOCK)):
        yield block(events, formats)


def block(events: list[Event], formats: Formats) -> Lines:
    """These events as columns, and each head that is not like another, once."""
    filling = Filling(formats)
    filling.take(events)
    return filling.lines()


class Filling:
    """A block while its events come in; a row that is there does not change any more."""

    def __init__(self, formats: Formats) -> None:
        self.first = 0
        """The number of its first event; 0 while it has none."""
        self._formats = formats
        self._types: dict[str, int] = {}
        self._heads: dict[bytes, int] = {}
        self._times: list[int] = []
        self._columns: dict[str, list[int]] = {name: [] for name in _COLUMNS}

    def __len__(self) -> int:
        return len(self._times)

    @property
    def messages(self) -> int:
        """How many different ones there are."""
        return len(self._heads)

    def take(self, events: list[Event]) -> None:
        """The next events."""
        self.first = self.first or events[0].seq
        types, heads, lengths = self._types, self._heads, self._formats
        sizes = [wire.audio_bytes(event) or 0 for event in events]
        self._times += [event.at_ns for event in events]
        rows = {
            "origin": [int(event.origin) for event in events],
            "opcode": [event.opcode for event in events],
            "type": [types.setdefault(event.type, len(types)) for event in events],
            "head": [heads.setdefault(event.head, len(heads)) for event in events],
            "bytes": sizes,
            "us": [lengths.length(each, size) for each, size in zip(events, sizes, strict=True)],
        }
        for name, values in rows.items():
            self._columns[name] += values

    def lines(self, row: int = 0) -> Lines:
        """From this row on, and the messages that none before it had."""
        known = max(self._columns["head"][:row], default=-1) + 1
        times = self._times[row:]
        columns: dict[str, object] = {
            "first": self.first + row,
            "at": [at - before for before, at in zip([0, *times], times, strict=False)],
            **{name: values[row:] for name, values in self._columns.items()},
            "types": list(self._types),
        }
        return Lines(columns, [_text(head) for head in islice(self._heads, known, None)])


def _text(head: bytes) -> object:
    try:
        return head.decode()
    except UnicodeDecodeError:
        return [base64.b64encode(head).decode()]


class Formats:
    """How long the audio of an event lasts, in microseconds."""

    def __init__(self) -> None:
        self._formats = FormatsInForce()

    def length(self, event: Event, size: int) -> int:
        """0 where it has none, or none whose format is known."""
        if not size and not event.type.startswith("session."):
            return 0
        match decode(event):
            case SessionAsked() as fact:
                self._formats.asked(fact)
            case SessionStated() as fact:
                self._formats.stated(fact)
            case InputAppended():
                return self._formats.input.ns_of_bytes(size) // 1000
            case AudioDelta():
                return self._formats.output.ns_of_bytes(size) // 1000
        return 0

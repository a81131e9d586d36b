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
    types: dict[str, int] = {}
    heads: dict[bytes, int] = {}
    sizes = [wire.audio_bytes(event) or 0 for event in events]
    times = [event.at_ns for event in events]
    columns: dict[str, object] = {
        "first": events[0].seq,
        "at": [at - before for before, at in zip([0, *times], times, strict=False)],
        "origin": [int(event.origin) for event in events],
        "opcode": [event.opcode for event in events],
        "type": [types.setdefault(event.type, len(types)) for event in events],
        "head": [heads.setdefault(event.head, len(heads)) for event in events],
        "bytes": sizes,
        "us": [formats.length(each, size) for each, size in zip(events, sizes, strict=True)],
        "types": list(types),
    }
    return Lines(columns, [_text(head) for head in heads])


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

"""Events made small, and numbered anew.

Laws:

1. Messages stay as they were, but for appended audio: pieces shorter than `CHUNK_MS` that follow
   each other with nothing between are put together up to that length. It is the same audio.
2. Of our own remarks only what a replay needs is kept: nothing of hosts, headers, labels, machines.
3. Audio that is cut leaves a tombstone that says so: its length stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from .. import wire
from ..events import Event, Origin
from ..replaying.axis import Axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..audio.formats import AudioFormat

CHUNK_MS: Final = 100
CUT: Final = "cut"
"""The reason that a tombstone gives."""

_APPEND: Final = "input_audio_buffer.append"
_HEAD: Final = b'{"type":"input_audio_buffer.append","audio":""}'
_OFFSET: Final = len(_HEAD) - 2
_OPENED: Final = ("type", "model", "capture", "vantage", "times")
_KEPT: Final = {
    "recorder.opened": _OPENED,
    "recorder.handshake": ("type", "status"),
    "recorder.closed": ("type", "code", "reason", "initiator", "clean"),
}


def trimmed(events: Iterable[Event], *, cut: bool) -> Iterator[Event]:
    """The events as they stand in a cassette, with or without their audio."""
    for seq, event in enumerate(_together(map(_remark, events)), 1):
        numbered = event._replace(seq=seq)
        yield without_sound(numbered) if cut else numbered


def without_sound(event: Event) -> Event:
    """The event as a tombstone, where it carried audio."""
    if event.audio is None or not wire.cuts_of(event):
        return event
    part = wire.without_audio(wire.Split(event.type, event.head, event.meta, None), CUT)
    return event._replace(meta=part.meta, audio=None)


def _remark(event: Event) -> Event:
    """A remark of our own, with what a replay needs of it."""
    names = _KEPT.get(event.type)
    if event.origin != Origin.RECORDER or names is None:
        return event
    body = wire.parse(event)
    told: dict[str, Any] = {name: body[name] for name in names if name in body}
    return event._replace(head=orjson.dumps(told), meta=None, audio=None)


def _together(events: Iterable[Event]) -> Iterator[Event]:
    """Short pieces of appended audio as longer ones."""
    axis = Axis()
    held: Event | None = None
    for event in events:
        if event.origin != Origin.CLIENT or event.type != _APPEND:
            if event.type.startswith(("session.", "error")):
                axis.configure(event)
        elif held is not None and (both := _joined(held, event, axis.input)) is not None:
            held = both
            continue
        if held is not None:
            yield held
            held = None
        if event.origin == Origin.CLIENT and event.type == _APPEND:
            held = event
        else:
            yield event
    if held is not None:
        yield held


def _joined(one: Event, two: Event, form: AudioFormat) -> Event | None:
    """Both pieces as one; None where that would be too long, or they are not alike."""
    sizes = [wire.audio_bytes(each) for each in (one, two)]
    if None in sizes or not all(_plain(each) for each in (one, two)):
        return None
    if (one.audio is None) != (two.audio is None) or wire.tombstone(one) != wire.tombstone(two):
        return None
    size = sum(each or 0 for each in sizes)
    if form.ns_of_bytes(size) > CHUNK_MS * 1_000_000:
        return None
    meta: dict[str, Any] = {"cuts": [[_OFFSET, size]]}
    if stone := wire.tombstone(one):
        meta["tombstone"] = stone
    audio = None if one.audio is None else one.audio + (two.audio or b"")
    return two._replace(head=_HEAD, meta=orjson.dumps(meta).decode(), audio=audio)


def _plain(event: Event) -> bool:
    """Nothing but the audio is in it, and a name that nobody refers to."""
    body = wire.parse(event)
    return set(body) <= {"type", "audio", "event_id"} and not wire.redacted(event)

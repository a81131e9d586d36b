"""What the recorder wrote down itself: events of origin `recorder`, JSON heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import Event, Origin
from ..wire import parse
from .facts import Closed, Gap, Handshake, Note, Opened, PlaybackMark, Tagged
from .reading import flag, integer, mapping, number, sequence, strings, text
from .table import decodes

if TYPE_CHECKING:
    from .facts import JSON


@decodes(Origin.RECORDER, "recorder.opened")
def opened(event: Event) -> Opened:
    body = parse(event)
    return Opened(
        text(body, "url"),
        text(body, "model"),
        text(body, "call"),
        strings(body, "tags"),
        text(body, "capture"),
        body,
    )


@decodes(Origin.RECORDER, "recorder.handshake")
def handshake(event: Event) -> Handshake:
    body = parse(event)
    pairs = [pair for pair in sequence(body, "headers") if _is_header(pair)]
    return Handshake(
        integer(body, "status"),
        text(body, "reason"),
        text(body, "subprotocol"),
        tuple((name, value) for name, value in pairs),
        _words(body, "error"),
        body,
    )


def _is_header(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)


def _words(body: JSON, key: str) -> str:
    """A message that may be a string or an object with one in it."""
    return text(body, key) or text(mapping(body, key), "message")


@decodes(Origin.RECORDER, "recorder.closed")
def closed(event: Event) -> Closed:
    body = parse(event)
    return Closed(
        integer(body, "code"),
        text(body, "reason"),
        text(body, "initiator"),
        flag(body, "clean") is True,
        _words(body, "error"),
    )


@decodes(Origin.RECORDER, "recorder.gap")
def gap(event: Event) -> Gap:
    body = parse(event)
    return Gap(
        integer(body, "count") or 0,
        integer(body, "bytes") or 0,
        integer(body, "first_ns"),
        integer(body, "last_ns"),
        mapping(body, "origins"),
        text(body, "why"),
    )


@decodes(Origin.RECORDER, "recorder.note")
def note(event: Event) -> Note:
    body = parse(event)
    return Note(text(body, "text"), integer(body, "at_ns"))


@decodes(Origin.RECORDER, "recorder.tag")
def tagged(event: Event) -> Tagged:
    body = parse(event)
    return Tagged(strings(body, "add"), strings(body, "remove"))


@decodes(Origin.RECORDER, "recorder.playback")
def playback_mark(event: Event) -> PlaybackMark:
    body = parse(event)
    state = text(body, "state")
    return PlaybackMark(text(body, "item_id"), number(body, "played_ms"), state)

"""Our own JSONL: a header line for the session, then a line an event; lossless, both ways.

    {"realtime_recorder":"jsonl","version":1,"session":{"id":…,"wall_ns":…, …}}
    {"seq":1,"at_ns":0,"origin":"recorder","opcode":0,"message":{"type":"recorder.opened"}}
    {"seq":2,"at_ns":1200345,"origin":"client","message":{"type":"session.update", …}}

Members of a line, in this order, each left out where it would say the usual:

    seq, at_ns, origin          always; origin is client, server or recorder
    opcode                      of what is no text message (1): 2 binary, 8 close, 9 ping, 10 pong,
                                0 for what was no frame
    type                        where the message itself does not say it
    redacted                    what was replaced in the message before it was stored
    cuts, tombstone             of messages whose audio is gone: [offset in the message, bytes] of
                                each piece, and why it is gone
    message | text | base64     the message, always last

The message stands verbatim under `message` where it is JSON on one line without space around it
(compact JSON is; white space inside stays); else it is a string under `text`, or, where it is
no UTF-8, base64 under `base64`. Audio stands in its message as it passed. `session` holds the
fields of `recorder.events.Session`, all of them. Several sessions may follow each other, each
with a header of its own; empty lines and Windows line ends do no harm.

Laws:

1. Writing what was read gives the same bytes again.
2. Every line is one JSON object in UTF-8, and no line holds more than one event.
3. It refuses what it did not write, with the number of the line.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

import orjson
import pybase64

from .. import wire
from ..errors import UsageError
from ..events import CLOSE, TEXT, Event, Origin, Session
from .base import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .base import Source

VERSION: Final = 1
_FORMAT: Final = "realtime_recorder"
_MESSAGE: Final = b',"message":'
_ORIGINS: Final = {origin.name.lower(): origin for origin in Origin}
_NAMES: Final = {origin: name.encode() for name, origin in _ORIGINS.items()}


def documents(sources: Iterable[Source]) -> Iterator[bytes]:
    """All sessions, one after the other."""
    for source in sources:
        yield from lines(source.session, source.events(True))


write = pieces(documents)


def lines(session: Session, events: Iterable[Event]) -> Iterator[bytes]:
    """The session as lines, each with its end."""
    facts = dataclasses.asdict(session)
    header = {_FORMAT: "jsonl", "version": VERSION, "session": facts}
    yield orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE)
    for event in events:
        yield line(event)


def line(event: Event) -> bytes:
    """One event, with the end of its line."""
    message, told = _contents(event)
    begun = b'{"seq":%d,"at_ns":%d,"origin":"%s"' % (event.seq, event.at_ns, _NAMES[event.origin])
    if event.opcode != TEXT:
        begun += b',"opcode":%d' % event.opcode
    if event.type != wire.find_type(message):
        told = {"type": event.type, **told}
    if told:
        begun += b"," + orjson.dumps(told)[1:-1]
    if b"\n" not in message and b"\r" not in message:
        made = begun + _MESSAGE + message + b"}"
        if _is_json(made) and message.strip() == message:
            return made + b"\n"
    try:
        last = b',"text":' + orjson.dumps(message.decode())
    except UnicodeDecodeError:
        last = b',"base64":"' + pybase64.b64encode(message) + b'"'
    return begun + last + b"}\n"


def _contents(event: Event) -> tuple[bytes, dict[str, Any]]:
    """The message, or what is left of it, and what must be told beside it."""
    if event.meta is None:
        return event.head, {}
    redacted, stone = wire.redacted(event), wire.tombstone(event)
    told: dict[str, Any] = {"redacted": redacted} if redacted else {}
    if stone is None:
        return wire.join(event), told
    if cuts := wire.cuts_of(event):
        told["cuts"] = cuts
    return event.head, told | {"tombstone": stone}


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def read(text: Iterable[bytes]) -> Iterator[Session | Event]:
    """What stands in the lines: a session, its events, perhaps another session, and so on.

    Raises `UsageError` at the first line that is damaged or was not written by `lines`; what
    stood before it has been given by then.
    """
    begun = False
    for number, each in enumerate(text, 1):
        stripped = each.rstrip(b"\r\n")
        if not stripped:
            continue
        try:
            if begun and stripped.startswith(b'{"seq":'):
                yield _event(stripped)
            else:
                yield _session(stripped)
                begun = True
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"line {number} is not one of ours, or damaged: {error!r}") from None


def _session(stripped: bytes) -> Session:
    header = orjson.loads(stripped)
    if header.get(_FORMAT) != "jsonl":
        raise ValueError("a header line was expected")
    if header["version"] != VERSION:
        newer = ": a newer realtime-recorder wrote it" if header["version"] > VERSION else ""
        raise ValueError(f"version {header['version']} of the format, not {VERSION}{newer}")
    facts = header["session"]
    facts["headers"] = tuple((name, value) for name, value in facts["headers"])
    return Session(**facts)


_USUAL: Final = re.compile(
    rb'\{"seq":([1-9]\d{0,17}),"at_ns":(0|[1-9]\d{0,17}),"origin":"(client|server)","message":'
)
"""How the line of nearly every message begins; what follows is the message and a brace."""

_new: Final = tuple.__new__
_SIDES: Final = {b"client": Origin.CLIENT, b"server": Origin.SERVER}


def _event(stripped: bytes) -> Event:
    usual = _USUAL.match(stripped)
    if usual is None or not stripped.endswith(b"}"):
        return _odd_event(stripped)
    kind, head, meta, audio = wire.split(stripped[usual.end() : -1])
    # Only plain characters were cut out of strings: the message is JSON where the head is.
    orjson.loads(head)
    seq, at_ns, side = usual.groups()
    row = (int(seq), int(at_ns), _SIDES[side], kind, TEXT, head, meta, audio)
    return _new(Event, row)


def _odd_event(stripped: bytes) -> Event:
    """An event of which there is more to tell."""
    at = stripped.find(_MESSAGE)
    if at >= 0 and stripped.endswith(b"}"):
        told = orjson.loads(stripped[:at] + b"}")
        message = stripped[at + len(_MESSAGE) : -1]
        orjson.loads(message)
    else:
        told = orjson.loads(stripped)
        text = told.get("text")
        message = (
            text.encode() if text is not None else pybase64.b64decode(told["base64"], validate=True)
        )
    part = _part(message, told)
    origin = _ORIGINS[told["origin"]]
    return Event(
        told["seq"], told["at_ns"], origin, told.get("type", part.type), told.get("opcode", TEXT),
        part.head, part.meta, part.audio,
    )  # fmt: skip


def _part(message: bytes, told: dict[str, Any]) -> wire.Split:
    """The message as it is stored: split anew, or what is left of it as it stands."""
    if "tombstone" not in told:
        control = told.get("opcode", TEXT) >= CLOSE  # control frames hold bytes, no message
        part = wire.Split("", message, None, None) if control else wire.split(message)
        return wire.with_redactions(part, told["redacted"]) if "redacted" in told else part
    meta = {name: told[name] for name in ("cuts", "redacted", "tombstone") if name in told}
    return wire.Split(wire.find_type(message), message, orjson.dumps(meta).decode(), None)

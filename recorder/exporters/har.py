"""HAR 1.2 with `_webSocketMessages`, as browsers' developer tools write and read it.

One entry a session. The messages of a WebSocket stand in its entry, each

    {"type": "send" | "receive", "time": epoch seconds, "opcode": 1 | 2, "data": text | base64}

Laws:

1. What passed as a message is a message here, in order; pings, pongs, closes and what the
   recorder noticed are not (the close is told in `_closed`).
2. `time` is wall time at open plus the event's own time, to the nanosecond as it is written.
3. Headers and URLs are those of the log: without secrets.
4. Data of a text message is its exact text (what is no UTF-8 is shown as U+FFFD), of a binary
   one base64. Audio that is gone is silence of the same length, and the message says so in
   `_missing`.

HAR: http://www.softwareishard.com/blog/har-12-spec/; the extension: Chrome DevTools 76.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
import pybase64

from .. import wire
from ..dialects import decode
from ..dialects.facts import Closed, Handshake
from ..events import BINARY, NO_FRAME, TEXT, Event, Origin
from .base import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..events import Session
    from .base import Source

_TYPES: Final = {Origin.CLIENT: b"send", Origin.SERVER: b"receive"}
_UNKNOWN: Final = -1
"""HAR's word for a size or time that is not known."""


def document(sources: Iterable[Source]) -> Iterator[bytes]:
    """The whole file."""
    yield b'{"log":{"version":"1.2","creator":{"name":"realtime-recorder","version":"1"},'
    yield b'"pages":[],"entries":['
    for number, source in enumerate(sources):
        yield b"," if number else b""
        yield from _entry(source)
    yield b"]}}\n"


write = pieces(document)


def _entry(source: Source) -> Iterator[bytes]:
    """The entry of one session: what is known of its handshake first, its messages last."""
    session, story = source.session, _Story()
    for event in source.events(False):
        story.take(event)
    entry = orjson.dumps(_facts(session, story))
    if session.kind != "websocket":
        yield entry
        return
    yield entry[:-1] + b',"_resourceType":"websocket","_webSocketMessages":['
    comma = b""
    for event in source.events(True):
        if event.origin in _TYPES and event.opcode in (TEXT, BINARY):
            yield comma + b"\n" + message(session, event)
            comma = b","
    yield b"]}"


def message(session: Session, event: Event) -> bytes:
    """One message, as it stands in the file."""
    payload = wire.join(event, silence=True)
    if event.opcode == BINARY:
        data = b'"' + pybase64.b64encode(payload) + b'"'
    else:
        data = orjson.dumps(payload.decode("utf-8", "replace"))
    stone = wire.tombstone(event)
    missing = b',"_missing":' + orjson.dumps(stone.get("reason", "")) if stone else b""
    seconds, ns = divmod(session.wall_ns + event.at_ns, 1_000_000_000)
    return b'{"type":"%s","time":%d.%09d,"opcode":%d,"data":%s%s}' % (
        _TYPES[event.origin], seconds, ns, event.opcode, data, missing,
    )  # fmt: skip


class _Story:
    """What one pass over the events tells of the connection."""

    def __init__(self) -> None:
        self.handshake: Handshake | None = None
        self.closed: Closed | None = None
        self.end_ns = 0
        self.bodies = {Origin.CLIENT: b"", Origin.SERVER: b""}

    def take(self, event: Event) -> None:
        """The next event."""
        self.end_ns = event.at_ns
        if event.origin != Origin.RECORDER:
            if event.opcode == NO_FRAME:
                self.bodies[event.origin] += wire.join(event, silence=True)
            return
        match decode(event):
            case Handshake() as shake:
                self.handshake = self.handshake or shake
            case Closed() as end:
                self.closed = end
            case _:
                pass


def _facts(session: Session, story: _Story) -> dict[str, Any]:
    """The entry without its messages."""
    started = datetime.fromtimestamp(session.wall_ns / 1e9, UTC)
    entry = {
        "startedDateTime": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "time": story.end_ns / 1e6,
        "request": _request(session, story),
        "response": _response(session, story),
        "cache": {},
        "timings": _timings(session, story),
        "_session": session.id,
    }
    if session.model:
        entry["_model"] = session.model
    if story.closed is not None:
        end = story.closed
        entry["_closed"] = {"code": end.code, "reason": end.reason, "initiator": end.initiator}
    return entry


def _request(session: Session, story: _Story) -> dict[str, Any]:
    body = story.bodies[Origin.CLIENT]
    socket = session.kind == "websocket"
    try:
        query = parse_qsl(urlsplit(session.url).query, keep_blank_values=True)
    except ValueError:
        query = []
    request: dict[str, Any] = {
        "method": "POST" if body and not socket else "GET",
        "url": session.url or "wss://unknown/",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(session.headers),
        "queryString": _pairs(query),
        "headersSize": _UNKNOWN,
        "bodySize": 0 if socket else len(body),
    }
    if body and not socket:
        text = body.decode("utf-8", "replace")
        request["postData"] = {"mimeType": "application/json", "params": [], "text": text}
    return request


def _response(session: Session, story: _Story) -> dict[str, Any]:
    """What the upgrade was answered with; status 0 where no answer is in the log."""
    shake = story.handshake
    body = story.bodies[Origin.SERVER].decode("utf-8", "replace")
    headers = shake.headers if shake else ()
    if shake is not None and isinstance(told := shake.body.get("body"), str):
        body = body or told
    named = [value for name, value in headers if name.lower() == "content-type"]
    kind = named[0] if named else "x-unknown"
    return {
        "status": (shake.status if shake else None) or 0,
        "statusText": shake.reason if shake else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": {"size": len(body.encode()), "mimeType": kind}
        | ({"text": body} if (body and session.kind != "websocket") or _refused(shake) else {}),
        "redirectURL": "",
        "headersSize": _UNKNOWN,
        "bodySize": len(body.encode()),
    } | ({"_error": shake.error} if shake and shake.error else {})


def _refused(shake: Handshake | None) -> bool:
    return shake is not None and shake.status not in (None, 101)


def _timings(session: Session, story: _Story) -> dict[str, float]:
    """The phases of the connection, in milliseconds; -1 where nobody measured."""
    told = story.handshake.body if story.handshake else {}

    def between(start: str, end: str) -> float:
        first, last = told.get(start), told.get(end)
        if not isinstance(first, int) or not isinstance(last, int) or last < first:
            return _UNKNOWN
        return (last - first) / 1e6

    secured = "secured_ns" if told.get("secured_ns") else "connected_ns"
    wait = between("requested_ns", "answered_ns")
    answered = told.get("answered_ns")
    rest = story.end_ns - answered if isinstance(answered, int) else story.end_ns
    return {
        "blocked": _UNKNOWN,
        "dns": _UNKNOWN,
        "connect": between("dialled_ns", secured),
        "ssl": between("connected_ns", "secured_ns"),
        "send": 0,
        "wait": max(wait, 0),
        "receive": max(rest, 0) / 1e6,
    }


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]

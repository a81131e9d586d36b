"""HAR 1.2 with `_webSocketMessages`, as browsers, Playwright and mitmproxy save it.

Laws:

1. Each WebSocket is a session of its own. One that does not speak Realtime is skipped and said:
   its URL tells nothing, so what counts is whether one of its first messages has a type of the
   protocol.
2. The file is read twice and never held: browsers write the messages of an entry before its
   request, which tells where they went.
3. `data` is what passed, decoded: the characters of a text message, the bytes of a binary one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import orjson
import pybase64

from ..events import BINARY, CLOSE, TEXT, Event
from ..secrets import redact_headers, redact_url
from ..wire import find_type
from .elements import Cursor
from .entering import Entry, Found
from .nouns import Asked, Damaged, File, Item, Remark, Unreadable
from .raw import unpacked
from .sides import BY_TYPE, named
from .times import NONE, Clock, find_clock, nanoseconds

MESSAGES: Final = "_webSocketMessages"
LOOKED_AT: Final = 64
"""Messages of a socket by which it is known whether it speaks Realtime."""

_FACTS: Final = frozenset({"request", "response", "startedDateTime", "_model"})

JSON = dict[str, Any]


@dataclass(slots=True)
class _Socket:
    """One entry of the file that has messages."""

    facts: JSON = field(default_factory=dict)
    first: list[JSON] = field(default_factory=list)
    """Some messages of its beginning."""
    count: int = 0

    @property
    def url(self) -> str:
        url = _object(self.facts.get("request")).get("url")
        return url if isinstance(url, str) else ""

    @property
    def speaks(self) -> bool:
        """Whether it is a Realtime session."""
        return any(find_type(_payload(each)[0]) in BY_TYPE for each in self.first)


def _object(value: object) -> JSON:
    return value if isinstance(value, dict) else {}


def read(file: File, asked: Asked) -> Iterator[Item]:
    """A session for each socket, in the order of the file. Raises `Damaged`, `Unreadable`."""
    sockets, damage = _survey(Cursor(unpacked(file())))
    chosen = [each.speaks or (asked.all_sockets and each.count > 0) for each in sockets]
    skipped = [each for each, chosen_one in zip(sockets, chosen, strict=True) if not chosen_one]
    if not any(chosen):
        raise damage or _nothing(sockets)
    yield from _sessions(Cursor(unpacked(file())), sockets, chosen, asked)
    for each in skipped:
        url = redact_url(each.url, asked.secrets)[0] or "a socket without a URL"
        yield Remark(f"skipped, because it does not speak Realtime: {url} ({each.count} messages)")
    if damage:
        raise damage


def _nothing(sockets: Sequence[_Socket]) -> Unreadable:
    if not sockets:
        return Unreadable(
            "no WebSocket messages in this HAR: save it with its content, from the browser's "
            "network panel, Playwright or mitmproxy"
        )
    urls = ", ".join(redact_url(each.url)[0] for each in sockets[:5])
    return Unreadable(
        f"none of its WebSockets speaks Realtime ({urls}); --all-sockets imports them all the same"
    )


# ---- the first pass: which sockets there are


def _survey(cursor: Cursor) -> tuple[list[_Socket], Damaged | None]:
    sockets: list[_Socket] = []
    try:
        for _ in _entries(cursor):
            _survey_entry(cursor, sockets)
    except Damaged as damage:
        return sockets, damage
    return sockets, None


def _entries(cursor: Cursor) -> Iterator[None]:
    """Once for each entry of the log, with the cursor before it."""
    for key in cursor.members():
        if key != "log":
            cursor.value()
            continue
        for inner in cursor.members():
            if inner == "entries":
                yield from (None for _ in cursor.elements())
            else:
                cursor.value()


def _survey_entry(cursor: Cursor, sockets: list[_Socket]) -> None:
    socket = _Socket()
    for key in cursor.members():
        if key == MESSAGES and cursor.peek() == "[":
            sockets.append(socket)
            for _ in cursor.elements():
                text = cursor.value()
                socket.count += 1
                if socket.count <= LOOKED_AT:
                    socket.first.append(_parsed(text, cursor.byte))
        elif key in _FACTS:
            socket.facts[key] = _parsed(cursor.value(), cursor.byte, whole=False)
        else:
            cursor.value()


def _parsed(text: bytes, byte: int, *, whole: bool = True) -> Any:
    """A value of the file. What orjson is too strict for is read by a laxer parser."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            found = json.loads(text.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError) as error:
            raise Damaged(f"it is no JSON ({error})", byte=byte - len(text)) from None
    return _object(found) if whole else found


# ---- the second pass: what passed on them


def _sessions(
    cursor: Cursor, sockets: Sequence[_Socket], chosen: Sequence[bool], asked: Asked
) -> Iterator[Item]:
    """The events of the chosen sockets, up to the damage if there is any."""
    waiting = list(zip(sockets, chosen, strict=True))
    try:
        for _ in _entries(cursor):
            for key in cursor.members():
                if key != MESSAGES or cursor.peek() != "[" or not waiting:
                    cursor.value()
                    continue
                socket, wanted = waiting.pop(0)
                if wanted:
                    yield from _session(cursor, socket, asked)
                else:
                    for _ in cursor.elements():
                        cursor.value()
    except Damaged:
        return  # the survey met it too, and says it


def _session(cursor: Cursor, socket: _Socket, asked: Asked) -> Iterator[Item]:
    clock = find_clock(socket.first, asked.times)
    opened_ns = _opened_ns(socket, clock)
    entry = Entry(asked, _found(socket, clock, opened_ns))
    yield from entry.begin()
    yield from _handshake(socket, entry, asked)
    try:
        for _ in cursor.elements():
            text = cursor.value()
            told = _parsed(text, cursor.byte)
            at_ns = entry.last_ns
            if clock is not None:
                moment = nanoseconds(_exact(text, clock.key, told.get(clock.key)), clock.unit)
                at_ns = entry.last_ns if moment is None else max(moment - opened_ns, 0)
            yield _event(told, at_ns, entry)
    except Damaged as damage:
        yield entry.note("note", entry.last_ns, text=f"the imported file is {damage}")
        raise
    if entry.lifted:
        yield Remark(f"out of order in time: {entry.lifted:,} messages")
    if clock is None:
        yield Remark("it has no times: only the order of its events is known")


def _exact(text: bytes, key: str, value: object) -> object:
    """A number with all the digits that it was written with; a float holds 16 of them."""
    if isinstance(value, float):
        name = re.escape(orjson.dumps(key))
        found = re.search(name + rb"\s*+:\s*+(-?\d++\.\d++)", text)
        if found and float(found.group(1)) == value:
            return found.group(1).decode()
    return value


def _opened_ns(socket: _Socket, clock: Clock | None) -> int:
    """When the request was made, if that goes with the times of the messages; else the first."""
    if clock is None:
        return 0
    started = nanoseconds(socket.facts.get("startedDateTime"), "iso")
    if started is not None and clock.epoch and 0 <= clock.zero_ns - started < 3600 * 10**9:
        return started
    return clock.zero_ns


def _found(socket: _Socket, clock: Clock | None, opened_ns: int) -> Found:
    started = nanoseconds(socket.facts.get("startedDateTime"), "iso")
    told = socket.facts.get("_model")
    query = re.search(r"[?&]model=([^&#]*)", socket.url)
    return Found(
        format="har",
        times=str(clock or NONE),
        text="exact",
        wall_ns=opened_ns if clock is not None and clock.epoch else started,
        url=socket.url,
        model=told if isinstance(told, str) else unquote(query[1] if query else ""),
        headers=_headers(_object(socket.facts.get("request"))),
    )


def _headers(side: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = side.get("headers")
    found = [_object(pair) for pair in pairs] if isinstance(pairs, list) else []
    return [
        (pair["name"], pair["value"])
        for pair in found
        if isinstance(pair.get("name"), str) and isinstance(pair.get("value"), str)
    ]


def _handshake(socket: _Socket, entry: Entry, asked: Asked) -> Iterator[Event]:
    """What the server answered; nobody wrote down when."""
    answer = _object(socket.facts.get("response"))
    status = answer.get("status")
    if not isinstance(status, int) or status < 100:
        return
    headers, _ = redact_headers(_headers(answer), asked.secrets)
    chosen = {name.lower(): value for name, value in headers}.get("sec-websocket-protocol", "")
    reason = answer.get("statusText")
    yield entry.note(
        "handshake",
        0,
        status=status,
        reason=reason if isinstance(reason, str) else "",
        subprotocol=chosen,
        headers=headers,
        timed=False,
    )


def _event(told: JSON, at_ns: int, entry: Entry) -> Event:
    payload, opcode = _payload(told)
    side = named(told)
    if side is None:  # Chrome writes down errors of the socket among its messages
        text = payload.decode("utf-8", "replace")
        return entry.note("note", at_ns, text=f"the browser says: {text}")
    return entry.message(side.origin, at_ns, payload, opcode)


def _payload(told: JSON) -> tuple[bytes, int]:
    """What passed, and as which kind of frame."""
    data, opcode = told.get("data"), told.get("opcode", TEXT)
    text = data if isinstance(data, str) else ""
    if opcode in (BINARY, CLOSE, 9, 10):
        try:
            return pybase64.b64decode(text, validate=True), opcode
        except ValueError:
            return text.encode("utf-8", "surrogatepass"), opcode
    return text.encode("utf-8", "surrogatepass"), TEXT

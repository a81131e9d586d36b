"""What may leave the house: an event, a session or a result without anybody's words in it.

    sharing = Sharing()
    sharing.session(session), sharing.event(event), sharing.result(analysis.turns)

What is left is types, ids, sizes, times and settings; audio becomes a tombstone, which every
view plays as silence of the same length.

Laws:

1. Only what is known passes (`shareable`). A member with an unknown name goes, whatever it
   holds; so do the keys of objects that people fill themselves (metadata, tool arguments).
2. A string that may not pass becomes a `*` for each of its characters: its length stays.
3. An id passes if it looks like one; another becomes `id_1`, `id_2` \u2026, the same wherever it
   turns up, so that what belonged together still does. Phone calls' ids and call labels never
   pass.
4. Numbers, order, times and origins of events stay. So does the length of every message, as
   `bytes` of its tombstone.
5. It is pure and deterministic: the same events in the same order give the same bytes.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from . import wire
from .capturing import reduced
from .events import BINARY, CLOSE, PING, PONG, Event
from .projections.model_turns import WaterfallPart
from .projections.model_values import Value
from .shareable import (
    CODES,
    COUNTED,
    DOMAINS,
    HEADERS,
    HOSTS,
    ID_LISTS,
    IDS,
    INSIDE,
    KNOWN,
    NUMBERS,
    PATHS,
    QUERIES,
    RESULT_WORDS,
    SHAPES,
    VERSIONS,
    WORDS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import Session

    Sink = Callable[[str], None]
    Tables = dict[str, re.Pattern[str]]

T = TypeVar("T")

SHARES: Final = ("metadata", "full")
"""What of a session may leave: no content, or everything."""

REASON: Final = "left out of what is shared"
"""Stands in the tombstones of what was taken out."""

MASK: Final = "*"

_DEPTH: Final = 40
_REMEMBERED: Final = 256
"""Messages of which it is remembered what became of them,"""
_SHORT: Final = 200
"""and how long they may be."""
_CUT: Final = "\x00"
"""Begins the marker of a cut while a message is walked: nothing else that passes holds it."""
_MARKER = re.compile(rb'(?<=")\\u0000([0-9]+)(?=")')

_ID = re.compile(r"(?!rtc_)[A-Za-z0-9][A-Za-z0-9_.:\-]{0,79}")
_PHONE = re.compile(r"[0-9().:_\-]*[0-9](?:[().:_\-]*[0-9]){5,}[().:_\-]*")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TOOL_CALL = re.compile(
    rf"(?:call|fc|toolu|tool|func|mcp)[_\-][A-Za-z0-9_\-]{{1,76}}|{_UUID.pattern}"
)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+\-]{0,30}")
_PARAM = re.compile(r"[a-z_]+(?:[.\[\]0-9]+[a-z_]+)*")


class Sharing:
    """Takes content out. One for everything that leaves together: it remembers names of ids."""

    def __init__(self, dropped: Sink | None = None) -> None:
        """`dropped` is told every string that was taken out."""
        self._dropped = dropped or _nobody
        self._ids: dict[str, str] = {}
        self._pings: dict[bytes, bytes] = {}
        self._made: dict[tuple[str, int, bytes, str | None], wire.Split] = {}
        """What became of short messages: a microphone says the same a hundred thousand times."""
        self._markers: frozenset[str] = frozenset()

    # ---- sessions and events

    def session(self, session: Session) -> Session:
        """The session's facts: where it went as far as everybody knows that place; no labels."""
        for value in (*session.labels.values(), *(value for _, value in session.headers)):
            self._dropped(value)
        return dataclasses.replace(
            session,
            url=self._url(session.url),
            model=self._string("model", session.model),
            call=self._name(session.call) if session.call else "",
            capture="metadata",
            headers=tuple((name, value) for name, value in self._headers(session.headers)),
            versions={
                name: value
                for name, value in session.versions.items()
                if name in VERSIONS and _VERSION.fullmatch(value)
            },
            labels={},
        )

    def event(self, event: Event) -> Event:
        """The event without content: same number, time, origin and opcode."""
        if event.opcode in (PING, PONG):
            return event._replace(head=self._ping(event.head), meta=None, audio=None, type="")
        if event.opcode == CLOSE:
            return event._replace(head=self._close(event.head), meta=None, audio=None, type="")
        key = (event.type, event.opcode, event.head, event.meta)
        told = self._made.get(key)
        if told is None:
            told = self._told(event)
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            if len(event.head) < _SHORT:
                self._made[key] = told
        return event._replace(type=told.type, head=told.head, meta=told.meta, audio=None)

    def _told(self, event: Event) -> wire.Split:
        """What is left of the message."""
        size = message_bytes(event)
        part = wire.Split(event.type, event.head, event.meta, event.audio)
        part = reduced(part, "no-audio", binary=event.opcode == BINARY)
        head, cuts = self._message(part)
        meta: dict[str, Any] = {"cuts": cuts} if cuts else {}
        if names := wire.redacted(event):
            meta["redacted"] = names
        if cuts or head != event.head or wire.tombstone(event):
            meta["tombstone"] = {"reason": REASON, "bytes": size}
        kind = event.type if _passes("type", event.type, SHAPES) else ""
        return wire.Split(kind, head, orjson.dumps(meta).decode() if meta else None, None)

    def result(self, value: T) -> T:
        """A result of a projection without content: the same shape, its strings checked."""
        return self._result("", value, 0)  # type: ignore[no-any-return]

    # ---- messages

    def _message(self, part: wire.Split) -> tuple[bytes, list[list[int]]]:
        """What is left of the message, and its cuts where they are now."""
        cuts = orjson.loads(part.meta).get("cuts", []) if part.meta else []
        self._markers = frozenset(f"{_CUT}{index}" for index in range(len(cuts)))
        try:
            body = orjson.loads(_marked(part.head, cuts))
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            self._dropped(part.head.decode("utf-8", "replace"))
            lost = sum(length for _, length in cuts)
            return b"", [[0, lost]] if lost else []
        kept = self._object(body, WORDS, 0)
        return _unmarked(orjson.dumps(kept), cuts)

    def _object(self, body: dict[str, Any], words: Tables, depth: int) -> dict[str, Any]:
        kept = {}
        for key, value in body.items():
            if key not in KNOWN:
                self._gone(key)
                self._gone(value)
            elif (left := self._member(key, value, words, depth + 1)) is not _NOTHING:
                kept[key] = left
        return kept

    def _member(self, key: str, value: Any, words: Tables, depth: int) -> Any:
        """What is left of the value under a known name."""
        match value:
            case None | bool():
                return value
            case str():
                return value if value in self._markers else self._string(key, value, words)
            case int() | float():
                return value if key in NUMBERS or key == "evidence" else None
            case _ if depth > _DEPTH:
                return _NOTHING
            case dict() if key in COUNTED and words is RESULTS:
                return self._counted(value, depth)
            case dict() if key in INSIDE:
                return self._object(value, words, depth)
            case list() if key == "headers":
                return self._headers(value)
            case list():
                return self._list(key, value, words, depth)
        self._gone(value)
        return _NOTHING

    def _list(self, key: str, values: list[Any], words: Tables, depth: int) -> list[Any]:
        left = (self._member(key, value, words, depth + 1) for value in values)
        return [value for value in left if value is not _NOTHING]

    def _counted(self, body: dict[str, Any], depth: int) -> dict[str, Any]:
        """An object whose keys are types or names of figures."""
        kept: dict[str, Any] = {}
        for key, value in body.items():
            if not (SHAPES["type"].fullmatch(key) or key.isdecimal()):
                self._gone(key)
            elif isinstance(value, int | float):
                kept[key] = value
            elif isinstance(value, dict):
                kept[key] = {k: v for k, v in value.items() if isinstance(v, int | float | None)}
            else:
                kept[key] = self._result(key, value, depth)
        return kept

    # ---- results

    def _result(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._string(key, value, RESULTS)
        if value is None or isinstance(value, bool | int | float) or depth > _DEPTH:
            return value if depth <= _DEPTH else None
        if isinstance(value, Value | WaterfallPart):  # every word of these is our own
            return value
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed = {
                field.name: self._result(field.name, getattr(value, field.name), depth + 1)
                for field in dataclasses.fields(value)
                if field.init
            }
            return dataclasses.replace(value, **changed)
        if isinstance(value, tuple | list):
            made = [self._result(key, each, depth + 1) for each in value]
            return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
        if isinstance(value, dict) and any(isinstance(each, Value) for each in value.values()):
            return self._counted(value, depth)
        left = self._member(key, value, RESULTS, depth) if key in KNOWN else _NOTHING
        if left is _NOTHING:
            self._gone(value)
            return {} if isinstance(value, dict) else None
        return left

    # ---- strings

    def _string(self, key: str, value: str, words: Tables = WORDS) -> str:
        if key == "capture":
            return "metadata"
        if not value or _passes(key, value, words) or _passes(key, value, SHAPES):
            return value
        if key in IDS or (words is RESULTS and key in ID_LISTS):
            return self._identity(key, value)
        if key == "url":
            return self._url(value)
        if (key == "param" and _is_param(value)) or (key == "reason" and _is_refusal(value)):
            return value
        self._dropped(value)
        return MASK * len(value)

    def _identity(self, key: str, value: str) -> str:
        looks = _TOOL_CALL if key in ("call_id", "calls") else _ID
        if key != "call" and looks.fullmatch(value) and not _PHONE.fullmatch(value):
            return value
        return self._name(value)

    def _name(self, value: str) -> str:
        """What stands for an id that may not pass."""
        self._dropped(value)
        return self._ids.setdefault(value, f"id_{len(self._ids) + 1}")

    def _url(self, url: str) -> str:
        """As far as everybody knows it: providers' hosts, the protocol's paths and queries."""
        if url == "sandbox:":
            return url
        try:
            parts = urlsplit(url)
            host, query = parts.hostname or "", parse_qsl(parts.query)
        except ValueError:
            host, query, parts = "", [], urlsplit("")
        if not parts.scheme or not re.fullmatch("wss?|https?|sandbox", parts.scheme):
            self._dropped(url)
            return ""
        if host not in HOSTS:
            self._dropped(host)
            domain = next((name for name in DOMAINS if host.endswith(f".{name}")), "")
            host = f"resource.{domain}" if domain else "host"
        path = "/".join(
            step if not step or step in PATHS else MASK * len(step)
            for step in parts.path.split("/")
        )
        kept = [(k, v) for k, v in query if k in QUERIES and QUERIES[k].fullmatch(v)]
        for pair in query:
            if pair not in kept:
                self._dropped(pair[1])
        return f"{parts.scheme}://{host}{path}" + (f"?{urlencode(kept, safe='/:')}" if kept else "")

    def _headers(self, headers: Any) -> list[list[str]]:
        kept = []
        for pair in headers:
            if not (isinstance(pair, list | tuple) and len(pair) == 2):
                continue
            name, value = (each if isinstance(each, str) else "" for each in pair)
            shape = HEADERS.get(name.lower())
            if shape is not None and shape.fullmatch(value):
                kept.append([name, value])
            else:
                self._dropped(value)
        return kept

    # ---- control frames

    def _ping(self, payload: bytes) -> bytes:
        """Payloads become numbers: a pong still tells which ping it answers."""
        if not payload:
            return payload
        self._dropped(payload.decode("utf-8", "replace"))
        return self._pings.setdefault(payload, b"%d" % (len(self._pings) + 1))

    def _close(self, payload: bytes) -> bytes:
        reason = payload[2:].decode("utf-8", "replace")
        return payload[:2] + self._string("reason", reason).encode()

    def _gone(self, value: Any) -> None:
        """Tell every string of what is taken out whole."""
        match value:
            case str():
                self._dropped(value)
            case dict():
                for key, each in value.items():
                    self._gone(key)
                    self._gone(each)
            case list() | tuple():
                for each in value:
                    self._gone(each)


RESULTS: Final = WORDS | RESULT_WORDS
_NOTHING: Final = object()
"""A value that goes with its name."""


def message_bytes(event: Event) -> int:
    """How long the message was when it passed, as well as the log tells it."""
    stone = wire.tombstone(event)
    if stone and isinstance(stone.get("bytes"), int):
        return int(stone["bytes"])
    return len(event.head) + sum((size + 2) // 3 * 4 for _, size in wire.cuts_of(event))


def _nobody(_text: str) -> None:
    """Where nobody wants to know."""


def _passes(key: str, value: str, tables: Tables) -> bool:
    shape = tables.get(key)
    return shape is not None and shape.fullmatch(value) is not None


def _is_refusal(value: str) -> bool:
    """Why a server closes: the type of an error and its code."""
    return all(word in CODES for word in value.split("."))


def _is_param(value: str) -> bool:
    """A path to a setting, every step of which is known."""
    steps = re.split(r"[.\[\]0-9]+", value)
    return bool(_PARAM.fullmatch(value)) and all(step in KNOWN for step in steps if step)


def _marked(head: bytes, cuts: list[list[int]]) -> bytes:
    """The head with a marker where each cut is, so that cuts can move."""
    pieces, begin = [], 0
    for index, (offset, _) in enumerate(cuts):
        pieces += [head[begin:offset], b"\\u0000%d" % index]
        begin = offset
    pieces.append(head[begin:])
    return b"".join(pieces)


def _unmarked(text: bytes, cuts: list[list[int]]) -> tuple[bytes, list[list[int]]]:
    """The text without its markers, and the cuts at the places where they stood."""
    pieces, moved, begin, length = [], [], 0, 0
    for found in _MARKER.finditer(text):
        pieces.append(text[begin : found.start()])
        length += len(pieces[-1])
        moved.append([length, cuts[int(found.group(1))][1]])
        begin = found.end()
    pieces.append(text[begin:])
    return b"".join(pieces), moved

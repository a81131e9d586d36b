"""The table: (origin, type) -> the one function that knows what the bytes mean.

A decode function takes the event and returns a fact, always of the same kind; it is entered by
`@decodes`. Entering a name twice is an error at import.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

from ..events import BINARY, CLOSE, PING, PONG, TEXT, Event, Origin
from ..wire import parse
from .facts import CloseSeen, Fact, Mark, PassedOn, Pinged, Ponged, Unknown
from .names import ALIASES, is_passed_on

if TYPE_CHECKING:
    from collections.abc import Callable

    Decoder: TypeAlias = Callable[[Event], Fact]

TABLES: tuple[dict[str, Decoder], dict[str, Decoder], dict[str, Decoder]] = ({}, {}, {})
"""Decode functions by origin, then by type; aliases included."""
KINDS: dict[Decoder, type] = {}
"""The one kind of fact that a decode function gives: what it says that it returns."""

_SEEN_AS: dict[str, list[str]] = {}
for _alias, _canonical in ALIASES.items():
    _SEEN_AS.setdefault(_canonical, []).append(_alias)


def decodes(origin: Origin, *types: str) -> Callable[[Decoder], Decoder]:
    """Enter the function for these types of this origin, and for their aliases."""

    def enter(function: Decoder) -> Decoder:
        table = TABLES[origin]
        for kind in types:
            for name in (kind, *_SEEN_AS.get(kind, ())):
                if name in table:
                    raise RuntimeError(f"two decode functions for {origin.name} {name}")
                table[name] = function
        KINDS[function] = function.__globals__[function.__annotations__["return"]]
        return function

    return enter


def decode(event: Event) -> Fact:
    """What the event means. Never raises, whatever its bytes are."""
    function = TABLES[event.origin].get(event.type)
    return function(event) if function is not None else _unlisted(event)


def _unlisted(event: Event) -> Fact:
    """Frames that are no messages, free marks, and whatever else has no decode function."""
    if event.origin == Origin.RECORDER:
        return Mark(event.type.removeprefix("recorder."), parse(event))
    if event.opcode == PING:
        return Pinged(event.head)
    if event.opcode == PONG:
        return Ponged(event.head)
    if event.opcode == CLOSE:
        return _close(event.head)
    if not event.type:
        return _untyped(event)
    return PassedOn(event.type) if is_passed_on(event.type) else Unknown(event.type)


def _close(payload: bytes) -> CloseSeen:
    """A close frame's payload: RFC 6455 §5.5.1."""
    if len(payload) < 2:
        return CloseSeen(None, "")
    (code,) = struct.unpack_from(">H", payload)
    return CloseSeen(code, payload[2:].decode("utf-8", "replace"))


def _untyped(event: Event) -> Fact:
    """A message whose type could not be told in passing: its JSON has the last word."""
    if event.opcode not in (TEXT, BINARY):
        return Unknown("(no message)")
    kind = parse(event).get("type")
    name = kind.strip() if isinstance(kind, str) else ""
    if function := TABLES[event.origin].get(name):
        return function(event)
    return Unknown(name or ("(binary)" if event.opcode == BINARY else "(no type)"))

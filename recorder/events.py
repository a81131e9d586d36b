"""The nouns: one fact that was recorded, and the session it belongs to.

Laws:

1. An event never changes. Its bytes are `head` with `audio` put back in where `meta` says
   (`recorder.wire`); nothing else is needed to give back the message that passed.
2. `seq` counts from 1 without gaps within a session; `at_ns` never decreases with it.
3. `type` is a hint for people and filters. It may be empty, and it may lie.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Origin(IntEnum):
    """Who made the fact."""

    CLIENT = 0
    SERVER = 1
    RECORDER = 2


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
"""WebSocket opcodes (RFC 6455 §5.2) as `Event.opcode` holds them."""

NO_FRAME = 0
"""`Event.opcode` of a fact that was no frame: what the recorder noticed, an HTTP body."""


class Event(NamedTuple):
    """One fact of a session. A NamedTuple because it is made a few hundred thousand times."""

    seq: int
    """1, 2, 3 … within the session."""
    at_ns: int
    """Monotonic nanoseconds since the session was opened, stamped before parsing."""
    origin: Origin
    """Client, server, or the recorder itself."""
    type: str
    """The `type` of the message as far as it could be told; sanitised, may be empty."""
    opcode: int
    """WebSocket opcode, or `NO_FRAME`."""
    head: bytes
    """The message without the audio that was cut out of it."""
    meta: str | None = None
    """JSON: `cuts` [[offset in head, bytes], …], `redacted` [what, …], `tombstone` {…}."""
    audio: bytes | None = None
    """The decoded audio that was cut out, all pieces one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One connection, from dial to close. Written once, before the dial; never updated."""

    id: str
    """UUIDv7, in its usual form. The name of the session everywhere."""
    wall_ns: int
    """Nanoseconds since 1970 at open: a label, never used for intervals."""
    mono_ns: int
    """The recorder's monotonic clock at open; comparable within one `recorder` boot."""
    kind: str = "websocket"
    """`websocket`, or `http` for a side call."""
    vantage: str = "client"
    """Where the recorder stood: `client`, `proxy`, `imported`."""
    url: str = ""
    """Where it went, without secrets."""
    model: str = ""
    """The model that was asked for, as the URL or the caller named it."""
    call: str = ""
    """A label that ties several sessions into one conversation."""
    capture: str = "full"
    """What was kept: `full`, `no-audio`, `metadata`."""
    headers: tuple[tuple[str, str], ...] = ()
    """The request's headers in order, without secrets."""
    recorder: str = ""
    """Id of the recording process (`EventStore.recorders`); empty for imports."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of this package, of the format, and of whatever else made the log."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Fixed facts about the session: where it was imported from, whose rerun it is."""


def new_session_id(wall_ns: int, random: bytes) -> str:
    """A UUIDv7 (RFC 9562 §5.7) of `wall_ns` and ten random bytes.

    The twelve bits below the millisecond hold its fraction, so that ids of one process sort
    in the order in which they were made.
    """
    millis, rest = divmod(wall_ns, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64
    value |= 0b10 << 62 | int.from_bytes(random, "big") & (1 << 62) - 1
    return str(uuid.UUID(int=value))

"""A flight recorder for Realtime voice sessions.

The words used everywhere:

    event       one fact: a message that passed, or something we noticed ourselves
    session     one connection, from dial to close: an ordered, gapless sequence of events
    call        a label that ties several sessions into one conversation
    log         the events, byte for byte, append-only; everything else is a view of it
    dialect     what a provider's bytes mean; decided for each event, on reading
    projection  a pure fold over events: conversation, turns, latency, audio
    mark        what the application tells us: what it played, a note
    vantage     where the recorder stood: client, proxy, imported

`connect` records a session from Python, `proxied` those of any other library, `open` gives what
was recorded, `mocked` plays it to an application; `SqlStore` and `MemoryStore` keep the log. Names
are loaded when they are used: importing this package imports neither trio nor SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        AudioFileError,
        EndpointError,
        EndpointTimeout,
        HandshakeRefused,
        ProtocolViolation,
        RecorderError,
        ServerError,
        SessionClosed,
        SessionNotFound,
        StoreError,
        StoreUnavailable,
        Unreachable,
        UntrustedCertificate,
        UsageError,
    )
    from .events import Event, Origin, Session
    from .library import Library, RecordedSession, open
    from .live.answers import Answer, ToolCall
    from .live.client import Recording, connect
    from .live.session import RealtimeSession, ServerEvent
    from .live.shapes import SessionOptions
    from .live.writer import Writer, WriterOptions, open_writer
    from .proxy.running import proxied
    from .sql.opening import locate
    from .sql.store import SqlStore
    from .store import EventStore, MemoryStore
    from .testing import mocked
    from .transport import Timeouts
    from .wire import join, split

_HOMES = {
    "errors": (
        "AudioFileError", "EndpointError", "EndpointTimeout", "HandshakeRefused",
        "ProtocolViolation", "RecorderError", "ServerError", "SessionClosed", "SessionNotFound",
        "StoreError", "StoreUnavailable", "Unreachable", "UntrustedCertificate", "UsageError",
    ),
    "events": ("Event", "Origin", "Session"),
    "library": ("Library", "RecordedSession", "open"),
    "live.answers": ("Answer", "ToolCall"),
    "live.client": ("Recording", "connect"),
    "live.session": ("RealtimeSession", "ServerEvent"),
    "live.shapes": ("SessionOptions",),
    "live.writer": ("Writer", "WriterOptions", "open_writer"),
    "proxy.running": ("proxied",),
    "sql.opening": ("locate",),
    "sql.store": ("SqlStore",),
    "store": ("EventStore", "MemoryStore"),
    "testing": ("mocked",),
    "transport": ("Timeouts",),
    "wire": ("join", "split"),
}  # fmt: skip
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "AudioFileError",
    "EndpointError",
    "EndpointTimeout",
    "Event",
    "EventStore",
    "HandshakeRefused",
    "Library",
    "MemoryStore",
    "Origin",
    "ProtocolViolation",
    "RealtimeSession",
    "RecordedSession",
    "RecorderError",
    "Recording",
    "ServerError",
    "ServerEvent",
    "Session",
    "SessionClosed",
    "SessionNotFound",
    "SessionOptions",
    "SqlStore",
    "StoreError",
    "StoreUnavailable",
    "Timeouts",
    "ToolCall",
    "Unreachable",
    "UntrustedCertificate",
    "UsageError",
    "Writer",
    "WriterOptions",
    "connect",
    "join",
    "locate",
    "mocked",
    "open",
    "open_writer",
    "proxied",
    "split",
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)

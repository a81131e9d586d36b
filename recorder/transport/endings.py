"""How a connection ended: who closed first, with which code, and the error that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recorder.errors import EndpointError, ProtocolViolation, SessionClosed
from recorder.transport.connection import Failure
from recorder.transport.frames import ABNORMAL
from recorder.transport.streams import Tap
from recorder.transport.urls import Scrubber

TOO_BIG = 1009


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseInfo:
    """How the connection ended, or began to."""

    code: int
    """Of the side that closed first: 1005 for an empty Close, 1006 where none came."""
    reason: str
    initiator: Literal["client", "server", "network"]
    clean: bool
    """Both Close frames passed."""
    at_ns: int
    answer: int | None = None
    """The code of the other side's Close, once it came."""


def close_info(tap: Tap, failure: Failure | None) -> CloseInfo | None:
    """What has passed of the closing so far; None while nobody has begun."""
    ours, theirs = tap.close_sent, tap.close_received
    by_server = tap.closed_first == "server"
    first, second = (theirs, ours) if by_server else (ours, theirs)
    if first is not None:
        return CloseInfo(
            code=first.code,
            reason=first.reason,
            initiator="server" if by_server else "client",
            clean=second is not None,
            at_ns=first.at_ns,
            answer=second.code if second else None,
        )
    if failure is not None:
        return _unsaid("client", tap.last_ns, failure.code, failure.why)
    if tap.end:
        return _unsaid("client" if tap.end == "closed" else "network", tap.end_ns)
    return None


def ending(where: str, tap: Tap, failure: Failure | None, scrub: Scrubber) -> EndpointError:
    """The error for whoever still wants something of a connection that has ended."""
    if failure is not None and failure.code == TOO_BIG:
        return SessionClosed(
            f"{where} sent {failure.why}; the session was closed with {TOO_BIG}",
            code=TOO_BIG,
            reason=failure.why,
        )
    if failure is not None:
        return ProtocolViolation(
            f"{where} broke the WebSocket protocol: {scrub(failure.why)}; the session was closed "
            f"with {failure.code}"
        )
    info = close_info(tap, failure)
    if info is None:
        return SessionClosed(f"the session with {where} takes no more data", code=ABNORMAL)
    said = f" ({scrub(info.reason)})" if info.reason else ""
    if info.initiator == "server":
        text = f"{where} closed the session with code {info.code}{said}"
    elif tap.closed_first:
        text = f"the session with {where} was closed by this side with code {info.code}{said}"
    else:
        text = f"the session with {where} {_WITHOUT_CLOSE[tap.end]}"
    return SessionClosed(text, code=info.code, reason=info.reason)


_WITHOUT_CLOSE = {
    "eof": "ended without a Close frame: the server or the network hung up",
    "reset": "was cut off: the connection broke",
    "lost": "was given up: nothing passes any more",
    "closed": "was given up by this side without a Close frame",
}


def _unsaid(
    initiator: Literal["client", "network"], at_ns: int, code: int = ABNORMAL, reason: str = ""
) -> CloseInfo:
    """An end without a Close frame on the wire."""
    return CloseInfo(code=code, reason=reason, initiator=initiator, clean=False, at_ns=at_ns)

"""What a session does to its connection. The skin carries it out, in order, and adds nothing."""

from __future__ import annotations

from typing import NamedTuple


class Send(NamedTuple):
    """One text frame."""

    text: str


class SendBinary(NamedTuple):
    """One binary frame: no endpoint should send one, some gateways do."""

    data: bytes


class Ping(NamedTuple):
    """A WebSocket ping, with that payload."""

    data: bytes


class Close(NamedTuple):
    """A close frame. Nothing follows it."""

    code: int
    reason: str


class Abort(NamedTuple):
    """The connection breaks without a close frame. Nothing follows it."""


class Stall(NamedTuple):
    """Read nothing until then; None: never again. The session itself sends nothing meanwhile."""

    until_ns: int | None


Action = Send | SendBinary | Ping | Close | Abort | Stall

"""A sandbox session on a socket."""

from __future__ import annotations

from recorder.live import driving
from recorder.sandbox.actions import Abort, Action, Close, Ping, Send, SendBinary, Stall
from recorder.sandbox.session import SandboxSession
from recorder.transport.connection import Connection


async def drive(session: SandboxSession, socket: Connection) -> None:
    """Let them talk until one of them ends it."""
    await driving.drive(session, socket, _do)


async def _do(socket: Connection, action: Action) -> float | None:
    match action:
        case Send(text):
            await socket.send_message(text)
        case SendBinary(data):
            await socket.send_message(data)
        case Ping(data):
            await socket.send_ping(data)
        case Close(code, reason):
            await socket.aclose(code, reason)
        case Abort():
            await socket.abort()
        case Stall(until_ns):
            return float("inf") if until_ns is None else until_ns / 1e9
    return None

"""A session on a socket: one task reads, one keeps the time.

Whoever of them has something to do holds the session until it is done, sending included: a client
that does not read is not read either, and what waits for it stays small.
"""

from __future__ import annotations

import trio

from recorder.sandbox.actions import Abort, Action, Close, Ping, Send, SendBinary, Stall
from recorder.sandbox.session import SandboxSession
from recorder.transport.connection import Connection
from recorder.transport.nurseries import plain_nursery


async def drive(session: SandboxSession, socket: Connection) -> None:
    """Let them talk until one of them ends it."""
    await _Drive(session, socket).run()


class _Drive:
    def __init__(self, session: SandboxSession, socket: Connection) -> None:
        self._session, self._socket = session, socket
        self._lock = trio.Lock()
        self._changed = trio.Event()
        self._deaf_until_s = 0.0

    async def run(self) -> None:
        self._session.open(_now_ns())
        async with plain_nursery() as nursery:
            nursery.start_soon(self._read)
            await self._keep_time()
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._socket.get_message()
            await trio.sleep_until(self._deaf_until_s)
            async with self._lock:
                self._session.receive(message, _now_ns())
                await self._act()
            self._changed.set()

    async def _keep_time(self) -> None:
        """Do what is due when it is due, until the session is closed."""
        while True:
            async with self._lock:
                await self._act()
            if self._session.closed and self._session.next_at() is None:
                return
            self._changed = trio.Event()
            due_ns = self._session.next_at()
            with trio.move_on_at(float("inf") if due_ns is None else due_ns / 1e9):
                await self._changed.wait()

    async def _act(self) -> None:
        for action in self._session.poll(_now_ns()):
            await self._do(action)

    async def _do(self, action: Action) -> None:
        match action:
            case Send(text):
                await self._socket.send_message(text)
            case SendBinary(data):
                await self._socket.send_message(data)
            case Ping(data):
                await self._socket.send_ping(data)
            case Close(code, reason):
                await self._socket.aclose(code, reason)
            case Abort():
                await self._socket.abort()
            case Stall(until_ns):
                self._deaf_until_s = float("inf") if until_ns is None else until_ns / 1e9


def _now_ns() -> int:
    """Trio's clock, so that a test can turn it."""
    return round(trio.current_time() * 1e9)

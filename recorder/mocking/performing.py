"""One connection: a recorded session is played on a socket, with its faults.

Whoever has something to do, the task that reads or the one that keeps the time, holds the session
until it is done, sending included: what waits for a client that does not read stays small.
"""

from __future__ import annotations

import trio

from recorder.replaying import Close, Replayer, Send
from recorder.transport.connection import Connection
from recorder.transport.nurseries import plain_nursery

from .line import FOREVER_NS, Deed, Line, Stall


class Performance:
    """A replayer and its line, sans-IO: messages and times in, deeds out."""

    def __init__(self, replayer: Replayer, line: Line) -> None:
        self._replayer, self._line = replayer, line

    @property
    def closed(self) -> bool:
        """Nothing goes out any more."""
        return self._line.closed

    def open(self, now_ns: int) -> None:
        """The connection stands."""
        self._replayer.open(now_ns)
        self._line.open(now_ns)

    def receive(self, message: str | bytes, now_ns: int) -> None:
        """The client sent a message."""
        self._replayer.receive(message, now_ns)

    def poll(self, now_ns: int) -> list[Deed]:
        """What is to be done now, in order."""
        out = self._line.take(now_ns)
        while not self._line.is_full(now_ns) and (actions := self._replayer.poll(now_ns)):
            for action in actions:
                self._line.put(action, now_ns)
        return out + self._line.take(now_ns)

    def next_at(self) -> int | None:
        """When to poll again, if nothing comes in until then; None: never."""
        if self.closed:
            return None
        times = [
            each for each in (self._replayer.next_at(), self._line.next_at()) if each is not None
        ]
        return min(times) if times else None


async def perform(performance: Performance, socket: Connection) -> None:
    """Play until one side ends it."""
    await _Stage(performance, socket).run()


class _Stage:
    def __init__(self, performance: Performance, socket: Connection) -> None:
        self._performance, self._socket = performance, socket
        self._lock = trio.Lock()
        self._changed = trio.Event()
        self._deaf_until_s = 0.0

    async def run(self) -> None:
        self._performance.open(_now_ns())
        async with plain_nursery() as nursery:
            nursery.start_soon(self._read)
            await self._keep_time()
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._socket.get_message()
            await trio.sleep_until(self._deaf_until_s)
            async with self._lock:
                self._performance.receive(message, _now_ns())
                await self._act()
            self._changed.set()

    async def _keep_time(self) -> None:
        """Do what is due when it is due, until it is closed."""
        while True:
            async with self._lock:
                await self._act()
            if self._performance.closed:
                return
            self._changed = trio.Event()
            due_ns = self._performance.next_at()
            with trio.move_on_at(float("inf") if due_ns is None else due_ns / 1e9):
                await self._changed.wait()

    async def _act(self) -> None:
        for deed in self._performance.poll(_now_ns()):
            await self._do(deed)

    async def _do(self, deed: Deed) -> None:
        match deed:
            case Send(message=message, binary=binary):
                text = message if binary else message.decode(errors="replace")
                await self._socket.send_message(text)
            case Close(code=1006):
                await self._socket.abort()
            case Close(code=code, reason=reason):
                await self._socket.aclose(code, reason)
            case Stall(until_ns):
                forever = until_ns >= FOREVER_NS
                self._deaf_until_s = float("inf") if forever else until_ns / 1e9


def _now_ns() -> int:
    """Trio's clock, so that a test can turn it."""
    return round(trio.current_time() * 1e9)

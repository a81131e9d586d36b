"""One connection: a recorded session is played on a socket, with its faults."""

from __future__ import annotations

from recorder.live import driving
from recorder.replaying import Close, Replayer, Send
from recorder.transport.connection import Connection

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
    await driving.drive(performance, socket, _do)


async def _do(socket: Connection, deed: Deed) -> float | None:
    match deed:
        case Send(message=message, binary=binary):
            await socket.send_message(message if binary else message.decode(errors="replace"))
        case Close(code=1006):
            await socket.abort()
        case Close(code=code, reason=reason):
            await socket.aclose(code, reason)
        case Stall(until_ns):
            return float("inf") if until_ns >= FOREVER_NS else until_ns / 1e9
    return None

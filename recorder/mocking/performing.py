"""One connection: a recorded session is played on a socket, with its faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from recorder.live import driving
from recorder.replaying import Close, Replayer, Send
from recorder.transport.connection import Connection
from recorder.transport.nurseries import plain_nursery

from .line import FOREVER_NS, Line, Stall
from .line import Deed as LineDeed
from .tape import Tape

AT_ONCE: Final = 32
"""Messages of the client that are taken in one go, where so many have arrived."""
WRITE_BYTES: Final = 64 * 1024
"""Messages that are due at once go out together, until they are so many bytes."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read more of the recording: nothing can be done without."""


@dataclass(frozen=True, slots=True)
class Sends:
    """Several messages that go out together."""

    sends: tuple[Send, ...]


Deed: TypeAlias = LineDeed | Sends | Read


class Performance:
    """A replayer and its line, sans-IO: messages and times in, deeds out."""

    def __init__(self, replayer: Replayer, line: Line, tape: Tape | None = None) -> None:
        """The tape is where the replayer reads, where that may end before the recording does."""
        self._replayer, self._line, self._tape = replayer, line, tape
        self._told = False

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
        deeds = self._line.take(now_ns)
        while not self._line.is_full(now_ns) and (actions := self._replayer.poll(now_ns)):
            for action in actions:
                self._line.put(action, now_ns)
        self._break_off(now_ns)
        deeds += self._line.take(now_ns)
        out: list[Deed] = [*together(deeds)] if len(deeds) > 1 else [*deeds]
        if self._replayer.starved and not self.closed:
            out.append(Read())
        return out

    def _break_off(self, now_ns: int) -> None:
        """Close where the recording cannot be read on, once all that could has gone out."""
        tape = self._tape
        if tape is not None and tape.broken and self._replayer.exhausted and not self._told:
            self._told = True
            self._line.put(Close(now_ns, 1011, "the recording cannot be read on"), now_ns)

    def next_at(self) -> int | None:
        """When to poll again, if nothing comes in until then; None: never."""
        if self.closed:
            return None
        line_ns, more_ns = self._line.next_at(), self._next_of_recording()
        known = [each for each in (line_ns, more_ns) if each is not None]
        return min(known) if known else None

    def _next_of_recording(self) -> int | None:
        """When more of the recording is to be put on the line; None: nothing has to be."""
        if self._line.is_full(None):
            return None
        at_ns = 0 if self._replayer.starved else self._replayer.next_at()
        return None if at_ns is None else max(at_ns, self._line.stalled_ns)


def together(deeds: list[LineDeed]) -> Iterator[Deed]:
    """The same, with what can go out in one write put together."""
    batch: list[Send] = []
    size = 0
    for deed in deeds:
        if isinstance(deed, Send):
            batch.append(deed)
            size += len(deed.message)
            if size < WRITE_BYTES:
                continue
        if batch:
            yield Sends(tuple(batch))
            batch, size = [], 0
        if not isinstance(deed, Send):
            yield deed
    if batch:
        yield Sends(tuple(batch))


async def perform(performance: Performance, tape: Tape, socket: Connection) -> None:
    """Play until one side ends it. The performance's replayer reads from this tape."""
    async with plain_nursery() as nursery:
        nursery.start_soon(tape.run)
        await tape.more()  # the clock does not run before there is something to play
        await driving.drive(performance, socket, partial(_do, tape), at_once=AT_ONCE)
        nursery.cancel_scope.cancel()


async def _do(tape: Tape, socket: Connection, deed: Deed) -> float | None:
    match deed:
        case Send():
            await socket.send_message(_whole(deed))
        case Sends(sends):
            await socket.send_messages(map(_whole, sends))
        case Close(code=1006):
            await socket.abort()
        case Close(code=code, reason=reason):
            await socket.aclose(code, reason)
        case Stall(until_ns):
            return float("inf") if until_ns >= FOREVER_NS else until_ns / 1e9
        case Read():
            await tape.more()
    return None


def _whole(send: Send) -> str | bytes:
    return send.message if send.binary else send.message.decode(errors="replace")

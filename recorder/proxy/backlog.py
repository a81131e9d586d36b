"""What passed and has not been read yet: copies are read in strokes, not message by message.

A message that comes alone finds cold caches: looking at it there and then costs three times what
it costs among others, and the call waits for it.

Laws:

1. What passed is read in the order in which it passed, whichever way it went.
2. It is read within `STROKE_SECONDS`, or as soon as `WAITING_BYTES` of one session wait; before
   anything else is noted in the session's log; and before anybody asks how a session ended.
3. Where messages wait to be passed on they come first, for `PATIENCE_SECONDS`: what passed has its
   time already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from .copying import Copy

STROKE_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 0.25
WAITING_BYTES: Final = 64 * 1024
_IN_A_ROW: Final = 4  # sessions that are read before the calls have their turn again


class Backlog:
    """One session's."""

    __slots__ = ("_bytes", "_on_closing", "_reader", "_waiting", "queued")

    def __init__(self, reader: Reader, on_closing: Callable[[Copy], None]) -> None:
        """`on_closing` is told of the copy in which the first Close of a direction was read."""
        self._reader, self._on_closing = reader, on_closing
        self._waiting: list[tuple[Copy, bytes | bytearray, int]] = []
        self._bytes = 0
        self.queued = False
        """Whether the reader knows that something waits."""

    def put(self, copy: Copy, data: bytes | bytearray, at_ns: int) -> None:
        """Have it read."""
        self._waiting.append((copy, data, at_ns))
        self._bytes += len(data)
        if self._bytes > WAITING_BYTES:
            self.read()
        elif not self.queued:
            self.queued = True
            self._reader.put(self)

    def read(self) -> None:
        """Read all that waits, now."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        for copy, data, at_ns in waiting:
            knew = copy.closing
            copy.take(data, at_ns)
            if copy.closing is not knew:
                self._on_closing(copy)


class Reader:
    """Reads the backlogs of all sessions, for as long as it runs."""

    def __init__(self, calls_wait: Callable[[], bool] = lambda: False) -> None:
        """`calls_wait` says whether messages wait to be passed on."""
        self._calls_wait = calls_wait
        self._waiting: list[Backlog] = []
        self._due = trio.Event()

    def put(self, backlog: Backlog) -> None:
        """Read this one with the next stroke."""
        self._waiting.append(backlog)
        if len(self._waiting) == 1:
            self._due.set()

    async def run(self) -> None:
        """Stroke by stroke, until cancelled."""
        while True:
            await self._due.wait()
            await trio.sleep(STROKE_SECONDS)
            waiting, self._waiting, self._due = self._waiting, [], trio.Event()
            patient_until = trio.current_time() + PATIENCE_SECONDS
            for row, backlog in enumerate(waiting):
                if row % _IN_A_ROW == 0:
                    await trio.lowlevel.checkpoint()
                    while self._calls_wait() and trio.current_time() < patient_until:
                        await trio.lowlevel.checkpoint()
                backlog.queued = False
                backlog.read()

"""Bytes between two plain TCP sockets, for many sessions in one loop.

A task of trio's for each direction costs a wake-up, a wait and an entry in the kernel's table for
each message. Here one task waits for all sockets, and passes on whatever came at once.

Laws:

1. Bytes go on in order, once. What could not be sent at once is given back to be sent by whoever
   asked, and nothing more is read from that source until he asks again.
2. Only what is usual happens here: the end of a stream, an error, a request to look up go back to
   who asked.
3. No session's defect touches another one.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

READ: Final = 64 * 1024
MANY: Final = 8
_IN_A_ROW: Final = 32  # sockets that are served before other tasks have their turn


class _Line:
    """One direction of one session, while it is carried."""

    __slots__ = ("busy", "error", "passing", "rest", "sink", "stirred", "task")

    def __init__(
        self, sink: int, passing: Callable[[bytes], bool], task: trio.lowlevel.Task
    ) -> None:
        self.sink, self.passing, self.task = sink, passing, task
        self.busy = self.stirred = False
        self.rest: bytes | None = None
        self.error: Exception | None = None


class Switchboard:
    """Carries between plain sockets for as long as `run` runs; where the system has no epoll,
    `carries` is False."""

    def __init__(self) -> None:
        self.carries = False
        self._epoll: select.epoll | None = None
        self._lines: dict[int, _Line] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        if not hasattr(select, "epoll"):
            return
        with select.epoll() as epoll:
            self._epoll, self.carries = epoll, True
            try:
                while True:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                    for fd, _ in epoll.poll(0, _IN_A_ROW):
                        self._ready(fd)
            finally:
                self._epoll, self.carries = None, False

    def many_wait(self) -> bool:
        """Whether something came from `MANY` sockets that has not been passed on."""
        return self._epoll is not None and len(self._epoll.poll(0, MANY)) >= MANY

    async def carry(self, source: int, sink: int, passing: Callable[[bytes], bool]) -> bytes | None:
        """Send on what comes, until something unusual happens.

        `passing` sees all that comes before it is sent on, and says whether to look up. Gives what
        it has seen and could not be sent at once; nothing at the end of the stream; None if
        somebody is to look up. Raises `trio.BrokenResourceError` when the source is broken.
        """
        assert self._epoll is not None
        epoll, lines = self._epoll, self._lines
        line = lines[source] = _Line(sink, passing, trio.lowlevel.current_task())
        epoll.register(source, select.EPOLLIN)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._drop(source)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if line.error is not None:
            raise line.error
        return line.rest

    def stir(self, source: int) -> None:
        """Have who carries from there look up."""
        if (line := self._lines.get(source)) is None:
            return
        line.stirred = True
        if not line.busy:
            self._give_back(source, line, None)

    def _ready(self, source: int) -> None:
        if (line := self._lines.get(source)) is None:
            return
        try:
            data = os.read(source, READ)
        except BlockingIOError:
            return
        except OSError as error:
            line.error = trio.BrokenResourceError(str(error))
            self._give_back(source, line, b"")
            return
        if not data:
            self._give_back(source, line, b"")
            return
        line.busy = True
        try:
            stirred = line.passing(data) or line.stirred
        except Exception as error:  # law 3
            line.error = error
            self._give_back(source, line, data)
            return
        line.busy = False
        try:
            sent = os.write(line.sink, data)
        except OSError:  # full, or broken: who sends the rest will find out
            sent = 0
        if sent < len(data):
            self._give_back(source, line, data[sent:])
        elif stirred:
            self._give_back(source, line, None)

    def _give_back(self, source: int, line: _Line, rest: bytes | None) -> None:
        line.rest = rest
        self._drop(source)
        trio.lowlevel.reschedule(line.task)

    def _drop(self, source: int) -> None:
        del self._lines[source]
        if self._epoll is not None:
            with suppress(OSError, ValueError):  # it is closed already
                self._epoll.unregister(source)

"""The bytes of one session, both ways, untouched; what passes is copied for the log.

Laws:

1. Bytes go on as they arrived, in order, once. The copy is stamped on arrival, and read later.
2. The ends see each other's end, and at once: a half-close stays one where both sides are plain
   TCP, a reset becomes a reset. TLS has no half-close: what arrived is delivered, and then both
   are closed; only the answer to a Close that passed is waited for, at most `LINGER_SECONDS`.
3. A frame of the proxy's own (a Close, when it has to end a session) is put in only between
   two frames; inside of one, the connection is closed without a word. Its answer is waited for
   `CLOSE_SECONDS`: closing with bytes unread would destroy it on its way. What an end sends
   after it goes nowhere, and is in no log.
4. What one end does not read is not read from the other: nothing is piled up.
"""

from __future__ import annotations

import math
import os
import socket
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import trio

from recorder.transport.frames import unmask
from recorder.transport.streams import PlainSocket, Wire, discard

from .backlog import Backlog, Reader
from .switchboard import READ, Switchboard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recorder.live.tap import Tap

    from .copying import Copy

End = Literal["", "eof", "reset", "closed"]

LINGER_SECONDS: Final = 5.0
"""How long one end may go on after the other can take nothing any more."""
CLOSE_SECONDS: Final = 1.0
"""How long a Close of our own may take to be sent, and then to be answered."""
_RESET: Final = struct.pack("ii", 1, 0)


class Side:
    """One end of a session: its stream, and how it ended."""

    __slots__ = ("_board", "_tcp", "deadline", "end", "plain", "reading", "stream")

    def __init__(self, stream: trio.abc.Stream, board: Switchboard) -> None:
        self.stream, self._board = stream, board
        self.end: End = ""
        """How what it sends ended: by itself, broken, or by us."""
        self.reading: trio.CancelScope | None = None
        """While it is waited for."""
        self.deadline = math.inf
        """Until when it is read from, in trio's time."""
        inner: trio.abc.Stream = stream
        while isinstance(inner, trio.SSLStream | Wire):
            inner = inner.inner if isinstance(inner, Wire) else inner.transport_stream
        self._tcp = inner
        self.plain = PlainSocket(stream) if isinstance(stream, trio.SocketStream) else None
        """The stream, where it is TCP and nothing else."""

    @property
    def carries(self) -> bool:
        """Whether the switchboard may read from it or write to it."""
        return self._board.carries and self.plain is not None and self.plain.fd >= 0

    @property
    def half_closes(self) -> bool:
        """Whether it can be told that no more will come, and still go on speaking."""
        return self._tcp is self.stream and isinstance(self._tcp, trio.abc.HalfCloseableStream)

    def read_until(self, deadline: float) -> None:
        """Read from it no longer than this."""
        self.deadline = min(self.deadline, deadline)
        if self.reading is not None:
            self.reading.deadline = self.deadline
        elif self.plain is not None:
            self._board.stir(self.plain.fd)
            self.plain.stir()

    async def receive_some(self) -> bytes | bytearray | None:
        """What comes next; None if it is to be read from no longer.

        Raises what trio's streams raise.
        """
        if self.plain is not None and self.deadline == math.inf:
            data = await self.plain.receive_some(READ)
            if data is not None:
                return data
        with trio.CancelScope(deadline=self.deadline) as self.reading:
            return await self.stream.receive_some(READ)
        return None

    async def waiting(self, until: Callable[[], Awaitable[None]]) -> None:
        """Wait for this before it is read from, but not beyond the deadline."""
        with trio.CancelScope(deadline=self.deadline) as self.reading:
            await until()
        self.reading = None

    async def send_all(self, data: bytes | bytearray) -> None:
        """Send all of it. Raises what trio's streams raise."""
        await (self.stream if self.plain is None else self.plain).send_all(data)

    async def finish(self) -> None:
        """Say that no more will come."""
        if isinstance(self._tcp, trio.abc.HalfCloseableStream):
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._tcp.send_eof()

    async def abort(self) -> None:
        """Close so that the other end sees a reset."""
        if isinstance(self._tcp, trio.SocketStream):
            with suppress(OSError):  # it is closed already
                self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        await discard(self.stream)


class Relay:
    """One session between a client and its upstream."""

    def __init__(
        self,
        client: trio.abc.Stream,
        upstream: trio.abc.Stream,
        copies: tuple[Copy, Copy],
        hands: tuple[Reader, Switchboard],
        clock: Callable[[], int],
        tap: Tap | None = None,
    ) -> None:
        """`copies`: of what the client and of what the upstream sends. `hands`: what reads them,
        and what carries bytes between plain sockets, for all sessions. `tap`: what holds the
        session back while the store does not keep up."""
        reader, board = hands
        self.client, self.upstream = Side(client, board), Side(upstream, board)
        self.sent, self.received = copies
        self.backlog = Backlog(reader, self._closing)
        """What passed and has not been read yet."""
        self._clock, self._tap, self._board = clock, tap, board
        self.last_ns = clock()
        """When bytes last passed."""
        self.first: Literal["", "client", "server", "recorder"] = ""
        """Who ended it: the first side whose Close or whose end was seen."""
        self.stopped: tuple[int, str] | None = None
        """Code and reason, where we ended it."""
        self._reset = False
        self._scope: trio.CancelScope | None = None

    def stop(self, code: int, reason: str) -> None:
        """End the session with a Close of our own to both sides."""
        if self.stopped is not None:
            return
        self.backlog.read()
        self.stopped = (code, reason)
        self.first = self.first or "recorder"
        now = trio.current_time()
        for side in (self.client, self.upstream):
            side.read_until(now)
        if self._scope is not None:  # a side that takes nothing holds us up no longer than this
            self._scope.deadline = now + 4 * CLOSE_SECONDS

    async def run(self, early: bytes, rest: bytes) -> None:
        """Relay until both ends have ended. `early`, `rest`: what came with the heads already,
        from the client and from the upstream. Closes both streams."""
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._pump, self.client, self.upstream, self.sent, early)
                nursery.start_soon(self._pump, self.upstream, self.client, self.received, rest)
        finally:
            self.backlog.read()
            with trio.CancelScope(shield=True):
                await self._close()

    async def _pump(self, source: Side, sink: Side, copy: Copy, first: bytes) -> None:
        passing = partial(self._passing, source, sink, copy)
        data: bytes | bytearray | None = first
        if first:
            passing(first)
        else:
            data = await self._next(source, sink, passing)
        while data:
            try:
                await sink.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                # The sink is gone; what it said before may still be on its way through.
                self._began(sink)
                self._reset = True
                self._end_within(sink, LINGER_SECONDS)
                return
            data = await self._next(source, sink, passing)
        if data is None:
            await self._say_close(source, sink, copy)
        elif source.end == "reset":
            self._reset = True
            sink.read_until(trio.current_time())
        else:
            await self._pass_end(source, sink, copy)

    def _passing(self, source: Side, sink: Side, copy: Copy, data: bytes | bytearray) -> bool:
        """This is about to be passed on; whether what is carried has to be looked at."""
        at_ns = self.last_ns = self._clock()
        self.backlog.put(copy, data, at_ns)
        if sink.end:
            self.backlog.read()
            if copy.closing is not None:
                self._closing(copy)
        return source.deadline != math.inf or (self._tap is not None and self._tap.full)

    async def _next(
        self, source: Side, sink: Side, passing: Callable[[bytes | bytearray], bool]
    ) -> bytes | bytearray | None:
        """What the source sent and has to be sent on; empty when it has ended, None when we end
        it."""
        data: bytes | bytearray | None = None
        try:
            while data is None and source.deadline == math.inf:
                if self._tap is not None and self._tap.full:
                    await source.waiting(self._tap.hold)
                    continue
                if not (source.carries and sink.carries and source.plain and sink.plain):
                    break
                data = await self._board.carry(source.plain.fd, sink.plain.fd, passing)
            if data is None and (data := await source.receive_some()):
                passing(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data, source.end = b"", "reset"
        if data is None:
            source.end = source.end or "closed"
            return None
        if not data:
            source.end = source.end or "eof"
            self._began(source)
        return data

    async def _pass_end(self, source: Side, sink: Side, copy: Copy) -> None:
        """The source says no more: tell the sink in the way that it can be told."""
        other = self.received if copy is self.sent else self.sent
        if sink.half_closes:
            await sink.finish()
        if source.half_closes and sink.half_closes:
            return  # it may go on speaking for as long as it likes
        answered = copy.closing is None or other.closing is not None
        last_words = 0 if answered and not sink.half_closes else LINGER_SECONDS
        self._end_within(sink, last_words)

    def _end_within(self, side: Side, seconds: float) -> None:
        """Read from this side so long at most, and then end even if the other takes nothing."""
        now = trio.current_time()
        side.read_until(now + seconds)
        if self._scope is not None:
            self._scope.deadline = min(self._scope.deadline, now + seconds + LINGER_SECONDS)

    def _closing(self, copy: Copy) -> None:
        """A Close has passed, of which this is the copy."""
        sides = (self.client, self.upstream)
        source, sink = sides if copy is self.sent else sides[::-1]
        self._began(source)
        if sink.end and not (source.half_closes and sink.half_closes):
            source.read_until(trio.current_time())  # it answered one that had ended already

    def _began(self, side: Side) -> None:
        """This side began to end the session, unless another was first."""
        self.backlog.read()
        self.first = self.first or ("client" if side is self.client else "server")

    async def _say_close(self, source: Side, sink: Side, copy: Copy) -> None:
        """Where we end the session: a Close of our own, if a frame may stand here.

        Then the source is heard out, for it is asked to close in the same moment.
        """
        if self.stopped is None:
            return
        self.backlog.read()
        if copy.closing is None and copy.scanner.at_boundary:
            frame = close_frame(*self.stopped, masked=sink is self.upstream)
            with trio.move_on_after(CLOSE_SECONDS), suppress(trio.BrokenResourceError):
                await sink.stream.send_all(frame)
        if copy.closing is None and source.end == "closed":
            with trio.move_on_after(CLOSE_SECONDS):
                await self._hear_out(source, copy)

    async def _hear_out(self, source: Side, copy: Copy) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.stream.receive_some(READ):
                if copy.parts_with(data, self._clock()):
                    return

    async def _close(self) -> None:
        for side in (self.client, self.upstream):
            side.end = side.end or "closed"
            if self._reset:
                await side.abort()
                continue
            with trio.move_on_after(CLOSE_SECONDS) as scope:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await side.stream.aclose()
            if scope.cancelled_caught:
                await discard(side.stream)


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """A Close frame (RFC 6455 §5.5.1), masked as clients must."""
    payload = code.to_bytes(2, "big") + reason.encode()[:123]
    if not masked:
        return bytes((0x88, len(payload))) + payload
    key = os.urandom(4)
    return bytes((0x88, 0x80 | len(payload))) + key + unmask(payload, key)

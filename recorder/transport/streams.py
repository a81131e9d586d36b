"""Two layers round a stream: `Wire` below TLS, `Tap` above it. And plain TCP without detours.

`Wire` never tells those above it that a send has failed. A peer that says why it ends and then
closes makes our next send fail while its last words still lie unread in the kernel; TLS and
trio-websocket would both throw them away. So the reading side comes to its own end first.

`Tap` sees every byte that crosses, in the clear, and stamps what it completes: when the last
byte of a message arrived, when one of ours was handed to the socket, pings, pongs and Closes
of both sides, and how the stream ended.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

import trio

from recorder.events import CLOSE, PONG
from recorder.transport.frames import DATA_OPCODES, FrameScanner, Mark, close_code


class Frame(NamedTuple):
    """A whole message or control frame at the moment it crossed."""

    at_ns: int
    """Received: its last byte arrived. Sent: just before it is handed to the socket."""
    sent: bool
    opcode: int
    """TEXT, BINARY, CLOSE, PING or PONG of `recorder.events`."""
    data: bytes


async def discard(stream: trio.abc.Stream) -> None:
    """Close at once, without a checkpoint that could put `Cancelled` in an error's place."""
    with trio.CancelScope(shield=True):
        await trio.aclose_forcefully(stream)


class PlainSocket:
    """A TCP stream for a loop that reads and writes again: one wait for each message.

    Trio's own tries to read before it waits, and lets others run after each send: for a message
    that comes alone that is half of what passing it on costs. Here reading is the only checkpoint,
    but for a send that has to wait.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = stream.socket
        self._stirred = False

    async def receive_some(self, most: int) -> bytes | None:
        """What comes next; empty at its end, None if it was stirred while it waited.

        Raises what trio's streams raise.
        """
        self._stirred = False
        fd = self._fd()
        while True:
            try:
                await trio.lowlevel.wait_readable(fd)
                return os.read(fd, most)
            except BlockingIOError:
                pass
            except trio.ClosedResourceError:
                if not self._stirred:
                    raise
                return None
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def stir(self) -> None:
        """Have whoever waits to receive look up: cheaper than a scope round every wait."""
        if self.fd >= 0:
            self._stirred = True
            trio.lowlevel.notify_closing(self.fd)

    async def send_all(self, data: bytes | bytearray) -> None:
        """Send all of it. Raises what trio's streams raise."""
        sent = _write(self._fd(), data)
        while sent < len(data):
            try:
                await trio.lowlevel.wait_writable(self._fd())
            except trio.ClosedResourceError:
                self._fd()  # it was only stirred, if this does not raise
            sent += _write(self._fd(), memoryview(data)[sent:])

    @property
    def fd(self) -> int:
        """Negative once it is closed."""
        return self._socket.fileno()

    def _fd(self) -> int:
        if self.fd < 0:
            raise trio.ClosedResourceError
        return self.fd


def _write(fd: int, data: bytes | bytearray | memoryview) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise trio.BrokenResourceError(str(error)) from error


class Wire(trio.abc.Stream):
    """A stream whose failing sends are noted in `deaf`, and otherwise pass for sent."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.deaf = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.deaf:
            await trio.lowlevel.checkpoint()
            return
        try:
            await self.inner.send_all(data)
        except trio.BrokenResourceError:
            self.deaf = True

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Closing(NamedTuple):
    """A Close frame that crossed."""

    at_ns: int
    code: int
    reason: str


class Watching(NamedTuple):
    """What a `Tap` is given to call: the clock, and what a recorder hangs in."""

    clock: Callable[[], int]
    on_frame: Callable[[Frame], None] | None = None
    hold: Callable[[], Awaitable[None]] | None = None
    limit: int = 64 << 20
    """Bytes of a message that `on_frame` is shown."""


class Tap(trio.abc.Stream):
    """The client's side of a WebSocket, watched. `rest` arrived with the handshake's answer."""

    def __init__(
        self, stream: trio.abc.Stream, wire: Wire, watching: Watching, rest: tuple[bytes, int]
    ) -> None:
        self._stream, self._rest = stream, rest
        self.wire = wire
        self.clock, self._on_frame, self._hold, limit = watching
        keep = self._on_frame is not None
        self._incoming = FrameScanner(masked=False, keep=keep, keep_limit=limit)
        self._outgoing = FrameScanner(masked=True)
        self.stamps: deque[int] = deque()
        """When the messages arrived that nobody has received yet."""
        self.sending: tuple[bytes, Callable[[int], None] | None] | None = None
        """The message that is on its way out, and whom to tell when."""
        self.torn = False
        """A send was cut off half way: nothing can follow it."""
        self.close_sent: Closing | None = None
        self.close_received: Closing | None = None
        self.closed_first: Literal["", "client", "server"] = ""
        self.end: Literal["", "eof", "reset", "closed", "lost"] = ""
        """How the stream ended: by the other side, broken, by us, or by us because it was dead."""
        self.end_ns = 0
        self.last_ns = 0
        """When bytes last came."""
        self.answered = trio.Event()
        """A Close came, or the end of the stream."""
        self.ended = trio.Event()
        self.waiting_since: float | None = None
        """trio's time since when we wait for bytes; None while we do not read."""
        self.pings: dict[bytes, Ping] = {}

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray
        if self._rest[0]:
            (data, at_ns), self._rest = self._rest, (b"", 0)
            await trio.lowlevel.checkpoint()
        else:
            if self._hold is not None:
                await self._hold()
            self.waiting_since = trio.current_time()
            try:
                data = await self._stream.receive_some(max_bytes)
            except trio.BrokenResourceError:
                self.note_end("reset")
                raise
            finally:
                self.waiting_since = None
            at_ns = self.clock()
        self.last_ns = at_ns
        if not data:
            self.note_end("eof")
        for mark in self._incoming.feed(data, at_ns):
            self._received(mark)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send one whole frame: trio-websocket never hands over less or more."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.end in ("closed", "lost"):
            raise trio.ClosedResourceError
        if self.torn:
            raise trio.BrokenResourceError("an earlier frame was cut off half way")
        if self.wire.deaf:
            return  # lost: it would be a lie to say that it crossed
        at_ns = self.clock()
        for mark in self._outgoing.feed(bytes(data), at_ns):
            self._sent(mark)
        try:
            await self._stream.send_all(data)
        except BaseException:
            self.torn = True
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close at once: the Close frames have passed, or nobody waits for them any more."""
        self.note_end("closed")
        await discard(self._stream)

    def _received(self, mark: Mark) -> None:
        if mark.opcode in DATA_OPCODES:
            self.stamps.append(mark.at_ns)
        elif mark.opcode == CLOSE and self.close_received is None:
            self.close_received = Closing(mark.at_ns, *close_code(mark.data or b""))
            self.closed_first = self.closed_first or "server"
            self.answered.set()
        elif mark.opcode == PONG and (ping := self.pings.get(mark.data or b"")):
            ping.answered_ns = mark.at_ns
            ping.over.set()
        self._report(mark, sent=False, data=mark.data or b"")

    def _sent(self, mark: Mark) -> None:
        data = mark.data or b""
        if mark.opcode == CLOSE and self.close_sent is None:
            self.close_sent = Closing(mark.at_ns, *close_code(data))
            self.closed_first = self.closed_first or "client"
        if mark.opcode in DATA_OPCODES and self.sending is not None:
            data, before = self.sending
            if before is not None:
                before(mark.at_ns)
        self._report(mark, sent=True, data=data)

    def _report(self, mark: Mark, *, sent: bool, data: bytes) -> None:
        if self._on_frame is not None:
            self._on_frame(Frame(mark.at_ns, sent, mark.opcode, data))

    def note_end(self, how: Literal["eof", "reset", "closed", "lost"]) -> None:
        """The stream has ended, as far as we are concerned. The first to say so is believed."""
        if not self.end:
            self.end, self.end_ns = how, self.clock()
        self.answered.set()
        self.ended.set()
        for ping in self.pings.values():
            ping.over.set()


class Ping:
    """A ping on its way: `over` when its pong came, or none will."""

    def __init__(self, sent_ns: int) -> None:
        self.sent_ns = sent_ns
        self.answered_ns: int | None = None
        self.over = trio.Event()

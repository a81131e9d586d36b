"""trio-websocket's connection, mended. The one place that touches what it keeps private.

Written against trio-websocket 0.12. What differs from `WebSocketConnection`:

1. It starts after the handshake, which is done (and judged) elsewhere, on both sides.
2. A ping that comes while we are closing is let go, instead of taking the task down
   (its issue #184).
3. What breaks the protocol, or the message limit, is answered with a Close that says so;
   what had arrived before it can still be received.
4. Reading goes on while the application does not read, so that pings are answered, until
   `max_unread` bytes wait.
5. The message limit counts bytes, not characters, and fragments too.
6. `aclose` takes no longer than `close_seconds`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, cast

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as Engine
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import ProtocolError

from recorder.transport.streams import discard

MIB: Final = 1024 * 1024
MAX_MESSAGE: Final = 64 * MIB
UNREAD_BEYOND: Final = 16 * MIB
"""How much may wait for the application beside one longest message."""

_MAX_PARTS: Final = 1 << 20  # of one message: fragments, or pieces as they came in
_FRAMES_A_BREATH: Final = 64
_MESSAGE_COST: Final = 256  # bytes that a waiting message weighs beside its text


class Failure(NamedTuple):
    """Why this side gave the connection up."""

    code: int
    why: str


class Connection(WebSocketConnection):
    """One side of a WebSocket whose handshake is done.

    `run` must be started in a task, and `stop` be called in the end: reading is shielded from
    cancellation, because closing in order needs somebody who reads the answer.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        client: bool,
        path: str = "/",
        subprotocol: str | None = None,
        rest: bytes = b"",
        max_message: int = MAX_MESSAGE,
        max_unread: int = MAX_MESSAGE + UNREAD_BEYOND,
        close_seconds: float = 5.0,
    ) -> None:
        kind = ConnectionType.CLIENT if client else ConnectionType.SERVER
        # wsproto's WSConnection is a handshake and then this; it has all that is called here.
        engine = Engine(kind, trailing_data=rest)
        super().__init__(
            cast("trio.SocketStream", stream),
            cast("WSConnection", engine),
            host="",
            path=path,
            message_queue_size=sys.maxsize,
            max_message_size=max_message,
            receive_buffer_size=None,
        )
        self._engine = engine
        self._initial_request = None
        self._subprotocol = subprotocol
        self._open_handshake.set()
        self._max_unread, self._unread = max_unread, 0
        self._sizes: deque[int] = deque()
        self._room = trio.Event()
        self._close_seconds = close_seconds
        self._frames = 0
        self._reading = trio.CancelScope(shield=True)
        self.failure: Failure | None = None
        self.finished = trio.Event()
        """Nothing more will be read."""

    @property
    def is_open(self) -> bool:
        """Whether a message may still be sent."""
        return self._engine.state is ConnectionState.OPEN and self._close_reason is None

    async def run(self) -> None:
        """Read until the end. Raises nothing that has to do with the connection."""
        try:
            with self._reading:
                await self._reader_task()
                if self.failure is not None:
                    await self._drain()
        except ProtocolError as error:
            self.failure = self.failure or Failure(1002, str(error))
        finally:
            if self._close_reason is None:
                self._close_reason = CloseReason(1006, None)
            self._close_handshake.set()
            self.finished.set()

    def stop(self) -> None:
        """Read no more."""
        self._max_unread = sys.maxsize
        self._reading.cancel()

    async def get_message(self) -> str | bytes:
        message = await super().get_message()
        self._taken()
        return message

    def get_waiting(self) -> str | bytes | None:
        """The next message if it has arrived already, without a turn for others; else None."""
        try:
            message: str | bytes = self._recv_channel.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return None
        self._taken()
        return message

    def _taken(self) -> None:
        self._unread -= self._sizes.popleft()
        if self._unread <= self._max_unread:
            self._room.set()

    async def send_messages(self, messages: Iterable[str | bytes]) -> None:
        """Send these one after the other, in one write. Raises `ConnectionClosed`."""
        if self._close_reason:
            raise ConnectionClosed(self._close_reason)
        data = b"".join(
            self._engine.send(TextMessage(each) if isinstance(each, str) else BytesMessage(each))
            for each in messages
        )
        async with self._stream_lock:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await self._abort_web_socket()
                raise ConnectionClosed(self._close_reason) from None
            except trio.Cancelled:
                await self.abort()  # part of a frame may be out: nothing can follow it
                raise

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close and wait for the answer. What was not received is dropped."""
        self._max_unread = sys.maxsize  # or the answer would wait behind what nobody reads
        self._room.set()
        with trio.move_on_after(self._close_seconds):
            await super().aclose(code, reason)

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send Close, if that may still be done, and go on receiving."""
        if self.is_open:
            await self._quietly(CloseConnection(code=code, reason=reason or None))

    async def send_ping(self, payload: bytes) -> None:
        """Send a ping, if that may still be done; the pong is for somebody else to see."""
        if self.is_open:
            await self._quietly(Ping(payload=payload))

    async def abort(self) -> None:
        """Cut the stream off at once, without a Close."""
        await discard(self._stream)

    async def _quietly(self, event: CloseConnection | Ping) -> None:
        try:
            await self._send(event)
        except ConnectionClosed:
            return

    async def _handle_ping_event(self, event: Ping) -> None:
        await self._breathe()
        if self._engine.state is ConnectionState.OPEN:
            await super()._handle_ping_event(event)

    async def _handle_pong_event(self, event: Pong) -> None:
        await self._breathe()
        await super()._handle_pong_event(event)

    async def _breathe(self) -> None:
        """Let others run: one read may hold thousands of empty frames."""
        self._frames += 1
        if not self._frames % _FRAMES_A_BREATH:
            await trio.lowlevel.checkpoint()

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        # wsproto tells of bytes that are no frames by a Close that nobody has sent, and leaves
        # its state as it was.
        if self._engine.state in (ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED):
            await super()._handle_close_connection_event(event)
        else:
            await self._fail(int(event.code), event.reason or "")

    async def _handle_message_event(self, event: BytesMessage | TextMessage) -> None:
        await self._breathe()
        if self.failure is not None:
            return
        self._message_size += _size(event.data)
        if event.data or event.message_finished:
            self._message_parts.append(cast("str | bytes", event.data))
        if self._message_size > self._max_message_size or len(self._message_parts) > _MAX_PARTS:
            self._message_parts = []
            limit = f"{self._max_message_size} bytes"
            await self._fail(1009, f"a message of more than {limit} or too many fragments")
        elif event.message_finished:
            await self._hand_over(text=isinstance(event, TextMessage))

    async def _hand_over(self, *, text: bool) -> None:
        parts, size = self._message_parts, self._message_size + _MESSAGE_COST
        self._message_parts, self._message_size = [], 0
        message = (
            "".join(cast("list[str]", parts)) if text else b"".join(cast("list[bytes]", parts))
        )
        self._sizes.append(size)
        self._unread += size
        try:
            await self._send_channel.send(message)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return  # `aclose` was called: nobody is interested any more
        while self._unread > self._max_unread:
            self._room = trio.Event()
            await self._room.wait()

    async def _fail(self, code: int, why: str) -> None:
        """Give up: tell the other side, and let the application have what came before."""
        self.failure = self.failure or Failure(code, why)
        self._reader_running = False
        was_open = self.is_open
        if self._close_reason is None:
            self._close_reason = CloseReason(code, why)
        if was_open:
            with trio.move_on_after(self._close_seconds):
                await self._quietly(CloseConnection(code=code, reason=why))
        await self._send_channel.aclose()
        self._close_handshake.set()

    async def _drain(self) -> None:
        """Read on without looking: closing with bytes unread would destroy our own Close."""
        with trio.move_on_after(self._close_seconds):
            try:
                while await self._stream.receive_some():
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


def _size(data: str | bytes | bytearray) -> int:
    if isinstance(data, str) and not data.isascii():
        return len(data.encode())
    return len(data)

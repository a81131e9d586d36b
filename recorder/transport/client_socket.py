"""An open WebSocket, as the client that dialled it holds it.

Laws:

1. Times are those of the crossing: the last byte of a message, or just before it is handed to
   the socket. When the application gets round to it has no influence.
2. What had arrived before the end can be received before the end is told.
3. Nothing waits for the other side without a bound, `receive` excepted; and that one is
   bounded by `Timeouts.silence`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final, NamedTuple

import trio
from trio_websocket import ConnectionClosed
from wsproto.utilities import LocalProtocolError

from recorder.errors import EndpointError, EndpointTimeout, SessionClosed, UsageError
from recorder.events import BINARY, TEXT
from recorder.transport.connection import UNREAD_BEYOND, Connection
from recorder.transport.dial import Link, Timeouts
from recorder.transport.endings import CloseInfo, close_info, ending
from recorder.transport.frames import ABNORMAL
from recorder.transport.handshake import Handshake
from recorder.transport.streams import Ping, Tap, Watching
from recorder.transport.urls import Scrubber

LINGER_SECONDS: Final = 1.0
"""How long the server may take to end TCP once both Closes have passed, how long the reason of
a failed send is looked for, and how long leaving after an exception may take."""

_SENDABLE: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))


class Received(NamedTuple):
    """A message. `data` is the bytes as they passed, for text too."""

    at_ns: int
    opcode: int
    data: bytes


class Terms(NamedTuple):
    """What the socket was opened under."""

    where: str
    """The endpoint, without secrets."""
    scrub: Scrubber
    timeouts: Timeouts
    max_message: int


class ClientSocket:
    """An open WebSocket. Made by `open_websocket` and `over_stream`."""

    def __init__(
        self, link: Link, rest: bytes, handshake: Handshake, terms: Terms, watching: Watching
    ) -> None:
        self.handshake = handshake
        self._terms, self._hold = terms, watching.hold
        self._tap = Tap(link.stream, link.wire, watching, (rest, handshake.answered_ns or 0))
        self._connection = Connection(
            self._tap,
            client=True,
            subprotocol=handshake.subprotocol,
            max_message=terms.max_message,
            max_unread=terms.max_message + UNREAD_BEYOND,
            close_seconds=terms.timeouts.close,
        )
        self._receiving = False
        self._send_lock = trio.StrictFIFOLock()
        self._ping_numbers = itertools.count(1)
        self._given_up: Callable[[], EndpointError] | None = None

    @property
    def close_info(self) -> CloseInfo | None:
        """None while nobody has begun to close."""
        return close_info(self._tap, self._connection.failure)

    async def receive(self) -> Received:
        """The next message, in order. For one task at a time.

        At the end, after everything that had arrived: `SessionClosed` with code and reason;
        `ProtocolViolation` where the server broke the protocol; `EndpointTimeout` after
        `timeouts.silence`. `close_info` is set then.
        """
        if self._receiving:
            raise trio.BusyResourceError("another task is already receiving from this socket")
        self._receiving = True
        try:
            message = await self._connection.get_message()
        except ConnectionClosed:
            raise self._ending() from None
        finally:
            self._receiving = False
        at_ns = self._tap.stamps.popleft() if self._tap.stamps else self._tap.last_ns
        if isinstance(message, str):
            return Received(at_ns, TEXT, message.encode())
        return Received(at_ns, BINARY, bytes(message))

    async def send(self, data: str | bytes, before: Callable[[int], None] | None = None) -> None:
        """Send a text (`str`) or binary (`bytes`) message.

        `before(at_ns)` is called just before the bytes are handed to the socket. Raises
        `SessionClosed` when the connection has ended. If it is cancelled half way, nothing
        more can be sent: a torn frame cannot be mended.
        """
        payload = self._checked(data)
        if self._hold is not None:
            await self._hold()
        async with self._send_lock:
            if self._tap.end:
                raise self._ending()
            self._tap.sending = (payload, before)
            try:
                await self._connection.send_message(data)
            except (ConnectionClosed, LocalProtocolError):
                raise self._ending() from None
            finally:
                self._tap.sending = None
        if self._tap.wire.deaf:
            await self._find_out_why()

    async def ping(self, timeout: float = 20.0) -> int:
        """The round trip in nanoseconds; `EndpointTimeout` when no pong comes."""
        payload = next(self._ping_numbers).to_bytes(4, "big")
        ping = self._tap.pings[payload] = Ping(self._tap.clock())
        try:
            with trio.move_on_after(timeout):
                await self._connection.send_ping(payload)
                if self._connection.is_open:
                    await ping.over.wait()
        finally:
            del self._tap.pings[payload]
        if ping.answered_ns is not None:
            return ping.answered_ns - ping.sent_ns
        if self._tap.end or not self._connection.is_open:
            raise self._ending()
        raise EndpointTimeout(f"{self._terms.where} did not answer a ping within {timeout:g} s")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send Close and wait for the answer, no longer than `timeouts.close`.

        Messages that still arrive can be received afterwards. Calling it twice is harmless.
        """
        if not (code in _SENDABLE or 3000 <= code <= 4999):
            raise UsageError(f"{code} is not a close code that an application may send")
        try:
            with trio.move_on_after(self._terms.timeouts.close):
                if not self._tap.torn:
                    await self._connection.send_close(code, reason)
                    await self._tap.answered.wait()
                    with trio.move_on_after(LINGER_SECONDS):
                        await self._tap.ended.wait()
        finally:
            await self._abandon()
        await self._connection.finished.wait()

    async def run(self) -> None:
        """Read until the end. Whoever makes the socket runs this in a task."""
        await self._connection.run()

    async def watch(self) -> None:
        """Give up when the server has been silent too long. Runs in a task as well."""
        span = self._terms.timeouts.silence
        asked: float | None = None  # since when we had been waiting at the last ping
        while span is not None and not self._connection.finished.is_set():
            now = trio.current_time()
            since = self._tap.waiting_since
            if since is None:  # not reading, so not for the server to be blamed
                await trio.sleep_until(now + span / 2)
            elif now >= since + span:
                await self._give_up(self._silent)
            elif now < since + span / 2 or asked == since:
                await trio.sleep_until(since + (span if asked == since else span / 2))
            else:
                asked = since
                with trio.move_on_at(since + span):
                    await self._connection.send_ping(b"silent?")

    async def leave(self, *, failed: bool) -> None:
        """Close on the way out: in full, or after an exception briefly, even if cancelled."""
        if not failed:
            await self.close()
            return
        with trio.CancelScope(shield=True), trio.move_on_after(LINGER_SECONDS):
            await self.close(1001)

    def _checked(self, data: str | bytes) -> bytes:
        try:
            payload = data.encode() if isinstance(data, str) else data
        except UnicodeEncodeError:
            raise UsageError("a text message holds lone surrogates: it is no Unicode") from None
        limit = self._terms.max_message
        if len(payload) > limit:
            raise UsageError(
                f"a message of {len(payload)} bytes is longer than the limit of {limit} bytes"
            )
        return payload

    async def _find_out_why(self) -> None:
        """A send has failed: read what the server still said, then raise how it ended."""
        with trio.move_on_after(LINGER_SECONDS):
            await self._connection.finished.wait()
        if not self._connection.finished.is_set():
            await self._give_up(self._unwritable)
        raise self._ending()

    def _ending(self) -> EndpointError:
        if self._given_up is not None:
            return self._given_up()
        return ending(self._terms.where, self._tap, self._connection.failure, self._terms.scrub)

    def _silent(self) -> EndpointError:
        return EndpointTimeout(
            f"{self._terms.where} was silent for {self._terms.timeouts.silence:g} s and did not "
            "answer a ping; the session was given up"
        )

    def _unwritable(self) -> EndpointError:
        return SessionClosed(
            f"the session with {self._terms.where} was cut off: it takes no more data",
            code=ABNORMAL,
        )

    async def _give_up(self, why: Callable[[], EndpointError]) -> None:
        self._given_up = self._given_up or why
        self._tap.note_end("lost")
        await self._abandon()

    async def _abandon(self) -> None:
        self._connection.stop()
        await self._tap.aclose()

"""What the tests of the transport share: rude servers, frames by hand, dials that must fail."""

from __future__ import annotations

import re
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import pytest
import trio
from trio.testing import memory_stream_pair

from recorder.errors import EndpointTimeout, ProtocolViolation, RecorderError, SessionClosed
from recorder.transport import (
    ClientSocket,
    Timeouts,
    open_websocket,
    over_stream,
    plain_nursery,
)
from recorder.transport.frames import FrameScanner, Mark
from recorder.transport.handshake import accept_token

SHORT = Timeouts(connect=0.3, handshake=0.3, close=0.2, silence=None)
"""For what must fail because nothing comes in time."""
EASY = Timeouts(connect=10, handshake=10, close=0.2, silence=None)
"""For what must work, or fail at once, on a loaded machine too."""
SLACK = 3.0
"""Seconds that a loaded machine may add to a timeout."""

SECRET = "sk-very-secret-0123456789"
HEADERS = [("Authorization", f"Bearer {SECRET}"), ("X-Other", "hidden-value-1")]
PATH = "/v1/realtime"
QUERY = "?model=gpt-realtime&api-key=query-secret-99"
HELLO = b"\x81\x05hello"

Script = Callable[[trio.abc.Stream, bytes], Awaitable[None]]
"""What a server does once it has read the head of a request."""


class Sent(NamedTuple):
    """A frame to be put on the wire."""

    opcode: int
    payload: bytes
    fin: bool = True
    key: bytes | None = None


def encode(frame: Sent) -> bytes:
    """RFC 6455 §5.2, written down a second time."""
    opcode, payload, fin, key = frame
    size = len(payload)
    mask = 0x80 if key else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 65536:
        head += bytes([mask | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", size)
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def frame(opcode: int, payload: bytes = b"", **kind: object) -> bytes:
    """A frame as bytes."""
    return encode(Sent(opcode, payload, **kind))


def closing(code: int | None = None, reason: bytes = b"") -> bytes:
    """The payload of a Close."""
    return b"" if code is None else struct.pack("!H", code) + reason


async def read_head(stream: trio.abc.Stream) -> bytes:
    """The head of a request; empty if the client hangs up first."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            return b""
        head += data
    return head


@asynccontextmanager
async def serving(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server that reads a request's head and then does what the script says; its port."""

    async def visit(raw: trio.SocketStream) -> None:
        stream: trio.abc.Stream = raw
        if context is not None:
            stream = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
        try:
            if head := await read_head(stream):
                await script(stream, head)
        except trio.BrokenResourceError:
            return
        finally:
            await trio.aclose_forcefully(raw)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, visit, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def saying(*pieces: bytes, then: str = "close") -> Script:
    """Send the pieces, each in a packet of its own; then close, or keep the line open."""

    async def script(stream: trio.abc.Stream, head: bytes) -> None:
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(0.005)
        if then == "wait":
            await trio.sleep_forever()

    return script


def switch(head: bytes, *lines: str) -> bytes:
    """The 101 that a request's head asks for, with further lines."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
    assert key
    answer = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_token(key[1].decode())}",
        *lines,
        "",
        "",
    ]
    return "\r\n".join(answer).encode("latin-1")


def switching(*lines: str, edit: tuple[bytes, bytes] = (b"", b""), rest: bytes = b"") -> Script:
    """Answer 101, edited, with `rest` in the same packet; then keep the line open."""

    async def script(stream: trio.abc.Stream, head: bytes) -> None:
        answer = switch(head, *lines)
        if edit[0]:
            answer = re.sub(*edit, answer)
        await stream.send_all(answer + rest)
        await trio.sleep_forever()

    return script


async def failing(url: str, **options: object) -> tuple[RecorderError, float]:
    """The error of a dial that must fail, and how long it took."""
    options = {"timeouts": EASY, "headers": HEADERS, "proxy": None, **options}
    began = trio.current_time()
    with pytest.raises(RecorderError) as caught:
        async with open_websocket(url, **options):
            pytest.fail("the dial has worked")
    text = str(caught.value)
    assert SECRET not in text
    assert "query-secret-99" not in text
    assert "hidden-value-1" not in text
    return caught.value, trio.current_time() - began


# Over memory streams, in virtual time

S = 1_000_000_000
TIMES = Timeouts(connect=1, handshake=1, close=5, silence=None)


def now_ns() -> int:
    """Trio's clock in nanoseconds since its zero, exact for the sums of these tests."""
    return round(trio.current_time() * S)


class Server:
    """The other end of the line, frame by frame."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self._scanner = FrameScanner(masked=True, keep=True)
        self._marks: list[Mark] = []

    async def send(self, opcode: int, payload: bytes = b"", **kind: object) -> None:
        await self.stream.send_all(frame(opcode, payload, **kind))

    async def next(self) -> Mark:
        """The client's next frame."""
        while not self._marks:
            data = await self.stream.receive_some()
            if not data:
                raise trio.EndOfChannel("the client has hung up")
            self._marks += self._scanner.feed(data, now_ns())
        return self._marks.pop(0)

    async def expect(self, opcode: int) -> bytes:
        """The payload of the client's next frame, which must be of this kind."""
        mark = await self.next()
        assert mark.opcode == opcode
        assert mark.data is not None
        return mark.data


Talk = Callable[[Server], Awaitable[None]]


async def serve(stream: trio.abc.HalfCloseableStream, script: Talk) -> None:
    """Shake hands, then do what the script says."""
    if head := await read_head(stream):
        await stream.send_all(switch(head))
        await script(Server(stream))


@asynccontextmanager
async def talking(
    script: Talk,
    pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair,
    **options: object,
) -> AsyncIterator[ClientSocket]:
    """A socket whose server shakes hands and then does what the script says."""
    near, far = pair()
    options = {"timeouts": TIMES, "clock": now_ns, **options}
    async with plain_nursery() as nursery:
        nursery.start_soon(serve, far, script)
        async with over_stream(near, "ws://h/v1?api-key=query-secret", **options) as socket:
            yield socket
        nursery.cancel_scope.cancel()


async def quiet(server: Server) -> None:
    """A server that says nothing more."""
    await trio.sleep_forever()


async def until_closed(socket: ClientSocket) -> tuple[list[bytes], Exception]:
    """All that can be received, and what it ends with."""
    received = []
    with pytest.raises((SessionClosed, ProtocolViolation, EndpointTimeout)) as caught:
        while True:
            received.append((await socket.receive()).data)
    return received, caught.value

"""An open client socket in trouble: nothing lost, nothing endless, one plain error."""

from __future__ import annotations

import math
import socket as sockets
import struct
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from recorder.errors import EndpointTimeout, ProtocolViolation, SessionClosed, UsageError
from recorder.events import BINARY, CLOSE, PING, PONG, TEXT
from recorder.transport import (
    Frame,
    Received,
    Timeouts,
    open_websocket,
    over_stream,
)
from tests.transport_kit import (
    EASY,
    TIMES,
    S,
    Server,
    closing,
    frame,
    quiet,
    serve,
    serving,
    switch,
    talking,
    until_closed,
)

# What breaks the protocol

VIOLATIONS = [
    ("bad UTF-8", frame(TEXT, b"\xff\xfe"), 1007, "utf-8"),
    ("reserved bit", b"\xc1\x00", 1002, "Reserved bit"),
    ("reserved opcode", b"\x83\x00", 1002, "opcode"),
    ("masked", frame(TEXT, b"x", key=b"abcd"), 1002, "masked"),
    ("long ping", b"\x89\x7e\x00\x80" + bytes(128), 1002, "Control frame"),
    ("fragmented ping", b"\x09\x00", 1002, "fragment"),
    ("stray continuation", frame(0, b"x"), 1002, "CONTINUATION"),
    ("nested message", frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002, "CONTINUATION"),
    ("close code 1006", frame(CLOSE, closing(1006)), 1002, "local-only"),
    ("close of one byte", frame(CLOSE, b"\x03"), 1002, "1 byte"),
    ("HTTP", b"HTTP/1.1 500 Oops\r\n\r\n", 1002, ""),
]


@pytest.mark.parametrize(("name", "data", "code", "words"), VIOLATIONS, ids=lambda v: str(v)[:20])
async def test_a_server_that_breaks_the_protocol(
    name: str, data: bytes, code: int, words: str, autojump_clock: MockClock
) -> None:
    """It is told so by a Close; what came before can be received; the error is plain."""
    told: list[bytes] = []

    async def script(server: Server) -> None:
        await server.stream.send_all(frame(TEXT, b"good") + data + frame(TEXT, b"ignored"))
        told.append(await server.expect(CLOSE))
        await server.stream.aclose()

    async with talking(script) as socket:
        received, error = await until_closed(socket)

    assert received == [b"good"]
    assert type(error) is ProtocolViolation
    assert "ws://h/v1 broke the WebSocket protocol" in str(error)
    assert words in str(error)
    assert struct.unpack("!H", told[0][:2])[0] == code


@pytest.mark.parametrize(
    "message",
    [
        frame(BINARY, bytes(1001)),
        frame(TEXT, "é".encode() * 501),
        frame(TEXT, b"x" * 600, fin=False) + frame(0, b"x" * 600, fin=False),
    ],
    ids=["binary", "bytes not characters", "fragments"],
)
async def test_a_message_over_the_limit(message: bytes, autojump_clock: MockClock) -> None:
    """1009 with the limit named; the limit counts bytes; exactly the limit passes."""
    told: list[bytes] = []

    async def script(server: Server) -> None:
        await server.stream.send_all(frame(TEXT, "é".encode() * 500) + message)
        told.append(await server.expect(CLOSE))
        await server.send(CLOSE, closing(1009))
        await server.stream.aclose()

    async with talking(script, max_message=1000) as socket:
        received, error = await until_closed(socket)
        with pytest.raises(UsageError, match="limit of 1000 bytes"):
            await socket.send("é" * 501)

    assert [len(data) for data in received] == [1000]
    assert isinstance(error, SessionClosed)
    assert error.code == 1009
    assert "more than 1000 bytes" in str(error)
    assert told[0][:2] == closing(1009)
    info = socket.close_info
    assert info is not None
    assert (info.code, info.initiator) == (1009, "client")


async def test_what_cannot_be_sent(autojump_clock: MockClock) -> None:
    """Lone surrogates, and codes that are not for applications."""
    async with talking(quiet) as socket:
        with pytest.raises(UsageError, match="surrogates"):
            await socket.send("\ud800")
        for code in (999, 1004, 1005, 1006, 1015, 2000, 5000):
            with pytest.raises(UsageError, match=str(code)):
                await socket.close(code)


# Silence, stalls, cancellation


async def test_a_silent_server_is_given_up(autojump_clock: MockClock) -> None:
    """A ping at half time, and at the full span the error, exactly then."""
    frames: list[Frame] = []
    times = Timeouts(close=5, silence=40)

    async with talking(quiet, timeouts=times, on_frame=frames.append) as socket:
        _, error = await until_closed(socket)
        assert trio.current_time() == 40
        with pytest.raises(EndpointTimeout):
            await socket.send("{}")
    assert trio.current_time() == 40

    assert type(error) is EndpointTimeout
    assert "silent for 40 s" in str(error)
    assert [(f.at_ns, f.opcode) for f in frames] == [(20 * S, PING)]
    info = socket.close_info
    assert info is not None
    assert (info.code, info.initiator, info.at_ns) == (1006, "network", 40 * S)


async def test_a_server_that_answers_pings_is_kept(autojump_clock: MockClock) -> None:
    """An hour of nothing but pongs."""
    pings = 0

    async def script(server: Server) -> None:
        nonlocal pings
        while (mark := await server.next()).opcode == PING:
            await server.send(PONG, mark.data or b"")
            pings += 1

    async with talking(script, timeouts=Timeouts(close=1, silence=40)) as socket:
        with trio.move_on_after(3610) as scope:
            await socket.receive()

    assert scope.cancelled_caught
    assert pings == 3600 // 20


async def test_hold_stops_reading_and_sending(autojump_clock: MockClock) -> None:
    """While `hold` waits nothing is read or sent, and the server is not blamed for silence."""
    may_go = trio.Event()

    async def script(server: Server) -> None:
        await server.send(TEXT, b"x")
        assert await server.expect(TEXT) == b"y"
        await server.expect(CLOSE)

    async def hold() -> None:
        await may_go.wait()

    times = Timeouts(close=1, silence=40)
    async with talking(script, hold=hold, timeouts=times) as socket:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.send, "y")
            await trio.sleep(100)
            may_go.set()
        assert await socket.receive() == Received(100 * S, TEXT, b"x")


async def test_what_waits_unread_is_bounded(autojump_clock: MockClock) -> None:
    """Over the limit and 16 MiB, reading stops until the application has caught up."""
    size, count = 1 << 20, 40
    sent = 0

    async def script(server: Server) -> None:
        nonlocal sent
        for _ in range(count):
            await server.send(BINARY, bytes(size))
            sent += 1
        await trio.sleep_forever()

    async with talking(script, pair=lockstep_stream_pair, max_message=size) as socket:
        await trio.sleep(1)
        assert sent == 17
        received = [len((await socket.receive()).data) for _ in range(count)]
    assert received == [size] * count


async def test_a_send_that_is_cut_off(autojump_clock: MockClock) -> None:
    """A frame torn by cancellation ends the sending, says so, and leaving does not hang."""
    async with talking(quiet, pair=lockstep_stream_pair) as socket:
        with trio.move_on_after(1) as scope:
            await socket.send("never read")
        assert scope.cancelled_caught
        with pytest.raises(SessionClosed, match="takes no more data"):
            await socket.send("{}")
        began = trio.current_time()
    assert trio.current_time() == began


async def test_closing_while_a_send_is_under_way(autojump_clock: MockClock) -> None:
    """The Close waits its turn behind a message that the server takes its time to read."""

    async def script(server: Server) -> None:
        await trio.sleep(2)
        assert await server.expect(TEXT) == b"slowly"
        await server.send(CLOSE, await server.expect(CLOSE))
        await server.stream.aclose()

    async with talking(script, pair=lockstep_stream_pair) as socket:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.send, "slowly")
            await trio.sleep(1)
            await socket.close()
    assert socket.close_info is not None
    assert socket.close_info.clean


async def test_cancelled_before_anything_was_sent(autojump_clock: MockClock) -> None:
    """A send that was cancelled before its first byte tears nothing."""

    async def script(server: Server) -> None:
        assert await server.expect(TEXT) == b"second"
        await server.send(CLOSE, await server.expect(CLOSE))
        await server.stream.aclose()

    async with talking(script) as socket:
        with trio.move_on_at(-math.inf):
            await socket.send("first")
        await socket.send("second")
    assert socket.close_info is not None
    assert socket.close_info.clean


async def test_one_receiver_at_a_time(autojump_clock: MockClock) -> None:
    """Two tasks would take each other's messages."""
    async with talking(quiet) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(socket.receive)
        await trio.sleep(1)
        with pytest.raises(trio.BusyResourceError):
            await socket.receive()
        nursery.cancel_scope.cancel()


async def test_an_observer_that_fails(autojump_clock: MockClock) -> None:
    """What `on_frame` raises comes out plainly, and ends the session."""

    async def script(server: Server) -> None:
        await server.send(TEXT, b"x")
        await trio.sleep_forever()

    def broken(frame: Frame) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with talking(script, on_frame=broken):
            await trio.sleep_forever()


# Real sockets


async def test_the_reason_of_a_failed_send() -> None:
    """A server that says why, closes and resets: our sends fail, and still tell its reason."""

    async def script(stream: trio.SocketStream, head: bytes) -> None:
        await stream.send_all(switch(head))
        await trio.sleep(0.05)
        words = frame(TEXT, b'{"type":"error"}') + frame(CLOSE, closing(3000, b"bad key"))
        await stream.send_all(words)
        await stream.aclose()  # with our messages unread: a reset follows

    async with serving(script) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/", timeouts=EASY) as socket:
            with pytest.raises(SessionClosed) as caught, trio.fail_after(5):
                while True:
                    await socket.send("{}" * 500)
                    await trio.sleep(0.001)
            received, error = await until_closed(socket)

    assert caught.value.code == 3000
    assert received == [b'{"type":"error"}']
    assert isinstance(error, SessionClosed)
    assert error.code == 3000


async def test_a_reset() -> None:
    """A connection that breaks without a word."""

    async def script(stream: trio.SocketStream, head: bytes) -> None:
        await stream.send_all(switch(head) + frame(TEXT, b"x"))
        await trio.sleep(0.05)
        stream.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    async with (
        serving(script) as port,
        open_websocket(f"ws://127.0.0.1:{port}/", timeouts=EASY) as socket,
    ):
        received, error = await until_closed(socket)

    assert received == [b"x"]
    assert isinstance(error, SessionClosed)
    assert (error.code, "connection broke" in str(error)) == (1006, True)
    assert socket.close_info is not None
    assert socket.close_info.initiator == "network"


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope at the n-th step that any task makes."""

    def __init__(self, step: int) -> None:
        self.left = step
        self.scope: trio.CancelScope | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.scope is not None:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


async def a_short_life(instrument: CancelAtStep) -> None:
    """Open, send, receive, ping, close; whatever happens, nothing but cancellation comes out."""

    async def echo(server: Server) -> None:
        while (mark := await server.next()).opcode != CLOSE:
            await server.send(PONG if mark.opcode == PING else mark.opcode, mark.data or b"")
        await server.send(CLOSE, mark.data or b"")

    async def serve_until_it_leaves() -> None:
        with suppress(trio.EndOfChannel, trio.BrokenResourceError):
            await serve(far, echo)
        await far.aclose()

    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_until_it_leaves)
        with trio.CancelScope() as instrument.scope:
            async with over_stream(near, "ws://h/", timeouts=TIMES) as socket:
                await socket.send("x")
                assert (await socket.receive()).data == b"x"
                await socket.ping()
                await socket.close()
        instrument.scope = None
        nursery.cancel_scope.cancel()


def test_cancelled_at_every_step() -> None:
    """No step at which a cancellation hangs, leaks, or turns into another error."""
    instrument, step = CancelAtStep(0), 0
    while instrument.left <= 0:
        step += 1
        instrument = CancelAtStep(step)
        clock = MockClock(autojump_threshold=0)
        trio.run(a_short_life, instrument, clock=clock, instruments=[instrument])
        assert clock.current_time() <= TIMES.close
    assert step > 30

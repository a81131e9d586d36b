"""An open client socket: exact times, every frame told, right codes at the end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from recorder.errors import EndpointTimeout, SessionClosed
from recorder.events import BINARY, CLOSE, PING, PONG, TEXT
from recorder.transport import (
    CloseInfo,
    Frame,
    Received,
    over_stream,
)
from tests.transport_kit import (
    TIMES,
    S,
    Server,
    closing,
    frame,
    now_ns,
    quiet,
    read_head,
    serve,
    switch,
    talking,
    until_closed,
)

# Times


async def test_the_stamp_is_the_last_bytes_arrival(autojump_clock: MockClock) -> None:
    """Not when the message began, and not when the application got round to it."""

    async def script(server: Server) -> None:
        whole = frame(TEXT, b"a") + frame(BINARY, b"b") + frame(TEXT, b"c" * 300)
        await trio.sleep(1)
        await server.stream.send_all(whole[:-100])
        await trio.sleep(1)
        await server.stream.send_all(whole[-100:-1])
        await trio.sleep(1)
        await server.stream.send_all(whole[-1:])
        await server.send(TEXT, b"d", fin=False)
        await trio.sleep(1)
        await server.send(0, b"e")
        await trio.sleep_forever()

    async with talking(script) as socket:
        await trio.sleep(60)
        received = [await socket.receive() for _ in range(4)]

    assert received == [
        Received(1 * S, TEXT, b"a"),
        Received(1 * S, BINARY, b"b"),
        Received(3 * S, TEXT, b"c" * 300),
        Received(4 * S, TEXT, b"de"),
    ]


async def test_what_comes_with_the_101_has_its_time(autojump_clock: MockClock) -> None:
    """A first message in the packet of the answer is stamped with the answer."""
    near, far = memory_stream_pair()

    async def serve() -> None:
        head = await read_head(far)
        await trio.sleep(0.25)
        await far.send_all(switch(head) + frame(TEXT, b"first"))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with over_stream(near, "ws://h/", clock=now_ns, timeouts=TIMES) as socket:
            await trio.sleep(1)
            assert await socket.receive() == Received(S // 4, TEXT, b"first")
            assert socket.handshake.answered_ns == S // 4
        nursery.cancel_scope.cancel()


async def test_a_send_is_stamped_when_it_is_handed_over(autojump_clock: MockClock) -> None:
    """`before` and `on_frame` have the same time, that of the first byte's way out."""
    stamps: list[int] = []
    frames: list[Frame] = []

    async def script(server: Server) -> None:
        assert await server.expect(TEXT) == "grüß\ud55c".encode()
        assert await server.expect(BINARY) == b"\x00\xff"
        await trio.sleep_forever()

    async with talking(script, on_frame=frames.append) as socket:
        await trio.sleep(1.5)
        await socket.send("grüß\ud55c", before=stamps.append)
        await trio.sleep(0.5)
        await socket.send(b"\x00\xff", before=stamps.append)

    assert stamps == [3 * S // 2, 2 * S]
    assert frames[:2] == [
        Frame(3 * S // 2, True, TEXT, "grüß\ud55c".encode()),
        Frame(2 * S, True, BINARY, b"\x00\xff"),
    ]


async def test_text_comes_back_byte_for_byte(autojump_clock: MockClock) -> None:
    """BOM, NUL, astral characters, and nothing at all."""
    texts = ["\ufeff{}", "\x00", "\U0001f600" * 40_000, "", '{"a": "\\u00e9"}']

    async def script(server: Server) -> None:
        for text in texts:
            await server.send(TEXT, text.encode())
        await trio.sleep_forever()

    async with talking(script) as socket:
        assert [(await socket.receive()).data for _ in texts] == [t.encode() for t in texts]


async def test_on_frame_sees_everything_in_order(autojump_clock: MockClock) -> None:
    """Both directions, control frames too, received by the application or not."""
    frames: list[Frame] = []

    async def script(server: Server) -> None:
        await server.send(TEXT, b"one")
        await server.send(PING, b"p")
        assert await server.expect(PONG) == b"p"
        await trio.sleep(1)
        await server.expect(CLOSE)
        await server.send(TEXT, b"late")
        await server.send(CLOSE, closing(1000))
        await server.stream.aclose()

    async with talking(script, on_frame=frames.append) as socket:
        await trio.sleep(1)
        await socket.close(1000, "done")

    assert frames == [
        Frame(0, False, TEXT, b"one"),
        Frame(0, False, PING, b"p"),
        Frame(0, True, PONG, b"p"),
        Frame(S, True, CLOSE, closing(1000, b"done")),
        Frame(S, False, TEXT, b"late"),
        Frame(S, False, CLOSE, closing(1000)),
    ]


async def test_pings_are_answered_while_nobody_reads(autojump_clock: MockClock) -> None:
    """A thousand unread messages do not keep a pong back."""
    answered = trio.Event()

    async def script(server: Server) -> None:
        for number in range(1000):
            await server.send(TEXT, b"%d" % number)
        await server.send(PING, b"still there?")
        assert await server.expect(PONG) == b"still there?"
        answered.set()
        await trio.sleep_forever()

    async with talking(script) as socket:
        with trio.fail_after(1):
            await answered.wait()
        received = [(await socket.receive()).data for _ in range(1000)]
    assert received == [b"%d" % number for number in range(1000)]


async def test_the_round_trip(autojump_clock: MockClock) -> None:
    """`ping` measures from the sending to the pong's arrival, and gives up in time."""

    async def script(server: Server) -> None:
        payload = await server.expect(PING)
        await trio.sleep(0.125)
        await server.send(PONG, b"another's")
        await server.send(PONG, payload)
        await server.expect(PING)
        await trio.sleep_forever()

    async with talking(script) as socket:
        assert await socket.ping() == S // 8
        with pytest.raises(EndpointTimeout, match=r"ws://h/v1 did not answer a ping within 3 s"):
            await socket.ping(timeout=3)


# Ends


SERVER_CLOSES = [
    (closing(1000), 1000, ""),
    (closing(1001, b"Your session hit the maximum duration"), 1001, "Your session hit the"),
    (closing(3000, b"invalid_request_error.invalid_api_key"), 3000, "invalid_api_key"),
    (closing(4000, "späte Stunde".encode()), 4000, "späte Stunde"),
    (closing(), 1005, ""),
]


@pytest.mark.parametrize(("payload", "code", "reason"), SERVER_CLOSES)
async def test_the_server_closes(
    payload: bytes, code: int, reason: str, autojump_clock: MockClock
) -> None:
    """Its code and reason, after everything that came before it."""

    async def script(server: Server) -> None:
        await server.send(TEXT, b"last words")
        await trio.sleep(2)
        await server.send(CLOSE, payload)
        assert await server.expect(CLOSE) == payload
        await server.stream.aclose()

    async with talking(script) as socket:
        await trio.sleep(3)
        received, error = await until_closed(socket)
        with pytest.raises(SessionClosed) as sending:
            await socket.send("{}")

    assert received == [b"last words"]
    assert isinstance(error, SessionClosed)
    assert error.code == sending.value.code == code
    assert reason in error.reason
    assert f"ws://h/v1 closed the session with code {code}" in str(error)
    info = socket.close_info
    assert info is not None
    assert (info.code, info.initiator, info.clean, info.at_ns) == (code, "server", True, 2 * S)


async def test_the_server_hangs_up(autojump_clock: MockClock) -> None:
    """An end of stream without a Close is 1006, and the network's doing."""

    async def script(server: Server) -> None:
        await server.send(TEXT, b"last words")
        await server.send(TEXT, b"half a message", fin=False)
        await trio.sleep(2)
        await server.stream.send_eof()
        await trio.sleep_forever()

    async with talking(script) as socket:
        received, error = await until_closed(socket)

    assert received == [b"last words"]
    assert isinstance(error, SessionClosed)
    assert error.code == 1006
    assert "without a Close frame" in str(error)
    assert socket.close_info == CloseInfo(
        code=1006, reason="", initiator="network", clean=False, at_ns=2 * S
    )


async def test_we_close(autojump_clock: MockClock) -> None:
    """Our own code is remembered, and what still came can be received."""

    async def script(server: Server) -> None:
        assert await server.expect(CLOSE) == closing(4001, b"had enough")
        await server.send(TEXT, b"already on its way")
        await trio.sleep(0.5)
        await server.send(CLOSE, closing(1000))
        await server.stream.aclose()

    async with talking(script) as socket:
        await trio.sleep(1)
        assert socket.close_info is None
        await socket.close(4001, "had enough")
        await socket.close(1000)
        received, error = await until_closed(socket)

    assert received == [b"already on its way"]
    assert isinstance(error, SessionClosed)
    assert (error.code, error.reason) == (4001, "had enough")
    assert "closed by this side with code 4001" in str(error)
    assert socket.close_info == CloseInfo(
        code=4001, reason="had enough", initiator="client", clean=True, at_ns=S, answer=1000
    )


async def test_nobody_answers_our_close(autojump_clock: MockClock) -> None:
    """`close` takes its timeout and no more."""
    async with talking(quiet) as socket:
        began = trio.current_time()
        await socket.close()
        assert trio.current_time() - began == TIMES.close
        _, error = await until_closed(socket)

    assert trio.current_time() - began == TIMES.close
    assert isinstance(error, SessionClosed)
    assert error.code == 1000
    info = socket.close_info
    assert info is not None
    assert (info.initiator, info.clean, info.answer) == ("client", False, None)


async def test_a_server_that_never_hangs_up(autojump_clock: MockClock) -> None:
    """Once both Closes have passed, the end of TCP is waited for only a second."""

    async def script(server: Server) -> None:
        await server.send(CLOSE, await server.expect(CLOSE))
        await trio.sleep_forever()

    async with talking(script) as socket:
        await socket.close()
        assert trio.current_time() == 1


async def test_a_ping_while_we_close(autojump_clock: MockClock) -> None:
    """What crashes trio-websocket (its issue #184) is let go, and the answer still counts."""

    async def script(server: Server) -> None:
        await server.expect(CLOSE)
        for _ in range(3):
            await server.send(PING, b"too late")
        await server.send(CLOSE, closing(1000))
        await server.stream.aclose()

    async with talking(script) as socket:
        await socket.close()

    info = socket.close_info
    assert info is not None
    assert (info.code, info.clean) == (1000, True)


async def test_leaving_closes(autojump_clock: MockClock) -> None:
    """1000 on a normal exit; 1001 after an exception or a cancellation, within a second."""
    codes: list[bytes] = []

    async def script(server: Server) -> None:
        codes.append(await server.expect(CLOSE))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for seconds in (0, 2):
            near, far = memory_stream_pair()
            nursery.start_soon(serve, far, script)
            with trio.move_on_after(2):
                async with over_stream(near, "ws://h/", timeouts=TIMES):
                    await trio.sleep(seconds)
        nursery.cancel_scope.cancel()

    assert codes == [closing(1000), closing(1001)]
    assert trio.current_time() == 2 + 3


async def test_the_bodys_error_wins(autojump_clock: MockClock) -> None:
    """What the body raises comes out even where everything around it is being cancelled."""
    with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
        async with talking(quiet):
            scope.cancel()
            raise ZeroDivisionError

"""The byte tee over real sockets: what each end sees, and what is in the log."""

from __future__ import annotations

import socket
import struct

import orjson
import pytest
import trio

from recorder.events import BINARY, CLOSE, PING, PONG, TEXT
from tests.proxy_kit import CONTINUATION, closing, frame, header, raw_house, read_all, read_head

HELLO = b'{"type":"session.created","event_id":"event_1"}'
ASK = b'{"type":"response.create"}'


def closed(house, index: int = -1) -> dict:
    """The `recorder.closed` event of a session."""
    last = house.events(index)[-1]
    assert last.type == "recorder.closed"
    return orjson.loads(last.head)


def noted(house, kind: str) -> list[dict]:
    """The recorder's own events of a kind."""
    return [orjson.loads(e.head) for e in house.events() if e.type == f"recorder.{kind}"]


async def test_bytes_go_through_untouched_and_messages_are_in_the_log():
    """Fragments, masks, pings, binary: each end gets the very bytes, the log the messages."""
    got: dict[str, bytes] = {}
    down = (
        frame(HELLO[:10], masked=False, last=False)
        + frame(b"beat", PING, masked=False)
        + frame(HELLO[10:], CONTINUATION, masked=False)
        + frame(b"\x00\xff", BINARY, masked=False)
        + closing(4000, "custom", masked=False)
    )
    up = (
        frame(ASK, masked=True)
        + frame(b"x" * 70_000, masked=True)
        + frame(b"beat", PONG, masked=True)
        + closing(4000, "custom", masked=True)
    )

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(down)
        got["up"], _ = await read_all(stream)
        await stream.aclose()

    async with raw_house(talk) as house:
        client = await house.open()
        await client.send_all(up)
        await client.send_eof()
        got["down"], how = await read_all(client)
        await house.over()
        assert how == "eof"
        assert got == {"up": up, "down": down}
        messages = house.passed()
        assert [m for m in messages if m[0] == "client"] == [
            ("client", TEXT, ASK),
            ("client", TEXT, b"x" * 70_000),
            ("client", PONG, b"beat"),
            ("client", CLOSE, b"\x0f\xa0custom"),
        ]
        assert [m for m in messages if m[0] == "server"] == [
            ("server", PING, b"beat"),
            ("server", TEXT, HELLO),
            ("server", BINARY, b"\x00\xff"),
            ("server", CLOSE, b"\x0f\xa0custom"),
        ]
        end = closed(house)
        assert (end["code"], end["reason"], end["clean"]) == (4000, "custom", True)


async def test_a_half_close_stays_one():
    """The client says that it is through; the server still speaks, and is heard."""

    async def talk(stream: trio.SocketStream) -> None:
        assert await read_all(stream) == (frame(ASK, masked=True), "eof")
        await stream.send_all(frame(HELLO, masked=False))
        await stream.aclose()

    async with raw_house(talk) as house:
        client = await house.open()
        await client.send_all(frame(ASK, masked=True))
        await client.send_eof()
        assert await read_all(client) == (frame(HELLO, masked=False), "eof")
        await house.over()
        end = closed(house)
        assert (end["code"], end["initiator"], end["clean"]) == (1006, "client", False)
        assert end["ends"] == {"client": "eof", "server": "eof"}


def reset(stream: trio.SocketStream) -> None:
    """Close with a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def test_a_reset_of_the_server_reaches_the_client_as_one():
    """What came before it is delivered and recorded."""

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False))
        await stream.receive_some(1)
        reset(stream)

    async with raw_house(talk) as house:
        client = await house.open()
        assert await client.receive_some(1000) == frame(HELLO, masked=False)
        await client.send_all(frame(ASK, masked=True))
        assert (await read_all(client))[1] == "reset"
        await house.over()
        assert closed(house)["initiator"] == "server"
        assert ("server", TEXT, HELLO) in house.passed()


async def test_a_reset_of_the_client_reaches_the_server_as_one():
    """The other direction."""
    seen: list[tuple[bytes, str]] = []

    async def talk(stream: trio.SocketStream) -> None:
        seen.append(await read_all(stream))

    async with raw_house(talk) as house:
        client = await house.open()
        await client.send_all(frame(ASK, masked=True))
        await trio.testing.wait_all_tasks_blocked(0.05)
        reset(client)
        await house.over()
        assert seen == [(frame(ASK, masked=True), "reset")]
        assert closed(house)["ends"]["client"] == "reset"


async def test_what_is_no_websocket_passes_and_is_told():
    """A reserved bit: the call goes on, and the log has the raw bytes, without secrets."""
    bad = bytes((0xF1, 0x20)) + b'{"key":"sk-abcdefghijklmnopqrstuvwx"}'
    got: list[bytes] = []

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False) + bad)
        data, _ = await read_all(stream)
        got.append(data)
        await stream.aclose()

    async with raw_house(talk) as house:
        client = await house.open()
        await client.send_all(frame(ASK, masked=True))
        await client.send_eof()
        assert (await read_all(client))[0] == frame(HELLO, masked=False) + bad
        await house.over()
        assert got == [frame(ASK, masked=True)]
        (told,) = noted(house, "unparsed")
        assert told["side"] == "server"
        assert told["bytes"] == len(bad)
        assert told["offset"] == len(frame(HELLO, masked=False))
        assert "reserved bit" in told["why"]
        assert b"sk-abcdefghijkl" not in b"".join(e.head for e in house.events())


async def test_a_message_over_the_limit_passes_and_its_tail_is_a_gap():
    """The limit bounds the copy, never the call."""
    from recorder.proxy.options import Bounds

    big = b"y" * 300_000

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(big, masked=False) + closing(1000, masked=False))
        await read_all(stream)
        await stream.aclose()

    async with raw_house(talk, bounds=Bounds(message_bytes=100_000)) as house:
        client = await house.open()
        await client.send_all(closing(1000, masked=True))
        await client.send_eof()
        data, _ = await read_all(client)
        assert data == frame(big, masked=False) + closing(1000, masked=False)
        await house.over()
        assert ("server", TEXT, big[:100_000]) in house.passed()
        (gap,) = noted(house, "gap")
        assert (gap["count"], gap["bytes"]) == (1, 200_000)


async def test_all_unfinished_messages_together_are_bounded():
    """A message that never ends cannot fill the memory."""
    from recorder.proxy.options import Bounds

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(b"z" * 500_000, masked=False, last=False))
        await read_all(stream)
        await stream.aclose()

    async with raw_house(talk, bounds=Bounds(unfinished_bytes=50_000)) as house:
        client = await house.open()
        received = 0
        while received < 500_000:
            received += len(await client.receive_some(65536))
        assert house.proxy.budget.used <= 50_000 + 2 * 65536
        await client.aclose()
        await house.over()
        assert house.proxy.budget.used == 0


async def test_our_own_close_goes_in_between_two_frames():
    """Both ends get 1001, and the log says that it was us."""
    seen: list[bytes] = []

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False))
        seen.append((await read_all(stream))[0])

    async with raw_house(talk) as house:
        client = await house.open()
        assert await client.receive_some(1000) == frame(HELLO, masked=False)
        (live,) = house.proxy.live.values()
        live.relay.stop(1001, "going away")
        data, _ = await read_all(client)
        await house.over()
        assert data == closing(1001, "going away", masked=False)
        assert seen[0][:2] == bytes((0x88, 0x80 | 12))
        end = closed(house)
        assert (end["code"], end["initiator"]) == (1001, "recorder")


async def test_inside_a_frame_we_close_without_a_word():
    """A Close in the middle of a frame would be taken for its payload."""

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False)[:5])
        await read_all(stream)

    async with raw_house(talk) as house:
        client = await house.open()
        assert await client.receive_some(1000) == frame(HELLO, masked=False)[:5]
        (live,) = house.proxy.live.values()
        live.relay.stop(1001, "going away")
        assert (await read_all(client))[0] == b""
        await house.over()
        assert noted(house, "gap")[0]["count"] == 1


async def test_what_one_end_does_not_read_is_not_read_from_the_other():
    """A client that never reads slows the server down; the memory stays as it is."""
    sent = 0

    async def talk(stream: trio.SocketStream) -> None:
        nonlocal sent
        piece = frame(b"q" * 60_000, masked=False)
        for _ in range(2000):
            await stream.send_all(piece)
            sent += len(piece)

    async with raw_house(talk) as house:
        client = await house.open()
        await trio.sleep(0.3)
        before = sent
        await trio.sleep(0.2)
        assert sent == before < 60_000_000
        await client.aclose()
        await house.over()


async def test_heads_pass_with_names_case_and_order():
    """What is the connection's own is left out, what is ours is taken out, the rest stays."""

    async def talk(stream: trio.SocketStream) -> None:
        await read_all(stream)
        await stream.aclose()

    async with raw_house(
        talk, extra="X-Request-Id: req_7\r\nsec-Websocket-protocol: realtime\r\n"
    ) as house:
        client = await house.dial(
            "/v1/realtime?model=m&recorder.call=c-1&z=%20",
            "Authorization: Bearer sk-test-0123456789abcdef",
            "X-CuStOm:  one ",
            "Sec-WebSocket-Protocol: realtime, openai-beta.realtime-v1",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Keep-Alive: timeout=5",
            "X-Recorder-Tag: night",
        )
        head, _ = await read_head(client)
        await client.aclose()
        await house.over()
        (sent,) = house.upstream.heads
        lines = sent.split("\r\n")
        assert lines[0] == "GET /v1/realtime?model=m&z=%20 HTTP/1.1"
        assert lines[1].startswith("Host: 127.0.0.1:")
        names = [line.partition(":")[0] for line in lines[2:]]
        assert names == ["Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key",
                         "Authorization", "X-CuStOm", "Sec-WebSocket-Protocol"]  # fmt: skip
        assert "X-CuStOm: one" in lines
        assert header(head, "X-Request-Id") == "req_7"
        assert header(head, "Sec-WebSocket-Protocol") == "realtime"
        (session,) = house.store.sessions()
        assert header(head, "X-Recorder-Session") == session.id
        assert session.call == "c-1"
        assert session.vantage == "proxy"
        opened = orjson.loads(house.events()[0].head)
        assert opened["tags"] == ["night"]
        assert "sk-test" not in repr(session)


REFUSALS = [
    (
        b"401 Unauthorized\r\nContent-Type: application/json\r\nX-A: 1\r\nContent-Length: 17",
        b'{"error":"no key"',
        b'{"error":"no key"',
    ),
    (b"429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0", b"", b""),
    (b"307 Temporary Redirect\r\nLocation: https://h/x\r\nContent-Length: 0", b"", b""),
    (b"503 Busy\r\nTransfer-Encoding: chunked", b"4\r\nbusy\r\n0\r\n\r\n", b"busy"),
    (b"500 Oops", b"until the end", b"until the end"),
]


@pytest.mark.parametrize(("told", "raw", "body"), REFUSALS)
async def test_a_refusal_goes_back_as_it_came(told, raw, body):
    """Status, reason, headers and body; and it is in the log."""

    async def talk(_stream: trio.SocketStream) -> None:
        raise AssertionError

    async with raw_house(talk, answer=b"HTTP/1.1 " + told + b"\r\n\r\n" + raw) as house:
        client = await house.dial()
        data, _ = await read_all(client)
        head, _, got = data.partition(b"\r\n\r\n")
        first, *lines = told.split(b"\r\n")
        assert head.split(b"\r\n")[0] == b"HTTP/1.1 " + first
        assert got == body
        for line in lines:
            framing = line.lower().startswith((b"content-length", b"transfer-encoding"))
            assert framing or line in head.split(b"\r\n")
        (shake,) = noted(house, "handshake")
        assert shake["status"] == int(first[:3])
        assert shake.get("body", "") == body.decode()


async def test_an_upstream_that_is_not_there_gives_502_and_is_in_the_log():
    """Within the timeout, with what was wrong."""
    from tests.proxy_kit import proxy_before

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with proxy_before(f"http://127.0.0.1:{port}") as house:
            client = await house.dial()
            data, _ = await read_all(client)
            assert data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            assert b"refused the connection" in data
            (shake,) = noted(house, "handshake")
            assert "refused the connection" in shake["error"]
            assert closed(house)["initiator"] == "network"

"""The front door: HTTP and WebSocket on one port."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import trio
import trustme

from recorder.errors import HandshakeRefused, SessionClosed, UsageError
from recorder.events import CLOSE, TEXT
from recorder.live.frontdoor import serve
from recorder.transport import open_websocket
from tests.frontdoor_kit import (
    KEY,
    MASK,
    QUICK,
    TOKEN,
    Desk,
    House,
    get,
    open_house,
    upgrade,
)
from tests.transport_kit import EASY, closing, frame


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """An open front door with short timeouts."""
    async with open_house() as opened:
        yield opened


# HTTP


async def test_plain_requests(house: House) -> None:
    """An HTTP client of somebody else's: GET, HEAD, POST, chunks, keep-alive."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c" * 5000

    async with httpx.AsyncClient(base_url=house.url(scheme="http"), trust_env=False) as client:
        found = await client.get("/x?y=1")
        head = await client.head("/echo")
        posted = await client.post("/echo", content=b"body")
        chunked = await client.post("/echo", content=chunks())
        pieces = await client.get("/pieces")
        nothing = await client.get("/nothing")

    assert (found.status_code, found.json()) == (404, {"path": "/x"})
    assert found.headers["content-type"] == "application/json"
    assert "date" in found.headers
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "0")
    assert posted.content == b"body"
    assert posted.headers.get_list("x-one") == ["1", "2"]
    assert chunked.content == b"ab" + b"c" * 5000
    assert pieces.content == b"one two"
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert "content-length" not in nothing.headers
    assert len({request.remote.port for request in house.desk.seen}) == 1


async def test_a_request_is_told_as_it_came(house: House) -> None:
    """Case, order, doubled names, non-ASCII bytes, trimmed values, the raw target."""
    answer = await house.say(
        get("/e%20cho?a=1&a=&b=%C3%A9", "X-B:  two blanks ", "x-b: caf\xe9", "Connection: close")
    )

    (request,) = house.desk.seen
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert request.method == "GET"
    assert request.target == "/e%20cho?a=1&a=&b=%C3%A9"
    assert request.path == "/e%20cho"
    assert request.query == [("a", "1"), ("a", ""), ("b", "é")]
    assert request.headers == (
        ("Host", "h"),
        ("X-B", "two blanks"),
        ("x-b", "caf\xe9"),
        ("Connection", "close"),
    )
    assert request.header("x-B") == "two blanks"
    assert request.remote.host == "127.0.0.1"
    assert not request.wants_upgrade
    assert "caf" not in repr(request)


async def test_an_absolute_target(house: House) -> None:
    """A request as a proxy is asked: the path is found in the URL."""
    await house.say(get("http://h:1/a/b?c=d", "Connection: close"))
    await house.say(get("http://h", version="1.0"))

    assert [request.path for request in house.desk.seen] == ["/a/b", "/"]
    assert house.desk.seen[0].query == [("c", "d")]


async def test_pipelined_requests(house: House) -> None:
    """Two requests in one packet are answered in order; HTTP/1.0 is closed after one."""
    both = await house.say(get("/1") + get("/2", "Connection: close"))
    old = await house.say(get("/3", version="1.0") + get("/4"))

    assert re.findall(rb'"(/\d)"', both) == [b"/1", b"/2"]
    assert re.findall(rb'"(/\d)"', old) == [b"/3"]
    assert b"Connection: close" in old


async def test_expect_100_continue(house: House) -> None:
    """The client is told to go on before it sends its body."""
    head = get(
        "/echo", "Content-Length: 4", "Expect: 100-continue", "Connection: close", method="PUT"
    )
    answer = await house.say(head, b"body", pause=0.1)

    assert answer.startswith(b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nbody")


REFUSED = [
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
    (get("/", "Host: again"), 400),
    (get("/", "No-Colon"), 400),
    (get("/", "Space : x"), 400),
    (get("/", "X: a\x00b"), 400),
    (get("/caf\xe9"), 400),
    (get("/", version="2.0"), 505),
    (get("/", "Content-Length: 3", "Transfer-Encoding: chunked"), 400),
    (get("/", "Transfer-Encoding: chunked", version="1.0"), 400),
    (get("/", "Content-Length: 3", "Content-Length: 4"), 400),
    (get("/", "Content-Length: +3"), 400),
    (get("/", "Content-Length: -1"), 400),
    (get("/", "Transfer-Encoding: gzip, chunked"), 501),
    (get("h:443", method="CONNECT"), 405),
    (get("/", "X: " + "y" * 5000), 431),
    (get("/" + "y" * 5000)[:-4], 431),
    (get("/", *["X: 1"] * 1000), 431),
    (get("/", "Content-Length: 10001", method="POST"), 413),
    (get("/", "Transfer-Encoding: chunked") + b"2711\r\n" + b"x" * 10001, 413),
    (get("/", "Transfer-Encoding: chunked") + b"zz\r\n", 400),
    (get("/", "Transfer-Encoding: chunked") + b"2\r\nabXX", 400),
    (get("/", "Content-Length: 5") + b"abc", 408),
    (b"GET / HT", 408),
    (get("/x", "Upgrade: websocket", "Connection: upgrade"), 426),
    (upgrade("/x").replace(b": 13", b": 8"), 426),
    (upgrade("/x").replace(KEY, b"short"), 400),
    (upgrade("/x").replace(KEY, b"!" * 24), 400),
]


@pytest.mark.parametrize(("data", "status"), REFUSED, ids=lambda value: str(value)[:40])
async def test_what_is_refused(house: House, data: bytes, status: int) -> None:
    """A status that says why, an error in JSON, and then the end, which can be read."""
    answer = await house.say(data)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in answer
    assert b'{"error":{"message":' in answer
    assert house.desk.seen == []


async def test_a_refusal_can_be_read_by_who_still_sends(house: House) -> None:
    """A big body is not answered with a reset."""
    head = get("/echo", "Content-Length: 5000000", method="POST")
    answer = await house.say(head, *[bytes(100_000)] * 5)

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("said", [b"", get("/echo")], ids=["nothing", "one request"])
async def test_silence_is_cut_off(house: House, said: bytes) -> None:
    """Who says nothing, at first or between requests, is hung up on without a word."""
    began = trio.current_time()
    answer = await house.say(said)

    assert answer.count(b"HTTP/1.1") == (1 if said else 0)
    assert b"408" not in answer
    assert 0.15 < trio.current_time() - began < 2


async def test_a_client_that_does_not_read(house: House) -> None:
    """An answer that is not taken is given up; the connection is freed."""
    stream = await trio.open_tcp_stream("127.0.0.1", house.port)
    await stream.send_all(get("/big"))
    await trio.sleep(0.4)
    received = 0
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        while data := await stream.receive_some():
            received += len(data)
        raise trio.BrokenResourceError  # an end instead of a reset is as good
    assert received < 30 << 20
    await stream.aclose()


# WebSockets


async def test_a_websocket(house: House) -> None:
    """Echo in text and binary; subprotocol and headers of the 101; no header is lost."""
    async with open_websocket(
        house.url("/v1/realtime?model=m"),
        headers=[("X-Case", "kept")],
        subprotocols=["realtime", "other"],
        timeouts=EASY,
    ) as socket:
        for message in ("text \N{SNOWMAN}", b"\x00\xff", "x" * 100_000):
            await socket.send(message)
            data = (await socket.receive()).data
            assert data == (message.encode() if isinstance(message, str) else message)
        with pytest.raises(SessionClosed, match="1009"):
            await socket.send("x" * 100_001)
            await socket.receive()

    (request,) = house.desk.seen
    assert request.wants_upgrade
    assert request.subprotocols == ("realtime", "other")
    assert ("X-Case", "kept") in request.headers
    assert request.header("host") == f"127.0.0.1:{house.port}"
    assert socket.handshake.subprotocol == "realtime"
    assert ("X-Request-Id", "req_7") in socket.handshake.headers


async def test_frames_that_come_with_the_request(house: House) -> None:
    """A hasty client's first message is not dropped."""
    hasty, close = frame(TEXT, b"hi", key=MASK), frame(CLOSE, closing(1000), key=MASK)
    answer = await house.say(upgrade("/x") + hasty, close, pause=0.1)

    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
    assert b"Sec-WebSocket-Accept: " + TOKEN in head
    assert rest == frame(TEXT, b"hi") + frame(CLOSE, closing(1000))


async def test_a_refused_upgrade(house: House) -> None:
    """The handler's answer as it is, and the connection is really closed."""
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket(house.url("/no"), timeouts=EASY):
            pass
    answer = await house.say(upgrade("/no") + get("/echo"))

    assert (caught.value.status, caught.value.body) == (401, b'{"error":"no"}')
    assert ("X-Why", "key") in caught.value.headers
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/hang-up", 1000, ""),
        ("/close", 4000, "enough"),
        ("/fail-talking", 1011, ""),
        ("/clumsy", 1011, ""),
    ],
)
async def test_how_the_handler_ends(house: House, path: str, code: int, reason: str) -> None:
    """Returning closes with 1000, an exception with 1011, and its own code goes out."""
    async with open_websocket(house.url(path), timeouts=EASY) as socket:
        if code == 1011:
            await socket.send("go")
        with pytest.raises(SessionClosed) as caught:
            await socket.receive()
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert socket.close_info is not None
    assert socket.close_info.clean


async def test_a_client_that_does_not_answer_close(house: House) -> None:
    """It is cut off after `close_seconds`."""
    began = trio.current_time()
    answer = await house.say(upgrade("/close"))

    assert answer.endswith(frame(CLOSE, closing(4000, b"enough")))
    assert 0.15 < trio.current_time() - began < 2


async def test_pings_are_answered_while_the_handler_is_busy(house: House) -> None:
    """Messages that wait do not keep the pong back, until they are too many."""
    async with open_websocket(house.url("/not-reading"), timeouts=EASY) as socket:
        for number in range(200):
            await socket.send(f"{number}")
        assert await socket.ping(timeout=2) > 0
        for _ in range(4):
            await socket.send("x" * 99_999)
        with pytest.raises(Exception, match="did not answer a ping"):
            await socket.ping(timeout=0.2)
        house.desk.go_on.set()
        received = [await socket.receive() for _ in range(204)]
    assert received[199].data == b"199"


@pytest.mark.parametrize("path", ["/", "/not-reading", "/clumsy"])
async def test_stopping_says_going_away(path: str) -> None:
    """Cancelling `serve` closes open sessions with 1001, and raises nothing of a handler's."""
    async with trio.open_nursery() as outer, trio.open_nursery() as server:
        address = await server.start(partial(serve, Desk(), limits=QUICK))
        caught: list[SessionClosed] = []

        async def visit() -> None:
            async with open_websocket(f"ws://{address}{path}", timeouts=EASY) as socket:
                await socket.ping()
                server.cancel_scope.cancel()
                with pytest.raises(SessionClosed) as raised, trio.fail_after(5):
                    await socket.receive()
                caught.append(raised.value)

        outer.start_soon(visit)
    assert [error.code for error in caught] == [1001]


# TLS and addresses


async def test_tls() -> None:
    """`wss` and `https` work; plain HTTP and silence are cut off, and hurt nobody."""
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)

    async with open_house(context=context) as house:
        async with open_websocket(
            house.url("/x", "wss"), ssl_context=trusting, timeouts=EASY
        ) as socket:
            began = trio.current_time()
            assert b"200" not in await house.say(get("/echo"))
            assert await house.say() == b""
            assert trio.current_time() - began < 2
            await socket.send("x" * 90_000)
            assert len((await socket.receive()).data) == 90_000
        with pytest.raises(HandshakeRefused):
            async with open_websocket(house.url("/no", "wss"), ssl_context=trusting, timeouts=EASY):
                pass


async def test_an_address_in_use() -> None:
    """The error names the address and what to do; a port just left can be taken again."""
    async with open_house() as house:
        with pytest.raises(UsageError, match=rf"127.0.0.1:{house.port} is in use"):
            await serve(Desk(), port=house.port)
        await house.say(get("/echo", "Connection: close"))
    with trio.move_on_after(0.05) as scope:
        await serve(Desk(), port=house.port)
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("192.0.2.1", 0, "no address of this machine"), ("127.0.0.1", 70000, "70000")],
)
async def test_an_address_that_cannot_be(host: str, port: int, words: str) -> None:
    """Somebody else's address, and ports that do not exist."""
    with pytest.raises(UsageError, match=words):
        await serve(Desk(), host=host, port=port)


async def test_nursery_start_raises_plainly() -> None:
    """`nursery.start(serve, ...)` gives the `UsageError` itself, in trio's group and no deeper."""
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, Desk(), host="192.0.2.1"))
    assert [type(error) for error in caught.value.exceptions] == [UsageError]


async def test_localhost_is_one_port() -> None:
    """A name with two addresses and port 0 is bound once, and the address says where."""
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(serve, Desk(), host="localhost", limits=QUICK))
        async with open_websocket(f"ws://{address}/", timeouts=EASY) as socket:
            assert await socket.ping() > 0
        nursery.cancel_scope.cancel()

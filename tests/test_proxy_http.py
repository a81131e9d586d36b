"""HTTP through the proxy where it is easily got wrong: cookies, HEAD, streams, codings, logs."""

from __future__ import annotations

import gzip
import logging
from contextlib import asynccontextmanager

import orjson
import pytest
import trio

from recorder.live import frontdoor
from recorder.live.frontdoor import Request, Response
from recorder.proxy.options import Bounds
from recorder.proxy.outgoing import decoded
from recorder.wire import join
from tests.proxy_kit import header, proxy_before, read_head

JSON = ("Content-Type", "application/json")


class Api:
    """An upstream that answers by path."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.go, self.cut = trio.Event(), trio.Event()

    async def http(self, request: Request) -> Response:
        self.requests.append(request)
        match request.path:
            case "/v1/login":
                return Response(200, (("Set-Cookie", "session=of-one-caller; Path=/"),), b"hello")
            case "/v1/stream" | "/v1/realtime/stream":
                kind = "text/event-stream" if "realtime" not in request.path else "text/plain"
                count = 20 if kind == "text/plain" else 2000
                return Response(200, (("Content-Type", kind),), self.pieces(count))
            case "/v1/realtime/packed":
                packed = gzip.compress(b'{"model":"m"}')
                return Response(200, (JSON, ("Content-Encoding", "gzip")), packed)
            case "/v1/realtime/long":
                return Response(200, (JSON,), b'"' + b"x" * 5000 + b'"')
            case "/v1/empty":
                return Response(204)
        return Response(200, (JSON,), b'{"a":1}')

    async def pieces(self, count: int):
        yield b"data: 1\n\n"
        try:
            await self.go.wait()
            for _ in range(count):
                yield b"x" * 10_000
        finally:
            self.cut.set()


@asynccontextmanager
async def api_house(**options):
    """A proxy before it."""
    api = Api()
    async with trio.open_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, api)
        async with proxy_before(f"http://{address}", **options) as house:
            yield house, api
        nursery.cancel_scope.cancel()


async def test_a_cookie_of_one_caller_does_not_reach_another():
    """The proxy keeps none."""
    async with api_house() as (house, api):
        head, _ = await house.ask("GET", "/v1/login")
        assert header(head, "Set-Cookie") == "session=of-one-caller; Path=/"
        await house.ask("GET", "/v1/models")
        await house.ask("GET", "/v1/models", "Cookie: mine=1")
        cookies = [request.header("Cookie") for request in api.requests]
        assert cookies == [None, None, "mine=1"]


async def test_answers_without_a_body_leave_nothing_open():
    """HEAD states the length of what it does not send; 204 has none."""
    async with api_house() as (house, _):
        for path in ("/v1/models", "/v1/realtime/x"):
            head, body = await house.ask("HEAD", path)
            assert (header(head, "Content-Length"), body) == ("7", b"")
        head, body = await house.ask("GET", "/v1/empty")
        assert head.startswith("HTTP/1.1 204 ")
        assert body == b""
        with trio.fail_after(2):
            await house.proxy.emptied()


@pytest.mark.filterwarnings("ignore:.*async_generator:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx nests them, unclosed
async def test_a_stream_comes_piece_by_piece_and_ends_with_its_reader():
    """The first event is there before the second exists; a reader that left ends the upstream's."""
    async with api_house() as (house, api):
        stream = await house.connect()
        await stream.send_all(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with trio.fail_after(2):
            _, rest = await read_head(stream)
            while b"data: 1" not in rest:
                rest += await stream.receive_some(1000)
            await stream.aclose()
            api.go.set()
            await api.cut.wait()
            await house.proxy.emptied()
        assert house.proxy.counts.upstream_errors["cut_off"] == 1


async def test_a_side_call_over_the_limit_passes_and_is_told_by_its_length():
    """It is not held to its end."""
    async with api_house(bounds=Bounds(recorded_body_bytes=1000)) as (house, api):
        api.go.set()
        _, body = await house.ask("GET", "/v1/realtime/long")
        assert orjson.loads(body) == "x" * 5000
        shake = next(e for e in house.events() if e.type == "recorder.handshake")
        assert orjson.loads(shake.head)["bytes"] == 5002
        assert house.events()[-1].type == "recorder.closed"
        head, _ = await house.ask("GET", "/v1/realtime/stream")
        assert header(head, "Transfer-Encoding") == "chunked"
        with trio.fail_after(2):
            await house.proxy.emptied()
        assert orjson.loads(house.events()[-1].head)["clean"] is True


async def test_a_coded_answer_passes_coded_and_is_recorded_plain():
    """What cannot be read is not asked for."""
    async with api_house() as (house, api):
        _, body = await house.ask("GET", "/v1/realtime/packed", "Accept-Encoding: br, gzip;q=0.5")
        assert gzip.decompress(body) == b'{"model":"m"}'
        assert join(house.events()[-2]) == b'{"model":"m"}'
        assert api.requests[-1].header("Accept-Encoding") == "gzip;q=0.5"
        await house.ask("GET", "/v1/models", "Accept-Encoding: br, gzip;q=0.5")
        assert api.requests[-1].header("Accept-Encoding") == "br, gzip;q=0.5"


def test_a_bomb_is_not_unpacked():
    """Neither is what was packed twice, or in a way that is not known."""
    coded = (("Content-Encoding", "gzip"),)
    assert decoded(coded, gzip.compress(bytes(10_000_000)), 1000) is None
    assert decoded(coded, gzip.compress(b"abc"), 1000) == b"abc"
    assert decoded(coded, b"no gzip", 1000) is None
    assert decoded((("Content-Encoding", "br"),), b"abc", 1000) is None
    assert decoded((), b"abc", 2) is None


async def test_nothing_of_what_passes_is_in_a_log_at_any_level(caplog):
    """httpcore would tell the headers of every answer."""
    caplog.set_level(logging.DEBUG)
    async with api_house() as (house, _):
        secret = "Authorization: Bearer sk-0123456789abcdefghij"
        await house.ask("GET", "/v1/login?api-key=theirs-0123456789", secret)
        await house.ask("POST", "/v1/realtime/client_secrets", secret, body=b"{}")
        said = caplog.text
        assert "httpx" in said
        for word in ("of-one-caller", "sk-0123456789", "theirs-0123456789"):
            assert word not in said


async def test_loopback_is_reached_without_the_proxy_of_the_environment(monkeypatch):
    """The same way out as that of the WebSockets."""
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9")
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    async with api_house() as (house, _):
        with trio.fail_after(3):
            head, _ = await house.ask("GET", "/v1/models")
        assert head.startswith("HTTP/1.1 200 ")


async def test_the_outer_proxy_is_used_for_both():
    """WebSocket through CONNECT, HTTP as its proxies expect it; both know its password."""
    seen: list[str] = []

    async def outer(stream: trio.SocketStream) -> None:
        head, _ = await read_head(stream)
        seen.append(head)
        await stream.send_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, outer, listeners)
        way = f"http://user:pass@127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with proxy_before("http://endpoint.example", outer_proxy=way) as house:
            await house.ask("GET", "/v1/models")
            client = await house.dial()
            head, _ = await read_head(client)
            assert head.startswith("HTTP/1.1 502 ")
        nursery.cancel_scope.cancel()
    assert [head.split("\r\n")[0] for head in seen] == [
        "GET http://endpoint.example/v1/models HTTP/1.1",
        "CONNECT endpoint.example:80 HTTP/1.1",
    ]
    assert [header(head, "Proxy-Authorization") for head in seen] == ["Basic dXNlcjpwYXNz"] * 2


async def test_a_body_is_asked_for_and_all_bodies_together_are_bounded():
    """`Expect: 100-continue` is answered; what is too much for all is 503."""
    async with api_house(bounds=Bounds(bodies_bytes=1000)) as (house, api):
        stream = await house.connect()
        await stream.send_all(
            b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        head, _ = await read_head(stream)
        assert head.startswith("HTTP/1.1 100 ")
        await stream.send_all(b"abc")
        head, _ = await read_head(stream)
        assert head.startswith("HTTP/1.1 200 ")
        assert (api.requests[-1].body, api.requests[-1].header("Expect")) == (b"abc", None)
        head, _ = await house.ask("POST", "/v1/x", body=b"y" * 2000)
        assert head.startswith("HTTP/1.1 503 ")
        head, _ = await house.ask("POST", "/v1/x", body=b"y" * 900)
        assert head.startswith("HTTP/1.1 200 ")


async def test_one_address_cannot_take_all_connections():
    """Idle ones too: beyond its share it is answered 503."""
    from recorder.proxy.options import BESIDE

    async with api_house(bounds=Bounds(per_client=0, head_seconds=60)) as (house, _):
        for _ in range(BESIDE):
            await house.connect()
        await trio.testing.wait_all_tasks_blocked(0.05)
        head, _ = await house.ask("GET", "/v1/models")
        assert head.startswith("HTTP/1.1 503 ")
        await house.clients[0].aclose()
        await trio.testing.wait_all_tasks_blocked(0.05)
        head, _ = await house.ask("GET", "/v1/models")
        assert head.startswith("HTTP/1.1 200 ")

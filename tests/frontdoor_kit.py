"""What the tests of the front door share: a handler, an open house, requests by hand."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio_websocket import ConnectionClosed

from recorder.live.frontdoor import Accept, Address, Connection, Limits, Request, Response, serve

MASK = b"\x01\x02\x03\x04"
QUICK = Limits(
    head_bytes=4096,
    head_seconds=0.2,
    body_bytes=10_000,
    body_seconds=0.2,
    idle_seconds=0.2,
    write_seconds=0.2,
    close_seconds=0.2,
    message_bytes=100_000,
    unread_bytes=300_000,
)
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
TOKEN = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3 has this pair
SECRET = "sk-query-secret-0123456789"


class Desk:
    """A handler that does what the path says."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.go_on = trio.Event()

    async def http(self, request: Request) -> Response:
        self.seen.append(request)
        match request.path:
            case "/echo":
                return Response(200, (("X-One", "1"), ("x-one", "2")), request.body)
            case "/pieces":
                return Response(body=self.pieces())
            case "/nothing":
                return Response(204)
            case "/fail":
                raise ValueError(SECRET)
            case "/bad-header":
                return Response(200, (("X-Evil", "a\r\nb"),))
            case "/big":
                return Response(body=bytes(30 << 20))
            case _:
                return Response.json({"path": request.path}, 404)

    async def pieces(self) -> AsyncIterator[bytes]:
        for piece in (b"one ", b"", b"two"):
            yield piece

    async def upgrade(self, request: Request) -> Accept | Response:
        self.seen.append(request)
        match request.path:
            case "/no":
                return Response.json({"error": "no"}, 401, (("X-Why", "key"),))
            case "/fail-upgrade":
                raise ValueError(SECRET)
            case "/unoffered":
                return Accept(partial(self.talk, request), "chat")
            case _:
                offered = request.subprotocols
                talk = partial(self.talk, request)
                return Accept(talk, offered[0] if offered else None, (("X-Request-Id", "req_7"),))

    async def talk(self, request: Request, socket: Connection) -> None:
        match request.path:
            case "/fail-talking":
                await socket.get_message()
                raise ValueError(SECRET)
            case "/hang-up":
                return
            case "/close":
                await socket.aclose(4000, "enough")
            case "/not-reading":
                await self.go_on.wait()
            case "/clumsy":
                await self.clumsy(socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.echo, socket)

    async def clumsy(self, socket: Connection) -> None:
        """Several tasks that fail in different ways when they are stopped."""

        async def fail(error: Exception) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ValueError(SECRET))
            nursery.start_soon(trio.sleep_forever)
            await socket.get_message()
            raise ConnectionClosed(None)

    async def echo(self, socket: Connection) -> None:
        while True:
            await socket.send_message(await socket.get_message())


class House:
    """A front door that is open, and how to knock at it."""

    def __init__(self, address: Address, desk: Desk) -> None:
        self.port, self.desk = address.port, desk

    def url(self, path: str = "/", scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def say(self, *pieces: bytes, pause: float = 0.01, hang_up: bool = False) -> bytes:
        """Send the pieces; all that comes back until the end."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        answer = b""
        with trio.fail_after(5):
            async with stream:
                try:
                    for piece in pieces:
                        await stream.send_all(piece)
                        await trio.sleep(pause)
                    if hang_up:
                        await stream.send_eof()
                    while data := await stream.receive_some():
                        answer += data
                except trio.BrokenResourceError:
                    pass
        return answer


@asynccontextmanager
async def open_house(
    limits: Limits = QUICK, context: ssl.SSLContext | None = None
) -> AsyncIterator[House]:
    """A front door on a port of its own."""
    desk = Desk()
    async with trio.open_nursery() as nursery:
        start = partial(serve, desk, ssl_context=context, limits=limits)
        yield House(await nursery.start(start), desk)
        nursery.cancel_scope.cancel()


def get(path: str, *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: h", *lines, "", ""]).encode(
        "latin-1"
    )


def upgrade(path: str, *lines: str) -> bytes:
    """An upgrade request's head."""
    return get(
        path,
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        "Sec-WebSocket-Version: 13",
        *lines,
    )

"""What the tests of the proxy share: a raw upstream, a proxy before it, a raw client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from recorder.events import Event
from recorder.live.writer import Writer, open_writer
from recorder.proxy.options import ProxyOptions
from recorder.proxy.routes import parse_upstream
from recorder.proxy.running import serve_proxy
from recorder.proxy.serving import Proxy
from recorder.store import EventStore, MemoryStore
from recorder.transport.frames import unmask
from recorder.transport.handshake import accept_token

MASK = b"\x01\x02\x03\x04"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def frame(payload: bytes, opcode: int = TEXT, *, masked: bool, last: bool = True) -> bytes:
    """One WebSocket frame."""
    first = bytes((0x80 * last | opcode,))
    size, bit = len(payload), 0x80 * masked
    if size < 126:
        head = bytes((bit | size,))
    elif size < 1 << 16:
        head = bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        head = bytes((bit | 127,)) + size.to_bytes(8, "big")
    return first + head + (MASK + unmask(payload, MASK) if masked else payload)


def closing(code: int, reason: str = "", *, masked: bool) -> bytes:
    """A Close frame."""
    return frame(code.to_bytes(2, "big") + reason.encode(), CLOSE, masked=masked)


async def read_head(stream: trio.abc.Stream) -> tuple[str, bytes]:
    """The head of an HTTP message as text, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = bytes(await stream.receive_some())
        if not more:
            return data.decode("latin-1"), b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


async def read_all(stream: trio.abc.Stream) -> tuple[bytes, str]:
    """Everything until the end, and how it ended: `eof` or `reset`."""
    data = b""
    try:
        while more := await stream.receive_some():
            data += more
    except trio.BrokenResourceError:
        return data, "reset"
    return data, "eof"


def header(head: str, name: str) -> str | None:
    """A header of a head, by its name in any case."""
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None


Talk = Callable[[trio.SocketStream], Awaitable[None]]


@dataclass
class RawUpstream:
    """A server that does the handshake by hand, and leaves the bytes after it to `talk`."""

    talk: Talk
    answer: bytes | None = None
    """Instead of a 101: sent as it is, then closed."""
    extra: str = ""
    """Further header lines of the 101, each with its line end."""
    heads: list[str] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        head, rest = await read_head(stream)
        self.heads.append(head)
        assert rest == b""
        try:
            if self.answer is not None:
                await stream.send_all(self.answer)
                await stream.aclose()
                return
            token = accept_token(header(head, "Sec-WebSocket-Key") or "")
            await stream.send_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + token.encode() + b"\r\n"
                + self.extra.encode() + b"\r\n"
            )  # fmt: skip
            await self.talk(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # a test that cuts connections cuts this one too
        finally:
            await trio.aclose_forcefully(stream)


@dataclass
class House:
    """A proxy with its upstream."""

    proxy: Proxy
    address: Any
    store: EventStore
    writer: Writer
    upstream: RawUpstream | None = None
    clients: list[trio.SocketStream] = field(default_factory=list)

    async def connect(self) -> trio.SocketStream:
        """A connection that is closed with the house."""
        stream = await trio.open_tcp_stream(*self.address)
        self.clients.append(stream)
        return stream

    async def dial(self, path: str = "/v1/realtime?model=m", *lines: str) -> trio.SocketStream:
        """A client that has sent its upgrade and read nothing."""
        stream = await self.connect()
        await stream.send_all(upgrade(path, f"{self.address}", *lines))
        return stream

    async def open(self, path: str = "/v1/realtime?model=m", *lines: str) -> trio.SocketStream:
        """A client whose WebSocket is open."""
        stream = await self.dial(path, *lines)
        head, rest = await read_head(stream)
        assert head.startswith("HTTP/1.1 101 "), head
        assert rest == b""
        return stream

    async def ask(
        self, method: str, path: str, *lines: str, body: bytes = b""
    ) -> tuple[str, bytes]:
        """One HTTP request; head and body of the answer."""
        stream = await self.connect()
        sized = (f"Content-Length: {len(body)}",) if body else ()
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.address}", "Connection: close"]
        await stream.send_all("\r\n".join([*head, *sized, *lines, "", ""]).encode() + body)
        data, _ = await read_all(stream)
        told, _, rest = data.partition(b"\r\n\r\n")
        return told.decode("latin-1"), rest

    def events(self, index: int = -1) -> list[Event]:
        """The events of the session that was begun so manieth."""
        session = list(self.store.sessions())[index]
        return list(self.store.read(session.id))

    def passed(self, index: int = -1) -> list[tuple[str, int, bytes]]:
        """Origin, opcode and bytes of what passed in a session."""
        from recorder.wire import join

        return [
            (event.origin.name.lower(), event.opcode, join(event))
            for event in self.events(index)
            if event.origin.name != "RECORDER"
        ]

    async def over(self) -> None:
        """Wait until no session is open."""
        with trio.fail_after(5):
            await self.proxy.emptied()
            await trio.testing.wait_all_tasks_blocked()


def upgrade(path: str, host: str, *lines: str) -> bytes:
    """The head of an upgrade request."""
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    return "\r\n".join([*head, *lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def proxy_before(
    url: str, *, store: EventStore | None = None, **options: Any
) -> AsyncIterator[House]:
    """A proxy whose upstream is at `url` (or at several, `NAME=URL`)."""
    store = store or MemoryStore()
    ssl_context = options.pop("ssl_context", None)
    places = [parse_upstream(each) for each in url.split()]
    async with open_writer(store) as writer:
        async with serve_proxy(
            ProxyOptions(upstreams=places, **options), writer, ssl_context=ssl_context
        ) as (proxy, address):
            house = House(proxy, address, store, writer)
            yield house
            for client in house.clients:
                await trio.aclose_forcefully(client)


@asynccontextmanager
async def raw_house(
    talk: Talk, *, answer: bytes | None = None, extra: str = "", **options: Any
) -> AsyncIterator[House]:
    """A proxy before a raw upstream that talks like this once the handshake is over."""
    upstream = RawUpstream(talk, answer, extra)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, upstream.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with proxy_before(f"http://127.0.0.1:{port}", **options) as house:
            house.upstream = upstream
            yield house
        nursery.cancel_scope.cancel()

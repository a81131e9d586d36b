"""HTTP to the upstream: one client for each, as the proxy wants it.

Laws:

1. Nothing of one application's calls gets into another's: no cookie is kept.
2. Nothing is invented, followed or undone: no headers of our own, no redirects, no decoding.
3. The way out is that of the WebSockets: the same trust, the same outer proxy.
4. Nothing of what passes gets into a log, at whatever level: httpcore would tell headers there.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

import httpx
import trio

from recorder.transport.dial import Trust, tls_context
from recorder.transport.http import Headers, header_tokens
from recorder.transport.urls import Proxy, choose_proxy, parse_target

if TYPE_CHECKING:
    from .options import ProxyOptions
    from .routes import Route, Upstream

READABLE: Final = frozenset({"gzip", "deflate", "identity"})
"""Content codings that can be undone for the log."""
_WATCHED: Final = tuple(f"httpcore.{name}" for name in ("connection", "http11", "proxy", "socks"))
_ours: ContextVar[bool] = ContextVar("recorder_proxy_ours", default=False)


class _Silence(logging.Filter):
    """Keeps what httpcore says of the proxy's own calls out of every log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


_SILENCE: Final = _Silence()


class Outgoing:
    """The clients of one proxy."""

    def __init__(self, options: ProxyOptions) -> None:
        self._options = options
        self._clients: dict[Upstream, httpx.AsyncClient] = {}

    async def aclose(self) -> None:
        """Let go of kept connections."""
        for client in self._clients.values():
            await client.aclose()

    async def ask(
        self, route: Route, method: str, headers: list[tuple[str, str]], body: bytes
    ) -> httpx.Response:
        """The answer to one request, its body not yet read. Raises `httpx.HTTPError` and
        `UsageError` (an outer proxy that cannot be used)."""
        _ours.set(True)  # for the rest of this connection's task: the body is read in it too
        client = self._clients.get(route.upstream)
        if client is None:
            client = self._clients[route.upstream] = self._new_client(route)
        request = client.build_request(
            method,
            route.url(websocket=False).partition("?")[0],  # httpx logs it; a query may hold a key
            headers=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers],
            content=body or None,
            extensions={"target": self._target(route).encode("latin-1")},
        )
        return await client.send(request, stream=True)

    def _outer(self, route: Route) -> Proxy | None:
        return choose_proxy(self._options.outer_proxy, parse_target(route.url(websocket=True)))

    def _target(self, route: Route) -> str:
        """What stands in the request line: for a proxy that forwards, the whole URL."""
        if route.upstream.secure or self._outer(route) is None:
            return route.target
        return route.url(websocket=False)

    def _new_client(self, route: Route) -> httpx.AsyncClient:
        options = self._options
        for name in _WATCHED:
            logging.getLogger(name).addFilter(_SILENCE)
        outer, proxy = self._outer(route), None
        if outer is not None:
            user, _, password = (outer.basic or "").partition(":")
            scheme = "https" if outer.secure else "http"
            auth = (user, password) if outer.basic else None
            proxy = httpx.Proxy(f"{scheme}://{outer.address}", auth=auth)
        client = httpx.AsyncClient(
            verify=tls_context(Trust(ca_file=options.ca_file)),
            timeout=httpx.Timeout(
                options.timeouts.connect, read=options.bounds.answer_seconds, pool=None
            ),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            proxy=proxy,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
        client.headers.clear()  # what the client did not send is not to be invented
        return client


class Body:
    """The body of an answer, piece by piece as it comes. Closed in the end, whatever happens."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._pieces = answer.aiter_raw()
        self._first = b""
        self._closed = False
        self.size = 0
        """Bytes that have come."""
        self.ended = False
        """It came to its end."""
        self.on_end: Callable[[], None] | None = None
        """Called once, when it has ended or was given up."""

    async def read(self, limit: int) -> bytes | None:
        """All of it, or None if it is longer than `limit`: then it can still be iterated.

        Raises `httpx.HTTPError`.
        """
        kept = bytearray()
        while len(kept) <= limit:
            try:
                kept += await anext(self._pieces)
            except StopAsyncIteration:
                self.size, self.ended = len(kept), True
                await self.aclose()
                return bytes(kept)
        self._first = bytes(kept)
        return None

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        piece, self._first = self._first, b""
        try:
            piece = piece or await anext(self._pieces)
        except StopAsyncIteration:
            self.ended = True
            await self.aclose()
            raise
        self.size += len(piece)
        return piece

    async def aclose(self) -> None:
        """Let go of the connection, and tell that it is over."""
        if self._closed:
            return
        self._closed = True
        try:
            with trio.CancelScope(shield=True):
                if isinstance(self._pieces, AsyncGenerator):
                    await self._pieces.aclose()
                await self._answer.aclose()
        finally:
            if self.on_end is not None:
                self.on_end()


def headers_of(answer: httpx.Response) -> Headers:
    """Its headers: names, case and order as they came."""
    return tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in answer.headers.raw)


def decoded(headers: Headers, raw: bytes, limit: int) -> bytes | None:
    """A body with its content coding undone; None where that cannot be done within `limit`."""
    codings = [coding.lower() for coding in header_tokens(headers, "Content-Encoding")]
    if not set(codings) <= READABLE or len(codings) > 1:
        return None
    if codings and codings != ["identity"]:
        undo = zlib.decompressobj(wbits=47)  # gzip or zlib
        try:
            raw = undo.decompress(raw, limit)
        except zlib.error:
            return None
        if undo.unconsumed_tail:
            return None
    return raw if len(raw) <= limit else None


def readable_codings(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a request whose answer is to be recorded: asking only for what can be read."""
    changed = []
    for name, value in headers:
        if name.lower() == "accept-encoding":
            known = [each.strip() for each in value.split(",")]
            known = [each for each in known if each.partition(";")[0].lower() in READABLE]
            value = ", ".join(known) or "identity"
        changed.append((name, value))
    return changed

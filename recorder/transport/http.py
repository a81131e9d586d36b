"""HTTP messages as the front door hands them on: what was asked, and what to answer.

Nothing here does I/O. Header names keep their case and order; text is latin-1, so that any
byte a peer sent comes back as it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson
import trio

if TYPE_CHECKING:
    from .connection import Connection

Headers = tuple[tuple[str, str], ...]


class Address(NamedTuple):
    """Where a listener, or the other end of a connection, is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def header_values(headers: Headers, name: str) -> list[str]:
    """All values of a header, in order; names are compared without case."""
    wanted = name.lower()
    return [value for key, value in headers if key.lower() == wanted]


def header_tokens(headers: Headers, name: str) -> list[str]:
    """The comma-separated tokens of a header, over all lines that carry it."""
    joined = ",".join(header_values(headers, name))
    return [token for part in joined.split(",") if (token := part.strip())]


def asks_for_websocket(headers: Headers) -> bool:
    """Whether `Connection` and `Upgrade` name a WebSocket (RFC 6455 §4.2.1, 3 and 4)."""
    upgrade = (token.lower() for token in header_tokens(headers, "Upgrade"))
    connection = (token.lower() for token in header_tokens(headers, "Connection"))
    return "websocket" in upgrade and "upgrade" in connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, its body read to the end (an upgrade has none)."""

    method: str
    target: str
    """As it stood in the request line: path and query, or an absolute URL."""
    headers: Headers = field(repr=False)
    """Case and order as they came; values without surrounding blanks."""
    remote: Address
    http_version: str = "1.1"
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The path without query, percent-escapes kept."""
        return self._parts()[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded (name, value) pairs of the query, in order, blank values kept."""
        return parse_qsl(self._parts()[1], keep_blank_values=True)

    @property
    def raw_query(self) -> str:
        """The query as it stood in the request line, without the question mark."""
        return self._parts()[1]

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        values = header_values(self.headers, name)
        return values[0] if values else None

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """What `Sec-WebSocket-Protocol` offers, in order."""
        return tuple(header_tokens(self.headers, "Sec-WebSocket-Protocol"))

    @property
    def wants_upgrade(self) -> bool:
        """Whether this asks for a WebSocket, well-formed or not."""
        return (
            self.method == "GET" and self.http_version >= "1.1" and asks_for_websocket(self.headers)
        )

    def _parts(self) -> tuple[str, str]:
        target = self.target
        if not target.startswith(("/", "*")):  # RFC 9112 §3.2.2: an absolute URL must be taken
            try:
                url = urlsplit(target)
            except ValueError:
                return target, ""
            return url.path or "/", url.query
        path, _, query = target.partition("?")
        return path, query


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `Content-Length`, `Date` and `Connection` are set by whoever sends it.

    A `body` that is an asynchronous iterable is sent piece by piece: chunked, unless its
    `length` in bytes is known.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | AsyncIterable[bytes] = b""
    length: int | None = None

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Headers = ()) -> Response:
        """`value` as a JSON document."""
        content = (("Content-Type", "application/json"),)
        return cls(status, (*content, *headers), orjson.dumps(value))


@dataclass(frozen=True, slots=True)
class Accept:
    """Yes to an upgrade: who talks, at most one of the offered subprotocols, further headers.

    When `talk` returns, the socket is closed with 1000, after an error with 1011.
    `ConnectionClosed` from the socket may simply be let through. Call
    `socket.aclose(code, reason)` to close otherwise. Pings are answered by themselves.
    """

    talk: Callable[[Connection], Awaitable[None]]
    subprotocol: str | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Takeover:
    """Neither yes nor no: whoever asked takes the connection over, and answers himself.

    `run` gets the stream, and what arrived after the request's head already. When it returns,
    the connection is closed.
    """

    run: Callable[[trio.abc.Stream, bytes], Awaitable[None]]

"""One HTTP request and its answer, as a client: h11 over a stream, under a deadline.

For the upgrade and for a proxy's CONNECT. The answer comes out as data; what it means is judged
elsewhere.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import h11
import trio

from recorder.errors import EndpointTimeout, ProtocolViolation, Unreachable
from recorder.transport.http import header_tokens
from recorder.transport.urls import Scrubber

MAX_HEAD: Final = 64 * 1024
MAX_BODY: Final = 64 * 1024

HeaderList = list[tuple[str, str]]


class Answer(NamedTuple):
    """The head of a response, and what came after it in the same breath."""

    at_ns: int
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    rest: bytes


@contextmanager
def until(deadline: float, otherwise: str) -> Iterator[None]:
    """`EndpointTimeout(otherwise)` if the block is not through at `deadline` (trio's time)."""
    with trio.move_on_at(deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise EndpointTimeout(otherwise)


class Exchange:
    """One request and its answer on a stream that carries nothing else before it."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        method: str,
        resource: str,
        headers: HeaderList,
        clock: Callable[[], int],
    ) -> None:
        self._stream, self._clock = stream, clock
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        request = h11.Request(
            method=method,
            target=resource,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        )
        self._request = self._http.send(request) + self._http.send(h11.EndOfMessage())
        self._at_ns = 0
        self._begun = b""
        self.body = bytearray()

    async def ask(self, where: str, scrub: Scrubber) -> Answer:
        """Send the request and read the head of the answer (`100` and `103` are passed over)."""
        try:
            await self._stream.send_all(self._request)
            head = await self._head(where)
        except trio.BrokenResourceError as error:
            raise self._cut_off(where, f"broke the connection ({_cause(error)})") from error
        except h11.RemoteProtocolError:  # its text holds what was said, which may echo a key
            raise self._no_http(where, scrub) from None
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in head.headers.raw_items()
        )
        rest = self._http.trailing_data[0] if head.status_code == 101 else b""
        reason = bytes(head.reason).decode("latin-1")
        return Answer(self._at_ns, head.status_code, reason, headers, rest)

    async def _head(self, where: str) -> h11.Response | h11.InformationalResponse:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return event
            if event is h11.NEED_DATA:
                await self._read(where)

    @property
    def rest(self) -> bytes:
        """What arrived after the answer to a CONNECT."""
        return self._http.trailing_data[0]

    async def read_body(self) -> None:
        """Read the body of a refusal into `body`, as far as it comes."""
        try:
            while len(self.body) < MAX_BODY:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(bytes(await self._stream.receive_some()))
                elif isinstance(event, h11.Data):
                    self.body += event.data[: MAX_BODY - len(self.body)]
                else:
                    return
        except (h11.RemoteProtocolError, trio.BrokenResourceError):
            return  # shorter than announced: what came is what there is

    async def _read(self, where: str) -> None:
        data = bytes(await self._stream.receive_some())
        self._at_ns = self._clock()
        if not data:
            raise self._cut_off(where, "closed the connection")
        self._http.receive_data(data)
        if len(self._begun) < 128:
            self._begun += data[:128]
            if self._begun[:5] != b"HTTP/"[: len(self._begun)]:
                raise h11.RemoteProtocolError("no status line")

    def _cut_off(self, where: str, how: str) -> Unreachable | ProtocolViolation:
        if self._begun:
            return ProtocolViolation(f"{where} {how} in the middle of its answer")
        return Unreachable(
            f"{where} took the connection and {how} without an answer; check that host, port and "
            "scheme (ws:// or wss://) name a WebSocket endpoint"
        )

    def _no_http(self, where: str, scrub: Scrubber) -> ProtocolViolation:
        begun = scrub(self._begun[:60])
        hint = "; it may speak TLS: try wss://" if self._begun[:1] in (b"\x15", b"\x16") else ""
        return ProtocolViolation(
            f"{where} answered with something that is not HTTP, beginning with {begun!r}{hint}"
        )


def readable(body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The body with gzip or deflate undone, as far as it goes; at most `MAX_BODY` bytes."""
    coding = [token.lower() for token in header_tokens(headers, "Content-Encoding")]
    if coding not in (["gzip"], ["x-gzip"], ["deflate"]):
        return body
    try:
        return zlib.decompressobj(wbits=47).decompress(body, MAX_BODY)  # 47: gzip or zlib
    except zlib.error:
        return body


def _cause(error: BaseException) -> str:
    """The system's word for why a stream broke."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "reset" if cause is None else type(cause).__name__

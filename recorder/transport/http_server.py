"""The server's half of HTTP/1.1 on one connection: h11 over a stream, within limits.

Connections are kept alive (RFC 9112 §9.3) until the client says `close`, speaks HTTP/1.0, is
idle too long, or had something refused.

A request is refused, and the connection closed after the answer, when it is no HTTP (400), says
its length twice (`Transfer-Encoding` beside `Content-Length`: 400, the stuff of request
smuggling), asks for a tunnel (405), is too big (413, 431) or too slow (408).
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11
import trio

from recorder.transport.handshake import accept_token
from recorder.transport.http import (
    Accept,
    Address,
    Headers,
    Request,
    Response,
    header_values,
)

MIB: Final = 1024 * 1024
LINGER_SECONDS: Final = 1.0
"""How long a client is listened to after a refusal, so that it can read the answer."""

_SET_HERE: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_HANDSHAKE: Final = frozenset(
    {
        "upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol",
        "sec-websocket-extensions", "content-length", "transfer-encoding",
    }
)  # fmt: skip
_READ: Final = 16 * 1024
_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may cost. Seconds and bytes; over one, that connection ends."""

    connections: int = 1000
    """Open at once; one more is answered 503."""
    per_client: int | None = None
    """Open at once of one address; one more is answered 503. None sets no bound."""
    head_bytes: int = 32 * 1024
    """Request line and headers; more is answered 431."""
    head_seconds: float = 10.0
    """TLS handshake, and then the head; slower is answered 408 (or cut off without a word)."""
    body_bytes: int = 16 * MIB
    """More is answered 413."""
    bodies_bytes: int | None = None
    """Of all requests that are being answered, together; more is answered 503. None: no bound."""
    body_seconds: float = 30.0
    """Slower is answered 408."""
    idle_seconds: float = 60.0
    """Between two requests of a kept-alive connection."""
    write_seconds: float = 30.0
    """A client that does not take an answer (or a piece of one) is cut off."""
    message_bytes: int = 64 * MIB
    """One WebSocket message; a longer one is closed with 1009."""
    unread_bytes: int = 80 * MIB
    """Messages that wait for `get_message()`; more, and nothing is read (nor ponged)."""
    close_seconds: float = 5.0
    """How long the other side may take to answer our Close."""


class Refusal(Exception):
    """A request that is answered without asking anybody, and then closed."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.response = error_response(status, message, headers)


def error_response(
    status: int,
    message: str,
    headers: Headers = (),
    *,
    kind: str = "",
    code: str | None = None,
) -> Response:
    """An error as a JSON document, in the form that the realtime endpoints use."""
    kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Response.json({"error": error}, status, headers)


class Load:
    """What the requests of all connections hold in memory together."""

    def __init__(self) -> None:
        self.bytes = 0


class Gone(Exception):
    """The client does not take what it is sent, or has left."""


class Channel:
    """HTTP on one connection, from the server's side."""

    def __init__(
        self, stream: trio.abc.Stream, remote: Address, limits: Limits, load: Load | None = None
    ) -> None:
        self._stream, self._remote, self._limits = stream, remote, limits
        self._load, self._held = load or Load(), 0
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._fresh = True
        self._given = False
        self._method = b""

    @property
    def can_respond(self) -> bool:
        """Whether no answer to the current request has begun yet."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    async def read_request(self) -> Request | None:
        """The next request with its body, None when none follows; raises `Refusal`."""
        self._method = b""
        self.release()
        try:
            head = await self._read_head()
            self._fresh = False
            if head is None:
                return None
            self._method = head.method
            check_framing(head, self._limits)
            body = await self._read_body()
        except trio.BrokenResourceError:
            return None
        except h11.RemoteProtocolError as error:
            if self._http.trailing_data[1]:
                return None  # it hung up in mid-request: nobody is there to be told
            raise _not_understood(error) from None
        return Request(
            method=head.method.decode("latin-1"),
            target=head.target.decode("latin-1"),
            headers=_decoded(head),
            remote=self._remote,
            http_version=head.http_version.decode("latin-1"),
            body=body,
        )

    async def respond(self, response: Response, *, close: bool = False) -> bool:
        """Send an answer; whether another request may follow on this connection.

        What cannot be sent (a header with a line break) raises before anything was sent.
        """
        bare = self._method == b"HEAD" or response.status in (204, 304)
        try:
            await self._send(_head(response, close=close))
            if not bare:
                await self._send_body(response.body)
        finally:
            await _close(response.body)
        await self._send(h11.EndOfMessage())
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def switch(self, request: Request, accept: Accept) -> bytes:
        """Answer 101; gives what the client has sent after its request already."""
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_token(request.header("Sec-WebSocket-Key") or "")),
        ]
        if accept.subprotocol is not None:
            if accept.subprotocol not in request.subprotocols:
                raise ValueError("the subprotocol that was accepted had not been offered")
            headers.append(("Sec-WebSocket-Protocol", accept.subprotocol))
        if any(name.lower() in _HANDSHAKE for name, _ in accept.headers):
            raise ValueError("a header that was given belongs to the handshake itself")
        head = h11.InformationalResponse(
            status_code=101,
            headers=_encoded([*headers, *accept.headers]),
            reason=b"Switching Protocols",
        )
        await self._send(head)
        return self._http.trailing_data[0]

    def release(self) -> None:
        """The body of the last request is not held any more."""
        self._load.bytes -= self._held
        self._held = 0

    def hand_over(self) -> bytes:
        """Give the stream away; what the client has sent after its request already."""
        self._given = True
        return self._http.trailing_data[0]

    async def linger(self) -> None:
        """Wait for the client to end: closing with bytes unread would destroy the answer."""
        if self._given:
            return
        with trio.move_on_after(LINGER_SECONDS):
            try:
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
                while await self._stream.receive_some(_READ):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def _read_head(self) -> h11.Request | None:
        if not self._fresh and not self._buffered:
            with trio.move_on_after(self._limits.idle_seconds) as idle:
                await self._read()
            if idle.cancelled_caught:
                return None
        with trio.move_on_after(self._limits.head_seconds):
            while True:
                before = self._buffered
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    await self._read()
                elif not isinstance(event, h11.Request):
                    return None
                elif before - self._buffered > self._limits.head_bytes:
                    raise Refusal(431, "the head of the request is too big")
                else:
                    return event
        if not self._buffered:
            return None
        raise Refusal(408, "the head of the request took too long")

    async def _read_body(self) -> bytes:
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        body = bytearray()
        with trio.move_on_after(self._limits.body_seconds):
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    await self._read()
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > self._limits.body_bytes:
                        raise _too_big(self._limits)
                    self._hold(len(event.data))
                else:
                    return bytes(body)
        raise Refusal(408, "the body of the request took too long")

    def _hold(self, size: int) -> None:
        self._held += size
        self._load.bytes += size
        most = self._limits.bodies_bytes
        if most is not None and self._load.bytes > most:
            self.release()
            raise Refusal(503, "too much is being sent at the moment", (("Retry-After", "1"),))

    @property
    def _buffered(self) -> int:
        return len(self._http.trailing_data[0])

    async def _read(self) -> None:
        self._http.receive_data(bytes(await self._stream.receive_some(_READ)))

    async def _send_body(self, body: bytes | AsyncIterable[bytes]) -> None:
        if isinstance(body, bytes):
            await self._send(h11.Data(data=body))
            return
        async for piece in body:
            await self._send(h11.Data(data=piece))

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        try:
            with trio.fail_after(self._limits.write_seconds):
                await self._stream.send_all(data or b"")
        except (trio.TooSlowError, trio.BrokenResourceError):
            raise Gone from None


async def _close(body: object) -> None:
    """Let a body that came piece by piece let go of what it holds, begun or not."""
    aclose = getattr(body, "aclose", None)
    if aclose is not None:
        await aclose()


def check_framing(head: h11.Request, limits: Limits) -> None:
    """Refuse what two readers could cut differently, what is no HTTP/1, and what is too long."""
    headers = _decoded(head)
    lengths = header_values(headers, "Content-Length")
    coded = header_values(headers, "Transfer-Encoding")
    if head.http_version not in (b"1.0", b"1.1"):
        raise Refusal(505, "this server speaks HTTP/1.1")
    if coded and (lengths or head.http_version < b"1.1"):
        raise Refusal(400, "the request says its length in two ways")
    if head.method == b"CONNECT":
        raise Refusal(405, "this server opens no tunnels")
    if lengths and int(lengths[0]) > limits.body_bytes:
        raise _too_big(limits)


def check_upgrade(request: Request) -> None:
    """Refuse an upgrade that is not that of RFC 6455 §4.2.1."""
    if header_values(request.headers, "Sec-WebSocket-Version") != ["13"]:
        version = (("Sec-WebSocket-Version", "13"),)
        raise Refusal(426, "this server speaks version 13 of the WebSocket protocol", version)
    keys = header_values(request.headers, "Sec-WebSocket-Key")
    try:
        fine = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == _NONCE_BYTES
    except ValueError:
        fine = False
    if not fine:
        raise Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")


def _too_big(limits: Limits) -> Refusal:
    return Refusal(413, f"the body is longer than {limits.body_bytes} bytes")


def _not_understood(error: h11.RemoteProtocolError) -> Refusal:
    status = error.error_status_hint
    return Refusal(status, _HINTS.get(status, "this is not a valid HTTP/1.1 request"))


_HINTS: Final = {
    431: "the head of the request is too big",
    501: "only the transfer encoding `chunked` is understood",
}


def _head(response: Response, *, close: bool) -> h11.Response:
    headers = [pair for pair in response.headers if pair[0].lower() not in _SET_HERE]
    if not header_values(tuple(headers), "Date"):
        headers.append(("Date", formatdate(usegmt=True)))
    if isinstance(response.body, bytes) and response.status not in (204, 304):
        headers.append(("Content-Length", str(len(response.body))))
    elif response.length is not None:
        headers.append(("Content-Length", str(response.length)))
    if close:
        headers.append(("Connection", "close"))
    status = response.status
    known = status in HTTPStatus._value2member_map_
    reason = HTTPStatus(status).phrase.encode() if known else b""
    return h11.Response(status_code=status, headers=_encoded(headers), reason=reason)


def _decoded(head: h11.Request) -> Headers:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in head.headers.raw_items()
    )


def _encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

"""The WebSocket client: trio-websocket, with what it leaves out put round it.

Laws:

1. Every failure is one plain exception of `recorder.errors`, within the timeout that bounds it.
2. Nothing that we sent as a secret is in a message of an exception.
3. Leaving closes the connection, whatever happened, and takes a bounded time.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from recorder.transport.client_socket import ClientSocket, Terms
from recorder.transport.connection import MAX_MESSAGE
from recorder.transport.dial import Link, Timeouts, Trust, dial
from recorder.transport.exchange import HeaderList
from recorder.transport.handshake import Handshake, request_headers, upgrade
from recorder.transport.nurseries import plain_nursery
from recorder.transport.streams import Frame, Watching, Wire, discard
from recorder.transport.urls import Scrubber, Target, choose_proxy, parse_target

DEFAULT_TIMEOUTS = Timeouts()


@asynccontextmanager
async def open_websocket(  # noqa: PLR0913 - a dial's parameters are its options
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ssl_context: ssl.SSLContext | None = None,
    ca_file: str | None = None,
    proxy: str | None = "auto",
    max_message: int = MAX_MESSAGE,
    clock: Callable[[], int] = time.monotonic_ns,
    on_frame: Callable[[Frame], None] | None = None,
    hold: Callable[[], Awaitable[None]] | None = None,
    handshake: Handshake | None = None,
) -> AsyncIterator[ClientSocket]:
    """Dial, and be closed on leaving (1000; 1001 after an exception), within `timeouts.close`.

    `on_frame` is called for every message and control frame of both directions, in the order
    in which they crossed and at that moment, whether or not anybody receives them: this is
    what a recorder records. It must not block. `hold` is awaited before each read from and
    each message to the socket: whoever must not lose anything makes it wait (pings are then
    not answered either). `proxy`: "auto" obeys HTTPS_PROXY, HTTP_PROXY and NO_PROXY; None is
    direct; a URL is used whatever the environment says.

    Errors of `recorder.errors`, each alone, never in a group: `UsageError` (URL, header, CA
    file), `Unreachable`, `UntrustedCertificate`, `EndpointTimeout`, `HandshakeRefused`,
    `ProtocolViolation`.
    """
    asked = _ask(url, headers, subprotocols, timeouts, max_message)
    record = handshake or Handshake()
    link = await dial(
        asked.target,
        proxy=choose_proxy(proxy, asked.target),
        trust=Trust(ssl_context, ca_file),
        timeouts=timeouts,
        scrub=asked.terms.scrub,
        clock=clock,
        record=record,
    )
    async with _upgraded(
        link, asked, Watching(clock, on_frame, hold, max_message), record
    ) as socket:
        yield socket


@asynccontextmanager
async def over_stream(  # noqa: PLR0913 - as above
    stream: trio.abc.Stream,
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    max_message: int = MAX_MESSAGE,
    clock: Callable[[], int] = time.monotonic_ns,
    on_frame: Callable[[Frame], None] | None = None,
    hold: Callable[[], Awaitable[None]] | None = None,
    handshake: Handshake | None = None,
) -> AsyncIterator[ClientSocket]:
    """`open_websocket` over a stream that stands already (tests: `memory_stream_pair`).

    Nothing is dialled and no TLS is made; the URL only says what to ask for.
    """
    asked = _ask(url, headers, subprotocols, timeouts, max_message)
    record = handshake or Handshake()
    record.dialled_ns = record.connected_ns = clock()
    wire = Wire(stream)
    link = Link(wire, wire, trio.current_time() + timeouts.handshake)
    async with _upgraded(
        link, asked, Watching(clock, on_frame, hold, max_message), record
    ) as socket:
        yield socket


class _Asked(NamedTuple):
    """What to ask for, checked before anything is dialled."""

    target: Target
    headers: HeaderList
    offers: tuple[str, ...]
    terms: Terms


def _ask(
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str],
    timeouts: Timeouts,
    max_message: int,
) -> _Asked:
    target = parse_target(url)
    scrub = Scrubber(target, headers, subprotocols)
    terms = Terms(str(target), scrub, timeouts, max_message)
    made = request_headers(target, headers, subprotocols)
    return _Asked(target, made, tuple(subprotocols), terms)


@asynccontextmanager
async def _upgraded(
    link: Link, asked: _Asked, watching: Watching, record: Handshake
) -> AsyncIterator[ClientSocket]:
    try:
        rest = await upgrade(
            link.stream,
            asked.target,
            asked.offers,
            headers=asked.headers,
            scrub=asked.terms.scrub,
            seconds=(link.deadline, asked.terms.timeouts.handshake),
            clock=watching.clock,
            record=record,
        )
        socket = ClientSocket(link, rest, record, asked.terms, watching)
        async with _running(socket):
            yield socket
    finally:
        await discard(link.wire)


@asynccontextmanager
async def _running(socket: ClientSocket) -> AsyncIterator[None]:
    """The socket's own tasks, for as long as the block runs; closed after it."""
    async with plain_nursery() as nursery:
        nursery.start_soon(socket.run)
        nursery.start_soon(socket.watch)
        try:
            yield
        except BaseException:
            await socket.leave(failed=True)
            raise
        else:
            await socket.leave(failed=False)
        finally:
            nursery.cancel_scope.cancel()

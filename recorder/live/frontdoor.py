"""HTTP and WebSocket on one port: what sandbox, mock and proxy stand on.

Laws:

1. One connection never touches another: whatever goes wrong in one, in its handler too, is
   logged in one line without secrets, and ends that one.
2. A handler sees only what was read to the end within `Limits`.
3. What is refused is closed, after the answer could be read.
4. A WebSocket whose talk has returned is closed, within `Limits.close_seconds`.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections import Counter
from typing import Protocol

import trio
from trio_websocket import ConnectionClosed

from recorder.errors import UsageError
from recorder.transport.connection import Connection
from recorder.transport.http import Accept, Address, Headers, Request, Response, Takeover
from recorder.transport.http_server import (
    Channel,
    Gone,
    Limits,
    Load,
    Refusal,
    check_upgrade,
    error_response,
)
from recorder.transport.nurseries import one_of, plain_errors, plain_nursery
from recorder.transport.streams import discard

__all__ = [
    "Accept",
    "Address",
    "Connection",
    "Handler",
    "Headers",
    "Limits",
    "Request",
    "Response",
    "Takeover",
    "error_response",
    "serve",
]

logger = logging.getLogger("recorder.frontdoor")

DEFAULT_LIMITS = Limits()
GOING_AWAY_SECONDS = 0.5
"""How long a client may take to answer the Close when the server is being stopped."""


class Handler(Protocol):
    """What the front door asks of whoever stands behind it. One object serves all."""

    async def http(self, request: Request) -> Response:
        """Answer a request that asks for no WebSocket."""

    async def upgrade(self, request: Request) -> Accept | Response | Takeover:
        """Accept a WebSocket, refuse it with an answer of your own, or take the stream over."""


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    limits: Limits = DEFAULT_LIMITS,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; `nursery.start` gives the address that was bound.

    A name with several addresses is bound to all of them, with port 0 to the first only.
    Raises `UsageError` when the address cannot be bound. Cancelling it closes open WebSockets
    with 1001.
    """
    listeners = await _bind(host, port)
    door = _Door(handler, ssl_context, limits)
    async with plain_nursery() as nursery:
        await nursery.start(trio.serve_listeners, door.serve, listeners)
        task_status.started(Address(*listeners[0].socket.getsockname()[:2]))


class _Door:
    """What all connections share: the handler, the limits, and how many there are."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self.handler, self.tls, self.limits = handler, tls, limits
        self.open = 0
        self.clients: Counter[str] = Counter()
        """Open connections by address."""
        self.load = Load()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, from accept to close. Raises nothing but cancellation."""
        remote = _remote(stream)
        self.open += 1
        self.clients[remote.host] += 1
        try:
            with plain_errors():
                await self._receive(stream, remote)
        except Exception as error:
            _log_failure(f"{remote}: connection given up", error)
        finally:
            self.open -= 1
            self.clients[remote.host] -= 1
            if not self.clients[remote.host]:
                del self.clients[remote.host]
            await discard(stream)

    async def _receive(self, stream: trio.SocketStream, remote: Address) -> None:
        most = self.limits.per_client
        if self.open > self.limits.connections or (
            most is not None and self.clients[remote.host] > most
        ):
            await self._turn_away(stream, remote)
        elif (secured := await self._secured(stream, remote)) is not None:
            await _Visit(self, secured, remote).serve()

    async def _secured(self, stream: trio.SocketStream, remote: Address) -> trio.abc.Stream | None:
        """The stream with TLS on it, where that is spoken; None if it came to nothing."""
        if self.tls is None:
            return stream
        secured = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(self.limits.head_seconds):
                await secured.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            logger.info(
                "%s: no TLS handshake (%s)", remote, type(error.__cause__ or error).__name__
            )
            return None
        return secured

    async def _turn_away(self, stream: trio.SocketStream, remote: Address) -> None:
        logger.warning(
            "%s: refused, %d connections are open, %d of them its own",
            remote, self.open - 1, self.clients[remote.host] - 1,
        )  # fmt: skip
        if self.tls is None:
            channel = Channel(stream, remote, self.limits)
            refusal = error_response(503, "too many connections", (("Retry-After", "1"),))
            with trio.move_on_after(GOING_AWAY_SECONDS):
                await channel.respond(refusal, close=True)


class _Visit:
    """One connection: HTTP requests, and at the end perhaps a WebSocket."""

    def __init__(self, door: _Door, stream: trio.abc.Stream, remote: Address) -> None:
        self._handler, self._limits = door.handler, door.limits
        self._stream, self._remote = stream, remote
        self._channel = Channel(stream, remote, door.limits, door.load)

    async def serve(self) -> None:
        try:
            while await self._request():
                pass
        except Gone:
            logger.info("%s: cut off before its answer was through", self._remote)
        else:
            await self._channel.linger()
        finally:
            self._channel.release()

    async def _request(self) -> bool:
        """Serve one request; whether another may follow."""
        try:
            request = await self._channel.read_request()
            if request is None:
                return False
            if request.wants_upgrade:
                check_upgrade(request)
        except Refusal as refusal:
            logger.info("%s: refused: %s", self._remote, refusal)
            await self._channel.respond(refusal.response, close=True)
            return False
        if request.wants_upgrade:
            await self._upgrade(request)
            return False
        return await self._answer(request)

    async def _answer(self, request: Request) -> bool:
        try:
            return await self._channel.respond(await self._handler.http(request))
        except Gone:
            raise
        except Exception as error:
            await self._failed(request, error)
            return False

    async def _upgrade(self, request: Request) -> None:
        try:
            answer = await self._handler.upgrade(request)
            if isinstance(answer, Response):
                await self._channel.respond(answer, close=True)
                return
            if isinstance(answer, Takeover):
                rest = self._channel.hand_over()
            else:
                rest = await self._channel.switch(request, answer)
        except Gone:
            raise
        except Exception as error:
            await self._failed(request, error)
            return
        if isinstance(answer, Takeover):
            await answer.run(self._stream, rest)
        else:
            await self._converse(request, answer, rest)

    async def _converse(self, request: Request, accept: Accept, rest: bytes) -> None:
        """The WebSocket, until the handler is through with it or the client is."""
        limits = self._limits
        socket = Connection(
            self._stream,
            client=False,
            path=request.target,
            subprotocol=accept.subprotocol,
            rest=rest,
            max_message=limits.message_bytes,
            max_unread=limits.unread_bytes,
            close_seconds=limits.close_seconds,
        )
        async with plain_nursery() as nursery:
            nursery.start_soon(socket.run)
            try:
                code = await self._handle(request, accept, socket)
                await socket.aclose(code)
                with trio.move_on_after(limits.close_seconds):
                    await socket.finished.wait()
            except BaseException:  # cancelled, perhaps in a group of the handler's own
                with trio.CancelScope(shield=True), trio.move_on_after(GOING_AWAY_SECONDS):
                    await socket.aclose(1001, "the server is going away")
                raise
            finally:
                socket.stop()

    async def _handle(self, request: Request, accept: Accept, socket: Connection) -> int:
        """Let the handler talk; the code to close with afterwards."""
        try:
            await accept.talk(socket)
        except Exception as error:
            return self._judge(request, error)
        except BaseExceptionGroup as group:  # tasks of the handler's, stopped with the server
            stopped, others = group.split(trio.Cancelled)
            if stopped is None or not isinstance(others, ExceptionGroup | None):
                raise one_of(group, None) from None
            if others is not None:
                self._judge(request, others)
            raise one_of(stopped, None) from None
        return 1000

    def _judge(self, request: Request, error: Exception) -> int:
        """Log what went wrong, beside the client having left; the code to close with."""
        failed: Exception | None = error
        if isinstance(error, ExceptionGroup):
            failed = error.split(ConnectionClosed)[1]
        if failed is None or isinstance(failed, ConnectionClosed):
            return 1000
        _log_failure(_named(request), failed)
        return 1011

    async def _failed(self, request: Request, error: Exception) -> None:
        """An exception of the handler's: 500 if that can still be said, else cut off."""
        _log_failure(_named(request), error)
        if not self._channel.can_respond:
            raise Gone from None
        failed = error_response(500, "the server failed on this request")
        await self._channel.respond(failed, close=True)


def _named(request: Request) -> str:
    """The request for a log line: no query, for it may hold a key."""
    return f"{request.remote}: {request.method} {request.path[:200]}: the handler failed"


def _log_failure(what: str, error: Exception) -> None:
    # The text of a foreign exception may hold anything; its type and place do not.
    logger.error("%s (%s)", what, type(error).__name__)
    logger.debug("%s", what, exc_info=error)


async def _bind(host: str, port: int) -> list[trio.SocketListener]:
    if not 0 <= port <= 65535:  # getaddrinfo would take it modulo 65536
        raise UsageError(f"{port} is no port; a port is at most 65535, and 0 takes any")
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except (OSError, UnicodeError) as error:
        raise UsageError(_unbound(error, Address(host, port))) from error
    if port == 0:  # each would have got a port of its own
        for extra in listeners[1:]:
            await extra.aclose()
        del listeners[1:]
    return listeners


def _unbound(error: Exception, where: Address) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        return (
            f"{where.host} is no address of this machine; listen on 127.0.0.1 or another of its own"
        )
    if number == errno.EADDRINUSE:
        return (
            f"{where} is in use by another process; stop that, or listen on another port (0: any)"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"{where} may not be listened on; ports below 1024 need rights, take a higher one"
    return f"cannot listen on {where}: {getattr(error, 'strerror', None) or type(error).__name__}"


def _remote(stream: trio.SocketStream) -> Address:
    try:
        return Address(*stream.socket.getpeername()[:2])
    except OSError:
        return Address("gone", 0)

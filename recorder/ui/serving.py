"""The server: every request is guarded, finds its route, and every answer gets its headers."""

from __future__ import annotations

import logging
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Final

import trio

from recorder.errors import RecorderError, SessionNotFound, StoreError, UsageError
from recorder.live import frontdoor
from recorder.transport.http import Request, Response
from recorder.transport.http_server import Limits
from recorder.transport.nurseries import plain_nursery
from recorder.transport.urls import is_loopback

from . import pages, routes
from .asking import Ask, compressed, wrong
from .desk import Desk
from .guarding import SECURE, Guard

if TYPE_CHECKING:
    from recorder.sql.store import SqlStore
    from recorder.transport.http import Accept, Address, Takeover

logger = logging.getLogger("recorder.ui")

LIMITS: Final = Limits(connections=200, head_bytes=16 * 1024, body_bytes=64 * 1024)


class Server:
    """What stands behind the front door."""

    def __init__(self, desk: Desk, guard: Guard) -> None:
        self.desk, self.guard = desk, guard
        self.port = 0
        """Set once it is known."""

    async def http(self, request: Request) -> Response:
        """Answer a request."""
        begun = trio.current_time()
        answer = self.guard.stop(request, self.port)
        if answer is None:
            answer = await self._answer(request)
        answer = await _compressed(request, answer)
        given = {name.lower() for name, _ in answer.headers}
        took = ("Server-Timing", f"total;dur={(trio.current_time() - begun) * 1000:.2f}")
        kept = () if "cache-control" in given else (("Cache-Control", "no-store"),)
        more = (*SECURE, *kept, took)
        return Response(answer.status, (*answer.headers, *more), answer.body, answer.length)

    async def upgrade(self, _request: Request) -> Accept | Response | Takeover:
        """There is no WebSocket here."""
        return wrong(404, "there is no WebSocket here")

    async def _answer(self, request: Request) -> Response:
        found = routes.found(request.method, request.path)
        if isinstance(found, list):
            return _nothing(request, found)
        ask = Ask(desk=self.desk, request=request, place=found.place, given=dict(request.query))
        try:
            return await found.route.handler(ask)
        except RecorderError as error:
            return _failed(request, error)


def _nothing(request: Request, methods: list[str]) -> Response:
    if methods:
        answer = wrong(405, f"only {', '.join(methods)} is answered here")
        allow = ("Allow", ", ".join(methods))
        return Response(405, (*answer.headers, allow), answer.body)
    if request.path.startswith(("/api/", "/static/")):
        return wrong(404, "there is nothing at this address; /api lists what there is")
    return pages.told("Nothing here", '<p class="empty">There is no such page.</p>', 404)


def _failed(request: Request, error: RecorderError) -> Response:
    """What was wrong, to scripts as JSON, to people as a page."""
    status = 404 if isinstance(error, SessionNotFound) else 500
    if isinstance(error, StoreError):
        status = 503
    elif isinstance(error, UsageError) and status != 404:
        status = 400
    if request.path.startswith("/api/"):
        return wrong(status, str(error))
    title = "No such session" if status == 404 else "This cannot be shown"
    return pages.told(title, f'<p class="empty">{escape(str(error))}</p>', status)


async def _compressed(request: Request, answer: Response) -> Response:
    plain = all(name != "Content-Encoding" for name, _ in answer.headers)
    if plain and isinstance(answer.body, bytes) and len(answer.body) > 20_000:
        return await trio.to_thread.run_sync(compressed, request, answer)
    return compressed(request, answer)


def check_host(host: str) -> None:
    """Raises `UsageError` for an address that others could reach."""
    if not is_loopback(host):
        raise UsageError(
            f"--listen {host}: what was said in these sessions is shown on this machine only; "
            "listen on 127.0.0.1, and from elsewhere use a tunnel: ssh -L 8700:127.0.0.1:8700"
        )


async def serve(
    store: SqlStore,
    guard: Guard,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; `nursery.start` gives the address that was bound.

    Raises `UsageError` where the address cannot be bound, or is not this machine's alone.
    """
    check_host(host)
    desk = Desk(store)
    server = Server(desk, guard)
    try:
        async with plain_nursery() as nursery:
            address = await nursery.start(
                partial(frontdoor.serve, server, host=host, port=port, limits=LIMITS)
            )
            server.port = address.port
            task_status.started(address)
    finally:
        desk.close()

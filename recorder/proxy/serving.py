"""What stands behind the front door: one session after the other, from its head to its end.

Laws:

1. A session is in the log before its first byte passes, or it is carried unrecorded and the
   proxy's log and metrics say so (`store_down="open"`), or it is refused.
2. What the upstream answers to an upgrade goes back as it came: status, headers, body.
3. Nothing that a client may not do reaches the upstream.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from recorder.errors import RecorderError, StoreError, UsageError
from recorder.live.endpoints import model_of
from recorder.live.frontdoor import Request, Response, Takeover, error_response
from recorder.live.tap import Subject, Tap
from recorder.store import EventStore
from recorder.transport.dial import Trust, tls_context

from . import heads
from .backlog import Reader
from .copying import Budget
from .guarding import Grant, Refused, session_token
from .options import check_options
from .routes import Route, Routes, Wishes, wishes_of
from .sessions import WebSocketSession
from .side_calls import SideCalls
from .switchboard import Switchboard

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorder.live.writer import Writer

    from .options import ProxyOptions
    from .sessions import Live

log = logging.getLogger("recorder.proxy")

GOING_AWAY: Final = 1001
BEGINNING: Final = 8
"""Sessions that are being entered in the store at the same time."""


@dataclass(slots=True)
class Counts:
    """What has happened since the proxy began."""

    sessions: int = 0
    unrecorded: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """By status."""
    upstream_errors: Counter[str] = field(default_factory=Counter)
    """By kind."""
    messages: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    side_calls: int = 0
    gaps: int = 0
    """Stretches of sessions that are over, which passed and are not in the log whole."""
    lost: int = 0
    """Messages of sessions that are over, which passed and are not in the log."""


class Asked(NamedTuple):
    """A request that may go on: where to, and what is wished."""

    request: Request
    route: Route
    wishes: Wishes
    grant: Grant


class Proxy:
    """The handler of a recording proxy. `running.serve_proxy` puts it behind a front door."""

    def __init__(
        self,
        options: ProxyOptions,
        writer: Writer,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """Raises `UsageError` for options that do not go together."""
        check_options(options)
        self.options, self.writer, self.clock, self.wall = options, writer, clock, wall
        self.routes = Routes(options.upstreams)
        self.counts = Counts()
        self.live: dict[str, Live] = {}
        """By session id; of those that are not recorded, by a number."""
        self.draining = False
        """No new sessions are taken."""
        self.ending = False
        """Those that are open are being ended."""
        self.streaming = 0
        """HTTP answers that are being passed on."""
        self.trust = _trust(options)
        self.budget = Budget(options.bounds.unfinished_bytes)
        self.board = Switchboard()
        self.reader = Reader(self.board.many_wait)
        self.key = os.urandom(32)
        """Signs the tokens with which applications add marks to their sessions."""
        self._clients: Counter[str] = Counter()
        self._entering = trio.CapacityLimiter(BEGINNING)
        self._side_calls = SideCalls(self)
        self._serial = 0
        self._ended = trio.Event()

    # ---- what the front door asks

    async def http(self, request: Request) -> Response:
        """A request that asks for no WebSocket."""
        self.streaming += 1
        try:
            return await self._side_calls.answer(request)
        except Refused as refused:
            return self.refuse(request, refused)
        finally:
            self.streaming -= 1
            self.changed()

    async def upgrade(self, request: Request) -> Response | Takeover:
        """A WebSocket: refused, or taken over."""
        try:
            if self.draining:
                raise Refused(503, "the proxy is ending")
            asked = self.admit(request)
            if self._clients[request.remote.host] >= self.options.bounds.per_client:
                raise Refused(429, f"{request.remote.host} has too many sessions open")
            if self.options.tokens is not None:
                self.options.tokens.use(asked.grant)
        except Refused as refused:
            return self.refuse(request, refused)
        return Takeover(partial(self._counted, asked))

    async def emptied(self) -> None:
        """Wait until no session is open or being opened, and no HTTP answer on its way."""
        while self._clients or self.streaming:
            await self._ended.wait()

    def end_all(self, code: int, reason: str) -> None:
        """End every session that is open, and every one that is still being opened."""
        self.ending = True
        for live in list(self.live.values()):
            live.relay.stop(code, reason)

    def changed(self) -> None:
        """Something is not open any more."""
        self._ended.set()
        self._ended = trio.Event()

    async def aclose(self) -> None:
        """Let go of connections that are kept for HTTP."""
        await self._side_calls.aclose()

    # ---- who comes in

    def admit(self, request: Request) -> Asked:
        """The request with its route. Raises `Refused`."""
        options = self.options
        options.doors.check(request)
        try:
            wishes, query = wishes_of(request.headers, request.raw_query)
        except UsageError as error:
            raise Refused(400, str(error)) from None
        route = self.routes.find(request.path, query)
        if route is None:
            names = ", ".join(f"/{name}/" for name in self.routes.named)
            raise Refused(404, f"the path begins with no upstream's name; there are {names}")
        guarded = options.only_realtime or options.credential is not None
        if guarded and not route.only_realtime:
            raise Refused(404, "only realtime paths are served here")
        grant = self._granted(request, query)
        if options.credential is not None and not grant.passthrough:
            route = route._replace(query=heads.without_keys(route.query))
        elif grant.ours:
            route = route._replace(query=heads.without_keys(route.query, grant.ours))
        _check_bound(request, route, grant)
        return Asked(request, route, wishes, grant)

    def _granted(self, request: Request, query: str) -> Grant:
        if self.options.tokens is None:
            return Grant()
        shown = heads.shown_keys(request.headers, query)
        return self.options.tokens.check(shown, now_ns=self.wall())

    def refuse(self, request: Request, refused: Refused) -> Response:
        """The answer to a client that may not; the log of the proxy has the reason."""
        self.counts.refused[refused.status] += 1
        why = ascii(refused.why)[1:-1]  # it repeats what the client said
        log.warning("%s: %d: %s", request.remote, refused.status, why)
        told = _TOLD.get(refused.status) or refused.why
        retry = (("Retry-After", "1"),) if refused.status in (429, 503) else ()
        return error_response(refused.status, told, retry)

    # ---- one session

    async def _counted(self, asked: Asked, client: trio.abc.Stream, early: bytes) -> None:
        host = asked.request.remote.host
        self._clients[host] += 1
        try:
            await WebSocketSession(self, asked, client).run(early)
        finally:
            self._clients[host] -= 1
            if not self._clients[host]:
                del self._clients[host]
            self.changed()

    def tap_for(self, asked: Asked, url: str, kind: str = "websocket") -> Tap | None:
        """What records this session; None if it is not to be recorded."""
        options, wishes = self.options, asked.wishes
        if not wishes.record or (options.sample < 1 and random.random() >= options.sample):
            return None
        subject = Subject(
            url=url,
            kind=kind,
            model=model_of(url),
            call=wishes.call or options.call,
            tags=(*options.tags, *wishes.tags),
            vantage="proxy",
            capture=options.capture,
            headers=asked.request.headers,
            secrets=self.secrets_of(asked),
            labels={"client": str(asked.request.remote)},
        )
        return Tap(self.writer, subject, on_stall=options.on_stall, clock=self.clock)

    def secrets_of(self, asked: Asked) -> list[str]:
        """Every credential that passes with this request."""
        request, credential = asked.request, self.options.credential
        found = heads.shown_keys(request.headers, request.raw_query)
        return found + ([credential.key] if credential else [])

    async def enter(self, tap: Tap) -> bool:
        """Enter the session in the store; False if it does not take it in time."""
        entry, seconds = _Entry(self.writer.store, tap), self.options.bounds.store_seconds
        said = f"no answer within {seconds:g} s"
        try:
            if self.writer.store.in_memory:
                entry.make()
            else:
                with trio.fail_after(seconds):
                    await trio.to_thread.run_sync(
                        entry.make, abandon_on_cancel=True, limiter=self._entering
                    )
        except StoreError as error:
            said = str(error)
        except trio.TooSlowError:
            pass
        except Exception as error:  # whatever it is, the call goes on
            said = type(error).__name__
        finally:
            made = entry.settle()
        if made:
            tap.note_opened()
        else:
            log.error("the store does not take a new session: %s", said)
        return made

    def name_of(self, tap: Tap | None) -> str:
        """By which an open session is known."""
        self._serial += 1
        return tap.session.id if tap else f"unrecorded-{self._serial}"

    def link_token(self, session_id: str) -> str:
        """What an application shows to add marks to this session."""
        return session_token(self.key, session_id)


class _Entry:
    """The entering of a session in the store, in a thread that may outlive the wait for it."""

    def __init__(self, store: EventStore, tap: Tap) -> None:
        self._store, self._session = store, tap.session
        self._lock = threading.Lock()
        self._made = self._settled = False

    def make(self) -> None:
        """Enter it; if nobody waits for that any more, take it out again: nothing follows."""
        self._store.begin(self._session)
        with self._lock:
            self._made = not self._settled
        if not self._made:
            with suppress(RecorderError):
                self._store.remove(self._session.id)

    def settle(self) -> bool:
        """Wait no longer; whether it is in the store, and stays there."""
        with self._lock:
            self._settled = True
            return self._made


def _trust(options: ProxyOptions) -> Trust:
    """Whom to trust, read once: it takes long, and a lot of memory for each session."""
    secure = any(upstream.secure for upstream in options.upstreams)
    plain = Trust(ca_file=options.ca_file)
    return Trust(tls_context(plain), options.ca_file) if secure else plain


def _check_bound(request: Request, route: Route, grant: Grant) -> None:
    """Raises `Refused` where a token for one model is used for something else."""
    grant.check(route.path, route.query)
    if not grant.model or request.wants_upgrade:
        return
    kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    mints = request.method == "POST" and route.path.endswith("/realtime/calls")
    if not mints or kind != "application/sdp":
        raise Refused(403, "over HTTP a minted token opens a call with its SDP, nothing else")


_TOLD: Final = {
    401: "a valid token is needed",
    403: "this is not allowed",
    429: "too many sessions are open",
    503: "no new sessions are taken at the moment",
}
"""What a refused client is told; of others the reason, which is no secret."""

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
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from recorder.errors import EndpointTimeout, RecorderError, StoreError, UsageError
from recorder.events import Origin
from recorder.live.endpoints import model_of
from recorder.live.frontdoor import Request, Response, Takeover, error_response
from recorder.live.tap import Subject, Tap
from recorder.live.telling import handshake_fields
from recorder.store import EventStore
from recorder.transport import Handshake
from recorder.transport.dial import Link, Trust, dial
from recorder.transport.exchange import Answer, Exchange, until
from recorder.transport.frames import ABNORMAL
from recorder.transport.handshake import BODY_SECONDS
from recorder.transport.streams import discard
from recorder.transport.urls import Scrubber, Target, choose_proxy, parse_target

from . import heads
from .copying import Budget, Copy
from .guarding import Grant, Refused, session_token
from .relaying import Relay
from .routes import Route, Routes, Wishes, wishes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorder.live.writer import Writer

    from .options import ProxyOptions

log = logging.getLogger("recorder.proxy")

GOING_AWAY: Final = 1001
BEGINNING: Final = 8
"""Sessions that are being entered in the store at the same time."""
WRITE_SECONDS: Final = 30.0
"""How long a client may take to take the answer to its upgrade."""


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
    lost: int = 0
    """Messages of sessions that are over, which passed and are not in the log."""


class Asked(NamedTuple):
    """A request that may go on: where to, and what is wished."""

    request: Request
    route: Route
    wishes: Wishes
    grant: Grant


@dataclass(slots=True)
class Live:
    """A session that is open."""

    relay: Relay
    copies: tuple[Copy, Copy]
    tap: Tap | None


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
        from .side_calls import SideCalls

        self.options, self.writer, self.clock, self.wall = options, writer, clock, wall
        self.routes = Routes(options.upstreams)
        self.counts = Counts()
        self.live: dict[str, Live] = {}
        """By session id; of those that are not recorded, by a number."""
        self.draining = False
        self.budget = Budget(options.bounds.unfinished_bytes)
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
        try:
            return await self._side_calls.answer(request)
        except Refused as refused:
            return self.refuse(request, refused)

    async def upgrade(self, request: Request) -> Response | Takeover:
        """A WebSocket: refused, or taken over."""
        try:
            if self.draining:
                raise Refused(503, "the proxy is ending")
            asked = self.admit(request, use=True)
            if self._clients[request.remote.host] >= self.options.bounds.per_client:
                raise Refused(429, f"{request.remote.host} has too many sessions open")
        except Refused as refused:
            return self.refuse(request, refused)
        return Takeover(partial(self._counted, asked))

    async def websocket(self, request: Request, socket: object) -> None:
        """Never called: every upgrade is taken over or refused."""
        raise NotImplementedError

    async def emptied(self) -> None:
        """Wait until no session is open."""
        while self.live:
            await self._ended.wait()

    def ended(self, name: str) -> None:
        """A session is not open any more."""
        del self.live[name]
        self._ended.set()
        self._ended = trio.Event()

    async def aclose(self) -> None:
        """Let go of connections that are kept for HTTP."""
        await self._side_calls.aclose()

    # ---- who comes in

    def admit(self, request: Request, *, use: bool) -> Asked:
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
        if guarded and not route.realtime:
            raise Refused(404, "only realtime paths are served here")
        grant = self._granted(request, query, use=use)
        if options.credential is not None and not grant.passthrough:
            route = route._replace(query=heads.without_keys(route.query))
        if grant.model and model_of(route.url(websocket=True)) != grant.model:
            raise Refused(403, f"the token is for the model {grant.model!a} alone")
        return Asked(request, route, wishes, grant)

    def _granted(self, request: Request, query: str, *, use: bool) -> Grant:
        if self.options.tokens is None:
            return Grant()
        shown = heads.shown_keys(request.headers, query)
        return self.options.tokens.check(shown, now_ns=self.wall(), use=use)

    def refuse(self, request: Request, refused: Refused) -> Response:
        """The answer to a client that may not; the log of the proxy has the reason."""
        self.counts.refused[refused.status] += 1
        log.warning("%s: %d: %s", request.remote, refused.status, refused.why)
        told = _TOLD.get(refused.status) or refused.why
        retry = (("Retry-After", "1"),) if refused.status in (429, 503) else ()
        return error_response(refused.status, told, retry)

    # ---- one session

    async def _counted(self, asked: Asked, client: trio.abc.Stream, early: bytes) -> None:
        host = asked.request.remote.host
        self._clients[host] += 1
        try:
            await _Session(self, asked, client).run(early)
        finally:
            self._clients[host] -= 1
            if not self._clients[host]:
                del self._clients[host]

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
        store: EventStore = self.writer.store
        try:
            if store.in_memory:
                store.begin(tap.session)
            else:
                with trio.fail_after(self.options.bounds.store_seconds):
                    await trio.to_thread.run_sync(
                        store.begin, tap.session, abandon_on_cancel=True, limiter=self._entering
                    )
        except (StoreError, trio.TooSlowError) as error:
            said = str(error) or f"no answer within {self.options.bounds.store_seconds:g} s"
            log.error("the store does not take a new session: %s", said)
            return False
        tap.note_opened()
        return True

    def name_of(self, tap: Tap | None) -> str:
        """By which an open session is known."""
        self._serial += 1
        return tap.session.id if tap else f"unrecorded-{self._serial}"

    def link_token(self, session_id: str) -> str:
        """What an application shows to add marks to this session."""
        return session_token(self.key, session_id)


_TOLD: Final = {
    401: "a valid token is needed",
    403: "this is not allowed",
    429: "too many sessions are open",
    503: "no new sessions are taken at the moment",
}
"""What a refused client is told; of others the reason, which is no secret."""


class _Session:
    """One WebSocket through the proxy."""

    def __init__(self, proxy: Proxy, asked: Asked, client: trio.abc.Stream) -> None:
        self.proxy, self.asked, self.client = proxy, asked, client
        self.url = asked.route.url(websocket=True)
        self.tap = proxy.tap_for(asked, self.url)
        self.shake = Handshake()
        self.wanted = self.tap is not None
        self.entered = False

    async def run(self, early: bytes) -> None:
        """From the head that was read to the end of both connections."""
        self.proxy.counts.sessions += 1
        try:
            await self._dialled(early)
        except RecorderError as error:
            self.proxy.counts.upstream_errors[type(error).__name__] += 1
            log.warning("%s: %s", self.asked.request.remote, error)
            self._note_handshake(error)
            status = 504 if isinstance(error, EndpointTimeout) else 502
            await self._answer_error(status, str(error))
        finally:
            if self.tap is not None:
                initiator = "server" if self.shake.answered_ns else "network"
                self.tap.end(code=None, reason="", initiator=initiator, clean=False)

    async def _dialled(self, early: bytes) -> None:
        target = parse_target(self.url)
        scrub = Scrubber(target, self.asked.request.headers, self.asked.request.subprotocols)
        link: Link | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._enter)
                try:
                    link = await self._dial(target, scrub)
                except RecorderError as error:
                    failed: RecorderError | None = error
                else:
                    failed = None
            if failed is not None:
                raise failed
            assert link is not None
            if self.wanted and not self.entered and self.proxy.options.store_down == "closed":
                self.proxy.counts.refused[503] += 1
                await self._answer_error(503, "the session cannot be recorded at the moment")
                return
            await self._upgraded(link, target, scrub, early)
        finally:
            if link is not None:
                await discard(link.wire)

    async def _enter(self) -> None:
        if self.tap is None:
            return
        self.entered = await self.proxy.enter(self.tap)
        if not self.entered:
            self.tap = None
            self.proxy.counts.unrecorded += 1
        elif (told := self.proxy.options.on_session) is not None:
            told(self.tap.session.id)

    async def _dial(self, target: Target, scrub: Scrubber) -> Link:
        options = self.proxy.options
        return await dial(
            target,
            proxy=choose_proxy(options.outer_proxy, target),
            trust=Trust(ca_file=options.ca_file),
            timeouts=options.timeouts,
            scrub=scrub,
            clock=self.proxy.clock,
            record=self.shake,
        )

    async def _upgraded(self, link: Link, target: Target, scrub: Scrubber, early: bytes) -> None:
        asked, shake = self.asked, self.shake
        credential = None if asked.grant.passthrough else self.proxy.options.credential
        headers = heads.onward(
            asked.request.headers, asked.route.upstream, upgrade=True, credential=credential
        )
        shake.request = tuple(headers)
        exchange = Exchange(link.stream, "GET", asked.route.target, headers, self.proxy.clock)
        shake.requested_ns = self.proxy.clock()
        span = self.proxy.options.timeouts.handshake
        with until(link.deadline, f"{target} did not answer the upgrade within {span:g} s"):
            answer = await exchange.ask(str(target), scrub)
        shake.answered_ns, shake.status, shake.reason = answer.at_ns, answer.status, answer.reason
        shake.headers = answer.headers
        if answer.status != 101:
            with trio.move_on_after(BODY_SECONDS):
                await exchange.read_body()
            await self._refused(answer, bytes(exchange.body))
            return
        shake.subprotocol = next(iter(_values(answer, "sec-websocket-protocol")), None)
        self._note_handshake()
        await self._switch(answer)
        await self._relay(link, early, answer.rest)

    async def _refused(self, answer: Answer, body: bytes) -> None:
        """The upstream's refusal, as it came."""
        self.proxy.counts.upstream_errors[f"status_{answer.status}"] += 1
        self.shake.body = body
        self._note_handshake()
        left_out = {"content-length"}
        headers = [p for p in heads.back(answer.headers) if p[0].lower() not in left_out]
        headers += [("Content-Length", str(len(body))), ("Connection", "close"), *self._added()]
        head = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        head += [f"{name}: {value}" for name, value in headers]
        await self._send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body)

    async def _switch(self, answer: Answer) -> None:
        offered = self.asked.request.subprotocols
        added = self._added()
        stripped = offered and self.proxy.options.credential is not None
        if stripped and not _values(answer, "sec-websocket-protocol"):
            # Its key was taken out of what it offered; browsers insist on an answer to an offer.
            added = (*added, ("Sec-WebSocket-Protocol", offered[0]))
        await self._send(heads.switched(answer.status, answer.reason, answer.headers, added))

    def _added(self) -> tuple[tuple[str, str], ...]:
        if self.tap is None:
            return ()
        name = self.tap.session.id
        return (
            (heads.SESSION_HEADER, name),
            (heads.TOKEN_HEADER, self.proxy.link_token(name)),
        )

    async def _relay(self, link: Link, early: bytes, rest: bytes) -> None:
        proxy, tap = self.proxy, self.tap
        limit = proxy.options.bounds.message_bytes
        sent = Copy(tap, Origin.CLIENT, limit, proxy.budget)
        received = Copy(tap, Origin.SERVER, limit, proxy.budget)
        upstream = link.stream if isinstance(link.stream, trio.SSLStream) else link.wire.inner
        hold = tap.hold if tap is not None and tap.on_stall == "wait" else None
        relay = Relay(self.client, upstream, (sent, received), proxy.clock, hold)
        name = proxy.name_of(tap)
        proxy.live[name] = Live(relay, (sent, received), tap)
        try:
            if proxy.draining:
                relay.stop(GOING_AWAY, "the proxy is going away")
            await relay.run(early, rest)
        finally:
            proxy.ended(name)
            self._count(sent, received)
            self._end(relay)

    def _count(self, *copies: Copy) -> None:
        for copy in copies:
            side = copy.origin.name.lower()
            self.proxy.counts.messages[side] += copy.messages
            self.proxy.counts.bytes[side] += copy.bytes

    def _end(self, relay: Relay) -> None:
        tap = self.tap
        for copy in (relay.sent, relay.received):
            copy.end(self.proxy.clock())
        if tap is None:
            return
        self.proxy.counts.lost += tap.recorder.lost
        closings = {"client": relay.sent.closing, "server": relay.received.closing}
        ours = relay.stopped if relay.first == "recorder" else None
        first = closings.pop(relay.first, None)
        answer = next((c for c in closings.values() if c is not None), None)
        if first is None and answer is not None and ours is None:
            first, answer = answer, None
        code, reason = ours or ((first.code, first.reason) if first else (ABNORMAL, ""))
        tap.end(
            code=code,
            reason=reason,
            initiator=relay.first or "network",
            clean=first is not None and answer is not None,
            answer=answer.code if answer else None,
            ends={"client": relay.client.end, "server": relay.upstream.end},
        )

    def _note_handshake(self, error: RecorderError | None = None) -> None:
        if self.tap is None or self.tap.ended:
            return
        secrets = self.proxy.secrets_of(self.asked)
        fields = handshake_fields(self.shake, self.tap.opened_ns, secrets, error)
        self.tap.note("handshake", at_ns=self.shake.answered_ns, **fields)

    async def _answer_error(self, status: int, message: str) -> None:
        """An error of the proxy's own, in the form of the API's errors."""
        response = error_response(status, message)
        assert isinstance(response.body, bytes)
        headers = (*response.headers, *self._added(), ("Content-Length", str(len(response.body))))
        reason = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}[status]
        head = [f"HTTP/1.1 {status} {reason}", "Connection: close"]
        head += [f"{name}: {value}" for name, value in headers]
        await self._send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + response.body)

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(WRITE_SECONDS), suppress(trio.BrokenResourceError):
            await self.client.send_all(data)


def _values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.headers if key.lower() == name]

"""One WebSocket through the proxy, from its head to its end.

Laws:

1. The upstream's answer goes back as it came: status, headers, body.
2. A client that leaves while its upstream is dialled takes the dial with it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import trio

from recorder.errors import EndpointTimeout, RecorderError
from recorder.events import Origin
from recorder.live.frontdoor import error_response
from recorder.live.telling import handshake_fields
from recorder.transport import Handshake
from recorder.transport.dial import Link, dial
from recorder.transport.exchange import Answer, Exchange, until
from recorder.transport.frames import ABNORMAL
from recorder.transport.handshake import BODY_SECONDS
from recorder.transport.http import header_tokens
from recorder.transport.nurseries import plain_nursery
from recorder.transport.streams import discard
from recorder.transport.urls import Scrubber, Target, choose_proxy, parse_target

from . import heads
from .copying import Copy
from .relaying import Relay

if TYPE_CHECKING:
    from recorder.live.tap import Tap

    from .serving import Asked, Proxy

log = logging.getLogger("recorder.proxy")

GOING_AWAY: Final = 1001
WRITE_SECONDS: Final = 30.0
"""How long a client may take to take the answer to its upgrade."""
EARLY_BYTES: Final = 64 * 1024
"""What a client may send before its upgrade is answered; more waits in its socket."""


@dataclass(slots=True)
class Live:
    """A session that is open."""

    relay: Relay
    copies: tuple[Copy, Copy]
    tap: Tap | None


class WebSocketSession:
    """One WebSocket through the proxy."""

    def __init__(self, proxy: Proxy, asked: Asked, client: trio.abc.Stream) -> None:
        self.proxy, self.asked, self.client = proxy, asked, client
        self.url = asked.route.url(websocket=True)
        self.tap = proxy.tap_for(asked, self.url)
        self.shake = Handshake()
        self.wanted = self.tap is not None
        self.entered = False
        self.entering = trio.Event()
        """Set when it is known whether the session is recorded."""
        self.early = bytearray()
        """What the client sent before its upgrade was answered."""
        self.gone = False
        """The client left before that."""
        self.link: Link | None = None

    async def run(self, early: bytes) -> None:
        """From the head that was read to the end of both connections."""
        proxy = self.proxy
        proxy.counts.sessions += 1
        self.early = bytearray(early)
        try:
            await self._carried()
        except RecorderError as error:
            proxy.counts.upstream_errors[type(error).__name__] += 1
            log.warning("%s: %s", self.asked.request.remote, error)
            self._note_handshake(error)
            status = 504 if isinstance(error, EndpointTimeout) else 502
            await self._answer_error(status, str(error))
        finally:
            if self.shake.status != 101 and proxy.options.tokens is not None:
                proxy.options.tokens.give_back(self.asked.grant)
            if self.tap is not None and self.entered:
                initiator = "server" if self.shake.answered_ns else "network"
                self.tap.end(code=None, reason="", initiator=initiator, clean=False)

    async def _carried(self) -> None:
        target = parse_target(self.url)
        scrub = Scrubber(target, self.asked.request.headers, self.asked.request.subprotocols)
        try:
            async with plain_nursery() as nursery:
                nursery.start_soon(self._enter)
                answer = await self._unless_it_leaves(target, scrub)
            if self.gone:
                self._left()
            elif answer is None:
                self.proxy.counts.refused[503] += 1
                await self._answer_error(503, "the session cannot be recorded at the moment")
            else:
                await self._answered(answer)
        finally:
            if self.link is not None:
                await discard(self.link.wire)

    @property
    def _must_refuse(self) -> bool:
        closed = self.proxy.options.store_down == "closed"
        return closed and self.wanted and self.entering.is_set() and not self.entered

    async def _unless_it_leaves(self, target: Target, scrub: Scrubber) -> Answer | None:
        """What the upstream answers; None if the client left before that, or is refused."""
        answer: Answer | None = None
        async with plain_nursery() as nursery:
            nursery.start_soon(self._watch_client, nursery.cancel_scope)
            self.link = await self._dial(target, scrub)
            if self.proxy.options.store_down == "closed":
                await self.entering.wait()  # nothing is asked for that will not be recorded
            if not self._must_refuse:
                answer = await self._ask(self.link, target, scrub)
            nursery.cancel_scope.cancel()
        return answer

    async def _watch_client(self, scope: trio.CancelScope) -> None:
        """Keep what the client sends meanwhile, and notice if it leaves."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while more := await self.client.receive_some(EARLY_BYTES):
                self.early += more
                if len(self.early) >= EARLY_BYTES:
                    return
        self.gone = True
        scope.cancel()

    def _left(self) -> None:
        if self.tap is None or not self.entered:
            return
        said = "the client left before its upgrade was answered"
        fields = handshake_fields(self.shake, self.tap.opened_ns, ())
        self.tap.note("handshake", **{**fields, "error": said})
        self.tap.end(code=None, reason="", initiator="client", clean=False)

    async def _enter(self) -> None:
        if self.tap is not None:
            self.entered = await self.proxy.enter(self.tap)
            if self.entered:
                self._tell(self.tap.session.id)
            else:
                self.tap = None
                self.proxy.counts.unrecorded += 1
        self.entering.set()

    def _tell(self, name: str) -> None:
        told = self.proxy.options.on_session
        try:
            if told is not None:
                told(name)
        except Exception as error:  # whoever looks on must not end the call
            log.error("on_session failed (%s)", type(error).__name__)
            log.debug("on_session failed", exc_info=error)

    async def _dial(self, target: Target, scrub: Scrubber) -> Link:
        options = self.proxy.options
        return await dial(
            target,
            proxy=choose_proxy(options.outer_proxy, target),
            trust=self.proxy.trust,
            timeouts=options.timeouts,
            scrub=scrub,
            clock=self.proxy.clock,
            record=self.shake,
        )

    async def _ask(self, link: Link, target: Target, scrub: Scrubber) -> Answer:
        """Send the upgrade on; the head of what the upstream answers."""
        asked, shake = self.asked, self.shake
        headers = heads.onward(
            asked.request.headers,
            asked.route.upstream,
            upgrade=True,
            credential=None if asked.grant.passthrough else self.proxy.options.credential,
            ours=asked.grant.ours,
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
            shake.body = bytes(exchange.body)
        return answer

    async def _answered(self, answer: Answer) -> None:
        if answer.status != 101:
            await self._refused(answer, self.shake.body)
            return
        assert self.link is not None
        self.shake.subprotocol = next(iter(_values(answer, "sec-websocket-protocol")), None)
        self._note_handshake()
        await self._switch(answer)
        await self._relay(self.link, bytes(self.early), answer.rest)

    async def _refused(self, answer: Answer, body: bytes) -> None:
        """The upstream's refusal, as it came."""
        self.proxy.counts.upstream_errors[f"status_{answer.status}"] += 1
        self._note_handshake()
        left_out = {"content-length"}
        headers = [p for p in heads.back(answer.headers) if p[0].lower() not in left_out]
        headers += [("Content-Length", str(len(body))), ("Connection", "close"), *self._added()]
        await self._send(heads.answered(answer.status, answer.reason, tuple(headers)) + body)

    async def _switch(self, answer: Answer) -> None:
        offered = self.asked.request.subprotocols
        added = self._added()
        went_on = header_tokens(self.shake.request, "Sec-WebSocket-Protocol")
        if offered and not went_on and not _values(answer, "sec-websocket-protocol"):
            # All that it offered was its key, and browsers insist on an answer to an offer.
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
        secrets = proxy.secrets_of(self.asked) if tap is not None else ()
        sent = Copy(tap, Origin.CLIENT, limit, proxy.budget, secrets)
        received = Copy(tap, Origin.SERVER, limit, proxy.budget, secrets)
        upstream = link.stream if isinstance(link.stream, trio.SSLStream) else link.wire.inner
        hands = (proxy.reader, proxy.board)
        relay = Relay(self.client, upstream, (sent, received), hands, proxy.clock, tap)
        if tap is not None:
            tap.before_note = relay.backlog.read
        name = proxy.name_of(tap)
        proxy.live[name] = Live(relay, (sent, received), tap)
        try:
            if proxy.ending:
                relay.stop(GOING_AWAY, "the proxy is going away")
            await relay.run(early, rest)
        finally:
            del proxy.live[name]
            self._end(relay)
            self._count(sent, received)

    def _count(self, *copies: Copy) -> None:
        for copy in copies:
            side = copy.origin.name.lower()
            self.proxy.counts.messages[side] += copy.messages
            self.proxy.counts.bytes[side] += copy.bytes
            self.proxy.counts.gaps += copy.gaps

    def _end(self, relay: Relay) -> None:
        tap = self.tap
        for copy in (relay.sent, relay.received):
            copy.end(self.proxy.clock())
        if tap is None:
            return
        self.proxy.counts.lost += tap.recorder.lost
        closings = {"client": relay.sent.closing, "server": relay.received.closing}
        both = None not in closings.values()
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
            clean=both if ours else first is not None and answer is not None,
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
        length = ("Content-Length", str(len(response.body)))
        headers = (("Connection", "close"), *response.headers, *self._added(), length)
        await self._send(heads.answered(status, HTTPStatus(status).phrase, headers) + response.body)

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(WRITE_SECONDS), suppress(trio.BrokenResourceError):
            await self.client.send_all(data)


def _values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.headers if key.lower() == name]

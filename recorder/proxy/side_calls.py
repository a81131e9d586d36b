"""HTTP through the proxy: side calls of the Realtime API recorded, everything else passed on.

Laws:

1. Of a side call the log holds method, path, status, headers and the JSON that passed; of SDP,
   of tokens and of what is no JSON only how much it was.
2. What is not recorded, or is too long for it, is passed on piece by piece, as it comes.
3. Under custody the upstream's key is spent on realtime paths alone, and a token that the proxy
   mints promises nothing that a relay of bytes could not keep: over HTTP it opens a call with
   nothing but its SDP.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpx
import orjson

from recorder.errors import RecorderError, UsageError
from recorder.events import NO_FRAME, Origin
from recorder.live.frontdoor import Request, Response
from recorder.secrets import redact_headers
from recorder.transport.http import header_values
from recorder.transport.urls import is_loopback

from . import heads
from .guarding import Refused
from .options import MINTING_HOSTS
from .outgoing import Body, Outgoing, decoded, headers_of, readable_codings
from .routes import RESERVED

if TYPE_CHECKING:
    from recorder.live.tap import Tap

    from .serving import Asked, Proxy

MINTS: Final = (
    "/realtime/client_secrets",
    "/realtime/sessions",
    "/realtime/transcription_sessions",
)
"""Ends of the paths that give short-lived tokens: GA, and beta."""
CALLS: Final = "/realtime/calls"
MINT_SECONDS: Final = (10, 7200)
_MINTABLE: Final = frozenset({"model", "type"})


class SideCalls:
    """Answers what asks for no WebSocket."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._outgoing = Outgoing(proxy.options)
        self._limit = proxy.options.bounds.recorded_body_bytes

    async def aclose(self) -> None:
        """Let go of kept connections."""
        await self._outgoing.aclose()

    async def answer(self, request: Request) -> Response:
        """The answer to one request. Raises `Refused`."""
        if request.path.startswith(f"/{RESERVED}/"):
            return self._marks(request)
        mints = request.method == "POST" and request.path.endswith(MINTS)
        asked = self._proxy.admit(request)
        tokens = self._proxy.options.tokens
        if mints and tokens is not None:
            if not asked.grant.minting:
                raise Refused(403, "a minted token cannot be used to get another")
            if not self._upstream_mints(asked):
                return self._mint(request)
        if tokens is None or not request.path.rstrip("/").endswith(CALLS):
            return await self._forward(asked, adopting=mints)
        tokens.use(asked.grant)
        response = await self._forward(asked, adopting=False)
        if response.status >= 400:
            tokens.give_back(asked.grant)
        return response

    # ---- tokens

    def _upstream_mints(self, asked: Asked) -> bool:
        mint = self._proxy.options.mint
        if mint != "auto":
            return mint == "upstream"
        host = asked.route.upstream.host
        return any(host == domain or host.endswith(f".{domain}") for domain in MINTING_HOSTS)

    def _mint(self, request: Request) -> Response:
        options = self._proxy.options
        assert options.tokens is not None
        model, seconds = _mint_wishes(request, options.token_seconds)
        minted = options.tokens.mint(
            model, now_ns=self._proxy.wall(), seconds=seconds, uses=options.token_uses
        )
        expires = minted.expires_ns // 1_000_000_000
        if request.path.endswith(MINTS[1]):
            secret = {"value": minted.value, "expires_at": expires}
            return Response.json({"object": "realtime.session", "model": model or None,
                                  "client_secret": secret})  # fmt: skip
        session = {"type": "realtime", "model": model or None}
        return Response.json({"value": minted.value, "expires_at": expires, "session": session})

    def _adopt(self, asked: Asked, body: bytes) -> list[str]:
        """The tokens in an upstream's answer, which are accepted from now on."""
        found = _tokens_in(body)
        tokens, options = self._proxy.options.tokens, self._proxy.options
        if tokens is not None:
            latest = self._proxy.wall() + int(MINT_SECONDS[1] * 1e9)
            for value, expires_ns in found:
                until = min(expires_ns or latest, latest)
                tokens.adopt(value, "", expires_ns=until, uses=options.token_uses)
        return [value for value, _ in found]

    # ---- passing on

    async def _forward(self, asked: Asked, *, adopting: bool) -> Response:
        proxy, request = self._proxy, asked.request
        url = asked.route.url(websocket=False)
        tap = proxy.tap_for(asked, url, kind="http") if asked.route.realtime else None
        if tap is not None and not await proxy.enter(tap):
            tap = None
            proxy.counts.unrecorded += 1
            if proxy.options.store_down == "closed":
                raise Refused(503, "the store does not take a new session")
        if tap is not None:
            proxy.counts.side_calls += 1
            _record_request(tap, request, self._limit)
        try:
            answer = await self._ask(asked)
            return await self._answered(asked, tap, answer, adopting=adopting)
        except (httpx.HTTPError, RecorderError) as error:
            raise self._failed(asked, tap, error) from None
        except BaseException:  # cut off: the log must not take it for one that is still open
            if tap is not None:
                tap.end(code=None, reason="", initiator="network", clean=False)
            raise

    async def _ask(self, asked: Asked) -> httpx.Response:
        grant, request = asked.grant, asked.request
        credential = None if grant.passthrough else self._proxy.options.credential
        headers = heads.onward(
            request.headers,
            asked.route.upstream,
            upgrade=False,
            credential=credential,
            ours=grant.ours,
        )
        if asked.route.realtime:
            headers = readable_codings(headers)
        return await self._outgoing.ask(asked.route, request.method, headers, request.body)

    async def _answered(
        self, asked: Asked, tap: Tap | None, answer: httpx.Response, *, adopting: bool
    ) -> Response:
        """The answer, as it goes back; what is recorded of it is read to the end before."""
        body, headers, at_ns = Body(answer), headers_of(answer), self._proxy.clock()
        back = tuple(heads.back(headers))
        if tap is not None:
            back = (*back, (heads.SESSION_HEADER, tap.session.id))
        bare = asked.request.method == "HEAD" or answer.status_code in (204, 304)
        streams = "event-stream" in answer.headers.get("content-type", "")
        raw = None
        try:
            if bare or (asked.route.realtime and not streams):
                raw = await body.read(self._limit)
        except BaseException:
            await body.aclose()
            raise
        if raw is None:
            body.on_end = self._watched(asked, tap, answer, body, at_ns)
            return Response(answer.status_code, back, body, _length(answer))
        secrets = self._proxy.secrets_of(asked)
        plain = decoded(headers, raw, self._limit)
        if answer.is_success and adopting and plain is not None:
            secrets += self._adopt(asked, plain)
        if tap is not None:
            _record_answer(tap, at_ns, answer, plain, secrets, len(raw))
        if bare:
            return Response(answer.status_code, back, _nothing(), _length(answer))
        return Response(answer.status_code, back, raw)

    def _watched(
        self, asked: Asked, tap: Tap | None, answer: httpx.Response, body: Body, at_ns: int
    ) -> Callable[[], None]:
        """What is to be done when an answer that is passed on piece by piece is over."""
        proxy = self._proxy
        proxy.streaming += 1

        def over() -> None:
            proxy.streaming -= 1
            proxy.changed()
            if not body.ended:
                proxy.counts.upstream_errors["cut_off"] += 1
            if tap is not None:
                secrets = proxy.secrets_of(asked)
                _record_answer(tap, at_ns, answer, None, secrets, body.size, whole=body.ended)

        return over

    def _failed(self, asked: Asked, tap: Tap | None, error: Exception) -> Refused:
        kind = type(error).__name__
        self._proxy.counts.upstream_errors[kind] += 1
        slow = isinstance(error, httpx.TimeoutException)
        said = f"{asked.route.upstream} {'did not answer in time' if slow else 'cannot be reached'}"
        if tap is not None:
            tap.note("handshake", status=None, reason="", headers=[], error=f"{said} ({kind})")
            tap.end(code=None, reason="", initiator="network", clean=False)
        return Refused(504 if slow else 502, said)

    # ---- marks

    def _marks(self, request: Request) -> Response:
        """`POST /_recorder/sessions/ID/marks`: what the application played, saw or notes."""
        parts = request.path.split("/")
        if len(parts) != 5 or parts[2] != "sessions" or parts[4] != "marks":
            raise Refused(404, f"the proxy's own paths are POST /{RESERVED}/sessions/ID/marks")
        if request.method != "POST":
            raise Refused(405, "marks are sent with POST")
        self._proxy.options.doors.check(request)
        name = parts[3]
        shown = heads.shown_keys(request.headers, request.raw_query)
        shown += header_values(request.headers, heads.TOKEN_HEADER)
        known = self._proxy.link_token(name).encode()
        doors = self._proxy.options.doors
        # Behind another name a proxy of somebody else's may stand on this machine.
        near = doors.loopback and not doors.hosts and is_loopback(request.remote.host)
        if not near and not any(hmac.compare_digest(value.encode(), known) for value in shown):
            raise Refused(401, f"a mark for {name[:40]!a} without its session's token")
        live = self._proxy.live.get(name)
        if live is None or live.tap is None:
            raise Refused(404, f"no session {name[:40]} is open here")
        return _noted(live.tap, request.body)


def _noted(tap: Tap, body: bytes) -> Response:
    from recorder.live.session import check_mark

    try:
        found = orjson.loads(body)
        marks = found if isinstance(found, list) else [found]
        checked = [_mark_of(mark) for mark in marks]
        for kind, fields in checked:
            check_mark(kind, fields)
    except (orjson.JSONDecodeError, UsageError) as error:
        said = "the body is no JSON" if isinstance(error, orjson.JSONDecodeError) else str(error)
        raise Refused(400, said) from None
    return Response.json({"seqs": [tap.note(kind, **fields) for kind, fields in checked]})


def _mark_of(mark: object) -> tuple[str, dict[str, Any]]:
    match mark:
        case {"kind": str(kind), **fields}:
            return kind, {str(name): value for name, value in fields.items()}
    raise UsageError('a mark is an object with a "kind": "playback", "note", …, and its fields')


def _mint_wishes(request: Request, seconds: float) -> tuple[str, float]:
    """Model and life of the token that is asked for. Raises `Refused`."""
    try:
        body = orjson.loads(request.body) if request.body.strip() else {}
    except orjson.JSONDecodeError:
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is no JSON object")
    after = body.pop("expires_after", None)
    session = body.pop("session", None) or body
    if not isinstance(session, dict) or (session is not body and body):
        raise Refused(400, "the body is {session: {model}, expires_after}")
    more = {name for name, value in session.items() if value is not None} - _MINTABLE
    if more:
        raise Refused(
            400,
            f"session.{min(more)[:60]}: a token of this proxy is bound to a model alone; set "
            "everything else with session.update",
        )
    if isinstance(after, dict) and isinstance(after.get("seconds"), int):
        low, high = MINT_SECONDS
        if not low <= after["seconds"] <= high:
            raise Refused(400, f"expires_after.seconds lies between {low} and {high}")
        seconds = after["seconds"]
    model = session.get("model")
    if not isinstance(model, str) or not model.strip():
        raise Refused(400, "session.model is missing: a token of this proxy is bound to a model")
    return model, seconds


def _tokens_in(body: bytes) -> list[tuple[str, int | None]]:
    """The tokens of a `client_secrets` or `sessions` answer, with their ends in ns since 1970."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    places = [found, found.get("client_secret")] if isinstance(found, dict) else []
    tokens: list[tuple[str, int | None]] = []
    for place in places:
        if isinstance(place, Mapping) and isinstance(place.get("value"), str):
            ends = place.get("expires_at")
            until = ends * 1_000_000_000 if isinstance(ends, int) and ends > 0 else None
            tokens.append((place["value"], until))
    return tokens


# ---- what the log says of a side call


def _record_request(tap: Tap, request: Request, limit: int) -> None:
    tap.note(
        "request",
        method=request.method,
        path=request.path[:2000],
        content_type=request.header("Content-Type") or "",
        bytes=len(request.body),
    )
    body = _storable(request.header("Content-Type"), request.body, limit)
    if body is not None:
        tap.frame(Origin.CLIENT, tap.clock(), body, NO_FRAME)


def _record_answer(
    tap: Tap,
    at_ns: int,
    answer: httpx.Response,
    body: bytes | None,
    secrets: list[str],
    size: int,
    *,
    whole: bool = True,
) -> None:
    headers, _ = redact_headers(headers_of(answer), secrets)
    kind = answer.headers.get("content-type", "")
    tap.note(
        "handshake",
        at_ns=at_ns,
        status=answer.status_code,
        reason=answer.reason_phrase,
        headers=headers,
        content_type=kind,
        bytes=size,
        answered_ns=at_ns - tap.opened_ns,
    )
    for secret in secrets:
        tap.recorder.learn(secret)
    if body is not None and (stored := _storable(kind, body, len(body))) is not None:
        tap.frame(Origin.SERVER, tap.clock(), stored, NO_FRAME)
    tap.end(code=None, reason="", initiator="server" if whole else "network", clean=whole)


def _storable(content_type: str | None, body: bytes, limit: int) -> bytes | None:
    """The body as it may be stored; None for what is no JSON, or too much."""
    if "json" not in (content_type or "").lower() or not body or len(body) > limit:
        return None
    if b'"sdp"' not in body:
        return body
    with suppress(orjson.JSONDecodeError):
        return orjson.dumps(_without_sdp(orjson.loads(body)))
    return None


def _without_sdp(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: f"[{len(each)} characters of SDP]"
            if name == "sdp" and isinstance(each, str)
            else _without_sdp(each)
            for name, each in value.items()
        }
    return [_without_sdp(each) for each in value] if isinstance(value, list) else value


# ---- answers on their way back


def _length(answer: httpx.Response) -> int | None:
    said = answer.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() else None


async def _nothing() -> AsyncIterator[bytes]:
    """The body of an answer that has none, whatever length it states."""
    no_pieces: tuple[bytes, ...] = ()
    for piece in no_pieces:
        yield piece

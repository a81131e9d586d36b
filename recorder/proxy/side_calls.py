"""HTTP through the proxy: side calls of the Realtime API recorded, everything else passed on.

Laws:

1. Of a side call the log holds method, path, status, headers and the JSON that passed; of SDP,
   of tokens and of what is no JSON only how much it was.
2. What is not recorded is passed on piece by piece, as it comes.
3. Under custody the upstream's key is spent on realtime paths alone, and a token that the proxy
   mints promises nothing that a relay of bytes could not keep.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpx
import orjson
import trio

from recorder.errors import RecorderError, UsageError
from recorder.events import NO_FRAME, Origin
from recorder.live.frontdoor import Request, Response
from recorder.secrets import redact_headers
from recorder.transport.dial import Trust, tls_context
from recorder.transport.http import Headers, header_values
from recorder.transport.urls import is_loopback

from . import heads
from .guarding import Refused
from .options import MINTING_HOSTS
from .routes import RESERVED

if TYPE_CHECKING:
    from recorder.live.tap import Tap

    from .serving import Asked, Proxy

MINTS: Final = ("/realtime/client_secrets", "/realtime/sessions")
"""Ends of the paths that give short-lived tokens: GA, and beta."""
MARKS: Final = "/marks"
MINT_SECONDS: Final = (10, 7200)
_MINTABLE: Final = frozenset({"model", "type"})


class SideCalls:
    """Answers what asks for no WebSocket."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Let go of kept connections."""
        if self._client is not None:
            await self._client.aclose()

    async def answer(self, request: Request) -> Response:
        """The answer to one request. Raises `Refused`."""
        if request.path.startswith(f"/{RESERVED}/"):
            return self._marks(request)
        mints = request.method == "POST" and request.path.endswith(MINTS)
        asked = self._proxy.admit(request, use=not mints)
        if mints and self._proxy.options.tokens is not None:
            if not asked.grant.minting:
                raise Refused(403, "a minted token cannot be used to get another")
            if not self._upstream_mints(asked):
                return self._mint(request)
        return await self._forward(asked, adopting=mints)

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
            _record_request(tap, request)
        try:
            answer = await self._ask(asked, url)
        except (httpx.HTTPError, RecorderError) as error:
            return self._failed(asked, tap, error)
        if not asked.route.realtime:
            return _streamed(answer)
        return await self._whole(asked, tap, answer, adopting=adopting)

    async def _ask(self, asked: Asked, url: str) -> httpx.Response:
        if self._client is None:
            self._client = self._new_client()
        credential = None if asked.grant.passthrough else self._proxy.options.credential
        headers = heads.onward(
            asked.request.headers, asked.route.upstream, upgrade=False, credential=credential
        )
        request = self._client.build_request(
            asked.request.method,
            url.partition("?")[0],  # httpx logs the URL, and a query may hold a key
            headers=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers],
            content=asked.request.body or None,
            extensions={"target": asked.route.target.encode("latin-1")},
        )
        return await self._client.send(request, stream=True)

    def _new_client(self) -> httpx.AsyncClient:
        options = self._proxy.options
        client = httpx.AsyncClient(
            verify=tls_context(Trust(ca_file=options.ca_file)),
            timeout=httpx.Timeout(options.timeouts.connect, read=None, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            proxy=None if options.outer_proxy == "auto" else options.outer_proxy,
            trust_env=options.outer_proxy == "auto",
            follow_redirects=False,
        )
        client.headers.clear()  # what the client did not send is not to be invented
        return client

    async def _whole(
        self, asked: Asked, tap: Tap | None, answer: httpx.Response, *, adopting: bool
    ) -> Response:
        """An answer that is read to the end, recorded, and then given."""
        at_ns = self._proxy.clock()
        try:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        except httpx.HTTPError as error:
            return self._failed(asked, tap, error)
        finally:
            with trio.CancelScope(shield=True):
                await answer.aclose()
        secrets = self._proxy.secrets_of(asked)
        if answer.is_success and adopting:
            secrets += self._adopt(asked, _decoded(answer, raw))
        headers = _headers(answer)
        if tap is not None:
            _record_answer(tap, at_ns, answer, _decoded(answer, raw), secrets)
        added = ((heads.SESSION_HEADER, tap.session.id),) if tap else ()
        return Response(answer.status_code, (*heads.back(headers), *added), raw)

    def _failed(self, asked: Asked, tap: Tap | None, error: Exception) -> Response:
        kind = type(error).__name__
        self._proxy.counts.upstream_errors[kind] += 1
        slow = isinstance(error, httpx.TimeoutException)
        said = f"{asked.route.upstream} {'did not answer in time' if slow else 'cannot be reached'}"
        if tap is not None:
            tap.note("handshake", status=None, reason="", headers=[], error=f"{said} ({kind})")
            tap.end(code=None, reason="", initiator="network", clean=False)
        raise Refused(504 if slow else 502, said)

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
        known = self._proxy.link_token(name)
        if not is_loopback(request.remote.host) and not any(
            hmac.compare_digest(value.encode(), known.encode()) for value in shown
        ):
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
    model = session.get("model") or ""
    if not isinstance(model, str):
        raise Refused(400, "session.model is no string")
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


def _record_request(tap: Tap, request: Request) -> None:
    tap.note(
        "request",
        method=request.method,
        path=request.path[:2000],
        content_type=request.header("Content-Type") or "",
        bytes=len(request.body),
    )
    if (body := _storable(request.header("Content-Type"), request.body)) is not None:
        tap.frame(Origin.CLIENT, tap.clock(), body, NO_FRAME)


def _record_answer(
    tap: Tap, at_ns: int, answer: httpx.Response, body: bytes, secrets: list[str]
) -> None:
    headers, _ = redact_headers(_headers(answer), secrets)
    kind = answer.headers.get("content-type", "")
    tap.note(
        "handshake",
        at_ns=at_ns,
        status=answer.status_code,
        reason=answer.reason_phrase,
        headers=headers,
        content_type=kind,
        bytes=len(body),
        answered_ns=at_ns - tap.opened_ns,
    )
    for secret in secrets:
        tap.recorder.learn(secret)
    if (stored := _storable(kind, body)) is not None:
        tap.frame(Origin.SERVER, tap.clock(), stored, NO_FRAME)
    tap.end(code=None, reason="", initiator="server", clean=True)


STORED_BYTES: Final = 4 * 1024 * 1024


def _storable(content_type: str | None, body: bytes) -> bytes | None:
    """The body as it may be stored; None for what is no JSON, or too much."""
    if "json" not in (content_type or "").lower() or not body or len(body) > STORED_BYTES:
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


def _headers(answer: httpx.Response) -> Headers:
    return tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in answer.headers.raw)


def _decoded(answer: httpx.Response, raw: bytes) -> bytes:
    """The body with its content coding undone, to be looked at."""
    copy = httpx.Response(200, headers=answer.headers, content=raw)
    try:
        return copy.content
    except httpx.DecodingError:
        return raw


def _streamed(answer: httpx.Response) -> Response:
    """An answer that is passed on as it comes."""
    headers = _headers(answer)
    lengths = header_values(headers, "Content-Length")
    length = int(lengths[0]) if lengths and lengths[0].isdigit() else None

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            with trio.CancelScope(shield=True):
                await answer.aclose()

    return Response(answer.status_code, tuple(heads.back(headers)), pieces(), length)

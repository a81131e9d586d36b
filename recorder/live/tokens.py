"""Short-lived client tokens over HTTP: what a browser or phone gets instead of the key."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import orjson
import trio

from ..errors import (
    EndpointError,
    EndpointTimeout,
    HandshakeRefused,
    Unreachable,
    UntrustedCertificate,
    UsageError,
)
from ..secrets import redact_text, redact_url
from ..transport.dial import Trust, tls_context
from ..transport.handshake import NO_KEY_SENT, sends_key
from .endpoints import BETA_HEADER, Endpoint, documents_beta, model_of, realtime_url

Form = Literal["client_secrets", "sessions", "realtime"]

FORMS: tuple[Form, ...] = ("client_secrets", "sessions", "realtime")
"""GA's call, the beta's, and DGrid's `GET /v1/realtime`."""

BODY_SHOWN = 400
"""Characters of an unexpected answer that an error message quotes."""


@dataclass(frozen=True, slots=True)
class Token:
    """What came back. `value` is the secret; it is printed once and stored nowhere."""

    value: str
    expires_at: int | None
    """Seconds since 1970."""
    session: dict[str, Any]


def form_for(url: str) -> Form:
    """The form that the endpoint documents: DGrid's own for DGrid, else GA's."""
    return "realtime" if documents_beta(url) and "dgrid" in url else "client_secrets"


async def get_token(
    place: Endpoint,
    form: Form,
    *,
    session: dict[str, Any] | None = None,
    timeout: float = 10.0,
    ca_file: str | None = None,
) -> Token:
    """Ask the endpoint for a client token. `ca_file` is trusted beside the system's authorities.

    Raises `HandshakeRefused` for any answer that holds none, saying plainly what came back.
    """
    method, url, body = _request(place, form, session)
    headers = dict(place.headers)
    if form == "sessions":
        headers.setdefault(*BETA_HEADER)
    if form == "realtime":
        headers.update(_upgrade())
    response = await _exchange(
        method, url, headers, body, timeout, tls_context(Trust(None, ca_file))
    )
    return _token(response, place, form)


def _request(
    place: Endpoint, form: Form, session: dict[str, Any] | None
) -> tuple[str, str, bytes | None]:
    parts = urlsplit(realtime_url(place.url))
    base = parts._replace(scheme={"ws": "http", "wss": "https"}[parts.scheme])
    model = place.model or model_of(place.url)
    if form == "realtime":
        return "GET", base.geturl(), None
    wanted = {"model": model, **(session or {})} if model else dict(session or {})
    bare = base._replace(path=f"{base.path}/{form}", query="").geturl()
    if form == "sessions":
        return "POST", bare, orjson.dumps(wanted)
    return "POST", bare, orjson.dumps({"session": {"type": "realtime", **wanted}})


def _upgrade() -> dict[str, str]:
    """DGrid documents its entry point as an upgrade that is answered 101 or an error object."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }


async def _exchange(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes | None,
    timeout: float,
    trusted: ssl.SSLContext,
) -> httpx.Response:
    where = redact_url(url)[0]
    try:
        with trio.fail_after(timeout):
            async with httpx.AsyncClient(timeout=timeout, verify=trusted) as client:
                content = {"Content-Type": "application/json"} if body is not None else {}
                request = client.build_request(
                    method, url, headers={**headers, **content}, content=body
                )
                response = await client.send(request, stream=True)
                if response.status_code != 101:  # after a 101 there is no body to wait for
                    await response.aread()
                await response.aclose()
                return response
    except (trio.TooSlowError, httpx.TimeoutException):
        raise EndpointTimeout(f"{where}: no answer within {timeout:g} s") from None
    except httpx.ConnectError as error:
        told = _cause(error)
        if any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error)):
            raise UntrustedCertificate(
                f"{where}: its certificate is not trusted: {told}; if it comes from an authority "
                "of your own, give that authority's certificate with --ca FILE"
            ) from None
        raise Unreachable(f"{where} cannot be reached: {told}") from None
    except httpx.HTTPError as error:
        raise EndpointError(f"{where}: {_cause(error)}") from None
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{where} is no URL: {error}") from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from: httpx's own has often nothing to say."""
    found: BaseException | None = error
    while found is not None:
        yield found
        if isinstance(found, BaseExceptionGroup):
            for each in found.exceptions:
                yield from _causes(each)
        found = found.__cause__ or found.__context__


def _cause(error: BaseException) -> str:
    """Why it failed, in the words of whoever knows."""
    causes = list(_causes(error))
    for each in causes:
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
        if isinstance(each, OSError) and each.strerror:
            return redact_text(each.strerror.lower())[0]
    said = next((str(each) for each in causes if str(each)), type(error).__name__)
    return redact_text(said)[0]


def _token(response: httpx.Response, place: Endpoint, form: Form) -> Token:
    try:
        content = response.content if response.is_stream_consumed else b""
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        data = None
    found = data if isinstance(data, dict) else {}
    nested = found.get("client_secret")
    secret = nested if isinstance(nested, dict) else found
    value = secret.get("value")
    if response.status_code < 400 and isinstance(value, str) and value:
        expires = secret.get("expires_at")
        session = found.get("session") if isinstance(found.get("session"), dict) else {}
        return Token(value, expires if isinstance(expires, int) else None, session or {})
    raise _no_token(response, found, place, form)


def _no_token(
    response: httpx.Response, found: dict[str, Any], place: Endpoint, form: Form
) -> HandshakeRefused:
    status = f"{response.status_code} {response.reason_phrase}".strip()
    content = response.content if response.is_stream_consumed else b""
    error = found.get("error")
    detail = error.get("message") if isinstance(error, dict) else error
    body = detail or content.decode("utf-8", "replace")[:BODY_SHOWN] or "no body"
    told = redact_text(str(body), place.secrets)[0].strip().rstrip(".")
    where = redact_url(str(response.request.url))[0]
    hint = {
        "realtime": "GET /v1/realtime is the WebSocket entry point itself (101, or an error "
        "object); it mints no token. Try --form client_secrets, or connect with the key",
        "client_secrets": "for an endpoint that speaks the beta protocol try --form sessions",
        "sessions": "for an endpoint that speaks GA try --form client_secrets",
    }[form]
    if response.status_code in (401, 403) and not sends_key(place.headers, place.url):
        hint = NO_KEY_SENT
    return HandshakeRefused(
        f"{where} answered {status}, without a token: {told}. {hint}",
        status=response.status_code,
        headers=tuple(response.headers.items()),
        body=content[:65536],
    )

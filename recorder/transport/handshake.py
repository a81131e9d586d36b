"""The upgrade as the client sees it: what to ask, and what the answer means.

RFC 6455 §4.1 and §4.2.2. Each way in which an answer can be wrong has its own message.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import orjson
import trio

from recorder.errors import (
    HandshakeRefused,
    ProtocolViolation,
    UsageError,
)
from recorder.secrets import is_secret_name, redact_headers, redact_url
from recorder.transport.exchange import Answer, Exchange, HeaderList, readable, until
from recorder.transport.http import asks_for_websocket, header_tokens, header_values
from recorder.transport.urls import Scrubber, Target, basic_auth, without_secrets

BODY_SECONDS: Final = 2.0
"""How long the body of a refusal is waited for: it only explains."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OFFER: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")  # visible, no comma: keys are no tokens
_OURS: Final = frozenset(
    {
        "connection", "upgrade", "content-length", "transfer-encoding", "sec-websocket-key",
        "sec-websocket-version", "sec-websocket-accept", "sec-websocket-extensions",
        "sec-websocket-protocol",
    }
)  # fmt: skip
_NO_KEYS: Final = frozenset(
    {"proxy-authorization", "openai-organization", "openai-project", "openai-safety-identifier"}
)
"""Headers that are kept secret, and yet tell nobody who asks."""


@dataclass(slots=True, kw_only=True)
class Handshake:
    """How a dial went. Filled in as it goes on, so that a failed one can be logged too.

    Pass your own to `open_websocket(handshake=...)` and look at it after an error; of an
    open socket it is `socket.handshake`. Times are from the clock that was passed in.
    `request` and `headers` carry secrets: redact before they are stored.
    """

    dialled_ns: int | None = None
    connected_ns: int | None = None
    """TCP stands (to the proxy, where there is one)."""
    secured_ns: int | None = None
    """TLS stands; None for `ws://`."""
    requested_ns: int | None = None
    """The upgrade request was handed to the socket."""
    answered_ns: int | None = None
    """The last byte of the response's head arrived."""
    peer: str = ""
    """`address:port` that TCP reached."""
    proxy: str = ""
    """`host:port` of the proxy in between."""
    request: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The request's headers as they were sent."""
    status: int | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The response's headers: order and case kept."""
    body: bytes = field(default=b"", repr=False)
    """Of a refusal, as far as it came, at most 64 KiB, gzip undone."""
    subprotocol: str | None = None


async def upgrade(
    stream: trio.abc.Stream,
    target: Target,
    offers: Sequence[str],
    *,
    headers: HeaderList,
    scrub: Scrubber,
    seconds: tuple[float, float],
    clock: Callable[[], int],
    record: Handshake,
) -> bytes:
    """Ask for the WebSocket and judge the answer; what came after its head.

    `seconds` is the deadline in trio's time and the span that people chose, for the message.
    """
    deadline, span = seconds
    record.request = tuple(headers)
    exchange = Exchange(stream, "GET", target.resource, headers, clock)
    record.requested_ns = clock()
    asked = f"{target} took the connection but did not answer the upgrade within {span:g} s"
    with until(deadline, asked):
        answer = await exchange.ask(str(target), scrub)
    record.answered_ns, record.status, record.reason = answer.at_ns, answer.status, answer.reason
    record.headers = answer.headers
    if answer.status != 101:
        with trio.move_on_at(min(deadline, trio.current_time() + BODY_SECONDS)):
            await exchange.read_body()
        record.body = readable(bytes(exchange.body), answer.headers)
        keyed = sends_key(record.request, f"?{target.query}")
        raise refusal(target, answer, record.body, scrub, keyed=keyed)
    key = header_values(record.request, "Sec-WebSocket-Key")[0]
    record.subprotocol = judge(target, answer, key, offers, scrub)
    return answer.rest


def request_headers(
    target: Target, headers: Sequence[tuple[str, str]], offers: Sequence[str]
) -> HeaderList:
    """The headers of an upgrade: ours first, then the caller's with case and order kept.

    A `Host` or `User-Agent` of the caller's takes the place of ours.
    """
    check_headers(headers)
    given = {name.lower(): value for name, value in headers}
    if ours := _OURS & given.keys():
        raise UsageError(
            f"the header {min(ours)} belongs to the handshake itself and cannot be set "
            "(subprotocols have an argument of their own)"
        )
    for offer in offers:
        if not _OFFER.fullmatch(offer):
            raise UsageError("a subprotocol is visible ASCII without blanks and commas")
    made = [
        ("Host", given.get("host", target.host_header)),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
        ("Sec-WebSocket-Version", "13"),
    ]
    if offers:
        made.append(("Sec-WebSocket-Protocol", ", ".join(offers)))
    if "user-agent" not in given:
        made.append(("User-Agent", user_agent()))
    if target.basic is not None and "authorization" not in given:
        made.append(("Authorization", basic_auth(target.basic)))
    return made + [(name, value.strip()) for name, value in headers if name.lower() != "host"]


def check_headers(headers: Sequence[tuple[str, str]]) -> None:
    """`UsageError` for what cannot be a header, without showing the value."""
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name[:40]!a} cannot be the name of a header")
        if not _VALUE.fullmatch(value):
            raise UsageError(
                f"the value of the header {name} holds a line break, another control character, "
                "or a character beyond latin-1"
            )


def user_agent() -> str:
    """`realtime-recorder/VERSION`."""
    try:
        return f"realtime-recorder/{version('realtime-recorder')}"
    except PackageNotFoundError:  # run from a tree that is not installed
        return "realtime-recorder"


def accept_token(key: str) -> str:
    """The `Sec-WebSocket-Accept` that belongs to a `Sec-WebSocket-Key` (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()


def judge(
    target: Target, answer: Answer, key: str, offers: Sequence[str], scrub: Scrubber
) -> str | None:
    """The subprotocol of a 101 that is in order, else `ProtocolViolation`."""
    headers = answer.headers
    if not asks_for_websocket(headers):
        raise _violation(target, "without `Upgrade: websocket` and `Connection: Upgrade`")
    if header_values(headers, "Sec-WebSocket-Accept") != [accept_token(key)]:
        raise _violation(target, "with a wrong Sec-WebSocket-Accept; a cache may be in between")
    if extensions := header_tokens(headers, "Sec-WebSocket-Extensions"):
        raise _violation(target, f"with an extension nobody asked for: {scrub(extensions[0], 60)}")
    chosen = header_values(headers, "Sec-WebSocket-Protocol")
    if not chosen:
        return None
    if len(chosen) > 1 or chosen[0] not in offers:
        raise _violation(target, "with a subprotocol that was not offered")
    return chosen[0]


def sends_key(headers: Sequence[tuple[str, str]], url: str = "") -> bool:
    """Whether a request carries anything by which the endpoint could know who asks."""
    for name, value in headers:
        lower = name.lower()
        if lower == "sec-websocket-protocol" and redact_headers([(name, value)])[1]:
            return True
        if lower not in _OURS | _NO_KEYS and is_secret_name(lower):
            return True
    return "[redacted:" in url or bool(redact_url(url)[1])


def refusal(
    target: Target, answer: Answer, body: bytes, scrub: Scrubber, *, keyed: bool = True
) -> HandshakeRefused:
    """The error for an answer other than 101, with what the endpoint said and what to do."""
    status, headers = answer.status, answer.headers
    said = scrub(explanation(body)).rstrip(".")
    text = f"{target} refused the WebSocket with HTTP {status} {scrub(answer.reason, 80)}".rstrip()
    text += f": {said}" if said else ""
    hint = _hint(status, headers, scrub) if keyed or status not in (401, 403) else NO_KEY_SENT
    return HandshakeRefused(
        f"{text}; {hint}" if hint else text, status=status, headers=headers, body=body
    )


def explanation(body: bytes) -> str:
    """What the body of an error says to people: a JSON message, or a short plain text."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text  # a web page explains nothing
    while isinstance(found, dict):
        keys = (key for key in ("error", "message", "detail", "code") if found.get(key))
        found = found.get(next(keys, ""), "")
    return found if isinstance(found, str) else ""


def _hint(status: int, headers: tuple[tuple[str, str], ...], scrub: Scrubber) -> str:
    if 300 <= status < 400 and (location := header_values(headers, "Location")):
        there = scrub(without_secrets(location[0]), 200)
        return f"it points to {there}; name that instead, redirects are not followed"
    if status == 429 and (wait := header_values(headers, "Retry-After")):
        return f"it asks to wait {scrub(wait[0], 40)} (seconds, or until that time)"
    if status >= 500:
        return "the endpoint or a gateway before it failed; try again later"
    return _HINTS.get(status, "")


NO_KEY_SENT: Final = (
    "no key was sent: name the variable that holds yours with --api-key-env NAME "
    "(in Python: api_key=...)"
)
"""What to do about a 401 that nothing else can explain."""

_HINTS: Final = {
    200: "it answered like a web page: check the path",
    400: "check path, model and headers",
    401: "check the API key",
    403: "check the API key, and that it may use this model",
    404: "check the path and the model",
    426: "it wants another protocol version",
    429: "too many requests, or the quota is used up",
}


def _violation(target: Target, what: str) -> ProtocolViolation:
    return ProtocolViolation(f"{target} answered the upgrade with a 101 {what}")

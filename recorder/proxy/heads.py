"""The heads of requests and answers on their way through: what is kept, changed and left out.

Names, their case, their order and their values are kept. Left out: what belongs to one
connection alone (RFC 9110 §7.6.1), what was meant for the recorder, and the offer of WebSocket
extensions, so that what passes stays readable. `Host` becomes the upstream's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

from recorder.live.endpoints import KEY_PROTOCOL
from recorder.transport.http import Headers, header_tokens, header_values

from .routes import is_ours

if TYPE_CHECKING:
    from .routes import Upstream

HOP_BY_HOP: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authorization",
        "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
SESSION_HEADER: Final = "X-Recorder-Session"
TOKEN_HEADER: Final = "X-Recorder-Token"
CREDENTIALS: Final = frozenset(
    {"authorization", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key"}
)
"""Headers in which clients show a key."""
QUERY_KEYS: Final = frozenset(
    {"api-key", "api_key", "key", "token", "access_token", "authorization", "subscription-key"}
)


@dataclass(frozen=True, slots=True)
class Credential:
    """The upstream's own key, which the proxy adds."""

    key: str = field(repr=False)
    header: str = "Authorization"

    @property
    def pair(self) -> tuple[str, str]:
        """The header that carries it."""
        bearer = self.header.lower() == "authorization"
        return self.header, f"Bearer {self.key}" if bearer else self.key


def onward(
    headers: Headers,
    upstream: Upstream,
    *,
    upgrade: bool,
    credential: Credential | None = None,
    ours: str = "",
) -> list[tuple[str, str]]:
    """The headers of a request as the upstream gets them.

    With a credential the client's own ones are taken out wherever they stand, and this one is
    put in their place. `ours` is a token for this proxy, which is nobody else's business.
    """
    gone = HOP_BY_HOP | {name.lower() for name in header_tokens(headers, "Connection")} | {"host"}
    gone |= {"sec-websocket-extensions"} if upgrade else {"content-length", "expect"}
    made = [("Host", upstream.netloc)]
    if upgrade:
        made += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    for name, value in headers:
        lower = name.lower()
        if lower in gone or is_ours(lower):
            continue
        if lower in CREDENTIALS and (credential is not None or bare_key(value) == ours != ""):
            continue
        if credential is not None and lower == credential.header.lower():
            continue
        if lower == "sec-websocket-protocol" and KEY_PROTOCOL in value:
            kept = _offers_on(value, ours if credential is None else None)
            if not kept:
                continue
            value = kept
        made.append((name, value))
    if credential is not None:
        made.append(credential.pair)
    return made


def _offers_on(value: str, ours: str | None) -> str:
    """The subprotocols without the one that is a key: `ours` alone, or with None any."""
    if ours == "":
        return value
    offers = [each.strip() for each in value.split(",") if each.strip()]
    if ours is None:
        return ", ".join(each for each in offers if not each.startswith(KEY_PROTOCOL))
    return ", ".join(each for each in offers if each != KEY_PROTOCOL + ours)


def without_keys(query: str, ours: str | None = None) -> str:
    """The query without the parts that carry a key: `ours` alone, or with None any."""
    pairs = (pair for pair in query.split("&") if pair)
    return "&".join(pair for pair in pairs if not _carries(pair, ours))


def _carries(pair: str, ours: str | None) -> bool:
    name, _, value = pair.partition("=")
    if unquote_plus(name).strip().lower() not in QUERY_KEYS:
        return False
    return ours is None or ours in _spellings(value)


def _spellings(value: str) -> list[str]:
    """A key as it stands in a query, and as it was meant."""
    return list(
        dict.fromkeys(bare_key(each) for each in (value, unquote(value), unquote_plus(value)))
    )


def bare_key(value: str) -> str:
    """The key of a header, without its scheme (`Bearer`)."""
    value = value.strip()
    return value.partition(" ")[2].strip() if " " in value else value


def back(headers: Headers) -> list[tuple[str, str]]:
    """The headers of an answer as the client gets them."""
    gone = HOP_BY_HOP | {name.lower() for name in header_tokens(headers, "Connection")}
    return [(name, value) for name, value in headers if name.lower() not in gone]


def switched(status: int, reason: str, headers: Headers, added: Headers) -> bytes:
    """The head of a 101, as bytes."""
    upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"))
    return answered(status, reason or "Switching Protocols", (*upgrade, *back(headers), *added))


def answered(status: int, reason: str, headers: Headers) -> bytes:
    """The head of an answer, as bytes."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def shown_keys(headers: Headers, query: str) -> list[str]:
    """Every credential that a client shows, in whichever place clients put theirs."""
    names = (*sorted(CREDENTIALS), TOKEN_HEADER)
    keys = [bare_key(value) for name in names for value in header_values(headers, name)]
    keys += [
        offer.removeprefix(KEY_PROTOCOL)
        for offer in header_tokens(headers, "Sec-WebSocket-Protocol")
        if offer.startswith(KEY_PROTOCOL)
    ]
    for pair in query.split("&"):
        if _carries(pair, None):
            keys += _spellings(pair.partition("=")[2])
    return [key for key in keys if key]

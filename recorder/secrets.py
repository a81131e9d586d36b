"""What is a secret, and how it is replaced before anything is written.

Laws:

1. A secret is replaced, never cut out silently: the result says `[redacted:WHAT]` in its place,
   and the caller gets the names of what was replaced.
2. Looking comes before searching: a message without a trace of a secret costs a few substring
   tests.
3. Messages are edited in place, byte for byte: everything around a secret stays as it was.

Where secrets stand: handshake headers, query strings, subprotocols, `client_secret.value`, MCP
tool credentials, and key-shaped strings anywhere (error messages echo parts of keys).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .wire import string_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "ocp-apim-subscription-key",
        "openai-organization",
        "openai-project",
        "openai-safety-identifier",
        "sec-websocket-key",
    }
)
"""Header names, in lower case, whose values never reach the log."""

_SECRET_NAME = re.compile(
    r"(?i)(^|[-_.])(api[-_]?key|apikey|key|token|secret|password|passwd|authorization|auth|"
    r"signature|sig|credential|credentials|cookie|call_id|safety[-_]identifier)$"
)
_SAFE_QUERY = frozenset({"model", "deployment", "api-version", "intent", "call", "version"})

# Shapes of keys. Asterisks and dots, because error messages show keys with their middle masked.
# A false hit would damage what was said, so all but the best-known prefixes need a long run of
# letters and digits, and `Bearer` a digit: "a bearer token" and "xai-grok-voice" stay.
_KEY = re.compile(
    rb"\b(?:sk-|ek_)[A-Za-z0-9_\-*.]{7,}[A-Za-z0-9*]"
    rb"|\b(?:rk|pk|xai|dg|dgrid|gsk)[-_][A-Za-z0-9]{20,}"
    rb"|\bBearer\s+(?=[^\s\"\\]*[0-9*])[A-Za-z0-9_\-.~+/=*]{8,}"
    rb"|\beyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)?"
    rb"|\bopenai-(?:insecure-api-key|organization|project)\.[^\s,\"\\]+"
)
_TRACES = (
    b"sk-", b"ek_", b"rk-", b"rk_", b"pk-", b"pk_", b"xai-", b"dg-", b"dg_", b"dgrid-", b"dgrid_",
    b"gsk_", b"Bearer", b"eyJ", b"openai-",
)  # fmt: skip
_NAMES = (
    b"secret", b"uthorization", b"headers", b"server_url", b"api_key", b"api-key", b"apiKey",
    b"tunnel_id", b"password", b"_token\"",
)  # fmt: skip

_SECRET_KEYS = frozenset(
    {
        "authorization", "api_key", "apikey", "api-key", "client_secret", "password", "tunnel_id",
        "access_token", "refresh_token", "id_token", "x-api-key",
    }
)  # fmt: skip


def _mark(what: str) -> str:
    return f"[redacted:{what}]"


def redact_headers(
    headers: Iterable[tuple[str, str]], known: Sequence[str] = ()
) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Handshake headers without secrets, in their order, and what was replaced."""
    kept, replaced = [], []
    for name, value in headers:
        lower = name.lower()
        if lower == "sec-websocket-protocol":
            clean, found = redact_text(value, known)
        elif lower in SECRET_HEADERS or _SECRET_NAME.search(lower):
            clean, found = _mark(lower), [lower]
        else:
            clean, found = redact_text(value, known)
        kept.append((name, clean))
        replaced += found
    return tuple(kept), replaced


def redact_url(url: str, known: Sequence[str] = ()) -> tuple[str, list[str]]:
    """The URL without user information and secret query values, and what was replaced."""
    replaced: list[str] = []
    try:
        parts = urlsplit(url)
    except ValueError:
        return redact_text(url, known)
    host = parts.netloc
    if "@" in host:
        host = _mark("userinfo") + "@" + host.rpartition("@")[2]
        replaced.append("userinfo")
    query = _redact_query(parts.query, replaced)
    clean, found = redact_text(parts._replace(netloc=host, query=query).geturl(), known)
    return clean, replaced + found


def _redact_query(query: str, replaced: list[str]) -> str:
    pairs = []
    for pair in query.split("&") if query else []:
        name, equals, value = pair.partition("=")
        plain = unquote(name)
        if value and plain not in _SAFE_QUERY and _SECRET_NAME.search(plain):
            pairs.append(f"{name}={_mark(plain)}")
            replaced.append(f"query {plain}")
        else:
            pairs.append(name + equals + value)
    return "&".join(pairs)


def redact_text(text: str, known: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Text for people (errors, reasons, log lines) without keys, and what was replaced."""
    data = text.encode("utf-8", "surrogateescape")
    clean, found = _redact_shapes(data, [k.encode() for k in known])
    return clean.decode("utf-8", "surrogateescape"), found


def may_hold_secret(data: bytes, known: Sequence[bytes] = ()) -> bool:
    """Whether a search is worth it: a few substring tests, no search."""
    for trace in _TRACES:
        if trace in data:
            return True
    for name in _NAMES:
        if name in data:
            return True
    return any(secret in data for secret in known)


def redact_message(message: bytes, known: Sequence[bytes] = ()) -> tuple[bytes, list[str]]:
    """The message with every secret replaced in place, and the names of what was replaced.

    JSON is walked by key; whatever else it is, key-shaped strings are replaced anywhere.
    """
    edits: list[tuple[int, int, str]] = []
    for path, start, end in string_spans(message):
        if end > start and (what := _secret_path(path)):
            edits.append((start, end, what))
    names = [what for _, _, what in edits]
    for start, end, what in reversed(edits):
        message = message[:start] + _mark(what).encode() + message[end:]
    message, shapes = _redact_shapes(message, known)
    return message, names + shapes


def _secret_path(path: tuple[str | int, ...]) -> str | None:
    """What kind of secret stands at this path of a message, if any."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return None
    last = names[-1].lower()
    if last in _SECRET_KEYS or (last == "value" and "client_secret" in names):
        return ".".join(names[-2:])
    if "headers" in names[:-1] or (last == "server_url" and "tools" in names):
        return ".".join(names[-2:])
    return None


def _redact_shapes(data: bytes, known: Sequence[bytes]) -> tuple[bytes, list[str]]:
    found: list[str] = []

    def replace(match: re.Match[bytes]) -> bytes:
        text = match.group()
        found.append("key")
        for prefix in (b"openai-insecure-api-key.", b"openai-organization.", b"openai-project."):
            if text.startswith(prefix):
                return prefix + _mark("key").encode()
        return _mark("key").encode()

    for secret in known:
        if secret and secret in data:
            data = data.replace(secret, _mark("key").encode())
            found.append("key")
    if any(trace in data for trace in _TRACES):
        data = _KEY.sub(replace, data)
    return data, found

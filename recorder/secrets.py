"""What is a secret, and how it is replaced before anything is written.

Laws:

1. A secret is replaced, never cut out silently: the result says `[redacted:WHAT]` in its place,
   and the caller gets the names of what was replaced. WHAT comes from a closed list of words:
   nothing that the other side wrote gets into a mark or a name.
2. Looking comes before searching: a message without a trace of a secret costs a few substring
   tests.
3. Messages are edited in place, byte for byte: everything around a secret stays as it was.
4. Time is linear in the length of the message, whatever it holds.

Where secrets stand: handshake headers, query strings, subprotocols, `client_secret.value`, MCP
tool credentials, and key-shaped strings anywhere (error messages echo parts of keys). A key that
is known by its letters is replaced wherever it turns up, in the spellings of JSON and of URLs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote

from .wire import string_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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

KNOWN_LENGTH: Final = 6
"""Shortest known key that is searched for: replacing a shorter one would shred ordinary text."""

_SECRET_NAME = re.compile(
    r"(?i)(?:key|token|secret|password|passwd|authorization|signature|credentials?|cookie|jwt|"
    r"safety[-_]identifier)$|(?:^|[-_.])(?:auth|sig|pwd|call_id)$"
)
_SAFE_QUERY = frozenset({"model", "deployment", "api-version", "intent", "call", "version"})
_URL_HEADERS = frozenset({"location", "content-location", "referer", "origin"})

_SECRET_KEYS = frozenset(
    {
        "authorization", "proxy-authorization", "api_key", "apikey", "api-key", "x-api-key",
        "client_secret", "clientsecret", "password", "private_key", "tunnel_id", "access_token",
        "accesstoken", "auth_token", "bearer_token", "refresh_token", "refreshtoken", "id_token",
    }
)  # fmt: skip
_INNER_KEYS = frozenset({"value", "token", "key", "secret"})


class _Shape(NamedTuple):
    """What a key looks like: how it begins, how far it runs, and whether it is one.

    A run is taken whole and judged afterwards, so none is scanned twice. A false hit would
    damage what was said: "sk-learn", "a bearer certificate" and "xai-grok-voice" stay.
    """

    prefix: bytes
    run: re.Pattern[bytes]
    """From the prefix on; its group is the secret."""
    real: re.Pattern[bytes]
    """What the secret must match to be one."""


def _shape(prefix: bytes, run: bytes, real: bytes = b"") -> _Shape:
    return _Shape(prefix, re.compile(run), re.compile(real))


_RANDOM = rb"[A-Za-z0-9]{20,}+"
_LIKELY = rb"(?!sk-(?:SK-|learn))(?:.{0,400}?[0-9*]|.{13,})"  # sk-SK-…Neural: a Slovak voice
_SHAPES = (
    _shape(b"sk-", rb"(sk-[A-Za-z0-9_\-*.]{7,}[A-Za-z0-9*])", _LIKELY),
    _shape(b"ek_", rb"(ek_[A-Za-z0-9_\-*.]{7,}[A-Za-z0-9*])"),
    *(_shape(name, b"(" + name + _RANDOM + b")") for name in (b"rk_", b"pk_", b"gsk_")),
    *(_shape(name, b"(" + name + _RANDOM + b")") for name in (b"rk-", b"pk-", b"xai-", b"dg-")),
    _shape(b"dgrid-", b"(dgrid-" + _RANDOM + b")"),
    _shape(b"AIza", rb"(AIza[A-Za-z0-9_\-]{30,}+)"),
    _shape(b"eyJ", rb"(eyJ[A-Za-z0-9_\-.]{10,}[A-Za-z0-9_\-])", rb"[^.]{9,}\.[^.]{4,}"),
    _shape(
        b"earer",
        rb"earer(?:\s++|%20|\+)([A-Za-z0-9_\-.~+/=*]{8,}+)",
        rb".{0,400}?[0-9*=]|.{20,}",
    ),
    _shape(
        b"openai-",
        rb"openai-(?:insecure-api-key|organization|project)\.(?!\[redacted:)([^\s,\"\\]++)",
    ),
    _shape(b"xai-client", rb"xai-client-secret\.(?!\[redacted:)([^\s,\"\\]++)"),
)

# Credentials inside a URL, or in what looks like a query, in the middle of a text.
_USER_IN_TEXT = re.compile(rb":(?:\\?/){2}(?!\[redacted:)([^\s/?#\"'\\@:]*+:[^\s/?#\"'\\@]++)(?=@)")
_QUERY_IN_TEXT = re.compile(
    rb"(?i)(?:[?&]|\\u0026)(?:[a-z]{1,20}[-_.]){0,3}(?:api-?key|key|token|secret|password|"
    rb"sig|signature|authorization|credential)=(?!\[redacted:)([^&\s\"'<>\\#]++)"
)
_PROTOCOL_SECRET = re.compile(r"(?i)(key|token|secret|auth|bearer|jwt|organization|project)$")
_MARK = re.compile(r"\[redacted:[a-z_.\- ]+\]")


class _Edit(NamedTuple):
    """One replacement: what stands from `start` to `end` is a secret of this kind."""

    start: int
    end: int
    what: str


def _mark(what: str) -> str:
    return f"[redacted:{what}]"


def _edited(data: bytes, edits: Sequence[_Edit]) -> bytes:
    """The data with every edit made; they come in order and do not overlap."""
    pieces, begin = [], 0
    for start, end, what in edits:
        pieces += [data[begin:start], _mark(what).encode()]
        begin = end
    pieces.append(data[begin:])
    return b"".join(pieces)


# ---- handshakes and texts


def is_secret_name(name: str) -> bool:
    """Whether a header or query parameter of this name holds a secret."""
    lower = name.lower()
    return lower in SECRET_HEADERS or (
        lower not in _SAFE_QUERY and _SECRET_NAME.search(lower) is not None
    )


def redact_headers(
    headers: Iterable[tuple[str, str]], known: Sequence[str] = ()
) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Handshake headers without secrets, in their order, and what was replaced."""
    kept, replaced = [], []
    for name, value in headers:
        lower = name.lower()
        if lower == "sec-websocket-protocol":
            clean, found = _redact_protocols(value, known)
        elif lower in SECRET_HEADERS or _SECRET_NAME.search(lower):
            what = lower if lower in SECRET_HEADERS else "header"
            clean, found = _mark(what), [what]
        elif lower in _URL_HEADERS:
            clean, found = redact_url(value, known)
        else:
            clean, found = redact_text(value, known)
        kept.append((name, clean))
        replaced += found
    return tuple(kept), replaced


def _redact_protocols(value: str, known: Sequence[str]) -> tuple[str, list[str]]:
    """A list of subprotocols. Keys come as `NAME.KEY`, or alone after a name such as `token`."""
    parts, replaced, before = [], [], ""
    for part in value.split(","):
        token = part.strip()
        name, dot, rest = token.partition(".")
        if dot and rest and _PROTOCOL_SECRET.search(name):
            part = part.replace(f".{rest}", f".{_mark('subprotocol')}")
            replaced.append("subprotocol")
        elif token and not dot and (_PROTOCOL_SECRET.search(before) or _looks_random(token)):
            part = part.replace(token, _mark("subprotocol"))
            replaced.append("subprotocol")
        before = "" if dot else token
        parts.append(part)
    clean, found = redact_text(",".join(parts), known)
    return clean, replaced + found


def _looks_random(word: str) -> bool:
    """Long, and letters and digits mixed: a key rather than a name."""
    return len(word) >= 20 and bool(re.search(r"\d", word)) and bool(re.search(r"[A-Za-z]", word))


def redact_url(url: str, known: Sequence[str] = ()) -> tuple[str, list[str]]:
    """The URL without user information and secret query values, and what was replaced."""
    edits = list(_url_edits(url))
    pieces, begin = [], 0
    for start, end, what in edits:
        pieces += [url[begin:start], _mark(what)]
        begin = end
    clean, found = redact_text("".join(pieces) + url[begin:], known)
    return clean, [edit.what for edit in edits] + found


_USER = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?\\?/\\?/([^/?#]*)@")
_PAIR = re.compile(r"([^&;=?#]++)=?([^&;#]*+)")


def _url_edits(url: str, *, guarded: bool = False) -> Iterator[_Edit]:
    """Where the secrets of a URL stand. Of a `guarded` one every query value is taken for one,
    and so is every other part that looks like a key."""
    start = 0
    if found := _USER.match(url):
        start = found.end()
        if not _MARK.fullmatch(found.group(1)):
            yield _Edit(*found.span(1), "userinfo")
    query = min((at for mark in "?#" if (at := url.find(mark, start)) >= 0), default=len(url))
    if guarded:
        for part in re.finditer(r"[^/\\]+", url[start:query]):
            if _looks_random(part.group()):
                yield _Edit(start + part.start(), start + part.end(), "path")
    for pair in _PAIR.finditer(url, query):
        name = unquote(pair.group(1))
        if not pair.group(2):
            if guarded and _looks_random(name):
                yield _Edit(*pair.span(1), "query")
        elif _MARK.fullmatch(pair.group(2)):
            continue
        elif guarded or (name not in _SAFE_QUERY and _SECRET_NAME.search(name)):
            yield _Edit(*pair.span(2), "query")


def redact_text(text: str, known: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Text for people (errors, reasons, log lines) without keys, and what was replaced."""
    data = text.encode("utf-8", "surrogatepass")
    literals = tuple(secret.encode("utf-8", "surrogatepass") for secret in known)
    clean, found = _redact_shapes(data, literals)
    return (clean.decode("utf-8", "surrogatepass"), found) if found else (text, [])


# ---- messages


def may_hold_secret(data: bytes, known: Sequence[bytes] = ()) -> bool:
    """Whether a search is worth it: substring tests, in the order in which they tell most.

    On a str, because there each test costs half of what it costs on bytes.
    """
    text = data.decode("latin-1")
    if (
        ("-" in text and ("k-" in text or "i-" in text or "dg-" in text or "dgrid-" in text))
        or "k_" in text  # sk_, ek_, rk_, pk_
        or "earer" in text
        or "eyJ" in text
        or "AIza" in text
        or "ecret" in text
        or "uthorization" in text
        or "headers" in text
        or 'ey"' in text  # api_key, apikey, private_key
        or 'oken"' in text
        or "password" in text
        or "server_url" in text
        or "tunnel_id" in text
        or "expires_at" in text
        or "=" in text
        or "@" in text
        or "\\u00" in text
    ):
        return True
    for secret in known:
        if secret in data:
            return True
    return bool(known) and ("\\/" in text or "%" in text)


def redact_message(message: bytes, known: Sequence[bytes] = ()) -> tuple[bytes, list[str]]:
    """The message with every secret replaced in place, and the kinds of what was replaced.

    JSON is walked by key; whatever else it is, key-shaped strings are replaced anywhere.
    """
    edits: list[_Edit] = []
    for path, start, end in string_spans(message):
        what = _secret_path(path, message) if end > start else None
        if what == "server_url":
            text = message[start:end].decode("latin-1")
            edits += (
                _Edit(start + edit.start, start + edit.end, "server_url")
                for edit in _url_edits(text, guarded=True)
            )
        elif what and not _MARK.fullmatch(message[start:end].decode("latin-1")):
            edits.append(_Edit(start, end, what))
    message, shapes = _redact_shapes(_edited(message, edits), known)
    return message, list(dict.fromkeys([edit.what for edit in edits] + shapes))


def _secret_path(path: tuple[str | int, ...], message: bytes) -> str | None:
    """What kind of secret stands at this path of the message, if any."""
    names = [part.lower() for part in path if isinstance(part, str)]
    if not names or "properties" in names:  # of a tool's schema: names of arguments, no values
        return None
    for name in names[-2:] if names[-1] in _INNER_KEYS else names[-1:]:
        if name in _SECRET_KEYS:
            return name
    if "headers" in names[:-1]:
        return "headers"
    if names[-1] == "server_url":
        return "server_url"
    # The answer to a token request (protocol.md 1.3): {"value": …, "expires_at": …}.
    if path == ("value",) and b'"expires_at"' in message:
        return "value"
    return None


def _redact_shapes(data: bytes, known: Sequence[bytes]) -> tuple[bytes, list[str]]:
    """The data without known keys and without what looks like a key."""
    found: list[str] = []
    mark = _mark("key").encode()
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= KNOWN_LENGTH and secret in data:
            data = data.replace(secret, mark)
            found.append("key")
    if known and (b"\\u00" in data or b"\\/" in data or b"%" in data):
        data, count = _spelt(tuple(known)).subn(mark, data)
        found += ["key"] * count
    edits = sorted(_shape_edits(data))
    if edits:
        data = _edited(data, _merged(edits))
    return data, list(dict.fromkeys(found + [edit.what for edit in edits]))


def _shape_edits(data: bytes) -> Iterator[_Edit]:
    for prefix, run, real in _SHAPES:
        at = data.find(prefix)
        while at >= 0:
            found = run.match(data, at) if _begins_word(data, at) else None
            if found and real.match(found.group(1)):
                yield _Edit(*found.span(1), "key")
            at = data.find(prefix, found.end() if found else at + len(prefix))
    if b"@" in data:
        for found in _USER_IN_TEXT.finditer(data):
            yield _Edit(*found.span(1), "userinfo")
    if b"=" in data and (b"?" in data or b"&" in data or b"\\u0026" in data):
        for found in _QUERY_IN_TEXT.finditer(data):
            yield _Edit(*found.span(1), "query")


def _begins_word(data: bytes, at: int) -> bool:
    """Whether a word begins here. In raw JSON it may follow an escape (`\nsk-`), in a URL a %20."""
    before = data[max(at - 6, 0) : at]
    last = before[-1:]
    if not last.isalnum():
        return True
    if last in b"Bb" and data.startswith(b"earer", at):
        return True
    return before[-2:-1] == b"\\" or before[-3:-2] == b"%" or before[-6:-4] == b"\\u"


def _merged(edits: Iterable[_Edit]) -> list[_Edit]:
    """In order, and where some overlap, one for all of them."""
    merged: list[_Edit] = []
    for edit in edits:
        if merged and edit.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = last._replace(end=max(last.end, edit.end))
        else:
            merged.append(edit)
    return merged


@lru_cache(maxsize=64)
def _spelt(known: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Finds any of these keys, longest first, however JSON or a URL spells its characters."""
    texts = {secret.decode("utf-8", "surrogateescape") for secret in known}
    spelt = [
        b"".join(map(_spellings, text))
        for text in sorted(texts, key=lambda text: (-len(text), text))
        if len(text) >= KNOWN_LENGTH
    ]
    return re.compile(b"|".join(spelt) or b"(?!)")


def _spellings(character: str) -> bytes:
    raw = character.encode("utf-8", "surrogateescape")
    ways = [re.escape(raw)]
    units = re.findall("....", character.encode("utf-16-be", "surrogatepass").hex())
    ways.append(b"".join(rb"\\u(?i:%s)" % unit.encode() for unit in units))
    if character in '/"\\':
        ways.append(rb"\\" + re.escape(raw))
    percent = quote(raw, safe="") if not character.isalnum() else "%" + raw.hex("%")
    if percent.startswith("%"):
        ways.append(b"(?i:" + percent.encode() + b")")
    return b"(?:" + b"|".join(ways) + b")"

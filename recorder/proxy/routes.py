"""Where a request goes: upstreams, paths, and what of a request is meant for the recorder.

Laws:

1. Origin, API base and full URL of an upstream lead to the same place, whatever path the
   client brings; no part of a path is ever doubled (`/v1/v1`).
2. Nothing is dropped of path and query but what is named `recorder.…`.
3. Paths that nobody knows pass as they are: the recorder is neutral to the protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from recorder.errors import UsageError
from recorder.secrets import redact_url
from recorder.transport.http import Headers

_SCHEMES: Final = {"ws": False, "wss": True, "http": False, "https": True}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VERSION: Final = re.compile(r"v[0-9]+(?:beta|alpha)?[0-9]*")
_REALTIME: Final = frozenset({"realtime", "live"})
_BEFORE: Final = frozenset({"openai", "api"})
"""What may stand before a realtime path beside the upstream's base and a version."""
RESERVED: Final = "_recorder"
"""The first part of the paths that are the proxy's own."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One place that sessions are passed on to."""

    name: str
    """Empty for the one that needs no name in the path."""
    secure: bool
    netloc: str
    """Host, and port where one was given."""
    base: tuple[str, ...]
    """The parts of the path that stand before everything else."""
    query: str = ""
    """Of the URL that was given: stands in for what a client leaves out."""

    @property
    def host(self) -> str:
        """The bare host name, in lower case."""
        return (urlsplit(f"//{self.netloc}").hostname or "").lower()

    def __str__(self) -> str:
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{self.netloc}/{'/'.join(self.base)}".rstrip("/")


class Route(NamedTuple):
    """Where one request goes."""

    upstream: Upstream
    path: str
    query: str

    @property
    def target(self) -> str:
        """Path and query, for the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def realtime(self) -> bool:
        """Whether the path is one of a Realtime API: what is recorded of HTTP."""
        return not _REALTIME.isdisjoint(self.path.split("/"))

    @property
    def only_realtime(self) -> bool:
        """Whether the path is one of a Realtime API however a server may read it.

        A part named so in the middle of another API is none, and neither is a path that leads
        out of it again (`/realtime/../chat`), spelt in whichever way.
        """
        parts = self.path.rstrip("/").split("/")[1:]
        if any(_leads_elsewhere(part) for part in parts):
            return False
        at = next((at for at, part in enumerate(parts) if part in _REALTIME), None)
        known = _BEFORE | set(self.upstream.base)
        return at is not None and all(
            part in known or _VERSION.fullmatch(part) for part in parts[:at]
        )

    def url(self, *, websocket: bool) -> str:
        """The whole URL. Carries secrets."""
        plain, secure = ("ws", "wss") if websocket else ("http", "https")
        scheme = secure if self.upstream.secure else plain
        return f"{scheme}://{self.upstream.netloc}{self.target}"


def _leads_elsewhere(part: str) -> bool:
    """Whether some server could take this part of a path for a step up, or for several parts."""
    for _ in range(3):
        part = unquote(part)
    name = part.partition(";")[0]
    return (
        name.strip() in ("", ".", "..") or any(c in part for c in "/\\%") or not part.isprintable()
    )


def parse_upstream(named: str) -> Upstream:
    """The upstream that `URL` or `NAME=URL` says. Raises `UsageError`."""
    name, url = "", named
    head, equals, rest = named.partition("=")
    if equals and "/" not in head and ":" not in head:
        name, url = head, rest
        if not _NAME.fullmatch(name) or name == RESERVED or _VERSION.fullmatch(name):
            raise UsageError(
                f"--upstream {name!r}: a name is letters, digits, dots, dashes and underscores; "
                f"it stands first in the path, so it is neither a version (v1) nor {RESERVED}"
            )
    shown = redact_url(url)[0]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(f"--upstream {shown!r} is no URL; expected https://host/v1") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0 or parts.fragment:
        raise UsageError(
            f"--upstream {shown!r} is no URL of an endpoint; expected something like "
            "https://api.openai.com/v1 (https, http, wss and ws are understood)"
        )
    if parts.username is not None:
        raise UsageError("--upstream: a key in the URL would be shown; use --api-key-env NAME")
    base = [part for part in parts.path.split("/") if part]
    if base and base[-1] == "realtime":
        base.pop()
    host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    netloc = host if port is None else f"{host}:{port}"
    return Upstream(name, _SCHEMES[parts.scheme], netloc, tuple(base), parts.query)


class Routes:
    """All upstreams of one proxy."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        """Raises `UsageError` where two have one name, or none is there."""
        self.named = {each.name: each for each in upstreams}
        if len(self.named) < len(upstreams):
            raise UsageError(
                "--upstream was given twice under one name; tell them apart with NAME=URL"
            )
        if not upstreams:
            raise UsageError("--upstream URL is missing: where sessions are passed on to")

    def find(self, path: str, query: str) -> Route | None:
        """Where a request goes; None where its path names no upstream."""
        first, slash, rest = path.lstrip("/").partition("/")
        upstream = self.named.get(first) if first else None
        if upstream is not None:
            path = f"/{rest}" if slash else "/"
        else:
            upstream = self.named.get("")
        if upstream is None:
            return None
        return Route(upstream, _joined(upstream, path), _filled(query, upstream.query))


def _joined(upstream: Upstream, path: str) -> str:
    """The client's path behind the upstream's base, their overlap only once."""
    bare = path.lstrip("/")
    parts = bare.split("/")
    base = upstream.base
    if not base:
        # Of an origin it is not known where its API begins; realtime paths begin behind /v1.
        return f"/v1/{bare}" if parts[0] in _REALTIME else f"/{bare}"
    if parts[0] == base[0]:
        return f"/{bare}"
    overlap = next(
        (size for size in range(len(base), 0, -1) if tuple(parts[:size]) == base[-size:]), 0
    )
    return "/" + "/".join([*base, *parts[overlap:]])


def _filled(query: str, defaults: str) -> str:
    """The client's query, and of the upstream's own what the client did not say."""
    said = {_query_name(pair) for pair in query.split("&")}
    pairs = [query] if query else []
    pairs += [pair for pair in defaults.split("&") if pair and _query_name(pair) not in said]
    return "&".join(pairs)


def _query_name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


# ---- what is meant for the recorder


class Wishes(NamedTuple):
    """What an application asks of the recorder for one session."""

    record: bool = True
    call: str = ""
    tags: tuple[str, ...] = ()


_HEADERS: Final = {
    "x-recorder-call": "call",
    "x-recorder-tag": "tag",
    "x-recorder-record": "record",
}
_OFF: Final = frozenset({"off", "no", "false", "0"})
_ON: Final = frozenset({"on", "yes", "true", "1", ""})


def wishes_of(headers: Headers, query: str) -> tuple[Wishes, str]:
    """What is asked of the recorder in headers and query, and the query without it.

    Raises `UsageError` for a word that is not understood.
    """
    asked = [(_HEADERS[name.lower()], value) for name, value in headers if name.lower() in _HEADERS]
    kept = []
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        known = unquote_plus(name)
        if known.startswith("recorder."):
            asked.append((known.removeprefix("recorder."), unquote_plus(value)))
        else:
            kept.append(pair)
    return _wishes(asked), "&".join(kept)


def _wishes(asked: Iterable[tuple[str, str]]) -> Wishes:
    wishes = Wishes()
    for name, value in asked:
        word = value.strip()
        match name:
            case "call":
                wishes = wishes._replace(call=word[:200])
            case "tag":
                tags = [tag.strip()[:100] for tag in word.split(",") if tag.strip()]
                wishes = wishes._replace(tags=(*wishes.tags, *tags))
            case "record" if word.lower() in _OFF | _ON:
                wishes = wishes._replace(record=word.lower() in _ON)
            case "record":
                raise UsageError(f"X-Recorder-Record is `on` or `off`, not {word[:40]!r}")
            case _:
                raise UsageError(
                    f"recorder.{name[:40]} is nothing that can be asked; call, tag and record are"
                )
    return wishes


def is_ours(name: str) -> bool:
    """Whether a header is meant for the recorder and goes no further."""
    return name.lower().startswith("x-recorder-")

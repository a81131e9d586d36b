"""The door of a Realtime endpoint of ours: which path, which key, who is let in. No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from ..transport.http import Request, Response
from ..transport.http_server import error_response

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

BASES: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
"""OpenAI and its like; Azure; Azure's preview."""
KEY_PROTOCOL: Final = "openai-insecure-api-key."
FORMS: Final = ("client_secrets", "sessions", "transcription_sessions")
"""The paths that issue tokens, below the base: GA's form and the beta's."""
GA_SECONDS, BETA_SECONDS = 600, 60
"""How long a token lives unless it is asked otherwise, in either form."""
SHORTEST_SECONDS, LONGEST_SECONDS = 10, 7200
"""What may be asked for, in GA's form."""
MOST_TOKENS: Final = 10_000
"""Tokens that are kept; the oldest go first."""


class _Issued(NamedTuple, Generic[T]):
    expires_at: float
    what: T


@dataclass(frozen=True, slots=True)
class Tokens(Generic[T]):
    """The tokens that were issued, and what each stands for."""

    _issued: dict[str, _Issued[T]] = field(default_factory=dict)

    def issue(self, value: str, expires_at: float, what: T) -> None:
        """Accept that token until then, in seconds since 1970."""
        while len(self._issued) >= MOST_TOKENS:
            del self._issued[next(iter(self._issued))]
        self._issued[value] = _Issued(expires_at, what)

    def find(self, value: str, now_s: float) -> T | None:
        """What the token stands for, if it is one and still alive."""
        token = self._issued.get(value)
        return token.what if token is not None and now_s < token.expires_at else None


class Desk(Protocol[T_co]):
    """Issues tokens, and knows them again."""

    def find(self, value: str, now_s: float) -> T_co | None:
        """What the token stands for, if it is alive."""

    def answer(self, form: str, body: bytes, value: str, now_s: float) -> Response:
        """Answer a POST to one of `FORMS` with a token of that value, or with what is wrong."""


@dataclass(frozen=True, slots=True)
class Doorway(Generic[T]):
    """Who is let in, and the answers to those who ask for no WebSocket."""

    desk: Desk[T]
    api_keys: frozenset[str] | None
    """Keys that are accepted, and tokens beside them; None: everybody is let in."""
    clock: Callable[[], float]
    """Seconds since 1970."""

    def http(self, request: Request) -> Response:
        """Tokens; everything else is an error in the form of the API's errors."""
        what = route(request)
        if what is None or what not in ("", *FORMS):
            return unknown(request)
        if not self.admits(request):
            return unauthorised()
        allowed = "POST" if what else "GET"
        if request.method != allowed:
            return error_response(405, f"Only {allowed} is allowed here.", (("Allow", allowed),))
        if not what:
            return error_response(400, "This is a WebSocket endpoint: ask for an upgrade.")
        value = f"ek_{secrets.token_hex(16)}"
        return self.desk.answer(what, request.body, value, self.clock())

    def token(self, request: Request) -> T | None:
        """What the token that came along stands for."""
        now_s = self.clock()
        found = (self.desk.find(key, now_s) for key in keys(request))
        return next((each for each in found if each is not None), None)

    def admits(self, request: Request) -> bool:
        """Whether it brought a token, or a key, where one is needed."""
        known = self.api_keys
        return known is None or self.token(request) is not None or is_known(request, known)


def unknown(request: Request) -> Response:
    """The answer to a path that is nobody's."""
    return error_response(404, f"Unknown request URL: {request.method} {request.path}.")


def unauthorised() -> Response:
    """The answer to a wrong key."""
    return error_response(401, "Incorrect API key provided.", code="invalid_api_key")


def route(request: Request) -> str | None:
    """What follows the API's base in the path, without slashes; None: not ours."""
    path = request.path.rstrip("/")
    for base in BASES:
        if path == base or path.startswith(f"{base}/"):
            return path[len(base) :].strip("/")
    return None


def keys(request: Request) -> Iterator[str]:
    """Every credential that came along, in any of the usual places."""
    authorization = request.header("Authorization") or ""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer":
        yield key.strip()
    if (key := request.header("api-key") or "") != "":
        yield key
    for offered in request.subprotocols:
        if offered.startswith(KEY_PROTOCOL):
            yield offered.removeprefix(KEY_PROTOCOL)
    yield from (value for name, value in request.query if name == "api-key")


def is_known(request: Request, known: Collection[str]) -> bool:
    """Whether one of its credentials is one of these; compared in constant time."""
    return any(
        secrets.compare_digest(each.encode(), key.encode())
        for key in keys(request)
        for each in known
    )


def subprotocol(request: Request) -> str | None:
    """The one to select: `realtime`, else one that holds no secret."""
    offered = [name for name in request.subprotocols if not name.startswith("openai-")]
    return "realtime" if "realtime" in offered else next(iter(offered), None)


def parameter(request: Request, *names: str) -> str:
    """The first of these query parameters that has a value."""
    given = dict(request.query)
    return next((given[name] for name in names if given.get(name)), "")

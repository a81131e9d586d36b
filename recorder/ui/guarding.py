"""Who is let in, and what every answer tells the browser to allow.

Laws:

1. Nothing is answered but to who shows the token, or the cookie that was given for it; compared
   in constant time. A refusal says nothing of what is there.
2. The token goes out of the address bar at once: a link with it is answered with a cookie and a
   redirect to the same address without it. Scripts cannot read the cookie, other sites cannot
   send it, and it dies with the server.
3. A request names this machine as its Host, whatever the port (a tunnel may have another): a name
   that merely resolves to it (DNS rebinding) is refused. A request with an Origin, and every
   request that changes something, comes from a page of ours.
4. A page loads scripts, styles, data and sound from this server alone, has no script of its own,
   is in nobody's frame, and says to nobody where it was.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from recorder.transport.http import Request, Response, header_values
from recorder.transport.urls import is_loopback

from .asking import wrong

if TYPE_CHECKING:
    from recorder.transport.http import Headers

PARAMETER: Final = "token"
COOKIE: Final = "recorder_ui"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SAFE: Final = ("GET", "HEAD")

SECURE: Final[Headers] = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
)
"""Of every answer."""

_NO_TOKEN: Final = (
    "This server is for who started it: open the link that `recorder ui` printed, with its token. "
    "Programs send it as `Authorization: Bearer TOKEN`."
)


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets requests in, or answers them itself."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def link(self, base: str, path: str = "/") -> str:
        """The address to open first."""
        return f"{base}{path}?{PARAMETER}={quote(self.token)}"

    def stop(self, request: Request, port: int) -> Response | None:
        """What to answer to who is not let in; None: go on."""
        return _foreign(request) or self._stranger(request, port)

    def _stranger(self, request: Request, port: int) -> Response | None:
        if request.method == "GET" and any(name == PARAMETER for name, _ in request.query):
            return self._greet(request, port)
        if self._knows(_bearer(request), self.token):
            return None
        shown = (value for value in _cookies(request, f"{COOKIE}_{port}"))
        if any(self._knows(value, self.cookie) for value in shown):
            return None
        return wrong(401, _NO_TOKEN)

    def _greet(self, request: Request, port: int) -> Response:
        """A link with a token: the cookie, and the address without it."""
        shown = [value for name, value in request.query if name == PARAMETER]
        if not all([self._knows(value, self.token) for value in shown]):  # noqa: C419
            return wrong(401, "The token in this link is not this server's: it may have been "
                              "started again since. " + _NO_TOKEN)  # fmt: skip
        rest = urlencode([pair for pair in request.query if pair[0] != PARAMETER])
        # Two slashes at the front would lead to another host.
        path = "/" + request.path.lstrip("/\\")
        given = f"{COOKIE}_{port}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"
        where = path + (f"?{rest}" if rest else "")
        return Response(303, (("Location", where), ("Set-Cookie", given)))

    @staticmethod
    def _knows(shown: str, secret: str) -> bool:
        return secrets.compare_digest(shown.encode("utf-8", "replace"), secret.encode())


def _bearer(request: Request) -> str:
    scheme, _, value = (request.header("Authorization") or "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _cookies(request: Request, name: str) -> list[str]:
    pairs = (
        part.strip().partition("=")
        for line in header_values(request.headers, "Cookie")
        for part in line.split(";")
    )
    return [value for key, _, value in pairs if key == name]


def _foreign(request: Request) -> Response | None:
    """What to answer to a request that names another host, or comes from another's page."""
    hosts = header_values(request.headers, "Host")
    host = hosts[0] if len(hosts) == 1 else ""
    if not _is_here(host):
        return wrong(403, "this server answers to localhost and 127.0.0.1 only")
    origins = header_values(request.headers, "Origin")
    if any(origin.lower() != f"http://{host.lower()}" for origin in origins):
        return wrong(403, "a page of another origin may not use this server")
    from_here = origins or _bearer(request)
    if request.method not in SAFE and not from_here:
        return wrong(403, "a request that changes something must say its Origin")
    if (request.header("Sec-Fetch-Site") or "none").lower() not in ("none", "same-origin"):
        return _crossing(request)
    return None


def _crossing(request: Request) -> Response | None:
    """A link on another page may lead here; nothing else of another page may."""
    if request.method == "GET" and request.header("Sec-Fetch-Mode") == "navigate":
        return None
    return wrong(403, "a page of another origin may not use this server")


def _is_here(host: str) -> bool:
    if not host or any(sign in host for sign in "/@?#\\ \t,"):
        return False
    try:
        named = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(named.lower())

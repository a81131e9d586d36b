"""Where to dial: the URL, the proxy in between, and how both are told to people.

Laws:

1. Whatever is shown of a URL is scheme, host, port and path: no user, no query, no fragment.
2. What the other side says is shown with control characters escaped, and with everything
   secret that we sent it replaced, because servers echo keys.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, unquote_plus, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from recorder.errors import UsageError
from recorder.secrets import redact_text, redact_url

_DEFAULT_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}
_IN_TARGET = "/?%:@!$&'()*+,;=~-._[]|"  # what may stand in a request target beside letters
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_SHORTEST_SECRET = 6
_HARMLESS = frozenset({"user-agent", "openai-beta", "origin", "accept", "accept-language"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A `ws://` or `wss://` URL, taken apart and checked."""

    secure: bool
    host: str
    """ASCII (IDNA), without brackets."""
    port: int
    path: str
    """Percent-encoded, without the query."""
    query: str = field(default="", repr=False)
    basic: str | None = field(default=None, repr=False)
    """`user:password` of the URL, decoded."""

    @property
    def address(self) -> str:
        """`host:port`, for people and for CONNECT."""
        return _join(self.host, self.port)

    @property
    def host_header(self) -> str:
        """The port only where it is not the scheme's own (RFC 9110 §7.2)."""
        default = self.port == (443 if self.secure else 80)
        return _bracketed(self.host) if default else self.address

    @property
    def resource(self) -> str:
        """Path and query, as they go into the request line. Carries secrets."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        return f"{'wss' if self.secure else 'ws'}://{self.host_header}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT."""

    secure: bool
    host: str
    port: int
    basic: str | None = field(default=None, repr=False)
    source: str = ""
    """Where it was found, for messages: `HTTPS_PROXY`, or empty when it was passed in."""

    @property
    def address(self) -> str:
        return _join(self.host, self.port)

    @property
    def authorization(self) -> str | None:
        """The value of `Proxy-Authorization`."""
        return None if self.basic is None else basic_auth(self.basic)


def parse_target(url: str) -> Target:
    """The target of a `ws://` or `wss://` URL, or `UsageError`."""
    if _CONTROL.search(url):
        raise UsageError("the URL holds blanks or control characters; percent-encode them")
    parts = _split(url, "the URL")
    if parts.scheme not in ("ws", "wss"):
        raise UsageError(f"a WebSocket URL begins with ws:// or wss://, not with {_scheme(parts)}")
    if parts.fragment:
        raise UsageError("a WebSocket URL has no fragment (#...); percent-encode the # as %23")
    return Target(
        secure=parts.scheme == "wss",
        host=_host(parts),
        port=_port(parts),
        path=quote(parts.path or "/", safe=_IN_TARGET),
        query=quote(parts.query, safe=_IN_TARGET),
        basic=_userinfo(parts),
    )


def choose_proxy(choice: str | None, target: Target) -> Proxy | None:
    """The proxy for `target`: None is direct, "auto" asks the environment, else a URL.

    The environment's rules are urllib's: lower case wins, NO_PROXY names hosts and suffixes.
    `wss` goes by HTTPS_PROXY, `ws` by HTTP_PROXY, both fall back to ALL_PROXY; loopback is
    never proxied by the environment.
    """
    if choice is None:
        return None
    if choice != "auto":
        return _parse_proxy(choice, "")
    if is_loopback(target.host):
        return None
    found = getproxies_environment()
    name = "https" if target.secure else "http"
    name = name if found.get(name) else "all"
    url = found.get(name)
    if not url or proxy_bypass(target.address):
        return None
    return _parse_proxy(url, f"{name.upper()}_PROXY")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def basic_auth(user_and_password: str) -> str:
    """The value of a Basic authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


class Scrubber:
    """Makes what the other side said fit to be shown."""

    def __init__(
        self,
        target: Target,
        headers: Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
    ) -> None:
        known = {value for name, value in headers if name.lower() not in _HARMLESS}
        known.update(offer.partition(".")[2] for offer in subprotocols)
        known.update(_secret_values(target.query))
        if target.basic:
            known.update((basic_auth(target.basic), *target.basic.split(":", 1)))
        words = {word for value in known for word in re.split(r"[\s,]+", value)} | known
        long = (word for word in words if len(word) >= _SHORTEST_SECRET)
        self._known = sorted(long, key=len, reverse=True)

    def __call__(self, said: str | bytes, limit: int = 300) -> str:
        """One line, at most `limit` characters, of what was said."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        text, _ = redact_text(text.encode("utf-8", "replace").decode(), self._known)
        text = " ".join(text.split())
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return text if len(text) <= limit else text[: limit - 1] + "…"


def _secret_values(query: str) -> Iterator[str]:
    """The values of a query that redaction would not let through, as sent and decoded."""
    for pair in query.split("&"):
        value = pair.partition("=")[2]
        if value and redact_url(f"ws://host/?{pair}")[1]:
            yield from (value, unquote(value), unquote_plus(value))


def without_secrets(url: str) -> str:
    """A URL that somebody else gave (a Location), without user, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(a malformed URL)"
    return SplitResult(parts.scheme, host, parts.path, "", "").geturl()


def _parse_proxy(url: str, source: str) -> Proxy:
    where = source or "the proxy's URL"
    parts = _split(url if "://" in url else f"http://{url}", where)
    if parts.scheme not in ("http", "https"):
        raise UsageError(
            f"{where} names a {_scheme(parts)} proxy, but only http:// and https:// proxies are "
            "understood; name one of those, or put the endpoint's host into NO_PROXY"
        )
    secure = parts.scheme == "https"
    return Proxy(
        secure=secure, host=_host(parts), port=_port(parts), basic=_userinfo(parts), source=source
    )


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text holds the URL, and the URL may hold a password
        raise UsageError(f"{what} is malformed (brackets, or a port that is none)") from None
    if not parts.hostname:
        raise UsageError(f"{what} names no host")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise UsageError(f"{host!a} cannot be a host name") from None


def _port(parts: SplitResult) -> int:
    return _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port


def _userinfo(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def _scheme(parts: SplitResult) -> str:
    return f"{parts.scheme}://" if parts.scheme else "no scheme"


def _join(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

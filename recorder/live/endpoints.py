"""Where a session goes, and with which credential: URLs, hosts, keys, the beta marker.

Laws:

1. Origin, `/v1` base and full URL of an endpoint lead to the same place.
2. A key that was found in the environment goes only to the host it belongs to; to any other it
   must be sent on purpose, by naming its variable.
3. A key never travels over plain `ws://`, but on loopback.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ..errors import UsageError
from ..secrets import is_secret_name, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Auth = Literal["auto", "bearer", "api-key", "subprotocol", "none"]
Dialect = Literal["auto", "ga", "beta"]

DGRID_URL: Final = "wss://api.dgrid.ai/v1/realtime"
"""Where a session goes when DGRID_API_KEY is the only key there is."""

KEY_HOSTS: Final = {
    "DGRID_API_KEY": "dgrid.ai",
    "OPENAI_API_KEY": "openai.com",
    "AZURE_OPENAI_API_KEY": "openai.azure.com",
    "XAI_API_KEY": "x.ai",
}
"""Keys that are looked for in the environment, and the only domain that each may be sent to."""

BETA_HEADER: Final = ("OpenAI-Beta", "realtime=v1")
BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
KEY_PROTOCOL: Final = "openai-insecure-api-key."


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A place to dial, ready to be dialled."""

    url: str
    model: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Every credential that was put into the above: never to be stored or shown."""


def realtime_url(named: str, model: str = "") -> str:
    """The WebSocket URL for an origin, an API base or a full URL, with the model in its query.

    Raises `UsageError` for what is no URL of a WebSocket or HTTP server.
    """
    shown = redact_url(named)[0]
    try:
        parts = urlsplit(named)
        port = parts.port
    except ValueError:
        raise UsageError(f"{shown!r} is no URL; expected something like wss://host/v1") from None
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname or port == 0:
        raise UsageError(
            f"{shown!r} is no WebSocket URL; expected something like wss://host/v1 "
            "(ws, wss, http and https are understood)"
        )
    if parts.fragment:
        raise UsageError(f"{shown!r}: a fragment (#…) has no meaning here; leave it out")
    path = _realtime_path(parts.path, parts.hostname)
    return parts._replace(scheme=scheme, path=path, query=_with_model(parts.query, model)).geturl()


def _realtime_path(path: str, host: str) -> str:
    bare = path.rstrip("/")
    ends = bare.rsplit("/", 1)[-1]
    if ends == "realtime" or "/realtime/" in bare or "/live/" in bare:
        return bare
    if _within(host, "openai.azure.com") and bare in ("", "/openai"):
        return "/openai/v1/realtime"
    if bare == "":
        return "/v1/realtime"
    return bare + "/realtime"


def _with_model(query: str, model: str) -> str:
    if not model:
        return query
    pairs = parse_qsl(query, keep_blank_values=True)
    name = "deployment" if any(key == "deployment" for key, _ in pairs) else "model"
    if (name, model) in pairs:
        return query
    kept = [(key, value) for key, value in pairs if key != name]
    return urlencode([(name, model), *kept], quote_via=quote, safe="/:")


def model_of(url: str) -> str:
    """The model that a URL asks for; on Azure's preview path the deployment."""
    query = dict(parse_qsl(urlsplit(url).query))
    return query.get("model") or query.get("deployment") or ""


def asks_for_something(url: str) -> bool:
    """Whether the URL says what the session is about: a model, a call, an intent."""
    query = dict(parse_qsl(urlsplit(url).query))
    return any(query.get(name) for name in ("model", "deployment", "call_id", "intent"))


def host_of(url: str) -> str:
    """The host of a URL, in lower case."""
    return (urlsplit(url).hostname or "").lower()


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def documents_beta(url: str) -> bool:
    """Whether the endpoint's documentation asks for the beta marker (DGrid, Azure's preview)."""
    host, parts = host_of(url), urlsplit(url)
    azure_preview = _within(host, "openai.azure.com") and "api-version=" in parts.query
    return _within(host, "dgrid.ai") or (azure_preview and "/openai/realtime" in parts.path)


def found_key(url: str, environ: Mapping[str, str], named: str | None = None) -> str | None:
    """The key for this URL: that of the named variable, else the one that belongs to its host.

    Raises `UsageError` where the variable is not set, or where keys are there and none of
    them may be sent to this host.
    """
    if named is not None:
        if key := environ.get(named):
            return key
        raise UsageError(f"--api-key-env {named}: this variable is not set in the environment")
    host = host_of(url)
    for name, domain in KEY_HOSTS.items():
        if environ.get(name) and _within(host, domain):
            return environ[name]
    others = [name for name in KEY_HOSTS if environ.get(name)]
    if others and not is_loopback(host):
        homes = ", ".join(f"{name} (only for {KEY_HOSTS[name]})" for name in others)
        raise UsageError(
            f"no key in the environment may be sent to {host}; found {homes}. "
            f"To send one there on purpose, add --api-key-env {others[0]}; "
            "to go without a key, add --auth none"
        )
    return None


def default_url(environ: Mapping[str, str]) -> str | None:
    """Where to go when no URL was given: RECORDER_URL, or DGrid where only its key is there."""
    if url := environ.get("RECORDER_URL"):
        return url
    present = [name for name in KEY_HOSTS if environ.get(name)]
    return DGRID_URL if present == ["DGRID_API_KEY"] else None


def endpoint(
    url: str,
    *,
    model: str = "",
    api_key: str | None = None,
    auth: Auth = "auto",
    dialect: Dialect = "auto",
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
) -> Endpoint:
    """Everything that dialling needs, from what the person or the application said.

    Raises `UsageError` for a URL that is none, and for a key on plain `ws://`.
    """
    full = realtime_url(url, model)
    if api_key and full.startswith("ws:") and not is_loopback(host_of(full)):
        raise UsageError(
            f"{redact_url(full)[0]}: a key is not sent over plain ws:// to another machine; "
            "use wss://, or go without one (--auth none)"
        )
    place = Endpoint(
        url=full,
        model=model or model_of(full),
        headers=tuple(headers),
        subprotocols=tuple(subprotocols),
        secrets=tuple(_secrets(full, headers, api_key)),
    )
    if api_key and auth != "none":
        place = _with_key(place, api_key, _auth_for(full) if auth == "auto" else auth)
    if dialect == "beta" or (dialect == "auto" and documents_beta(full)):
        place = _with_beta_marker(place)
    return place


def _secrets(url: str, headers: Sequence[tuple[str, str]], key: str | None) -> Iterator[str]:
    """What must never be stored or shown: the key, and secrets in the URL and in headers."""
    if key:
        yield key
    parts = urlsplit(url)
    if parts.password:
        yield unquote(parts.password)
    for name, value in parse_qsl(parts.query):
        if is_secret_name(name) and value:
            yield value
    for name, value in headers:
        if is_secret_name(name) and value:
            yield from spoken_forms(value)


def spoken_forms(value: str) -> Iterator[str]:
    """A header's secret value, and what stands after its scheme: servers repeat that alone."""
    yield value
    _, space, bare = value.partition(" ")
    if space and bare.strip():
        yield bare.strip()


def _auth_for(url: str) -> Auth:
    return "api-key" if _within(host_of(url), "openai.azure.com") else "bearer"


def _with_key(place: Endpoint, key: str, auth: Auth) -> Endpoint:
    if any(ord(c) < 33 or ord(c) > 126 for c in key):
        raise UsageError("the API key holds spaces, line ends or other characters no key has")
    match auth:
        case "api-key":
            return replace(place, headers=(("api-key", key), *place.headers))
        case "subprotocol":
            offered = ("realtime", KEY_PROTOCOL + key, *place.subprotocols)
            return replace(place, subprotocols=offered)
        case _:
            return replace(place, headers=(("Authorization", f"Bearer {key}"), *place.headers))


def _with_beta_marker(place: Endpoint) -> Endpoint:
    if any(p.startswith(KEY_PROTOCOL) for p in place.subprotocols):
        return replace(place, subprotocols=(*place.subprotocols, BETA_PROTOCOL))
    return replace(place, headers=(*place.headers, BETA_HEADER))

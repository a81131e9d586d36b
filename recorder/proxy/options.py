"""Everything that can be chosen about a proxy, with the defaults that suit a live call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from recorder.errors import UsageError
from recorder.live.frontdoor import Limits
from recorder.transport import Timeouts
from recorder.transport.urls import is_loopback

from .guarding import Doors

if TYPE_CHECKING:
    from recorder.live.tap import OnStall

    from .guarding import Tokens
    from .heads import Credential
    from .routes import Upstream

MIB: Final = 1024 * 1024
BESIDE: Final = 100
"""Connections of one address beside its sessions: HTTP, and what has asked for nothing yet."""
Mint = Literal["auto", "proxy", "upstream"]
StoreDown = Literal["open", "closed"]

MINTING_HOSTS: Final = ("openai.com", "openai.azure.com", "x.ai")
"""Domains whose endpoints mint short-lived client tokens themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one proxy takes on. Seconds and bytes."""

    connections: int = 2000
    """Open at once, of all clients; one more is answered 503."""
    per_client: int = 500
    """Sessions of one address; one more is answered 429. Its connections may be `BESIDE` more."""
    message_bytes: int = 64 * MIB
    """Of a message that is recorded whole; a longer one passes, its tail is a gap."""
    unfinished_bytes: int = 256 * MIB
    """Held of all unfinished messages together; what comes on top passes, and is a gap."""
    idle_seconds: float = 1800.0
    """Without one byte either way; then both ends get a Close with 1001."""
    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    body_bytes: int = 64 * MIB
    """Of one HTTP request; more is answered 413."""
    bodies_bytes: int = 512 * MIB
    """Of all requests that are being read together; more is answered 503."""
    recorded_body_bytes: int = 4 * MIB
    """Of the body of a realtime side call that is recorded; more is told by its length."""
    answer_seconds: float = 600.0
    """How long the upstream of an HTTP request may be silent; then it is answered 504."""
    store_seconds: float = 3.0
    """How long a new session waits for the store, beside its dial."""

    @property
    def limits(self) -> Limits:
        """Those that the front door looks after."""
        return Limits(
            connections=self.connections,
            per_client=self.per_client + BESIDE,
            head_bytes=self.head_bytes,
            head_seconds=self.head_seconds,
            body_bytes=self.body_bytes,
            bodies_bytes=self.bodies_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """How a proxy behaves."""

    upstreams: Sequence[Upstream]
    doors: Doors = field(default_factory=lambda: Doors(loopback=True))
    credential: Credential | None = None
    """The upstream's key, which the proxy adds: then only realtime paths are served."""
    tokens: Tokens | None = None
    """What clients must show; None lets all in."""
    mint: Mint = "auto"
    token_seconds: float = 600.0
    token_uses: int = 5
    only_realtime: bool = False
    capture: str = "full"
    sample: float = 1.0
    """The share of sessions that are recorded."""
    call: str = ""
    tags: Sequence[str] = ()
    on_stall: OnStall = "gap"
    store_down: StoreDown = "open"
    """Whether a session that the store does not take is carried unrecorded, or refused."""
    ca_file: str | None = None
    outer_proxy: str | None = "auto"
    """On the way to the upstream: "auto" obeys HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    bounds: Bounds = field(default_factory=Bounds)
    on_session: Callable[[str], None] | None = None
    """Told the id of every session as it begins."""


def check_options(options: ProxyOptions) -> None:
    """Raises `UsageError` where a key would go to a place that it is not meant for."""
    if options.credential is None:
        return
    if len(options.upstreams) > 1:
        raise UsageError("--api-key-env: one key goes to one upstream; run a proxy for each")
    for place in options.upstreams:
        if not place.secure and not is_loopback(place.host):
            raise UsageError(f"{place}: a key is not sent over plain http:// to another machine")

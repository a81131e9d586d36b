"""Who may use a proxy: which hosts and origins, and with which tokens.

Laws:

1. What is compared with a secret is compared in constant time, and a refused client learns
   nothing beyond 401 or 403. What it should have been goes to the log of the proxy.
2. A minted token is signed, expires, is bound to a model and to a number of uses. Signing keys
   and uses live in the process: a token ends with the proxy that minted it.
3. A page of a browser may use the proxy only if its origin was allowed, and a name that merely
   resolves to this machine (DNS rebinding) not at all.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from itsdangerous import BadData, URLSafeSerializer

from recorder.errors import UsageError
from recorder.transport.http import Request
from recorder.transport.urls import is_loopback

PREFIX: Final = "ek_"
"""Client libraries take a key that begins so for a short-lived one."""
SHORTEST: Final = 16
"""Characters of a static token; fewer could be guessed."""
_BOUND: Final = ("/realtime", "/realtime/translations", "/realtime/calls")
"""Ends of the paths on which the model of the query holds for the session."""
REMEMBERED: Final = 100_000
"""Minted tokens that are remembered; the oldest are forgotten, and no longer accepted."""


_USED_UP: Final = "a minted token that was used up"


class Refused(Exception):
    """The request is refused; `why` is for the log, never for the client."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(frozen=True, slots=True)
class Doors:
    """Which hosts and origins a request may name."""

    loopback: bool
    """Listening on loopback alone: then only names of this machine are taken."""
    hosts: frozenset[str] = frozenset()
    """Further names that the proxy goes by, in lower case; where there are any, only these."""
    origins: frozenset[str] = frozenset()

    def check(self, request: Request) -> None:
        """Raises `Refused` for a host or an origin that may not come in."""
        named = request.header("Host") or ""
        host = (urlsplit(f"//{named}").hostname or "").lower() if _is_name(named) else ""
        known = host in self.hosts or (is_loopback(host) and bool(host))
        if (self.loopback or self.hosts) and not known:
            raise Refused(403, f"Host {named[:100]!a} is not ours; allow it with --allow-host NAME")
        origin = request.header("Origin")
        if origin is not None and not self.origins & {origin.lower(), "*"}:
            raise Refused(
                403, f"a page of {origin[:100]!a} came; allow it with --allow-origin {origin[:100]}"
            )


def _is_name(host: str) -> bool:
    return bool(host) and not any(c in host for c in "/@?# \t")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may do."""

    model: str = ""
    """Only this one; empty is any."""
    passthrough: bool = False
    """The token is the upstream's own and goes on to it."""
    minting: bool = True
    """Whether further tokens may be asked for with it: not with a minted one."""
    token: str = field(default="", repr=False)
    """What was shown; empty where nothing has to be."""

    @property
    def ours(self) -> str:
        """The token, where it is for this proxy alone: no upstream gets it."""
        return "" if self.passthrough else self.token

    def check(self, path: str, query: str) -> None:
        """Raises `Refused` for a session that is not the one that the token was made for.

        Path and query are as the upstream will get them. What decides on the model must be said
        once, because servers differ in which of two they take.
        """
        if not self.model:
            return
        if not path.rstrip("/").endswith(_BOUND):
            raise Refused(403, f"a token for the model {self.model!a} opens no {path[:100]!a}")
        pairs = [pair.partition("=") for pair in query.split("&")]
        said = [(unquote_plus(name).strip().lower(), unquote_plus(to)) for name, _, to in pairs]
        models = {value for name, value in said if name in ("model", "deployment")}
        elsewhere = {name for name, _ in said} & {"call_id", "intent"}
        if models != {self.model} or elsewhere or ";" in query:
            raise Refused(403, f"the token is for a session of the model {self.model!a} alone")


@dataclass(slots=True)
class _Minted:
    model: str
    expires_ns: int
    uses: int
    passthrough: bool


@dataclass(frozen=True, slots=True)
class Minted:
    """A token for one client."""

    value: str = field(repr=False)
    expires_ns: int


class Tokens:
    """The tokens that clients may present."""

    def __init__(self, static: Iterable[str] = (), *, key: bytes | None = None) -> None:
        self._key = key or os.urandom(32)
        self._static = [self._digest(token) for token in static]
        self._signer = URLSafeSerializer(self._key, salt="recorder.proxy.token")
        self._minted: dict[bytes, _Minted] = {}

    def mint(self, model: str, *, now_ns: int, seconds: float, uses: int) -> Minted:
        """A new token of our own."""
        nonce = os.urandom(12).hex()
        value = PREFIX + str(self._signer.dumps([nonce, model]))
        expires_ns = now_ns + int(seconds * 1e9)
        self._remember(value, _Minted(model, expires_ns, uses, passthrough=False))
        return Minted(value, expires_ns)

    def adopt(self, value: str, model: str, *, expires_ns: int, uses: int) -> None:
        """Accept a token that the upstream has minted, and pass it on as it is."""
        self._remember(value, _Minted(model, expires_ns, uses, passthrough=True))

    def check(self, shown: Sequence[str], *, now_ns: int) -> Grant:
        """What the keys that a client shows allow. Raises `Refused`."""
        for value in shown:
            digest = self._digest(value)
            if sum(hmac.compare_digest(digest, known) for known in self._static):
                return Grant(token=value)
            if digest in self._minted:
                return self._granted(value, digest, now_ns)
            if value.startswith(PREFIX) and self._is_ours(value):
                raise Refused(401, "a token that was used up, or minted before this proxy began")
        raise Refused(401, "no token of this proxy was shown" if not shown else "an unknown token")

    def use(self, grant: Grant) -> None:
        """Count a session against the number of uses. Raises `Refused` where none is left."""
        minted = self._minted.get(self._digest(grant.token))
        if minted is not None:
            if minted.uses < 1:
                raise Refused(401, _USED_UP)
            minted.uses -= 1

    def give_back(self, grant: Grant) -> None:
        """The session that was counted came to nothing."""
        minted = self._minted.get(self._digest(grant.token))
        if minted is not None:
            minted.uses += 1

    def _granted(self, value: str, digest: bytes, now_ns: int) -> Grant:
        minted = self._minted[digest]
        if now_ns >= minted.expires_ns:
            del self._minted[digest]
            raise Refused(401, "a minted token that has expired")
        if minted.uses < 1:
            raise Refused(401, _USED_UP)
        return Grant(minted.model, minted.passthrough, minting=False, token=value)

    def _is_ours(self, value: str) -> bool:
        try:
            self._signer.loads(value.removeprefix(PREFIX))
        except BadData:
            return False
        return True

    def _remember(self, value: str, minted: _Minted) -> None:
        self._minted[self._digest(value)] = minted
        while len(self._minted) > REMEMBERED:
            del self._minted[next(iter(self._minted))]

    def _digest(self, value: str) -> bytes:
        return hmac.digest(self._key, value.encode("utf-8", "replace"), "sha256")


def read_tokens(path: str | Path) -> list[str]:
    """The tokens of a file: one a line, blank lines and lines that begin with # passed over.

    Raises `UsageError` for a file that cannot be read, that others can read, or that holds
    a token too short to be safe.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"--client-auth {path}: cannot be read: {said}") from None
    if mode & 0o077 and os.name == "posix":
        raise UsageError(f"--client-auth {path}: others can read it; chmod 600 it first")
    tokens = [word for line in lines if (word := line.strip()) and not word.startswith("#")]
    if not tokens:
        raise UsageError(f"--client-auth {path}: there is no token in it; one a line")
    for number, token in enumerate(tokens, 1):
        if len(token) < SHORTEST or not token.isascii() or any(c.isspace() for c in token):
            raise UsageError(
                f"--client-auth {path}: token {number} is not {SHORTEST} or more ASCII characters "
                "without blanks"
            )
    return tokens


def session_token(key: bytes, session_id: str) -> str:
    """What an application shows to add marks to its session."""
    return hmac.new(key, session_id.encode(), hashlib.sha256).hexdigest()[:32]

"""Short-lived client tokens: issued over HTTP, accepted in place of a key until they expire."""

from __future__ import annotations

from typing import NamedTuple

from recorder.sandbox.config import Config

GA_SECONDS = 600
"""How long a client secret lives unless it is asked otherwise, from 10 s to 2 h."""
SHORTEST_SECONDS, LONGEST_SECONDS = 10, 7200
BETA_SECONDS = 60
MOST = 10_000
"""Tokens that are kept; the oldest go first."""


class Token(NamedTuple):
    """What a token stands for."""

    value: str
    expires_at: int
    """Seconds since 1970."""
    config: Config
    """What a session that is opened with it starts with."""
    model: str


class Tokens:
    """Those that were issued."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def issue(self, token: Token) -> None:
        """Accept that token from now on."""
        while len(self._tokens) >= MOST:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[token.value] = token

    def find(self, value: str, now_s: float) -> Token | None:
        """The token, if it is one and still alive."""
        token = self._tokens.get(value)
        return token if token is not None and now_s < token.expires_at else None

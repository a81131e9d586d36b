"""Client tokens of the mock: issued over HTTP, good for a connection until they expire."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from recorder.transport.http import Response

FORMS: Final = ("client_secrets", "sessions", "transcription_sessions")
"""The paths that issue tokens: GA's form and the beta's."""
GA_SECONDS, BETA_SECONDS = 600, 60
MOST: Final = 10_000
"""Tokens that are kept; the oldest go first."""


class Token(NamedTuple):
    """What a token stands for."""

    expires_at: int
    """Seconds since 1970."""
    model: str


class TokenDesk:
    """Issues tokens and knows them again."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def find(self, value: str, now_s: float) -> Token | None:
        """The token, if it is alive."""
        token = self._tokens.get(value)
        return token if token is not None and now_s < token.expires_at else None

    def answer(self, form: str, body: bytes, value: str, now_s: float) -> Response:
        """Answer a POST with a token of that value, or with what is wrong with the body."""
        try:
            asked = orjson.loads(body) if body.strip() else {}
        except orjson.JSONDecodeError as error:
            return _refused(f"The body is not JSON: {error}")
        if not isinstance(asked, dict):
            return _refused("The body must be a JSON object.")
        return Response.json(self._issued(form, asked, value, int(now_s)))

    def _issued(self, form: str, asked: dict[str, Any], value: str, now_s: int) -> dict[str, Any]:
        ga = form == "client_secrets"
        wanted = asked.get("session") if ga else asked
        session = dict(wanted) if isinstance(wanted, dict) else {}
        model = session.get("model")
        expires_at = now_s + (_lifetime(asked) if ga else BETA_SECONDS)
        while len(self._tokens) >= MOST:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[value] = Token(expires_at, model if isinstance(model, str) else "")
        secret = {"value": value, "expires_at": expires_at}
        head = {"object": "realtime.session", "id": f"sess_{value[-12:]}"}
        if ga:
            return {**secret, "session": {"type": "realtime", **session, **head}}
        return {**session, **head, "client_secret": secret}


def _lifetime(asked: dict[str, Any]) -> int:
    """Seconds, from `expires_after`."""
    after = asked.get("expires_after")
    seconds = after.get("seconds") if isinstance(after, dict) else None
    return min(max(seconds, 10), 7200) if isinstance(seconds, int) else GA_SECONDS


def _refused(message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": None}
    return Response.json({"error": {**error, "code": "invalid_json"}}, 400)

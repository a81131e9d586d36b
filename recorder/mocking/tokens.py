"""Client tokens of the mock: issued over HTTP, good for a connection until they expire."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from recorder.live.doorway import (
    BETA_SECONDS,
    GA_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Tokens,
)
from recorder.transport.http import Response
from recorder.transport.http_server import error_response


class Token(NamedTuple):
    """What a token stands for."""

    model: str


class TokenDesk:
    """Issues tokens and knows them again."""

    def __init__(self) -> None:
        self._tokens: Tokens[Token] = Tokens()

    def find(self, value: str, now_s: float) -> Token | None:
        """The token, if it is alive."""
        return self._tokens.find(value, now_s)

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
        self._tokens.issue(value, expires_at, Token(model if isinstance(model, str) else ""))
        secret = {"value": value, "expires_at": expires_at}
        head = {"object": "realtime.session", "id": f"sess_{value[-12:]}"}
        if ga:
            return {**secret, "session": {"type": "realtime", **session, **head}}
        return {**session, **head, "client_secret": secret}


def _lifetime(asked: dict[str, Any]) -> int:
    """Seconds, from `expires_after`."""
    after = asked.get("expires_after")
    seconds = after.get("seconds") if isinstance(after, dict) else None
    if not isinstance(seconds, int):
        return GA_SECONDS
    return min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)


def _refused(message: str) -> Response:
    return error_response(400, message, code="invalid_json")

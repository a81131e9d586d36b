"""Client tokens over HTTP: the GA form (`client_secrets`) and the beta's (`sessions`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from recorder.live.doorway import (
    BETA_SECONDS,
    GA_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Tokens,
)
from recorder.sandbox import checks
from recorder.sandbox.checks import Invalid
from recorder.sandbox.config import Config, default_config, merged_session, session_json
from recorder.sandbox.dialect import BETA, GA
from recorder.transport.http import Response

Json = dict[str, Any]


class Token(NamedTuple):
    """What a token stands for."""

    config: Config
    """What a session that is opened with it starts with."""
    model: str


class TokenDesk:
    """Issues tokens and knows them again."""

    def __init__(self, model: str) -> None:
        self._tokens: Tokens[Token] = Tokens()
        self._model = model

    def find(self, value: str, now_s: float) -> Token | None:
        """The token, if it is alive."""
        return self._tokens.find(value, now_s)

    def answer(self, form: str, body: bytes, value: str, now_s: float) -> Response:
        """Answer a POST with a token of that value, or with what is wrong with it."""
        try:
            asked = _parse(body)
            issue = self._client_secret if form == "client_secrets" else self._session
            return Response.json(issue(asked, value, int(now_s), form))
        except Invalid as problem:
            return invalid(problem)

    def _client_secret(self, asked: Mapping[str, Any], value: str, now_s: int, form: str) -> Json:
        checks.only(asked, ("session", "expires_after"))
        wanted = asked.get("session")
        patch = {"type": "realtime"} if wanted is None else checks.record(wanted, "session")
        config = merged_session(default_config(GA), patch, GA)
        model = checks.text(patch.get("model", self._model), "session.model")
        expires_at = now_s + _lifetime(asked.get("expires_after"))
        self._tokens.issue(value, expires_at, Token(config, model))
        shown = session_json(config, GA, {"id": _session_id(value), "model": model})
        return {"value": value, "expires_at": expires_at, "session": shown}

    def _session(self, asked: Mapping[str, Any], value: str, now_s: int, form: str) -> Json:
        kind = "transcription" if form.startswith("transcription") else "realtime"
        config = merged_session(replace(default_config(BETA), type=kind), asked, BETA)
        model = checks.text(asked.get("model", self._model), "model")
        expires_at = now_s + BETA_SECONDS
        self._tokens.issue(value, expires_at, Token(config, model))
        secret = {"value": value, "expires_at": expires_at}
        head = {"id": _session_id(value), "model": model}
        return session_json(config, BETA, head) | {"client_secret": secret}


def invalid(problem: Invalid, status: int = 400) -> Response:
    """The HTTP answer to what cannot be done."""
    error = {"message": problem.message, "type": "invalid_request_error"}
    place = {"param": problem.param, "code": problem.code}
    return Response.json({"error": {**error, **place}}, status)


def _parse(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        return checks.record(orjson.loads(body), "body")
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error}", code="invalid_json") from error


def _lifetime(asked: object) -> int:
    """Seconds, from `expires_after`."""
    if asked is None:
        return GA_SECONDS
    members = checks.record(asked, "expires_after")
    checks.only(members, ("anchor", "seconds"), "expires_after.")
    checks.one_of(members.get("anchor", "created_at"), "expires_after.anchor", ("created_at",))
    seconds = members.get("seconds", GA_SECONDS)
    return checks.integer(seconds, "expires_after.seconds", SHORTEST_SECONDS, LONGEST_SECONDS)


def _session_id(value: str) -> str:
    """A session that has not begun: named apart from its token."""
    return f"sess_{value[-6:]}0000"

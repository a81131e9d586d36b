"""The sandbox's skin: requests, keys, tokens, and the only clock and randomness there are."""

from __future__ import annotations

import logging
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from recorder.errors import UsageError
from recorder.live import frontdoor
from recorder.live.frontdoor import Accept, Address, Request, Response
from recorder.sandbox import doorway
from recorder.sandbox.builtin import SMALL_TALK
from recorder.sandbox.checks import Invalid
from recorder.sandbox.dialect import DIALECTS
from recorder.sandbox.driving import drive
from recorder.sandbox.script import Script
from recorder.sandbox.session import Refusal, SandboxSession, first_config
from recorder.sandbox.token_desk import FORMS, TokenDesk, invalid
from recorder.sandbox.tokens import Token
from recorder.transport.connection import Connection

logger = logging.getLogger("recorder.sandbox")

MODEL: Final = "sandbox"
"""What tokens are for when they name no model."""

BAD_KEY: Final = Refusal(3000, "invalid_api_key", "Incorrect API key provided.")
NO_MODEL: Final = Refusal(4000, "missing_model", "You must provide a model parameter.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the sandbox serves."""

    script: Script = SMALL_TALK
    api_keys: frozenset[str] | None = None
    """Keys that are accepted, and tokens beside them; None: everybody is let in."""
    dialect: str = "auto"
    """`auto`: by the client's beta marker; else the name of one."""
    late_auth: bool = False
    """Accept the upgrade with a bad key, then send an error and close 3000, as OpenAI does."""
    seed: str | None = None
    """Begins all ids, which then differ only by the connection's number; None: random."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970: for tokens and `expires_at`. Everything else goes by trio's clock."""

    def __post_init__(self) -> None:
        if self.dialect not in ("auto", *DIALECTS):
            known = ", ".join(("auto", *DIALECTS))
            raise UsageError(f"there is no dialect {self.dialect!r}; there are: {known}")


async def serve_sandbox(
    options: Options | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; `nursery.start` gives the address that was bound.

    Raises `UsageError` for an address that cannot be bound, and for a script whose `session` no
    client could have asked for.
    """
    handler = Sandbox(options or Options())
    await frontdoor.serve(
        handler, host=host, port=port, ssl_context=ssl_context, task_status=task_status
    )


class Sandbox:
    """What stands behind the front door."""

    def __init__(self, options: Options) -> None:
        for dialect in DIALECTS.values():
            first_config(options.script, dialect)
        self._options = options
        self._desk = TokenDesk(MODEL)
        self._connections = 0

    async def http(self, request: Request) -> Response:
        """Tokens; everything else is an error in the form of the API's errors."""
        what = doorway.route(request)
        if what is None or what not in ("", *FORMS):
            return _error(404, f"Unknown request URL: {request.method} {request.path}.")
        if not self._is_let_in(request):
            return _unauthorised()
        allowed = "POST" if what else "GET"
        if request.method != allowed:
            return _error(405, f"Only {allowed} is allowed here.", (("Allow", allowed),))
        if not what:
            return _error(400, "This is a WebSocket endpoint: ask for an upgrade.")
        value = f"ek_{secrets.token_hex(16)}"
        return self._desk.answer(what, request.body, value, self._options.clock())

    async def upgrade(self, request: Request) -> Accept | Response:
        """Let a session in, or say why not."""
        if doorway.route(request) != "":
            return _error(404, f"Unknown request URL: GET {request.path}.")
        if not self._options.late_auth and not self._is_let_in(request):
            return _unauthorised()
        request_id = (("x-request-id", f"req_{secrets.token_hex(16)}"),)
        return Accept(doorway.subprotocol(request), request_id)

    async def websocket(self, request: Request, socket: Connection) -> None:
        """One session."""
        session = self._session(request)
        logger.info("%s: a session begins", request.remote)
        await drive(session, socket)

    def _session(self, request: Request) -> SandboxSession:
        options, dialect = self._options, doorway.dialect(request, self._options.dialect)
        token = self._token(request)
        model = doorway.parameter(request, "model", "deployment") or (token.model if token else "")
        intent = doorway.parameter(request, "intent")
        kind = "transcription" if intent == "transcription" else "realtime"
        named = model or intent or doorway.parameter(request, "call_id")
        refusal = None if named else NO_MODEL
        return SandboxSession(
            options.script,
            dialect,
            model=model or MODEL,
            seed=self._next_seed(),
            wall_s=int(options.clock()),
            config=token.config if token else first_config(options.script, dialect, kind),
            refusal=refusal if self._is_let_in(request) else BAD_KEY,
        )

    def _next_seed(self) -> str:
        self._connections += 1
        if self._options.seed is None:
            return secrets.token_hex(4)
        return f"{self._options.seed}{self._connections:02d}"

    def _token(self, request: Request) -> Token | None:
        now_s = self._options.clock()
        found = (self._desk.find(key, now_s) for key in doorway.keys(request))
        return next((token for token in found if token is not None), None)

    def _is_let_in(self, request: Request) -> bool:
        known = self._options.api_keys
        if known is None or self._token(request) is not None:
            return True
        return any(
            secrets.compare_digest(k.encode(), key.encode())
            for key in doorway.keys(request)
            for k in known
        )


def _unauthorised() -> Response:
    return invalid(Invalid(BAD_KEY.message, code=BAD_KEY.code), 401)


def _error(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return frontdoor.error_response(status, message, headers)

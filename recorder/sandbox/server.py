"""The sandbox's skin: requests, keys, tokens, and the only clock and randomness there are."""

from __future__ import annotations

import logging
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from recorder.errors import UsageError
from recorder.live import doorway, frontdoor
from recorder.live.doorway import Doorway
from recorder.live.frontdoor import Accept, Address, Request, Response
from recorder.sandbox.builtin import SMALL_TALK
from recorder.sandbox.dialect import DIALECTS
from recorder.sandbox.doorway import asked_dialect
from recorder.sandbox.driving import drive
from recorder.sandbox.script import Script
from recorder.sandbox.session import Refusal, SandboxSession, first_config
from recorder.sandbox.token_desk import TokenDesk
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
        self._door = Doorway(TokenDesk(MODEL), options.api_keys, options.clock)
        self._connections = 0

    async def http(self, request: Request) -> Response:
        """Tokens; everything else is an error in the form of the API's errors."""
        return self._door.http(request)

    async def upgrade(self, request: Request) -> Accept | Response:
        """Let a session in, or say why not."""
        if doorway.route(request) != "":
            return doorway.unknown(request)
        if not self._options.late_auth and not self._door.admits(request):
            return doorway.unauthorised()
        request_id = (("x-request-id", f"req_{secrets.token_hex(16)}"),)
        talk = partial(self._talk, request)
        return Accept(talk, doorway.subprotocol(request), request_id)

    async def _talk(self, request: Request, socket: Connection) -> None:
        """One session."""
        session = self._session(request)
        logger.info("%s: a session begins", request.remote)
        await drive(session, socket)

    def _session(self, request: Request) -> SandboxSession:
        options, dialect = self._options, asked_dialect(request, self._options.dialect)
        token = self._door.token(request)
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
            refusal=refusal if self._door.admits(request) else BAD_KEY,
        )

    def _next_seed(self) -> str:
        self._connections += 1
        if self._options.seed is None:
            return secrets.token_hex(4)
        return f"{self._options.seed}{self._connections:02d}"

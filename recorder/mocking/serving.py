"""The mock's skin: requests, keys, tokens, which session a client gets, and what came of it."""

from __future__ import annotations

import logging
import random
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from recorder.live import doorway, frontdoor
from recorder.live.frontdoor import Accept, Address, Request, Response
from recorder.replaying import Replayer, Rules
from recorder.transport.connection import Connection
from recorder.transport.nurseries import plain_nursery

from .choosing import Chooser, Played, Recorded
from .faults import Fault, Faults, refusal
from .line import Line
from .performing import Performance, perform
from .tokens import FORMS, Token, TokenDesk

logger = logging.getLogger("recorder.mock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the mock serves."""

    rules: Rules = field(default_factory=Rules)
    once: bool = False
    """Each session is played once; then `serve_mock` returns."""
    faults: tuple[Fault, ...] = ()
    seed: str = "0"
    """Of whatever the faults leave to chance."""
    api_keys: frozenset[str] | None = None
    """Keys that are accepted, and tokens beside them; None: everybody is let in."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, for tokens. Everything else goes by trio's clock."""


def _ignore(played: Played) -> None:
    """Nobody wants to know."""


class Mock:
    """What stands behind the front door."""

    def __init__(
        self,
        recorded: Sequence[Recorded],
        options: Options | None = None,
        on_end: Callable[[Played], None] = _ignore,
    ) -> None:
        self.done = trio.Event()
        """Every session was played once, and all connections are over; only with `once`."""
        self.chooser = Chooser(recorded, once=(options or Options()).once)
        self._options = options or Options()
        self._on_end = on_end
        self._desk = TokenDesk()
        self._chances = random.Random(self._options.seed)
        self._picked: dict[int, tuple[int, Recorded]] = {}
        self._connections = self._open = 0

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
        """Let a client in, or say why not."""
        if doorway.route(request) != "":
            return _error(404, f"Unknown request URL: GET {request.path}.")
        self._connections += 1
        status = refusal(self._options.faults, self._connections, self._chances.random)
        if status is not None:
            return _refused(status)
        if not self._is_let_in(request):
            return _unauthorised()
        token = self._token(request)
        recorded = self.chooser.pick(
            session=doorway.parameter(request, "session"),
            tag=doorway.parameter(request, "tag"),
            model=doorway.parameter(request, "model", "deployment")
            or (token.model if token else ""),
        )
        if recorded is None:
            return _error(404, "No recorded session fits, or each was played already.")
        self._picked[id(request)] = self._connections, recorded
        return Accept(doorway.subprotocol(request), (("x-request-id", f"req_{self._connections}"),))

    async def websocket(self, request: Request, socket: Connection) -> None:
        """One session, from the first event to the last."""
        number, recorded = self._picked.pop(id(request))
        chances = random.Random(f"{self._options.seed}/{number}")
        events = recorded.events()
        replayer = Replayer(events, self._options.rules)
        line = Line(Faults(self._options.faults, chances.random))
        logger.info("%s: session %s is played", request.remote, recorded.session.id)
        self._open += 1
        try:
            await perform(Performance(replayer, line), socket)
        finally:
            self._open -= 1
            outcome = replayer.outcome()
            self._on_end(Played(number=number, session=recorded.session, outcome=outcome))
            if self.chooser.exhausted and not self._open:
                self.done.set()

    def _token(self, request: Request) -> Token | None:
        now_s = self._options.clock()
        found = (self._desk.find(key, now_s) for key in doorway.keys(request))
        return next((token for token in found if token is not None), None)

    def _is_let_in(self, request: Request) -> bool:
        known = self._options.api_keys
        if known is None or self._token(request) is not None:
            return True
        return doorway.is_known(request, known)


async def serve_mock(
    mock: Mock,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until the mock is done; `nursery.start` gives the address.

    Raises `UsageError` for an address that cannot be bound.
    """

    async def serve(task_status: trio.TaskStatus[Address]) -> None:
        await frontdoor.serve(
            mock, host=host, port=port, ssl_context=ssl_context, task_status=task_status
        )

    async with plain_nursery() as nursery:
        task_status.started(await nursery.start(serve))
        await mock.done.wait()
        nursery.cancel_scope.cancel()


def _unauthorised() -> Response:
    return _refused(401)


def _refused(status: int) -> Response:
    told = {
        401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        429: ("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"),
    }
    message, kind, code = told.get(status, ("Refused as asked for.", "server_error", None))
    error = {"message": message, "type": kind, "param": None, "code": code}
    headers = (("Retry-After", "1"),) if status in (429, 503) else ()
    return Response.json({"error": error}, status, headers)


def _error(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return frontdoor.error_response(status, message, headers)

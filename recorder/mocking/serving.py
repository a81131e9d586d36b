"""The mock's skin: requests, keys, tokens, which session a client gets, and what came of it."""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from recorder.events import Event
from recorder.live import doorway, frontdoor
from recorder.live.doorway import Doorway
from recorder.live.frontdoor import Accept, Address, Request, Response, error_response
from recorder.replaying import Replayer, Rules
from recorder.transport.connection import Connection
from recorder.transport.nurseries import plain_nursery

from .choosing import Chooser, Played, Recorded
from .faults import Fault, Faults, refusal
from .line import Line
from .performing import Performance, perform
from .tape import Tape
from .tokens import TokenDesk

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
        self._door = Doorway(TokenDesk(), self._options.api_keys, self._options.clock)
        self._chances = random.Random(self._options.seed)
        self._connections = self._open = 0

    async def http(self, request: Request) -> Response:
        """Tokens; everything else is an error in the form of the API's errors."""
        return self._door.http(request)

    async def upgrade(self, request: Request) -> Accept | Response:
        """Let a client in, or say why not."""
        if doorway.route(request) != "":
            return doorway.unknown(request)
        self._connections += 1
        status = refusal(self._options.faults, self._connections, self._chances.random)
        if status is not None:
            return _refused(status)
        if not self._door.admits(request):
            return doorway.unauthorised()
        token = self._door.token(request)
        recorded = self.chooser.pick(
            session=doorway.parameter(request, "session"),
            tag=doorway.parameter(request, "tag"),
            model=doorway.parameter(request, "model", "deployment")
            or (token.model if token else ""),
        )
        if recorded is None:
            return error_response(404, "No recorded session fits, or each was played already.")
        number = self._connections
        logger.info("%s: session %s is played", request.remote, recorded.session.id)
        return Accept(
            partial(self._play, number, recorded),
            doorway.subprotocol(request),
            (("x-request-id", f"req_{number}"),),
        )

    async def _play(self, number: int, recorded: Recorded, socket: Connection) -> None:
        """One session, from the first event to the last."""
        chances = random.Random(f"{self._options.seed}/{number}")
        tape = Tape(_from_the_start(recorded))
        replayer = Replayer(tape, self._options.rules)
        line = Line(Faults(self._options.faults, chances.random))
        self._open += 1
        try:
            await perform(Performance(replayer, line, tape), tape, socket)
        finally:
            tape.cut()
            with trio.CancelScope(shield=True):  # what was not played is told in any case
                outcome = await trio.to_thread.run_sync(replayer.outcome)
            self._open -= 1
            if tape.broken:
                logger.error("session %s: %s", recorded.session.id, tape.broken)
            self._on_end(
                Played(number=number, session=recorded.session, outcome=outcome, broken=tape.broken)
            )
            if self.chooser.exhausted and not self._open:
                self.done.set()


def _from_the_start(recorded: Recorded) -> Iterator[Event]:
    """Its events; the first of them is looked for where they are read, in a thread."""
    yield from recorded.events()


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


def _refused(status: int) -> Response:
    headers = (("Retry-After", "1"),) if status in (429, 503) else ()
    match status:
        case 401:
            return doorway.unauthorised()
        case 429:
            told, kind, code = "Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"
            return error_response(status, told, headers, kind=kind, code=code)
    return error_response(status, "Refused as asked for.", headers, kind="server_error")

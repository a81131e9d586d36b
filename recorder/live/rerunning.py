"""A rerun on a socket: what the caller does is sent when it is due, and the session recorded.

    async with connect(url, …) as session:
        outcome = await perform(rerun, session)

Whoever has something to do, the task that reads or the one that keeps the time, does it to its
end. Times are trio's, so that a test can turn the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from ..errors import SessionClosed
from ..rerunning import Deed, End, Remark, Rerun, Send
from ..transport import plain_nursery
from .session import server_error

if TYPE_CHECKING:
    from .session import RealtimeSession


@dataclass(slots=True)
class Budget:
    """How much audio may be sent, by all runs together."""

    left_ns: int | None = None
    """None: as much as there is."""

    def spend(self, audio_ns: int) -> bool:
        """Take this much; False where it is not left."""
        if self.left_ns is None:
            return True
        if audio_ns > self.left_ns:
            return False
        self.left_ns -= audio_ns
        return True


@dataclass(slots=True)
class Outcome:
    """What came of a rerun."""

    stopped: str = ""
    """Why it did not come to its end; empty where it did."""
    audio_ns: int = 0
    remarks: list[str] = field(default_factory=list)


async def perform(
    rerun: Rerun,
    session: RealtimeSession,
    *,
    say: Callable[[str], None] = lambda _: None,
    budget: Budget | None = None,
) -> Outcome:
    """Run the recorded caller on an open session. `say` is told where it goes another way.

    Raises `SessionClosed` where the endpoint ends it before all is over, `ServerError` where it
    refuses what all else depends on, `UsageError` where it cannot be said to this endpoint.
    """
    return await _Stage(rerun, session, say, budget or Budget()).run()


class _Stage:
    def __init__(
        self, rerun: Rerun, session: RealtimeSession, say: Callable[[str], None], budget: Budget
    ) -> None:
        self._rerun, self._session, self._say, self._budget = rerun, session, say, budget
        self._changed = trio.Event()
        self._stopped = ""
        self._closed = False
        self._refused: dict[str, object] | None = None

    async def run(self) -> Outcome:
        self._rerun.open(_now_ns())
        async with plain_nursery() as nursery:
            nursery.start_soon(self._read)
            await self._keep_time()
            nursery.cancel_scope.cancel()
        if self._refused is not None:
            raise server_error({"error": self._refused})
        return Outcome(self._stopped, self._rerun.audio_ns, list(self._rerun.remarks))

    async def _read(self) -> None:
        while True:
            try:
                event = await self._session.receive()
            except SessionClosed:
                if not self._rerun.over:
                    raise
                self._closed = True
                self._changed.set()
                return
            self._rerun.receive(event.raw, _now_ns())
            self._changed.set()

    async def _keep_time(self) -> None:
        """Do what is due when it is due, until there is nothing left."""
        while not self._closed:
            for deed in self._rerun.poll(_now_ns()):
                if await self._do(deed):
                    return
            self._changed = trio.Event()
            due_ns = self._rerun.next_at(_now_ns())
            with trio.move_on_at(float("inf") if due_ns is None else due_ns / 1e9):
                await self._changed.wait()

    async def _do(self, deed: Deed) -> bool:
        """Do it; whether it was the last."""
        match deed:
            case Send(message=message, binary=binary, audio_ns=audio_ns):
                if not self._budget.spend(audio_ns):
                    self._remark("stopped: as much audio was sent as may be sent")
                    self._stopped = "as much audio was sent as --max-audio-minutes allows"
                    return True
                await self._session.send(message if binary else message.decode("utf-8", "replace"))
            case Remark(told):
                self._remark(told)
            case End(why, refused):
                self._stopped, self._refused = why, refused
                return True
        return False

    def _remark(self, told: str) -> None:
        self._session.mark("note", text=f"rerun: {told}")
        self._say(told)


def _now_ns() -> int:
    """Trio's clock, so that a test can turn it."""
    return round(trio.current_time() * 1e9)

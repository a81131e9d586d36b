"""Which recorded session a client gets.

Laws:

1. What a request names wins: `?session=` a part of an id, `?tag=`, then the model it asks for.
   A model that was never recorded names nothing, and any session will do.
2. Among those that fit, the one that was played least often; of those, the first in order.
3. Played once, if so asked, and then no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from recorder.errors import UsageError
from recorder.events import Event, Origin, Session
from recorder.replaying import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One session that can be played."""

    session: Session
    events: Callable[[], Iterator[Event]]
    """Its events, from the start, each time."""
    model: str = ""
    tags: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """As it was stated, and as it was asked for."""
        return self.model, self.session.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One connection that is over."""

    number: int
    session: Session
    outcome: Outcome
    broken: str = ""
    """Why the recording could not be read to its end; else empty."""

    @property
    def sound(self) -> bool:
        """Whether it went as it was recorded."""
        return self.outcome.sound and not self.broken


class Chooser:
    """Knows what there is, and how often each was played."""

    def __init__(self, recorded: Sequence[Recorded], *, once: bool) -> None:
        if not recorded:
            raise UsageError("there is no session to play")
        self._recorded, self._once = tuple(recorded), once
        self._times = [0] * len(recorded)

    @property
    def exhausted(self) -> bool:
        """Whether none is left to be played."""
        return self._once and all(self._times)

    @property
    def unplayed(self) -> list[Session]:
        """Those that nobody got."""
        pairs = zip(self._recorded, self._times, strict=True)
        return [each.session for each, times in pairs if not times]

    def pick(self, *, session: str = "", tag: str = "", model: str = "") -> Recorded | None:
        """The session for a client that names these; None where there is none (any more)."""
        rows = [row for row, times in enumerate(self._times) if not (self._once and times)]
        if session:
            rows = [row for row in rows if session in self._recorded[row].session.id]
        if tag:
            rows = [row for row in rows if tag in self._recorded[row].tags]
        fitting = [row for row in rows if model and model in self._recorded[row].models]
        rows = fitting or rows
        if not rows:
            return None
        best = min(rows, key=lambda row: (self._times[row], row))
        self._times[best] += 1
        return self._recorded[best]


def check_playable(recorded: Recorded) -> list[str]:
    """What a person should know before it is played.

    Raises `UsageError` where there is nothing to play.
    """
    session = recorded.session
    name = f"session {session.id}"
    if session.kind != "websocket":
        raise UsageError(f"{name} is an HTTP side call: there is no conversation to play")
    if session.capture == "metadata":
        raise UsageError(f"{name} was captured without content (metadata): it cannot be played")
    notes = []
    if session.capture == "no-audio":
        notes.append(f"{name} has no audio: silence of the same length is sent")
    for event in recorded.events():
        if event.type == "recorder.opened" and b'"times":"none"' in event.head.replace(b" ", b""):
            notes.append(f"{name} has no times: its events follow each other at once")
        if event.origin == Origin.SERVER and event.opcode in (1, 2):
            return notes
    raise UsageError(f"{name} holds no server event: there is nothing to play")

"""Every user turn as a session of its own, after the recorded history.

Two runs take different courses after the first answer that differs. Alone, each turn has the same
history in both: what was said before it, as items (`recorder.pinning.history`), and then what the
user did, exactly as in the recording. Each is planned as any recording is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..events import Event
from ..pinning.choosing import Turns, choose
from ..projections import analyse
from .planning import make_plan

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..projections import Analysis
    from .nouns import Options, Plan, Read


@dataclass(frozen=True, slots=True)
class TurnRun:
    """One turn, ready to be planned."""

    turn: int
    """As `Analysis.turns` counts them."""
    read: Read

    def plan(self, options: Options) -> Plan:
        """What the caller did in it."""
        return make_plan(self.read, analyse(lambda audio: self.read(audio=audio)), options)


def turn_runs(
    read: Read, analysis: Analysis, say: Callable[[str], None] = lambda _: None
) -> list[TurnRun]:
    """The turns in which the user did something; `say` is told of what could not be kept.

    Raises `UsageError` where there is none.
    """
    found, told = [], set()
    for turn in analysis.turns:
        if not turn.user_items:
            continue
        excerpt = choose(lambda audio: read(audio=audio), analysis, Turns(turn.index, turn.index))
        events = [event._replace(seq=seq) for seq, event in enumerate(excerpt.events, 1)]
        found.append(TurnRun(turn.index, partial(_read, events)))
        for note in excerpt.notes:
            if note not in told:
                say(note)
            told.add(note)
    if not found:
        raise UsageError("there is no turn of a user in this session: nothing to run turn by turn")
    return found


def _read(
    events: list[Event],
    *,
    after: int = 0,
    until: int | None = None,
    audio: bool = True,
    types: Collection[str] | None = None,
) -> Iterator[Event]:
    """As `EventStore.read`, of events that are held."""
    for event in events[after:until]:
        if types is None or event.type in types:
            yield event if audio else event._replace(audio=None)

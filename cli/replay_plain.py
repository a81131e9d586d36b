"""A session as lines, one after the other: at once, or each when it is due."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recorder.events import Event
from recorder.timeline import Paced, at_speed, between, cap_gaps, merged, paced, until

from .describing import Teller
from .events import Printer
from .replay_happenings import Happening
from .replay_score import Mark, is_quiet
from .text import position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recorder.events import Session

    from .replay_score import AnyCue, Choice, Reading
    from .shared import Shared

MARK: Final = "\u00bb"
"""Before what is no event."""
QUIET_NS: Final = 500_000_000
"""Before a wait of so long, runs of deltas that are still open are printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, and how long at most nothing happens."""

    speed: float
    idle_ns: int | None


def print_plainly(
    shared: Shared,
    session: Session,
    reading: Reading,
    chosen: Choice,
    span: tuple[int, int | None],
    pace: Pace | None,
) -> None:
    """Print the chosen cues of this span of time; without a pace, at once.

    Ends with the first cue that `chosen` stops at, and says so.
    """
    teller = Teller()
    lines = _Lines(shared, reading, teller)
    events = _noticed(shared.store.read(session.id, audio=False), chosen, teller)
    told = (happening for happening in reading.happenings if chosen.shows(happening))
    cues: Iterable[AnyCue] = between(reading.cues(events, told), *span)
    if pace is not None:
        shared.out.as_it_comes()
        cues = _in_time(cues, reading, span, pace, lines.rest)
    last: AnyCue | None = None
    for last in until(cues, chosen.stops) if chosen.breaks else cues:
        lines.put(last)
    lines.rest()
    if last is None:
        shared.out.say(f"nothing of this session is meant; it has {len(reading.times):,} events")
    elif chosen.stops(last):
        what = f"event {last.seq}" if not isinstance(last, Happening) else last.words
        shared.out.say(f"stopped at {position(last.at_ns)}, {last.type}: {what}")


def _noticed(events: Iterable[Event], chosen: Choice, teller: Teller) -> Iterator[Event]:
    """Those that are shown; the teller takes notice of the others."""
    every = not (chosen.only or chosen.without)
    for event in events:
        if every or chosen.shows(event):
            yield event
        else:
            teller.skip(event)


def _in_time(
    cues: Iterable[AnyCue],
    reading: Reading,
    span: tuple[int, int | None],
    pace: Pace,
    before_waiting: Callable[[], None],
) -> Iterator[AnyCue]:
    """Each when it is due."""
    begun = time.monotonic_ns()
    for due_ns, cue in at_speed(_scheduled(cues, reading, span, pace.idle_ns), pace.speed):
        ahead = due_ns - (time.monotonic_ns() - begun)
        if ahead > QUIET_NS:
            before_waiting()
        if ahead > 0:
            time.sleep(ahead / 1e9)
        if not isinstance(cue, Mark):
            yield cue


def _scheduled(
    cues: Iterable[AnyCue], reading: Reading, span: tuple[int, int | None], idle_ns: int | None
) -> Iterator[Paced[AnyCue | Mark]]:
    """With the recorded timing; where nobody is heard, with gaps of at most `idle_ns`."""
    if idle_ns is None:
        return paced(cues, span[0])
    streams: tuple[Iterable[AnyCue | Mark], ...]
    streams = (cues, between(reading.heard(idle_ns), *span))
    return cap_gaps(paced(merged(*streams), span[0]), idle_ns, _matters)


def _matters(cue: AnyCue | Mark) -> bool:
    """Whether it is a reason to wait."""
    return not (is_quiet(cue) if isinstance(cue, Event) else isinstance(cue, Mark) and cue.quiet)


class _Lines:
    """Cues as lines in the columns of `recorder events`."""

    def __init__(self, shared: Shared, reading: Reading, teller: Teller) -> None:
        self._printer = Printer(shared.out, len(reading.times), fold=True)
        self._teller = teller

    def put(self, cue: AnyCue) -> None:
        """Print what is complete with this one."""
        if not isinstance(cue, Happening):
            for told in self._teller.tell(cue):
                self._printer.line(told)
            return
        self.rest()
        number = str(cue.seq) if cue.seq else ""
        self._printer.put(number, cue.at_ns, f"{MARK} {cue.type}", cue.style, cue.words)

    def rest(self) -> None:
        """Print the runs that are still open."""
        for told in self._teller.rest():
            self._printer.line(told)

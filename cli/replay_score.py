"""What is played: the cues of one session, chosen and in order, and what stood where.

The events stay in the database; kept here are their times and numbers, a few bytes each, so that
an hour can be walked through in both directions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from recorder.dialects import decode, facts
from recorder.errors import UsageError
from recorder.events import PING, PONG, Event
from recorder.projections.state import StateFold
from recorder.selecting import INTERRUPTED
from recorder.timeline import Cue, Wanted, cap_gaps, merged, paced, parse_wanted

from .analysed import reported
from .describing import Teller
from .player import assumed
from .replay_happenings import CONVERSATION, Happening, happenings
from .replay_player import Axis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from recorder.events import Session
    from recorder.projections import Analysis
    from recorder.projections.model_state import State

    from .describing import Told
    from .shared import Shared

ORIGINS: Final = ("client", "server", "recorder", CONVERSATION)
"""Who makes what is played; the last one is what a view tells of the events."""
AnyCue: TypeAlias = Event | Happening
PAGE: Final = 256
LOOK_BACK: Final = 4000
"""Events that are looked through for the lines of one screen; longer runs are told in part."""


# ---- choosing


@dataclass(frozen=True, slots=True)
class Choice:
    """Which cues are shown, and at which it stops."""

    only: tuple[Wanted, ...] = ()
    without: tuple[Wanted, ...] = ()
    breaks: tuple[Callable[[Cue], bool], ...] = ()

    def shows(self, cue: Cue) -> bool:
        """Whether it is to be seen; what stops the player is."""
        if any(holds(cue) for holds in self.without):
            return self.stops(cue)
        return not self.only or any(holds(cue) for holds in self.only) or self.stops(cue)

    def stops(self, cue: Cue) -> bool:
        """Whether it stops here."""
        return any(holds(cue) for holds in self.breaks)


def choice(only: Iterable[str], without: Iterable[str], breaks: Iterable[str]) -> Choice:
    """What these words choose. Raises `UsageError`."""
    return Choice(
        tuple(parse_wanted(word, ORIGINS) for word in only),
        tuple(parse_wanted(word, ORIGINS) for word in without),
        tuple(_break(word) for word in breaks),
    )


def _break(word: str) -> Callable[[Cue], bool]:
    if word == "error":
        return went_wrong
    return parse_wanted(word, ORIGINS)


def went_wrong(cue: Cue) -> bool:
    """Whether an event says that something failed or was lost."""
    if not isinstance(cue, Event):
        return False
    match decode(cue):
        case facts.ErrorSeen() | facts.TranscriptionFailed() | facts.Gap():
            return True
        case facts.ResponseDone(response=response):
            return response.status == "failed"
        case facts.Handshake(status=status):
            return status != 101
        case facts.Closed(code=code, clean=clean):
            return not clean or code not in (None, 1000, 1001, 1005)
    return False


# ---- reading


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over a session gave."""

    analysis: Analysis
    status: str
    """`live`, `interrupted`, `ended` …"""
    times: array[int]
    """Of the events, by number less 1."""
    happenings: list[Happening]

    @property
    def end_ns(self) -> int:
        """When the last thing happens: an answer may play on after the last event."""
        ends = [h.line.end_ns for h in self.happenings if h.line and h.line.end_ns is not None]
        last = self.happenings[-1].at_ns if self.happenings else 0
        return max([self.times[-1], last, *ends])

    def heard(self, every_ns: int) -> Iterator[Mark]:
        """Marks so close wherever somebody is heard that no gap in it is longer."""
        for start, end in spans(self.analysis):
            for at_ns in range(max(start, 0), end, every_ns):
                yield Mark(at_ns, between=True)
            yield Mark(end, between=True)

    def cues(self, events: Iterable[Event], told: Iterable[Happening]) -> Iterator[AnyCue]:
        """Events and what is told of them, in order; by number where there are no times."""
        streams: tuple[Iterable[AnyCue], ...] = (events, told)
        if self.analysis.summary.timed:
            return merged(*streams)
        return merged(*streams, by=lambda cue: cue.seq)


def read(shared: Shared, session: Session) -> Reading:
    """Read the session once, with a progress bar. Raises `UsageError` if it has no events."""
    from recorder.projections import analyse
    from recorder.projections.findings import with_interruption

    times = array("q")

    def noted(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            times.append(event.at_ns)
            yield event

    with shared.out.progress("reading the session") as report:
        analysis = analyse(
            lambda audio: noted(reported(shared, session, report, audio=audio)), **assumed()
        )
    if not times:
        raise UsageError("this session has no events: there is nothing to play")
    status = shared.views.status(session, analysis.summary)
    if status == INTERRUPTED:
        found = with_interruption(analysis.findings, analysis.summary)
        analysis = replace(analysis, findings=found)
    return Reading(analysis, status, times, happenings(analysis, times))


@dataclass(slots=True)
class _Window:
    """The lines before a place, which are gone on with as long as it moves forward."""

    teller: Teller
    cursor: int
    rows: int
    lines: list[Told] = field(default_factory=list)
    noticed: int = 0
    """How many of the settings the teller knows."""


class Score:
    """The chosen cues of a session, by index, and what can be asked about any of them."""

    def __init__(self, shared: Shared, session: Session, reading: Reading, chosen: Choice) -> None:
        self._store, self._session = shared.store, session
        self.reading, self.happenings = reading, [h for h in reading.happenings if chosen.shows(h)]
        self.at_ns, self.seqs = array("q"), array("q")
        """Of each cue: its time, and the number of the event; 0 where it is none."""
        self.told_at = array("q")
        """Index of each happening among the cues."""
        self.steps, self.breaks = array("q"), array("q")
        self._anchors, self._settings = array("q"), array("q")
        self._quiet = bytearray()
        self._window = _Window(Teller(), 0, 0)
        self._page = lru_cache(64)(self._read_page)
        self._fold, self._folded = StateFold(), 0
        self._fill(chosen)

    def events(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        """Those of the log, chosen or not, after and up to these numbers; without audio."""
        return self._store.read(self._session.id, after=after, until=until, audio=False)

    def _fill(self, chosen: Choice) -> None:
        for cue in self.reading.cues(self._noted(self.events(), chosen), self.happenings):
            index = len(self.at_ns)
            if chosen.stops(cue):
                self.breaks.append(index)
            self.at_ns.append(cue.at_ns)
            if isinstance(cue, Happening):
                self.told_at.append(index)
                self.seqs.append(0)
                self._quiet.append(False)
                continue
            self.seqs.append(cue.seq)
            self.steps.append(index)
            self._quiet.append(is_quiet(cue))
            if not (self._quiet[-1] or cue.type.endswith(".delta")):
                self._anchors.append(index)
        if not self.steps:
            self.steps = array("q", self.told_at)

    def _noted(self, events: Iterable[Event], chosen: Choice) -> Iterator[Event]:
        """Those that are shown; the others that say in which format the audio is are kept too."""
        for event in events:
            if "session" in event.type or event.type == "error":
                self._settings.append(event.seq)
            if chosen.shows(event):
                yield event

    def __len__(self) -> int:
        return len(self.at_ns)

    @property
    def last_seq(self) -> int:
        """The number of the session's last event."""
        return len(self.reading.times)

    def axis(self, idle_ns: int | None) -> Axis:
        """When each cue is due; with gaps of at most this length."""
        end_ns = self.reading.end_ns
        if idle_ns is None:
            return Axis(at_ns=self.at_ns, due_ns=self.at_ns, end_ns=end_ns, end_due_ns=end_ns)
        marks = [Mark(at, bool(quiet)) for at, quiet in zip(self.at_ns, self._quiet, strict=True)]
        marks.append(Mark(end_ns))
        heard = self.reading.heard(idle_ns)
        knots, knots_due, due = array("q"), array("q"), array("q")
        for due_ns, mark in cap_gaps(paced(merged(marks, heard), 0), idle_ns, _matters):
            knots.append(mark.at_ns)
            knots_due.append(due_ns)
            if not mark.between:
                due.append(due_ns)
        end_due_ns = due.pop()
        return Axis(
            at_ns=self.at_ns,
            due_ns=due,
            end_ns=end_ns,
            end_due_ns=end_due_ns,
            knots=(knots, knots_due),
        )

    # ---- what stood where

    def seq_at(self, cursor: int) -> int:
        """The number of the last chosen event before this place; 0 before the first."""
        while cursor and not self.seqs[cursor - 1]:
            cursor -= 1
        return self.seqs[cursor - 1] if cursor else 0

    def log_seq(self, cursor: int, position_ns: int) -> int:
        """The number of the last event of the log, chosen or not, that had passed by then."""
        times = self.reading.times
        passed = max(self.seq_at(cursor), bisect_left(times, position_ns))
        if cursor and not self.seqs[cursor - 1]:  # what happens comes after the events that show it
            passed = max(passed, bisect_right(times, self.at_ns[cursor - 1]))
        return passed

    def name_of(self, index: int) -> str:
        """What a cue is called: its type, and the event's number."""
        if seq := self.seqs[index]:
            return f"{self._event(seq).type} (event {seq})"
        return self.happenings[bisect_left(self.told_at, index)].type

    def told(self, cursor: int, rows: int) -> list[Told]:
        """The last so many lines of events before this place, runs of small ones as one."""
        if rows <= 0:
            return []
        window = self._window
        if not (window.cursor <= cursor <= window.cursor + LOOK_BACK and rows <= window.rows):
            window = self._window = self._opened(cursor, rows)
        for seq in self.seqs[window.cursor : cursor]:
            if seq:
                self._notice_until(seq, window)
                window.lines += window.teller.tell(self._event(seq))
        window.cursor = cursor
        del window.lines[:-rows]
        return [*window.lines, *window.teller.so_far()][-rows:]

    def _opened(self, cursor: int, rows: int) -> _Window:
        """A window that begins so early that there are as many lines."""
        row = bisect_left(self._anchors, cursor)
        begin = self._anchors[row - rows] if row >= rows else 0
        begin = max(begin, cursor - LOOK_BACK)
        return _Window(Teller(), begin, rows)

    def _notice_until(self, seq: int, window: _Window) -> None:
        """Tell the teller in which format the audio is, where that is not among the cues."""
        settings = self._settings
        while window.noticed < len(settings) and settings[window.noticed] <= seq:
            if settings[window.noticed] < seq:
                window.teller.skip(self._event(settings[window.noticed]))
            window.noticed += 1

    def happened(self, cursor: int, most: int) -> list[Happening]:
        """The last so many happenings before this place."""
        count = bisect_left(self.told_at, cursor)
        return self.happenings[max(count - most, 0) : count]

    def state(self, seq: int, at_ns: int) -> State:
        """The state after this event, at this time: on from the last one that was asked for,
        else from the beginning."""
        if seq < self._folded:
            self._fold, self._folded = StateFold(), 0
        if seq > self._folded:
            self._fold.feed_all(self.events(self._folded, seq))
            self._folded = seq
        return self._fold.state(at_ns)

    def _event(self, seq: int) -> Event:
        return self._page((seq - 1) // PAGE)[(seq - 1) % PAGE]

    def _read_page(self, number: int) -> Sequence[Event]:
        after = number * PAGE
        return list(self.events(after, after + PAGE))


# ---- where nothing happens


class Mark(NamedTuple):
    """A moment, and whether it is a reason to wait."""

    at_ns: int
    quiet: bool = False
    between: bool = False
    """It is no cue: somebody is heard at this moment."""


def _matters(mark: Mark) -> bool:
    return not mark.quiet


def is_quiet(event: Event) -> bool:
    """Whether it comes all the time, whatever happens: microphone audio, keep-alives."""
    return event.type == "input_audio_buffer.append" or event.opcode in (PING, PONG)


def spans(analysis: Analysis) -> list[tuple[int, int]]:
    """When the user spoke or the assistant was played, in order, none over another."""
    heard = [(said.start_ns, said.end_ns) for said in analysis.speech.utterances]
    for item in analysis.playback.items:
        if item.start_ns is not None and item.end_ns is not None:
            heard.append((item.start_ns, item.end_ns))
    joined: list[tuple[int, int]] = []
    for start, end in sorted(heard):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined

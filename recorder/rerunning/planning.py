"""From a recording to a plan: what the caller did, what it waited for, when it spoke.

The recording is read twice without its audio: once for the clock of the appended audio, once in
order, to see what stood behind each thing that the caller did. Where the user begins to speak is
taken from the recorded audio itself (`Analysis.speech`), in every mode of turn detection.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ..events import BINARY, TEXT, Event, Origin
from ..replaying import causes
from ..replaying.axis import Axis
from ..wire import audio_bytes, parse
from .book import Answering
from .nouns import BEGUN, MS, SECOND, SKIP, START, Act, Cue, Hold, Name, Options, Plan, Read, Voice
from .pacing import pauses_of, rests_of, starts_of
from .translating import only_ga
from .watching import Watch, appended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..projections import Analysis
    from ..projections.model import Utterance

LEAD_NS: Final = 100 * MS
"""How long before its first loud sample somebody counts as beginning to speak."""

TAIL_NS: Final = 5 * SECOND
"""The longest that the caller stays when all is over."""

PUSH_NS: Final = 2 * SECOND
"""How long before that the microphone was opened for it, at most."""

_FOREVER: Final = 1 << 62
_GATES: Final = frozenset({causes.UPDATE, causes.COMMIT, causes.CLEAR})
"""What the server must have before audio that was appended after it."""
_TIMED_BY_VOICE: Final = frozenset({causes.COMMIT, causes.CLEAR})


class Spoken(NamedTuple):
    """Something that the user said: where it stands among the chunks."""

    begin: int
    """The chunk with which it begins."""
    end: int
    """The first chunk behind it."""
    asked_seq: int | None
    """The client's commit; None: the server committed by itself."""
    seq: int
    """The server's `committed`."""


def make_plan(read: Read, analysis: Analysis, options: Options | None = None) -> Plan:
    """What the caller of this session did. `read` gives its events, as `EventStore.read` does."""
    return _Planner(read, analysis, options or Options()).plan()


class _Clock:
    """The chunks of appended audio: when each passed, where it ends on the axis."""

    def __init__(self, read: Read) -> None:
        self.seqs, self.times, self.ends = array("q"), array("q"), array("q")
        self.breaks: set[int] = set()
        axis = Axis()
        for event in read(audio=False):
            kind = causes.canonical(event.type)
            if event.origin == Origin.CLIENT and kind == causes.APPEND:
                axis.append(appended(event), event.at_ns)
                self.seqs.append(event.seq)
                self.times.append(event.at_ns)
                self.ends.append(axis.end_ns)
            elif event.origin == Origin.CLIENT and kind in _TIMED_BY_VOICE:
                self.breaks.add(len(self.seqs))
            elif event.origin != Origin.RECORDER and event.opcode == TEXT:
                axis.configure(event)

    def spoken(self, analysis: Analysis) -> list[Spoken]:
        """What the user said, in order."""
        found = []
        segments = [each.offset_ns for each in analysis.speech.segments]
        silent = {item for item, _ in analysis.inputs.timeouts}
        starts = starts_of(self.times, self.ends, self.breaks)
        pairs = zip(analysis.speech.utterances, analysis.inputs.commits, strict=True)
        for utterance, commit in pairs:
            if utterance.item_id in silent or not self.ends:
                continue
            last = len(self.ends) - 1  # offsets may lie behind audio that was cut off
            begin = min(bisect_right(self.ends, _onset(utterance, segments)), last)
            end = bisect_left(self.ends, utterance.end_offset_ns) + 1
            floor = min(bisect_right(self.ends, utterance.start_offset_ns), last)
            begin = self._pushed(begin, floor, starts)
            asked = commit.asked.seq if commit.asked else None
            found.append(Spoken(begin, min(end, len(self.ends)), asked, commit.at.seq))
        return found

    def _pushed(self, begin: int, floor: int, starts: Sequence[int]) -> int:
        """Where the microphone was opened, if that was for this; else where they begin to speak."""
        row = begin
        while row >= floor and self.ends[begin] - self.ends[row] <= PUSH_NS:
            if starts[row]:
                return row
            row -= 1
        return begin


def _onset(utterance: Utterance, segments: list[int]) -> int:
    """Where on the axis the user begins to speak; the start of the slice where nobody does."""
    row = bisect_left(segments, utterance.start_offset_ns)
    if row < len(segments) and segments[row] < utterance.end_offset_ns:
        return max(utterance.start_offset_ns, segments[row] - LEAD_NS)
    return utterance.start_offset_ns


class _Planner:
    """Goes through the recording in order."""

    def __init__(self, read: Read, analysis: Analysis, options: Options) -> None:
        self._read, self._options = read, options
        self._timed = analysis.summary.timed
        self._clock = _Clock(read)
        self._spoken = self._clock.spoken(analysis)
        self._watch, self._answering = Watch(), Answering()
        self._acts: list[Act] = []
        self._holds: dict[int, Hold] = {}
        self._gates = array("q")
        self._begun_ns = -1
        self._aliases: dict[Name, Name] = {}
        self._begins = {each.begin: row for row, each in enumerate(self._spoken, 1)}
        self._instead = {each.seq: row for row, each in enumerate(self._spoken, 1)
                         if each.asked_seq is None}  # fmt: skip
        self._dropped: dict[int, int] = {}
        if options.vad in ("server", "semantic"):
            self._dropped = {each.asked_seq: row for row, each in enumerate(self._spoken, 1)
                             if each.asked_seq is not None}  # fmt: skip
        self._after_drop = 0
        self._chunks = self._gate = 0
        self._last: Act | None = None
        self._inside_ns = self._last_ns = self._client_ns = 0
        self._ga = False

    def plan(self) -> Plan:
        """All of it."""
        for event in self._read(audio=False):
            self._last_ns = event.at_ns
            if event.opcode not in (TEXT, BINARY) or event.origin == Origin.RECORDER:
                continue
            if event.origin == Origin.CLIENT:
                self._client_ns = event.at_ns
                self._client(event)
            self._watch.feed(event)
            self._answering.asked(self._watch.requests)
            if causes.canonical(event.type) == causes.COMMITTED:
                self._answering.interrupted()
                self._end_of_turn(event)
        watch = self._watch
        return Plan(
            acts=tuple(self._whole(self._acts)),
            voice=self._voice(),
            book=self._answering.book,
            names=watch.names,
            first_sound=watch.first_sound,
            aliases=self._aliases,
            audio_ns=self._inside_ns + (self._clock.ends[-1] if self._clock.ends else 0),
            mixed=self._ga and watch.ever_beta,
            start_ns=watch.met.get((START, ()), 0),
            tail_ns=min(TAIL_NS, self._last_ns - max(self._client_ns, watch.rest_ns)),
            refused=any(about == causes.UPDATE for _, about in watch.errors),
        )

    # ---- one event of the client

    def _client(self, event: Event) -> None:
        kind = causes.canonical(event.type)
        if kind == causes.APPEND:
            self._append(event)
            return
        body = parse(event)
        self._ga = self._ga or bool(only_ga(event.type, body))
        if kind == causes.CREATE_ITEM and self._answering.takes(event, body):
            return
        if kind == causes.RESPOND and self._answering.follows(event):
            return
        if self._is_dropped(event, kind):
            return
        if kind in (causes.COMMIT, causes.CREATE_ITEM):
            self._answering.interrupted()
        self._act(event, kind)

    def _is_dropped(self, event: Event, kind: str) -> bool:
        """A commit, and what asks for its answer, that the server now does by itself."""
        row = self._dropped.get(event.seq)
        if row is not None:
            self._aliases["spoken", row, 0] = ("by", event.seq)
            self._after_drop = row
            return True
        if kind == causes.RESPOND and self._after_drop:
            self._aliases["turn", self._after_drop, 0] = ("asked", event.seq, 0)
            self._after_drop = 0
            return True
        if kind == causes.CREATE_ITEM:
            self._after_drop = 0
        return False

    def _append(self, event: Event) -> None:
        row = self._chunks
        if (turn := self._begins.get(row)) is not None:
            cue = self._cue(event, person=True)
            if cue is not None and cue.at_ns < self._begun_ns:
                cue = None  # they only went on speaking
            delay = max(0, event.at_ns - cue.at_ns) if cue is not None else 0
            acts = len(self._acts)
            self._holds[row] = Hold(turn, cue, delay, acts, committed=False, answered=False)
            self._watch.begin_turn(turn)
            self._begun_ns = event.at_ns
        self._gates.append(self._gate if row else len(self._acts))
        self._chunks += 1

    def _end_of_turn(self, committed: Event) -> None:
        """Without turn detection the caller commits where the server did, and asks."""
        turn = self._instead.get(committed.seq)
        if self._options.vad != "none" or turn is None:
            return
        end, seq = self._spoken[turn - 1].end, committed.seq
        for kind, number, voice in ((causes.COMMIT, seq, end), (causes.RESPOND, -seq, None)):
            message = b'{"type":"%s"}' % kind.encode()
            event = Event(number, committed.at_ns, Origin.CLIENT, kind, TEXT, message)
            self._acts.append(
                Act(seq=number, kind=kind, event=event, cue=None, delay_ns=0, voice=voice)
            )
        self._gate = len(self._acts)
        self._aliases["by", seq] = ("spoken", turn, 0)
        self._aliases["asked", -seq, 0] = ("turn", turn, 0)

    def _act(self, event: Event, kind: str) -> None:
        cue = self._cue(event, person=False)
        last = self._last
        if cue is not None and last is not None and cue.at_ns < last.event.at_ns:
            cue = None  # the act before it waited for that already
        since, voice = last.event.at_ns if last is not None else event.at_ns, None
        if kind in _TIMED_BY_VOICE and self._chunks:
            spoken_ns = self._clock.times[self._chunks - 1]
            voice, since = self._chunks, spoken_ns
            if cue is not None and spoken_ns >= cue.at_ns:
                cue = None
        if cue is not None:
            since = cue.at_ns
        idle = kind == causes.RESPOND and not self._watch.active
        act = Act(
            seq=event.seq, kind=kind, event=event, cue=cue,
            delay_ns=max(0, event.at_ns - since), voice=voice, heard=self._chunks, idle=idle,
        )  # fmt: skip
        self._acts.append(act)
        self._last = act
        if kind in _GATES:
            self._gate = len(self._acts)

    def _cue(self, event: Event, *, person: bool) -> Cue | None:
        return self._watch.cue(event.at_ns if self._timed else _FOREVER, person=person)

    # ---- what came of it

    def _whole(self, acts: list[Act]) -> list[Act]:
        """The acts with the audio that stands inside them."""
        found = []
        for act in acts:
            event, kind = act.event, act.kind
            if event.seq < 0 and not self._answered(int(self._aliases["asked", event.seq, 0][1])):
                kind = SKIP  # nobody asked for an answer to this
            if audio_bytes(event):
                event = next(self._read(after=event.seq - 1, until=event.seq), event)
                self._inside_ns += self._watch.axis.input.ns_of_bytes(audio_bytes(event) or 0)
            found.append(replace(act, event=event, kind=kind))
        return found

    def _answered(self, turn: int) -> bool:
        return (BEGUN, ("turn", turn, 0)) in self._watch.met

    def _voice(self) -> Voice:
        clock = self._clock
        starts = starts_of(clock.times, clock.ends, clock.breaks | self._holds.keys())
        return Voice(
            ends=clock.ends,
            rests=rests_of(clock.times, clock.ends, starts),
            starts=starts,
            pauses=pauses_of(clock.times, clock.ends, clock.breaks),
            holds={row: self._judged(hold) for row, hold in self._holds.items()},
            gates=self._gates,
        )

    def _judged(self, hold: Hold) -> Hold:
        """Whether the server commits and answers this by itself: in the recording, or now."""
        spoken, vad = self._spoken[hold.turn - 1], self._options.vad
        by_itself = spoken.asked_seq is None if vad is None else vad != "none"
        answered = self._answered(hold.turn) or spoken.asked_seq in self._dropped
        return hold._replace(committed=by_itself, answered=by_itself and answered)

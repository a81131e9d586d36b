"""Where the sound of a session lies, and what of it nobody heard: one pass without audio.

The three timelines of the assistant's audio (design.md §2):

`heard`      as it was played: queued behind what was playing, with its under-runs, and cut where
             evidence says that playback stopped.
`received`   as it arrived, and as if nothing had ever stopped it: the same queue, the same
             under-runs, nothing cut.
`generated`  as the model made it: each item whole and without a break, from the arrival of its
             first audio, or from the end of the item before where that is later. Neither the
             network's gaps nor a prebuffer nor what the application says of playback is in it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ..audio.formats import SECOND
from ..dialects.facts import AudioDelta, InputAppended
from ..errors import UsageError
from ..projections import untimed
from ..projections.base import Fold, Looks, Part, Together, in_runs, on
from ..projections.capture import CaptureClock, capture_clock
from ..projections.inputs import Inputs
from ..projections.model import Playback, Played, Run, reckoned
from ..projections.playback import PlaybackFold
from ..store import Parted
from ..wire import cuts_of, tombstone

if TYPE_CHECKING:
    from ..events import Event
    from ..projections.analysis import Analysis
    from ..projections.base import Chunks
    from ..projections.inputs import Epoch, ItemAudio

EventSource: TypeAlias = Callable[[bool], Iterable["Event"]]
"""Gives the session's events from the start, with or without their audio."""

TIMELINES: Final = ("heard", "received", "generated")

LONGEST_NS: Final = 24 * 3600 * SECOND
"""A session whose times span more than a day has wrong times, or next to nothing in it: as a track
it would fill the disk with silence."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An item of which not everything was heard."""

    item_id: str
    response_id: str
    at_ns: int
    """Where in the track the part begins that nobody heard, on the session's clock."""
    heard_ns: int
    unheard_ns: int
    why: str
    """The evidence that stopped it: `marked`, `buffer`, `truncated`, `cancelled`, `assumed`."""
    label: str
    """`reported` by the application, or `estimated` by the model of playback."""
    stop_ns: int | None
    """When that evidence passed."""
    evidence: tuple[int, ...]
    flags: tuple[str, ...]
    in_track: bool
    """The rest is in the track all the same: the timeline is not `heard`."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Audio that stood inside an item, and where on the clock it was put."""

    audio: ItemAudio
    start_ns: int | None
    """None: there is no room for it on the clock; it is only to be had as a piece."""


class Deltas(NamedTuple):
    """Which event carried which of the assistant's audio, by columns."""

    seqs: array[int]
    sizes: array[int]
    """Bytes."""
    items: list[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the sound of a session lies."""

    clock: CaptureClock
    epochs: tuple[Epoch, ...]
    playback: Playback
    """On the timeline that was asked for."""
    end_ns: int
    """End of the session, or of the last sound in it."""
    timeline: str = "heard"
    cuts: tuple[Cut, ...] = ()
    """In the order of the items."""
    inside: tuple[Placement, ...] = ()
    """In order of arrival. What the server gave back (`retrieved`) is never on the clock."""
    gone_ns: tuple[int, int] = (0, 0)
    """How much of the user's and of the assistant's audio was not kept and is silence."""
    deltas: Deltas | None = field(default=None, compare=False, repr=False)
    """Where all sound on the clock lay apart from its messages: then none of them is decoded a
    second time (`straight`)."""

    @property
    def has_user(self) -> bool:
        """Whether there is anything on the user's side of the clock."""
        return bool(self.epochs) or self.has_inside

    @property
    def has_inside(self) -> bool:
        """Whether any audio that stood inside an item is on the clock."""
        return any(found.start_ns is not None for found in self.inside)

    @property
    def has_assistant(self) -> bool:
        """Whether there is anything on the assistant's side of the clock."""
        return any(item.runs for item in self.playback.items)

    @property
    def is_too_long(self) -> bool:
        """Whether its tracks would be longer than `LONGEST_NS`."""
        return self.end_ns > LONGEST_NS

    @property
    def rate(self) -> int:
        """The highest rate in it: at this one, nothing is lost by resampling."""
        forms = [epoch.form for epoch in self.epochs]
        forms += [item.format for item in self.playback.items]
        forms += [found.audio.form for found in self.inside]
        return max((form.rate for form in forms), default=24_000)


def lay_out(
    events: EventSource,
    *,
    timeline: str = "heard",
    prebuffer_ms: int = 0,
    assume_stop_on_speech: bool = False,
) -> Layout:
    """One pass without audio: where everything lies."""
    if timeline not in TIMELINES:
        raise UsageError(f"timeline is one of {', '.join(TIMELINES)}, not {timeline!r}")
    inputs, end = Inputs(), _End()
    heard = _Heard(prebuffer_ms=prebuffer_ms, assume_stop_on_speech=assume_stop_on_speech)
    all_of_it = PlaybackFold(prebuffer_ms=prebuffer_ms, evidence=False)
    kept = _Kept(inputs)
    more = [all_of_it] if timeline == "received" else []
    found = events(False)
    Together(inputs, heard, kept, end, *more).feed_all(found)
    truth = heard.result() if inputs.timed else untimed.playback(heard)
    playback = all_of_it.result() if more else truth
    if timeline == "generated":
        playback = _generated(truth)
    layout = _layout(inputs, capture_clock(inputs), playback, end.ns)
    apart = isinstance(found, Parted) and kept.apart and heard.apart
    return replace(
        layout,
        timeline=timeline,
        cuts=_cuts(truth, playback, in_track=timeline != "heard"),
        gone_ns=(kept.gone_ns, heard.gone_ns),
        deltas=heard.deltas if apart and not layout.has_inside else None,
    )


def layout_of(analysis: Analysis) -> Layout:
    """The layout that an analysis has found already (`heard`)."""
    playback, end_ns = analysis.playback, analysis.summary.duration_ns
    layout = _layout(analysis.inputs, analysis.clock, playback, end_ns)
    cuts = _cuts(playback, playback, in_track=False)
    return replace(layout, cuts=cuts, gone_ns=(analysis.speech.uncaptured_ns, 0))


def _layout(inputs: Inputs, clock: CaptureClock, playback: Playback, end_ns: int) -> Layout:
    inside = tuple(_placements(inputs, clock))
    ends = [end_ns]
    ends += [anchor.end_ns + anchor.offset_ns for anchor in clock.anchors[-1:]]
    ends += [item.end_ns for item in playback.items if item.end_ns is not None]
    ends += [_end_of(found) for found in inside]
    return Layout(clock, tuple(inputs.epochs), playback, max(ends), inside=inside)


def _end_of(found: Placement) -> int:
    audio = found.audio
    return 0 if found.start_ns is None else found.start_ns + audio.form.ns(audio.samples)


def _placements(inputs: Inputs, clock: CaptureClock) -> Iterable[Placement]:
    """Audio that the user's application sent whole is put to end when it was sent.

    It was not captured live. Where the stream of appends has sound at that time it has no place,
    because nothing that was captured live may be moved.
    """
    free = 0
    for audio in inputs.inside:
        length = audio.form.ns(audio.samples)
        start = max(audio.at.at_ns - length, free)
        mine = audio.by == "client" and audio.role != "assistant"
        if mine and not _is_taken(clock, audio.at.seq, start, start + length):
            free = start + length
            yield Placement(audio, start)
        else:
            yield Placement(audio, None)


def _is_taken(clock: CaptureClock, seq: int, start_ns: int, end_ns: int) -> bool:
    """Whether a stretch of appends lies there, or came partly before and partly after this."""
    for anchor in clock.anchors:
        begin, end = anchor.start_ns + anchor.offset_ns, anchor.end_ns + anchor.offset_ns
        first, last = int(clock.seqs[anchor.first]), int(clock.seqs[anchor.last - 1])
        before, after = last < seq and end <= start_ns, first > seq and begin >= end_ns
        if not before and not after:
            return True
    return False


def _generated(playback: Playback) -> Playback:
    """Each item in one piece, from its arrival or the end of the one before."""
    free, items = 0, []
    for item in playback.items:
        start = max(free, reckoned(item.arrived_ns))
        runs = (Run(start, 0, item.received_samples),) if item.received_samples else ()
        free = start + item.received_ns if runs else free
        end = free if runs else None
        items.append(replace(item, runs=runs, start_ns=start if runs else None, end_ns=end))
    return replace(playback, items=tuple(items))


def _cuts(truth: Playback, shown: Playback, *, in_track: bool) -> tuple[Cut, ...]:
    pairs = zip(truth.items, shown.items, strict=True)
    return tuple(
        Cut(
            item.item_id,
            item.response_id,
            _place(item, there),
            item.heard_ns,
            item.received_ns - item.heard_ns,
            item.stopped_by,
            item.label,
            item.stop_ns,
            item.evidence,
            item.flags,
            in_track,
        )
        for item, there in pairs
        if item.heard_samples < item.received_samples
    )


def _place(item: Played, there: Played) -> int:
    """Where the first sample that nobody heard would stand, or stands."""
    at_ns = reckoned(item.arrived_ns) if item.stop_ns is None else item.stop_ns
    for run in there.runs:
        if run.first_sample <= item.heard_samples:
            inside = min(item.heard_samples - run.first_sample, run.samples)
            at_ns = run.start_ns + item.format.ns(inside)
    return at_ns


class _End(Fold[int]):
    """The time of the last event."""

    def __init__(self) -> None:
        super().__init__()
        self.ns = 0
        self.every = (Looks(self._passed, self._appended),)

    def _passed(self, events: list[Event]) -> None:
        self.ns = max(self.ns, events[-1].at_ns)

    def _appended(self, run: Chunks) -> None:
        self.ns = max(self.ns, run.times[-1])

    def result(self) -> int:
        return self.ns


class _Kept(Part):
    """What became of the user's audio; runs after the fold of the input."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.gone_ns = 0
        """How much of it is not there any more."""
        self.apart = True
        """All of it lies apart from its messages."""
        self._inputs = inputs

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        if gone := run.gone():
            self.gone_ns += self._inputs.epochs[-1].form.ns_of_bytes(gone)
            self.apart = False
        elif self.apart:
            self.apart = run.audio().count(None) == len(run)


_METAS: Final = 1000  # that are remembered; servers use a few dozen


class _Heard(PlaybackFold):
    """The queue, and what became of the audio in it."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.gone_ns = 0
        self.apart = True
        self.deltas = Deltas(array("q"), array("q"), [])
        self._whole: set[str | None] = set()

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        super()._audio(event, fact)
        item = fact.item or self._streams.of(event.seq, fact.response, fact.item)[1]
        seqs, sizes, items = self.deltas
        seqs.append(event.seq)
        sizes.append(fact.size)
        items.append(self.items[item].item)  # one string for all of them
        if event.meta not in self._whole:
            self._look_at(event, fact.size, item)

    def _look_at(self, event: Event, size: int, item: str) -> None:
        """Deltas of one size have one `meta`: most were looked at already."""
        if tombstone(event):
            self.gone_ns += self.format_of(item).ns_of_bytes(size)
            self.apart = False
        elif cuts_of(event):
            self._whole |= {event.meta} if len(self._whole) < _METAS else set()
        elif size:
            self.apart = False

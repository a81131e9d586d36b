"""The sound of a session as tracks, streamed: user, assistant, both as stereo; items and clips.

    layout = lay_out(events)                        # one pass without audio
    write_sound("call.wav", stereo(events, layout, 24_000), 24_000, channels=2)

Laws:

1. Two passes: the first, without audio, finds where everything lies (`Layout`); the second only
   streams. Memory does not grow with the call.
2. Both channels are on the session's clock, which starts with sample 0. User audio lies where it
   was captured; the assistant's where the playback model says that it was heard.
3. Audio that was not kept, or was erased, is silence of the same length.
4. `item_audio` gives the bytes of an item exactly as they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from .audio.codecs import Decoder
from .audio.placing import Placer
from .dialects import audio_of, decode
from .dialects.facts import (
    AudioDelta,
    InputAppended,
    OutputItemAdded,
    ResponseCreated,
    ResponseDone,
)
from .errors import UsageError
from .projections.base import Together
from .projections.capture import CaptureClock, capture_clock
from .projections.inputs import Inputs
from .projections.playback import PlaybackFold
from .projections.streams import Streams

if TYPE_CHECKING:
    from .audio.codecs import Samples
    from .audio.formats import AudioFormat
    from .dialects import Fact
    from .events import Event
    from .projections.analysis import Analysis
    from .projections.capture import Anchor
    from .projections.inputs import Epoch
    from .projections.model import Playback, Played, Run

EventSource: TypeAlias = Callable[[bool], Iterable["Event"]]

TIMELINES: Final = ("heard", "received")
"""`heard`: cut where playback was; `received`: all that arrived, as if nothing had stopped it."""
MOST_DRIFT_NS: Final = 100_000_000
"""More than this between two stretches is not two clocks running apart."""
_BATCH: Final = 64_000  # bytes of user audio that are decoded at once


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the sound of a session lies."""

    clock: CaptureClock
    epochs: tuple[Epoch, ...]
    playback: Playback
    end_ns: int
    """End of the session, or of the last sound in it."""


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
    inputs = Inputs()
    playback = PlaybackFold(
        prebuffer_ms=prebuffer_ms,
        assume_stop_on_speech=assume_stop_on_speech,
        evidence=timeline == "heard",
    )
    both = Together(inputs, playback)
    ends: deque[int] = deque([0], maxlen=1)
    both.every += (lambda event: ends.append(event.at_ns),)
    both.feed_all(events(False))
    return _layout(inputs, capture_clock(inputs), playback.result(), ends[0])


def layout_of(analysis: Analysis) -> Layout:
    """The layout that an analysis has found already (`heard`)."""
    end_ns = analysis.summary.duration_ns
    return _layout(analysis.inputs, analysis.clock, analysis.playback, end_ns)


def _layout(inputs: Inputs, clock: CaptureClock, playback: Playback, end_ns: int) -> Layout:
    ends = [end_ns]
    ends += [anchor.end_ns + anchor.offset_ns for anchor in clock.anchors[-1:]]
    ends += [item.end_ns for item in playback.items if item.end_ns is not None]
    return Layout(clock, tuple(inputs.epochs), playback, max(ends))


class UserChannel:
    """Places what the user sent."""

    def __init__(self, layout: Layout, rate: int) -> None:
        self.placer = Placer(rate)
        self._anchors = layout.clock.anchors
        self._forms = [epoch.form for epoch in layout.epochs for _ in epoch.sizes]
        self._end_ns = layout.end_ns
        self._row = 0
        self._chunk = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._done = 0
        self._drift = 0
        self._decoder: Decoder | None = None
        self._next_anchor()

    def take(self, event: Event, fact: InputAppended) -> None:
        """The next append."""
        if self._row >= len(self._anchors):
            return
        audio = audio_of(event, "audio")
        self._waiting.append(bytes(fact.size) if audio is None else audio)
        self._size += fact.size
        self._chunk += 1
        if self._chunk == self._anchors[self._row].last:
            self._flush()
            self._row += 1
            self._next_anchor()
        elif self._size >= _BATCH:
            self._flush()

    def _next_anchor(self) -> None:
        """Silence up to where the next stretch begins, or to the end."""
        if self._row < len(self._anchors):
            anchor: Anchor = self._anchors[self._row]
            form = self._forms[anchor.first]
            self.placer.quiet_until(anchor.start_ns + anchor.offset_ns)
            self._decoder = self._decoder_for(form)
            self._done = 0
            self._drift = self._too_much(anchor, form)
        else:
            self.placer.quiet_until(self._end_ns)

    def _too_much(self, anchor: Anchor, form: AudioFormat) -> int:
        """Samples that a sound card ahead of the session's clock has sent too many."""
        if self._row == 0:
            return 0
        last = self._anchors[self._row - 1]
        ahead = last.end_ns + last.offset_ns - anchor.start_ns - anchor.offset_ns
        live = last.realtime and anchor.realtime and last.end_ns == anchor.start_ns
        return form.samples_in(ahead) if live and 0 < ahead < MOST_DRIFT_NS else 0

    def _decoder_for(self, form: AudioFormat) -> Decoder:
        """An odd byte is carried over a pause, not over a change of format."""
        if self._decoder is not None and self._decoder.form == form:
            return self._decoder
        return Decoder(form)

    def _flush(self) -> None:
        if self._decoder is None or not self._waiting:
            return
        anchor, form = self._anchors[self._row], self._decoder.form
        samples = self._decoder.push(b"".join(self._waiting))
        skipped = max(0, min(self._drift - self._done, len(samples)))
        begin = anchor.start_ns + anchor.offset_ns + form.ns(self._done + skipped)
        self.placer.put(begin, samples[skipped:], form)
        self._done += len(samples)
        self._waiting.clear()
        self._size = 0


class AssistantChannel:
    """Places what the assistant said, as far as the layout says that it was played."""

    def __init__(self, layout: Layout, rate: int) -> None:
        self.placer = Placer(rate)
        self._items = {item.item_id: item for item in layout.playback.items}
        self._streams = Streams()
        self._decoders: dict[str, tuple[Decoder, int]] = {}
        runs = [(run, item) for item in layout.playback.items for run in item.runs]
        self._starts = sorted(run.start_ns for run, _ in runs)
        self._end_ns = layout.end_ns
        self._passed = 0
        self._quiet()

    def take(self, event: Event, fact: Fact) -> None:
        """The next server message that has to do with audio."""
        match fact:
            case AudioDelta():
                _, name = self._streams.of(event.seq, fact.response, fact.item)
                if item := self._items.get(name):
                    self._delta(event, fact, item)
            case ResponseCreated():
                self._streams.created(event.seq, fact)
            case ResponseDone():
                self._streams.done(event.seq, fact)
            case OutputItemAdded():
                self._streams.item_added(event.seq, fact)
            case _:
                pass

    def _delta(self, event: Event, fact: AudioDelta, item: Played) -> None:
        decoder, first = self._decoders.get(item.item_id) or (Decoder(item.format), 0)
        audio = audio_of(event, "delta")
        samples = decoder.push(bytes(fact.size) if audio is None else audio)
        self._decoders[item.item_id] = (decoder, first + len(samples))
        for run in _touching(item.runs, first, first + len(samples)):
            begin = max(run.first_sample, first)
            end = min(run.first_sample + run.samples, first + len(samples))
            at_ns = run.start_ns + item.format.ns(begin - run.first_sample)
            self.placer.put(at_ns, samples[begin - first : end - first], item.format)
            self._ended(run, item, end)

    def _ended(self, run: Run, item: Played, end: int) -> None:
        """After the last sample of a run nothing sounds until the next one."""
        if end == run.first_sample + run.samples:
            self._passed += 1
            following = self._starts[self._passed : self._passed + 1]
            if not following or following[0] > run.start_ns + item.format.ns(run.samples):
                self._quiet()

    def _quiet(self) -> None:
        later = self._starts[self._passed : self._passed + 1]
        self.placer.quiet_until(later[0] if later else self._end_ns)


def _touching(runs: tuple[Run, ...], first: int, last: int) -> Iterator[Run]:
    for run in runs:
        if run.first_sample >= last:
            return
        if run.first_sample + run.samples > first:
            yield run


def user(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """The user's whole input on the session's clock, in blocks of a second."""
    channel = UserChannel(layout, rate)
    for event in events(True):
        fact = decode(event)
        if isinstance(fact, InputAppended):
            channel.take(event, fact)
            yield from _full(channel.placer)
    yield from _rest(channel.placer)


def assistant(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """The assistant on the session's clock, in blocks of a second."""
    channel = AssistantChannel(layout, rate)
    for event in events(True):
        channel.take(event, decode(event))
        yield from _full(channel.placer)
    yield from _rest(channel.placer)


def _full(placer: Placer) -> Iterator[Samples]:
    while placer.available >= placer.rate:
        yield placer.take(placer.rate)


def _rest(placer: Placer) -> Iterator[Samples]:
    placer.quiet_until(0)
    yield from _full(placer)
    if placer.available:
        yield placer.take(placer.available)


def stereo(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """User left, assistant right, on one clock: blocks of shape (samples, 2)."""
    left, right = UserChannel(layout, rate), AssistantChannel(layout, rate)
    for event in events(True):
        fact = decode(event)
        if isinstance(fact, InputAppended):
            left.take(event, fact)
        else:
            right.take(event, fact)
        while min(left.placer.available, right.placer.available) >= rate:
            yield _both(left.placer, right.placer, rate)
    left.placer.quiet_until(layout.end_ns)
    right.placer.quiet_until(layout.end_ns)
    while size := min(max(left.placer.available, right.placer.available), rate):
        yield _both(left.placer, right.placer, size)


def _both(left: Placer, right: Placer, size: int) -> Samples:
    return np.stack((left.take(size), right.take(size)), axis=1)


TRACKS: Final = {"user": (user, 1), "assistant": (assistant, 1), "stereo": (stereo, 2)}
"""Tracks by name: what streams them, and how many channels they have."""


def clip(blocks: Iterable[Samples], rate: int, start_ns: int, end_ns: int) -> Iterator[Samples]:
    """The part of a track between two times."""
    first = max(0, start_ns) * rate // 1_000_000_000
    last = max(0, end_ns) * rate // 1_000_000_000
    position = 0
    for block in blocks:
        if position >= last:
            return
        piece = block[max(0, first - position) : max(0, last - position)]
        if len(piece):
            yield piece
        position += len(block)


def item_audio(events: EventSource, item_id: str) -> Iterator[bytes]:
    """The audio of an assistant's item, piece by piece, exactly as it came.

    Pieces that are gone are zero bytes of the same length.
    """
    streams = Streams()
    for event in events(True):
        fact = decode(event)
        if isinstance(fact, AudioDelta):
            if streams.of(event.seq, fact.response, fact.item)[1] == item_id:
                audio = audio_of(event, "delta")
                yield bytes(fact.size) if audio is None else audio
        elif isinstance(fact, ResponseCreated):
            streams.created(event.seq, fact)
        elif isinstance(fact, ResponseDone):
            streams.done(event.seq, fact)
        elif isinstance(fact, OutputItemAdded):
            streams.item_added(event.seq, fact)


def user_audio(
    events: EventSource, layout: Layout, start_offset_ns: int, end_offset_ns: int
) -> Iterator[tuple[AudioFormat, Samples]]:
    """A slice of the axis of appended audio: what became of an utterance.

    Samples come in the format in which they were sent, which may change on the way.
    """
    row = -1
    decoder: Decoder | None = None
    position = 0
    forms = [(epoch.form, epoch.base_ns, len(epoch.sizes)) for epoch in layout.epochs]
    left = 0
    for event in events(True):
        fact = decode(event)
        if not isinstance(fact, InputAppended):
            continue
        while left == 0 and row + 1 < len(forms):
            row += 1
            left, position, decoder = forms[row][2], 0, Decoder(forms[row][0])
        if decoder is None:
            return
        left -= 1
        form, base_ns, _ = forms[row]
        audio = audio_of(event, "audio")
        samples = decoder.push(bytes(fact.size) if audio is None else audio)
        first = max(0, form.samples_in(start_offset_ns - base_ns) - position)
        last = max(0, form.samples_in(end_offset_ns - base_ns) - position)
        position += len(samples)
        if last == 0 and base_ns >= end_offset_ns:
            return
        if len(samples[first:last]):
            yield form, samples[first:last]

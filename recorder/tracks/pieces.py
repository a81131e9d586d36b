"""Pieces of the sound, each by itself: a turn of the user's, an item, a response.

Laws:

1. A piece at the rate in which its audio was sent or received is that audio, sample for sample.
2. All pieces that are wanted come out of one pass. What is kept in memory is what came before its
   turn: the second item of a response, while the first still comes.
3. A piece holds of an item what its timeline holds: on `heard` an item ends where it was cut.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..audio.codecs import Decoder
from ..audio.placing import Resampler
from ..dialects import item_audio_of
from ..dialects.facts import (
    AudioDelta,
    InputAppended,
    ItemAsked,
    ItemRetrieved,
)
from ..projections.base import in_runs, on
from ..projections.streams import StreamsPart
from .channels import appended_audio, delta_audio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..audio.codecs import Samples
    from ..audio.formats import AudioFormat
    from ..events import Event
    from ..projections.base import Chunks
    from ..projections.model import Turn, Utterance
    from .layout import EventSource, Layout


class Slice(NamedTuple):
    """Samples of a stretch of appended audio in one format: [first, last)."""

    form: AudioFormat
    samples: int
    epoch: int
    first: int


class Spoken(NamedTuple):
    """The beginning of an assistant's item."""

    form: AudioFormat
    samples: int
    item: str


class Inside(NamedTuple):
    """All audio inside an item, by the number of the event that carried it."""

    form: AudioFormat
    samples: int
    seq: int


Source: TypeAlias = Slice | Spoken | Inside


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to be heard by itself."""

    kind: str
    """`turn`, `item`, `response`."""
    name: str
    """Number of the turn, id of the item or of the response."""
    speaker: str
    sources: tuple[Source, ...]
    """What it consists of, in order."""

    @property
    def rate(self) -> int:
        """The highest rate in it."""
        return max(source.form.rate for source in self.sources)


def turn_pieces(
    layout: Layout, turns: Iterable[Turn], utterances: Iterable[Utterance]
) -> list[Piece]:
    """What the user said in each turn in which anything was said."""
    said = {utterance.item_id: utterance for utterance in utterances}
    inside = {found.audio.item: found.audio for found in reversed(layout.inside)}
    found = []
    for turn in turns:
        sources: list[Source] = []
        for item in turn.user_items:
            if item in said:
                sources += _slices(layout, said[item])
            elif item in inside:
                audio = inside[item]
                sources.append(Inside(audio.form, audio.samples, audio.at.seq))
        if sources:
            found.append(Piece("turn", str(turn.index), "user", tuple(sources)))
    return found


def item_pieces(layout: Layout, utterances: Iterable[Utterance] = ()) -> list[Piece]:
    """Each item with audio, in order of time (of the log, where there are no times): the user's as
    committed, sent or given back; the assistant's."""
    found: list[tuple[int, Piece]] = []
    timed = all(item.arrived_ns is not None for item in layout.playback.items)
    for said in utterances:
        if slices := tuple(_slices(layout, said)):
            place = said.start_ns if timed else said.arrival_seq or said.stopped_seq or 0
            found.append((place, Piece("item", said.item_id, "user", slices)))
    for there in layout.inside:
        audio = there.audio
        name = audio.item if audio.by == "client" else f"{audio.item}-retrieved"
        source = Inside(audio.form, audio.samples, audio.at.seq)
        place = audio.at.at_ns if timed else audio.at.seq
        found.append((place, Piece("item", name, audio.role or "user", (source,))))
    arrived = {
        item.item_id: item.evidence[0] if item.arrived_ns is None else item.arrived_ns
        for item in layout.playback.items
    }
    for spoken in _spoken(layout):
        found.append((arrived[spoken.item], Piece("item", spoken.item, "assistant", (spoken,))))
    return [piece for _, piece in sorted(found, key=lambda pair: pair[0])]


def response_pieces(layout: Layout) -> list[Piece]:
    """What was said in each response: its items one after the other."""
    owners = {item.item_id: item.response_id for item in layout.playback.items}
    responses: dict[str, list[Spoken]] = {}
    for spoken in _spoken(layout):
        responses.setdefault(owners[spoken.item], []).append(spoken)
    return [Piece("response", name, "assistant", tuple(items)) for name, items in responses.items()]


def _spoken(layout: Layout) -> Iterator[Spoken]:
    """Assistant's items, as far as they are on the timeline."""
    for item in layout.playback.items:
        samples = item.heard_samples if layout.timeline == "heard" else item.received_samples
        if samples:
            yield Spoken(item.format, samples, item.item_id)


def _slices(layout: Layout, said: Utterance) -> Iterator[Slice]:
    yield from slices_of(layout, said.start_offset_ns, said.end_offset_ns)


def slices_of(layout: Layout, start_offset_ns: int, end_offset_ns: int) -> Iterator[Slice]:
    """What of each format lies in this part of the axis of appended audio."""
    for row, epoch in enumerate(layout.epochs):
        form = epoch.form
        first = max(0, form.samples_in(start_offset_ns - epoch.base_ns))
        last = min(form.samples_in(end_offset_ns - epoch.base_ns), form.samples(epoch.size))
        if last > first:
            yield Slice(form, last - first, row, first)


class Part(NamedTuple):
    """Some of a piece."""

    piece: int
    """Which of those that were asked for."""
    samples: Samples
    rate: int
    last: bool
    """Nothing more of this piece comes."""


def stream_pieces(
    events: EventSource, layout: Layout, pieces: Sequence[Piece], rate: int | None = None
) -> Iterator[Part]:
    """All these pieces out of one pass, each at `rate`, or at its own. Pieces may interleave."""
    outputs = [_Output(row, piece, rate or piece.rate) for row, piece in enumerate(pieces)]
    router = _Router(layout, pieces)
    for _ in router.feeding(events(True)):
        while router.found:
            piece, source, samples = router.found.popleft()
            yield from outputs[piece].add(source, samples)
    for output in outputs:
        yield from output.finish()


class _Output:
    """Puts the sources of a piece in their order, at one rate."""

    def __init__(self, row: int, piece: Piece, rate: int) -> None:
        self._row, self._sources, self._rate = row, piece.sources, rate
        self._left = [source.samples for source in piece.sources]
        self._early: dict[int, list[Samples]] = {}
        self._at = 0
        self._resampler = Resampler(piece.sources[0].form.rate, rate)
        self._done = False

    def add(self, source: int, samples: Samples) -> Iterator[Part]:
        """Samples of a source; they wait if those before it are not whole yet."""
        if source != self._at:
            self._early.setdefault(source, []).append(samples)
            return
        yield from self._give(samples)
        while not self._done and self._left[self._at] <= 0:
            yield from self._next()

    def _give(self, samples: Samples) -> Iterator[Part]:
        self._left[self._at] -= len(samples)
        ready = self._resampler.push(samples)
        if len(ready):
            yield Part(self._row, ready, self._rate, False)

    def _next(self) -> Iterator[Part]:
        """The next source, or the end."""
        self._at += 1
        self._done = self._at == len(self._sources)
        source = None if self._done else self._sources[self._at]
        if source is None or source.form.rate != self._resampler.source:
            yield Part(self._row, self._resampler.finish(), self._rate, self._done)
        if source is not None:
            if source.form.rate != self._resampler.source:
                self._resampler = Resampler(source.form.rate, self._rate)
            for samples in self._early.pop(self._at, ()):
                yield from self._give(samples)

    def finish(self) -> Iterator[Part]:
        """The log is at its end: what is still missing does not come any more."""
        while not self._done:
            yield from self._next()


class _Router(StreamsPart):
    """Finds the samples of all sources that are wanted, as their events pass."""

    def __init__(self, layout: Layout, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self.found: deque[tuple[int, int, Samples]] = deque()
        self._layout = layout
        self._slices: list[tuple[Slice, int, int]] = []
        self._spoken: dict[str, list[tuple[Spoken, int, int]]] = {}
        self._inside: dict[int, list[tuple[Inside, int, int]]] = {}
        for row, piece in enumerate(pieces):
            for nth, source in enumerate(piece.sources):
                match source:
                    case Slice():
                        self._slices.append((source, row, nth))
                    case Spoken():
                        self._spoken.setdefault(source.item, []).append((source, row, nth))
                    case Inside():
                        self._inside.setdefault(source.seq, []).append((source, row, nth))
        self._slices.sort(key=lambda wanted: (wanted[0].epoch, wanted[0].first))
        self._epoch = -1
        self._left = 0
        self._position = 0
        self._decoders: dict[str, tuple[Decoder, int]] = {}
        self._decoder: Decoder | None = None

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        for audio in appended_audio(run):
            self._append(audio)

    def _append(self, audio: bytes) -> None:
        epochs = self._layout.epochs
        while not self._left:
            self._epoch += 1
            if self._epoch >= len(epochs):
                return
            self._left, self._position = len(epochs[self._epoch].sizes), 0
            self._decoder = Decoder(epochs[self._epoch].form)
        assert self._decoder is not None
        self._left -= 1
        samples = self._decoder.push(audio)
        begin, self._position = self._position, self._position + len(samples)
        while self._slices and _is_over(self._slices[0][0], self._epoch, begin):
            del self._slices[0]
        for wanted, row, nth in self._slices:
            if wanted.epoch > self._epoch or wanted.first >= self._position:
                break
            first = max(wanted.first - begin, 0)
            last = max(wanted.first + wanted.samples - begin, 0)
            if len(samples[first:last]):
                self.found.append((row, nth, samples[first:last]))

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        _, name = self._streams.of(event.seq, fact.response, fact.item)
        if name not in self._spoken:
            return
        form = self._spoken[name][0][0].form
        decoder, first = self._decoders.get(name) or (Decoder(form), 0)
        samples = decoder.push(delta_audio(event, fact))
        self._decoders[name] = (decoder, first + len(samples))
        for wanted, row, nth in self._spoken[name]:
            kept = samples[: max(wanted.samples - first, 0)]
            if len(kept):
                self.found.append((row, nth, kept))

    @on(ItemAsked, ItemRetrieved)
    def _item(self, event: Event, fact: ItemAsked | ItemRetrieved) -> None:
        for wanted, row, nth in self._inside.get(event.seq, ()):
            audio = item_audio_of(event)
            data = bytes(fact.audio_size) if audio is None else audio
            self.found.append((row, nth, Decoder(wanted.form).push(data)))


def _is_over(wanted: Slice, epoch: int, position: int) -> bool:
    return (wanted.epoch, wanted.first + wanted.samples) <= (epoch, position)


def item_audio(events: EventSource, item_id: str) -> Iterator[bytes]:
    """The audio of an assistant's item, delta by delta, exactly as it came.

    Deltas that are gone are zero bytes of the same length.
    """
    collector = _Bytes(item_id)
    for _ in collector.feeding(events(True)):
        while collector.found:
            yield collector.found.popleft()


class _Bytes(StreamsPart):
    """The bytes of one item."""

    def __init__(self, item_id: str) -> None:
        super().__init__()
        self.found: deque[bytes] = deque()
        self._item = item_id

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        if self._streams.of(event.seq, fact.response, fact.item)[1] == self._item:
            self.found.append(delta_audio(event, fact))


def user_audio(
    events: EventSource, layout: Layout, start_offset_ns: int, end_offset_ns: int
) -> Iterator[tuple[AudioFormat, Samples]]:
    """A slice of the axis of appended audio: what became of an utterance.

    Samples come in the format in which they were sent, which may change on the way.
    """
    slices = tuple(slices_of(layout, start_offset_ns, end_offset_ns))
    if not slices:
        return
    router = _Router(layout, [Piece("slice", "", "user", slices)])
    for _ in router.feeding(events(True)):
        while router.found:
            _, nth, samples = router.found.popleft()
            yield slices[nth].form, samples

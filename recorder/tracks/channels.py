"""The two channels of a call: folds that put each piece of sound at its place on the clock."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from ..audio.codecs import Decoder
from ..audio.placing import Placer
from ..dialects import audio_of, item_audio_of
from ..dialects.facts import (
    AudioDelta,
    InputAppended,
    ItemAsked,
)
from ..projections.base import Part, in_runs, on
from ..projections.streams import StreamsPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..audio.formats import AudioFormat
    from ..events import Event
    from ..projections.base import Chunks
    from ..projections.capture import Anchor
    from ..projections.model import Played, Run
    from .layout import Layout, Placement

MOST_DRIFT_NS: Final = 100_000_000
"""More than this between two stretches is not two clocks running apart."""
_BATCH: Final = 64_000  # bytes of user audio that are decoded at once


def appended_audio(run: Chunks) -> Sequence[bytes]:
    """The bytes of each append; zero bytes where they are gone."""
    pieces = run.audio()
    if None in pieces:
        pairs = zip(pieces, run.sizes, strict=True)
        return [bytes(size) if audio is None else audio for audio, size in pairs]
    return cast("Sequence[bytes]", pieces)


def delta_audio(event: Event, fact: AudioDelta) -> bytes:
    """The bytes of a delta; zero bytes where they are gone."""
    if event.audio is not None:
        return event.audio
    audio = audio_of(event, "delta")
    return bytes(fact.size) if audio is None else audio


class UserChannel(Part):
    """Places what the user sent."""

    def __init__(self, layout: Layout, rate: int) -> None:
        super().__init__()
        self.placer = Placer(rate)
        self._anchors = layout.clock.anchors
        self._epochs = layout.epochs
        self._firsts = [0]
        for epoch in layout.epochs:
            self._firsts.append(self._firsts[-1] + len(epoch.sizes))
        self._inside = deque(found for found in layout.inside if found.start_ns is not None)
        self._end_ns = layout.end_ns
        self._row = 0
        self._chunk = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._done = 0
        self._drift = 0
        self._decoder: Decoder | None = None
        self._next_anchor()

    def finish(self) -> None:
        """No more comes: silence up to the end."""
        self._flush()
        self.placer.quiet_until(self._end_ns)

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        self.append(appended_audio(run))

    def append(self, pieces: Sequence[bytes]) -> None:
        """The next appends."""
        begin = 0
        while begin < len(pieces) and self._row < len(self._anchors):
            last = self._anchors[self._row].last
            end = min(begin + last - self._chunk, len(pieces))
            self._waiting += pieces[begin:end]
            self._size += sum(map(len, pieces[begin:end]))
            self._chunk += end - begin
            begin = end
            if self._chunk == last:
                self._flush()
                self._row += 1
                self._next_anchor()
            elif self._size >= _BATCH:
                self._flush()

    @on(ItemAsked)
    def _sent_whole(self, event: Event, fact: ItemAsked) -> None:
        """Audio inside an item, if it has a place."""
        if not self._inside or self._inside[0].audio.at.seq != event.seq:
            return
        found = self._inside.popleft()
        audio = item_audio_of(event)
        form = found.audio.form
        samples = Decoder(form).push(bytes(found.audio.size) if audio is None else audio)
        assert found.start_ns is not None
        self.placer.put(found.start_ns, samples, form)
        self._quiet()

    def _next_anchor(self) -> None:
        """Silence up to where the next stretch begins, or to the end."""
        if self._row < len(self._anchors):
            anchor: Anchor = self._anchors[self._row]
            form = self._epochs[bisect_right(self._firsts, anchor.first) - 1].form
            self._decoder = self._decoder_for(form)
            self._done = 0
            self._drift = self._too_much(anchor, form)
        self._quiet()

    def _quiet(self) -> None:
        """Nothing sounds before what comes next."""
        starts = [self._end_ns]
        if self._row < len(self._anchors):
            anchor = self._anchors[self._row]
            starts.append(anchor.start_ns + anchor.offset_ns)
        if self._inside:
            following: Placement = self._inside[0]
            starts.append(following.start_ns or 0)
        self.placer.quiet_until(min(starts))

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
        if self._decoder is None or not self._waiting or self._row >= len(self._anchors):
            return
        anchor, form = self._anchors[self._row], self._decoder.form
        samples = self._decoder.push(b"".join(self._waiting))
        skipped = max(0, min(self._drift - self._done, len(samples)))
        begin = anchor.start_ns + anchor.offset_ns + form.ns(self._done + skipped)
        self.placer.put(begin, samples[skipped:], form)
        self._done += len(samples)
        self._waiting.clear()
        self._size = 0


class AssistantChannel(StreamsPart):
    """Places what the assistant said, as far as the layout says that it is on the timeline."""

    def __init__(self, layout: Layout, rate: int) -> None:
        super().__init__()
        self.placer = Placer(rate)
        self._items = {item.item_id: item for item in layout.playback.items}
        self._decoders: dict[str, tuple[Decoder, int]] = {}
        self._open = ""
        self._waiting: list[bytes] = []
        self._size = 0
        self._left = 0
        """Bytes of the open item that have not come yet."""
        self._starts = sorted(run.start_ns for item in layout.playback.items for run in item.runs)
        self._end_ns = layout.end_ns
        self._passed = 0
        self._quiet()

    def finish(self) -> None:
        """No more comes: what waits is put in its place, and silence up to the end."""
        self._flush()
        self.placer.quiet_until(self._end_ns)

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        _, name = self._streams.of(event.seq, fact.response, fact.item)
        self.add(name, delta_audio(event, fact))

    def add(self, name: str, audio: bytes) -> None:
        """The next delta of this item."""
        if name != self._open:
            self._flush()
            self._open, self._left = name, self._missing(name)
        size = len(audio)
        self._waiting.append(audio)
        self._size += size
        self._left -= size
        if self._size >= _BATCH or self._left <= 0:
            self._flush()

    def _missing(self, name: str) -> int:
        """Bytes of an item that have not come yet, or not been placed."""
        item, (_, placed) = self._items.get(name), self._decoders.get(name, (None, 0))
        return 0 if item is None else (item.received_samples - placed) * item.format.width

    def _flush(self) -> None:
        """Place what waits of the open item."""
        name, data = self._open, b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        item = self._items.get(name)
        if item is None or not data:
            return
        decoder, first = self._decoders.get(name) or (Decoder(item.format), 0)
        samples = decoder.push(data)
        last = first + len(samples)
        self._decoders[name] = (decoder, last)
        for run in _touching(item.runs, first, last):
            begin = max(run.first_sample, first)
            end = min(run.first_sample + run.samples, last)
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
    """The runs that these samples of an item lie in."""
    begin = 0
    if len(runs) > 1:
        begin = max(bisect_right(runs, first, key=lambda run: run.first_sample) - 1, 0)
    for run in runs[begin:]:
        if run.first_sample >= last:
            return
        if run.first_sample + run.samples > first:
            yield run

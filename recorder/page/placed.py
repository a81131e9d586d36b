"""The outlines of a call's sound, made of pieces that are drawn once and put where they belong.

The sound of a call is placed late: a stretch of the user's audio by a clock that the next minute
may move, an item of the assistant's by a queue that a truncation cuts behind what was drawn. So
what is drawn is the sound as it came, each stretch and each item by itself (`Blocks`), and where
a block stands in the call is said anew as often as one likes (`Drawn`): no sample is looked at
twice, and no audio is kept.

Laws:

1. A block of a stream is as long as a bin of the outline (`sound.STEP` samples at `sound.RATE`)
   and stands in the bin that is nearest to it: by less than a bin beside where it sounds.
2. How a stream was cut when it came, and how often it was drawn on the way, changes nothing.
3. Drawing costs what changed: from the first bin on at which a piece lies otherwise than before.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..audio.codecs import Decoder
from ..dialects import item_audio_of
from ..dialects.facts import AudioDelta, InputAppended, ItemAsked
from ..projections.base import Part, in_runs, on
from ..projections.streams import StreamsPart
from ..tracks.channels import appended_audio, delta_audio
from .sound import COARSER, LEVELS, RATE, STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..audio.codecs import Samples
    from ..audio.formats import AudioFormat
    from ..events import Event
    from ..projections.base import Chunks
    from ..projections.inputs import Epoch, Inputs
    from ..projections.playback import PlaybackFold
    from ..tracks import Layout

Values: TypeAlias = NDArray[np.int8]
Sides: TypeAlias = tuple[Values, Values]
"""Lows and highs."""

CHANNELS: Final = ("user", "assistant", "unheard")
_LEAST: Final = 64
_SECOND: Final = 1_000_000_000


class _Row:
    """Small numbers in a row that grows at its end."""

    __slots__ = ("_room", "size")

    def __init__(self) -> None:
        self._room: Values = np.zeros(_LEAST, np.int8)
        self.size = 0

    @property
    def values(self) -> Values:
        return self._room[: self.size]

    def resize(self, size: int) -> None:
        """So many; new ones are 0."""
        if size > len(self._room):
            room = np.zeros(max(size, 2 * len(self._room)), np.int8)
            room[: self.size] = self.values
            self._room = room
        self._room[self.size : size] = 0
        self.size = size

    def add(self, values: Values) -> None:
        before = self.size
        self.resize(before + len(values))
        self._room[before : self.size] = values


class Blocks:
    """The lowest and the highest of every block of a stream, in 8 bits."""

    def __init__(self, form: AudioFormat) -> None:
        self.rate = form.rate
        self.samples = 0
        self._decoder = Decoder(form)
        self._low, self._high = _Row(), _Row()
        self._rest: Samples = np.zeros(0, np.int16)

    def take(self, audio: bytes) -> None:
        """More of the stream, as it passed on the wire."""
        samples = self._decoder.push(audio)
        joined = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        first, self.samples = self._low.size, self.samples + len(samples)
        bounds = self._bounds(first, self.samples * RATE // (STEP * self.rate) + 1)
        end = int(bounds[-1])
        if len(bounds) > 1:
            self._low.add((np.minimum.reduceat(joined[:end], bounds[:-1]) >> 8).astype(np.int8))
            self._high.add((np.maximum.reduceat(joined[:end], bounds[:-1]) >> 8).astype(np.int8))
        self._rest = joined[end:].copy()

    def _bounds(self, first: int, end: int) -> NDArray[np.int64]:
        """Where these blocks begin, counted from the first of them."""
        bounds: NDArray[np.int64] = np.arange(first, end, dtype=np.int64) * (STEP * self.rate)
        bounds = -(-bounds // RATE)
        return bounds - int(bounds[0])

    def block(self, sample: int) -> int:
        """The block whose beginning is nearest to this sample."""
        return (2 * sample * RATE + STEP * self.rate) // (2 * STEP * self.rate)

    def piece(self, at_ns: int, first: int, samples: int) -> Piece:
        """So many samples from the first one on, to sound at this time."""
        begin, end = self.block(first), self.block(first + samples)
        filled = min(self.samples, -(-end * STEP * self.rate // RATE))
        return Piece(bin_of(at_ns), self, begin, end, filled)

    def between(self, first: int, last: int) -> Sides:
        """These blocks; of the one that is not whole yet, what is there."""
        low, high = self._low.values[first:last], self._high.values[first:last]
        if first <= self._low.size < last and len(self._rest):
            low = np.append(low, np.int8(int(self._rest.min()) >> 8))
            high = np.append(high, np.int8(int(self._rest.max()) >> 8))
        return low, high


class Piece(NamedTuple):
    """Blocks of a stream, and the bin in which the first of them stands."""

    at: int
    source: Blocks
    first: int
    last: int
    filled: int
    """Samples of the stream that these blocks know."""

    @property
    def end(self) -> int:
        return self.at + self.last - self.first

    def changed(self, other: Piece) -> int:
        """The first bin that would be another with this other piece in its place."""
        if self[:3] == other[:3]:
            seen = min(self.filled, other.filled) * RATE // (STEP * self.source.rate)
            return self.at + max(min(self.last, other.last, seen) - self.first, 0)
        return min(self.at, other.at)


def bin_of(at_ns: int) -> int:
    """The bin whose beginning is nearest to this time; nothing stands before the first."""
    return max((2 * at_ns * RATE + STEP * _SECOND) // (2 * STEP * _SECOND), 0)


class Drawn:
    """One channel: its pieces in their places, and coarser outlines of the same."""

    def __init__(self) -> None:
        self.levels = [(_Row(), _Row()) for _ in range(LEVELS)]
        self._pieces: list[Piece] = []

    def draw(self, pieces: list[Piece], bins: int) -> int:
        """Put these pieces in their places; the first bin that is another than before."""
        begin = min(self._begin(pieces), bins, self.levels[0][0].size)
        self._pieces = pieces
        for row in self.levels[0]:
            row.resize(begin)
            row.resize(bins)
        low, high = (row.values for row in self.levels[0])
        for piece in pieces:
            if (end := min(piece.end, bins)) > begin:
                at = max(piece.at, begin)
                lows, highs = piece.source.between(piece.first + at - piece.at, piece.last)
                end = min(end, at + len(lows))
                low[at:end], high[at:end] = lows[: end - at], highs[: end - at]
        self._coarser(begin)
        return begin

    def _begin(self, pieces: list[Piece]) -> int:
        """The first bin in which a piece lies otherwise."""
        begin = 1 << 62
        for before, after in zip_longest(self._pieces, pieces):
            if before is None or after is None:
                begin = min(begin, (before or after).at)
            elif before != after:
                begin = min(begin, before.changed(after))
        return max(begin, 0)

    def _coarser(self, begin: int) -> None:
        for (low, high), (lower, higher) in zip(self.levels, self.levels[1:], strict=False):
            begin //= COARSER
            for fine, coarse, pick in ((low, lower, np.minimum), (high, higher, np.maximum)):
                coarse.resize(begin)
                values = fine.values[begin * COARSER :]
                if len(values):
                    coarse.add(pick.reduceat(values, np.arange(0, len(values), COARSER)))


# ---- what is drawn


class UserBlocks(Part):
    """Draws what the user sent, each stretch in one format; runs after `Inputs`."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.epochs: list[Blocks] = []
        self.inside: dict[int, Blocks] = {}
        """Audio inside items, by the event that carried it."""
        self._inputs = inputs
        self._epoch: Epoch | None = None

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        epoch = self._inputs.epochs[-1]
        if epoch is not self._epoch:
            self._epoch = epoch
            self.epochs.append(Blocks(epoch.form))
        self.epochs[-1].take(b"".join(appended_audio(run)))

    @on(ItemAsked)
    def _sent_whole(self, event: Event, fact: ItemAsked) -> None:
        if fact.audio_size:
            audio = item_audio_of(event)
            blocks = self.inside[event.seq] = Blocks(self._inputs.inside[-1].form)
            blocks.take(bytes(fact.audio_size) if audio is None else audio)


class AssistantBlocks(StreamsPart):
    """Draws what the assistant said, each item; runs after the fold of the playback."""

    def __init__(self, playback: PlaybackFold) -> None:
        super().__init__()
        self.items: dict[str, Blocks] = {}
        self._playback = playback

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        _, name = self._streams.of(event.seq, fact.response, fact.item)
        blocks = self.items.get(name)
        if blocks is None:
            blocks = self.items[name] = Blocks(self._playback.format_of(name))
        blocks.take(delta_audio(event, fact))


# ---- where it stands


def user_pieces(layout: Layout, drawn: UserBlocks) -> list[Piece]:
    """What the user said, in order of time."""
    found, row = [], 0
    for anchor in layout.clock.anchors:
        while row + 1 < len(layout.epochs) and anchor.start_ns >= layout.epochs[row + 1].base_ns:
            row += 1
        epoch, blocks = layout.epochs[row], drawn.epochs[row]
        first = epoch.form.samples_in(anchor.start_ns - epoch.base_ns)
        last = epoch.form.samples_in(anchor.end_ns - epoch.base_ns)
        found.append(blocks.piece(anchor.start_ns + anchor.offset_ns, first, last - first))
    for there in layout.inside:
        if there.start_ns is not None:
            blocks = drawn.inside[there.audio.at.seq]
            found.append(blocks.piece(there.start_ns, 0, blocks.samples))
    return sorted(found, key=lambda piece: piece.at)


def heard_pieces(layout: Layout, drawn: AssistantBlocks) -> list[Piece]:
    """What was played of the assistant's items."""
    return [
        drawn.items[item.item_id].piece(run.start_ns, run.first_sample, run.samples)
        for item in layout.playback.items
        for run in item.runs
    ]


def unheard_pieces(layout: Layout, drawn: AssistantBlocks) -> list[Piece]:
    """What was generated and never played, where it would have been played next."""
    items = {item.item_id: item for item in layout.playback.items}
    return [
        drawn.items[cut.item_id].piece(cut.at_ns, item.heard_samples, rest)
        for cut in layout.cuts
        if (rest := (item := items[cut.item_id]).received_samples - item.heard_samples) > 0
    ]


class Outlines:
    """The outlines of a call that may still grow."""

    def __init__(self, inputs: Inputs, playback: PlaybackFold) -> None:
        self.user, self.assistant = UserBlocks(inputs), AssistantBlocks(playback)
        self.samples = 0
        """Of the call at `sound.RATE`; 0 where there is no sound."""
        self._drawn = {name: Drawn() for name in CHANNELS}

    def draw(self, layout: Layout) -> int:
        """Put all that is there in its place; the first bin that is another than before."""
        has_sound = layout.has_user or layout.has_assistant
        self.samples = -(-layout.end_ns * RATE // _SECOND) if has_sound else 0
        bins = -(-self.samples // STEP)
        pieces = (
            user_pieces(layout, self.user),
            heard_pieces(layout, self.assistant),
            unheard_pieces(layout, self.assistant),
        )
        pairs = zip(self._drawn.values(), pieces, strict=True)
        return min(drawn.draw(found, bins) for drawn, found in pairs)

    def levels(self) -> Iterator[tuple[int, int]]:
        """(samples a step, steps) of each level, the finest first; none without sound."""
        if self.samples:
            for number, (low, _) in enumerate(self._drawn["user"].levels):
                yield STEP * COARSER**number, low.size

    def between(self, level: int, first: int, last: int) -> dict[str, Sides]:
        """A part of a level; a channel that is still throughout is left out."""
        found = {}
        for name, drawn in self._drawn.items():
            low, high = (row.values[first:last] for row in drawn.levels[level])
            if low.any() or high.any():
                found[name] = low, high
        return found


def coarse(bin_number: int, level: int) -> int:
    """Where a bin of the finest level lies on a coarser one."""
    step: int = COARSER**level
    return bin_number // step

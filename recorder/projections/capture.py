"""The capture clock: when the user's audio was captured, from when it arrived.

A live microphone makes (arrival of a chunk) - (its end on the axis of appended audio) nearly
constant; stalls and bursts of the network only ever make it larger. So capture time is the
lower envelope of that offset (metrics.md §1). The envelope starts anew after a pause in
sending, which lifts the offset for good, and when the format changes. A stall lifts it too, but
what was held up then arrives faster than it was spoken and the offset comes back. It also starts
anew where the envelope of a whole minute has moved by over 30 ms: the clocks of a sound card and
of a recorder run apart by a few hundred milliseconds an hour.

Audio that arrives faster than it can have been spoken, with no stall before it, was not
captured live: it has no capture clock. It is placed to end when its last chunk arrived.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio.formats import MS, SECOND

if TYPE_CHECKING:
    from .inputs import Inputs

PAUSE_NS: Final = 200 * MS
"""Silence on the wire beyond a chunk's own length that may be a pause or a stall."""
LOOK_AHEAD_NS: Final = 5 * SECOND
"""How much audio after a silence is looked at to tell the two apart."""
FASTER: Final = 10
"""Audio that runs ahead of time by over a tenth of its length was not sent as it was spoken."""
JITTER_NS: Final = 100 * MS
"""What the envelope may fall by in any case."""
CHUNK_NS: Final = 500 * MS
"""The longest single chunk that a live client may send."""

WINDOW_NS: Final = 60 * SECOND
DRIFT_NS: Final = 30 * MS
"""Two clocks may run apart by this much before the envelope starts anew."""

Ints = NDArray[np.int64]


class Anchor(NamedTuple):
    """A stretch of the axis on one capture clock."""

    first: int
    """Index of its first chunk."""
    last: int
    """Index after its last chunk."""
    start_ns: int
    """On the axis."""
    end_ns: int
    offset_ns: int
    """Session time = axis + offset."""
    realtime: bool


def _start(anchor: Anchor) -> int:
    return anchor.start_ns


class Silence(NamedTuple):
    """A stretch of the session in which nothing was captured: muted, paused, push-to-talk."""

    start_ns: int
    end_ns: int
    seq: int
    """The append that ended it."""


class Stall(NamedTuple):
    """Appends held up on their way: nothing came, then what had been captured meanwhile."""

    start_ns: int
    """Arrival of the append before."""
    end_ns: int
    """Arrival of the append that ended it."""
    seq: int


class Burst(NamedTuple):
    """Input that came faster than it can have been spoken: it has no capture clock."""

    start_ns: int
    """Where it was placed on the session's clock."""
    end_ns: int
    seq: int
    """The append that ended it."""


@dataclass(frozen=True, slots=True)
class CaptureClock:
    """Translates positions on the axis of appended audio into the session's time."""

    ends: Ints
    """End of each chunk on the axis."""
    times: Ints
    """Arrival of each chunk."""
    seqs: Ints
    anchors: tuple[Anchor, ...]

    @property
    def total_ns(self) -> int:
        """Length of the axis."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def anchor(self, axis_ns: int, *, end: bool = False) -> Anchor | None:
        """The stretch that holds the sample after this position (before it, for an `end`)."""
        if not self.anchors:
            return None
        find = bisect_left if end else bisect_right
        row = find(self.anchors, axis_ns, key=_start) - 1
        return self.anchors[max(row, 0)]

    def between(self, low_ns: int, high_ns: int) -> tuple[tuple[int, int, bool], ...] | None:
        """All that a translation of positions in this stretch depends on; None where some of them
        lie beyond what has come."""
        if not self.anchors or high_ns > self.total_ns:
            return None
        first = max(bisect_left(self.anchors, low_ns, key=_start) - 1, 0)
        last = bisect_right(self.anchors, high_ns, key=_start)
        return tuple(
            [
                (anchor.start_ns, anchor.offset_ns, anchor.realtime)
                for anchor in self.anchors[first:last]
            ]
        )

    def time(self, axis_ns: int, *, end: bool = False) -> int | None:
        """When what stands there was captured, or where it was placed; None without input."""
        anchor = self.anchor(axis_ns, end=end)
        return None if anchor is None else axis_ns + anchor.offset_ns

    def arrival(self, axis_ns: int, *, end: bool = False) -> tuple[int, int] | None:
        """(time, sequence number) of the append that brought it; None if none did yet."""
        row = int(np.searchsorted(self.ends, axis_ns, side="left" if end else "right"))
        if row >= len(self.ends):
            return None
        return int(self.times[row]), int(self.seqs[row])

    @property
    def silences(self) -> tuple[Silence, ...]:
        """Pauses in what was captured, after the first sample and before the last."""
        found = []
        for before, after in pairwise(self.anchors):
            start, end = before.end_ns + before.offset_ns, after.start_ns + after.offset_ns
            if end - start >= PAUSE_NS:
                found.append(Silence(start, end, int(self.seqs[after.first])))
        return tuple(found)

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """Where the uplink held audio up, in the stretches that were live."""
        late = np.diff(self.times - self.ends) > PAUSE_NS
        live = np.zeros(len(self.ends), bool)
        for anchor in self.anchors:
            live[anchor.first + 1 : anchor.last] = anchor.realtime
        rows = np.flatnonzero(late & live[1:]) + 1
        return tuple(
            Stall(int(self.times[row - 1]), int(self.times[row]), int(self.seqs[row]))
            for row in rows
        )

    @property
    def bursts(self) -> tuple[Burst, ...]:
        """What was not sent as it was captured."""
        return tuple(
            Burst(
                anchor.start_ns + anchor.offset_ns,
                anchor.end_ns + anchor.offset_ns,
                int(self.seqs[anchor.last - 1]),
            )
            for anchor in self.anchors
            if not anchor.realtime
        )

    @property
    def realtime(self) -> bool | None:
        """Whether all input was sent as it was captured; None without input."""
        return all(anchor.realtime for anchor in self.anchors) if self.anchors else None


def capture_clock(inputs: Inputs) -> CaptureClock:
    """The capture clock of everything that was appended so far."""
    ends, times, seqs, cuts = _chunks(inputs)
    if not inputs.timed and len(ends):  # no clock at all: positions are those in the audio
        whole = Anchor(0, len(ends), 0, int(ends[-1]), 0, False)
        return CaptureClock(ends, times, seqs, (whole,))
    return CaptureClock(ends, times, seqs, tuple(_anchors(ends, times, cuts)))


def _chunks(inputs: Inputs) -> tuple[Ints, Ints, Ints, list[int]]:
    """Ends on the axis, arrivals, numbers; and where the format changed."""
    ends: list[Ints] = [np.zeros(0, np.int64)]
    times, seqs = list(ends), list(ends)
    cuts, count = [], 0
    for epoch in inputs.epochs:
        cuts.append(count)
        count += len(epoch.sizes)
        samples = np.cumsum(np.frombuffer(epoch.sizes, np.int64)) // epoch.form.width
        ends.append(samples * SECOND // epoch.form.rate + epoch.base_ns)
        times.append(np.frombuffer(epoch.times, np.int64))
        seqs.append(np.frombuffer(epoch.seqs, np.int64))
    return np.concatenate(ends), np.concatenate(times), np.concatenate(seqs), cuts


def _anchors(ends: Ints, times: Ints, cuts: list[int]) -> list[Anchor]:
    """Split at format changes and pauses, and put each stretch on its clock."""
    offsets = times - ends
    silent = np.flatnonzero(np.diff(offsets) > PAUSE_NS) + 1
    found: list[Anchor] = []
    for begin, end in pairwise([*cuts, len(ends)]):
        first = begin
        for row in (int(r) for r in silent if begin < r < end):
            if not _is_live(ends, times, first, row) or _is_pause(ends, offsets, first, row, end):
                found += _on_clock(ends, times, first, row, found)
                first = row
        if end > begin:
            found += _on_clock(ends, times, first, end, found)
    return found


def _on_clock(ends: Ints, times: Ints, first: int, last: int, before: list[Anchor]) -> list[Anchor]:
    """A stretch without pauses: one anchor, or several where the clocks ran apart."""
    if not _is_live(ends, times, first, last):
        return [_anchor(ends, times, first, last, before)]
    cuts = [first, *_drifts(ends, times - ends, first, last), last]
    return [_anchor(ends, times, a, b, None) for a, b in pairwise(cuts)]


def _drifts(ends: Ints, offsets: Ints, first: int, last: int) -> list[int]:
    """Where the envelope of a whole minute has moved too far from where it stood."""
    start = int(ends[first])
    windows = (int(ends[last - 1]) - start) // WINDOW_NS
    if windows < 2:
        return []
    rows = first + np.searchsorted(ends[first:last], start + np.arange(windows) * WINDOW_NS)
    lowest = np.minimum.reduceat(offsets[:last], rows)
    cuts, base = [], int(lowest[0])
    for row, low in zip(rows[1:], lowest[1:], strict=True):
        if abs(int(low) - base) > DRIFT_NS:
            cuts.append(int(row))
            base = int(low)
    return cuts


def _is_pause(ends: Ints, offsets: Ints, first: int, row: int, end: int) -> bool:
    """Whether the offset stays up after the silence before `row`: over half of the jump."""
    base = int(offsets[first:row].min())
    jump = int(offsets[row] - offsets[row - 1])
    until = int(np.searchsorted(ends, ends[row - 1] + LOOK_AHEAD_NS, side="right"))
    after = int(offsets[row : max(min(until, end), row + 1)].min())
    return after - base > jump // 2


def _is_live(ends: Ints, times: Ints, first: int, last: int) -> bool:
    """Whether the stretch was sent no faster than it can have been spoken.

    The envelope of its second half is held against that of its first: neither a stall nor a
    preroll moves it, a file that is sent at once does. A first chunk longer than 500 ms counts
    as sent at once.
    """
    offsets = times[first:last] - ends[first:last]
    start = int(ends[first - 1]) if first else 0
    half = (int(ends[last - 1]) - start) // 2
    middle = int(np.searchsorted(ends[first:last], start + half))
    if middle:
        early = int(offsets[:middle].min())
    else:
        early = int(times[first]) - min(start + CHUNK_NS, int(ends[first]))
    fall = early - int(offsets[middle:].min())
    return fall <= JITTER_NS or fall * FASTER <= half


def _anchor(ends: Ints, times: Ints, first: int, last: int, before: list[Anchor] | None) -> Anchor:
    """One stretch on its clock; one that was not live is placed behind what was `before`."""
    start = int(ends[first - 1]) if first else 0
    end = int(ends[last - 1])
    if before is None:
        offset = int((times[first:last] - ends[first:last]).min())
        return Anchor(first, last, start, end, offset, True)
    earliest = max(0, before[-1].end_ns + before[-1].offset_ns) if before else 0
    offset = max(int(times[last - 1]) - end, earliest - start)
    return Anchor(first, last, start, end, offset, False)

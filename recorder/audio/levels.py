"""An energy detector for speech: frames decide, samples refine, memory stays small.

A frame of 10 ms is active when its RMS reaches the threshold. The threshold is -45 dBFS, or
12 dB over the noise floor (the level that 2 % of all frames stay under) where that is
higher, but never over -33 dBFS. Activity that pauses for no longer than the hangover is one
stretch; a stretch with under 60 ms of active frames is a click, not speech. It begins with the
first sample of its first frame, and ends after the last of its last, that reaches the amplitude
of -45 dBFS: so a known signal is found to the sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .codecs import Samples

FRAME_MS: Final = 10
THRESHOLD_DBFS: Final = -45.0
OVER_FLOOR_DB: Final = 12.0
HIGHEST_DBFS: Final = -33.0
HANGOVER_MS: Final = 200
LEAST_MS: Final = 60
AMPLITUDE: Final = 184
"""-45 dBFS as a sample value: 32768 * 10^(-45/20)."""
CLIPPED: Final = 32_700
_ROOM: Final = 256  # frames at first
_SILENT: Final = -20_000  # centi-decibels: below anything 16 bits can hold


class Stretch(NamedTuple):
    """Speech, in samples of the stream: [start, end)."""

    start: int
    end: int


class Levels:
    """Frame levels of one stream at one rate; six bytes kept for every 10 ms.

    It may be asked again and again as the stream goes on: what was found stands as long as the
    threshold does, and is only looked for in what came since.
    """

    def __init__(self, rate: int) -> None:
        self.frame = max(1, rate * FRAME_MS // 1000)
        self.samples = 0
        self.clipped = 0
        self._rest: Samples = np.zeros(0, np.int16)
        self._frames = 0
        self._levels: NDArray[np.int16] = np.zeros(_ROOM, np.int16)
        self._edges: NDArray[np.uint16] = np.zeros((2, _ROOM), np.uint16)
        self._loudness: NDArray[np.int64] = np.zeros(1 - _SILENT, np.int64)
        """How many frames have each level, the quietest first."""
        self._found = _Islands()

    def push(self, samples: Samples) -> None:
        """Take more of the stream. Cheapest in blocks of a second or so."""
        self.samples += len(samples)
        whole = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        count = len(whole) // self.frame
        self._rest = whole[count * self.frame :].copy()
        if count:
            frames = whole[: count * self.frame].reshape(count, self.frame)
            levels = self._measure(frames)
            self._loudness += np.bincount(levels.astype(np.int64) - _SILENT, minlength=1 - _SILENT)
            self._frames += count
            self.clipped += int(((frames >= CLIPPED) | (frames <= -CLIPPED)).sum())

    def _measure(self, frames: Samples) -> NDArray[np.int16]:
        """Levels and edges of these frames, put behind those of the frames that were counted."""
        begin, end = self._frames, self._frames + len(frames)
        if end > len(self._levels):
            more = max(end, 2 * len(self._levels)) - len(self._levels)
            self._levels = np.pad(self._levels, (0, more))
            self._edges = np.pad(self._edges, ((0, 0), (0, more)))
        self._levels[begin:end] = levels = _centibels(frames)
        loud = (frames >= AMPLITUDE) | (frames <= -AMPLITUDE)
        self._edges[0, begin:end] = loud.argmax(axis=1)
        self._edges[1, begin:end] = self.frame - 1 - loud[:, ::-1].argmax(axis=1)
        return levels

    def _all(self) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
        """Levels and edges of all frames, the unfinished one filled up with silence."""
        end = self._frames
        if len(self._rest):
            self._measure(np.pad(self._rest, (0, self.frame - len(self._rest))).reshape(1, -1))
            end += 1
        return self._levels[:end], self._edges[:, :end]

    def threshold_dbfs(self) -> float:
        """The threshold that the noise of this stream asks for."""
        levels, _ = self._all()
        if not len(levels):
            return THRESHOLD_DBFS
        up_to = np.cumsum(self._loudness)
        if len(levels) > self._frames:
            up_to[int(levels[-1]) - _SILENT :] += 1
        floor = int(np.searchsorted(up_to, len(levels) // 50, side="right")) + _SILENT
        return min(max(THRESHOLD_DBFS, floor / 100 + OVER_FLOOR_DB), HIGHEST_DBFS)

    def told(self) -> dict[str, float]:
        """What was used: threshold and hangover."""
        return {
            "threshold_dbfs": round(self.threshold_dbfs(), 2),
            "hangover_ms": float(HANGOVER_MS),
        }

    def islands(self) -> list[Stretch]:
        """Active frames in a row, clicks left out; refined to the sample at both ends."""
        levels, edges = self._all()
        threshold = round(self.threshold_dbfs() * 100)
        if threshold != self._found.threshold:
            self._found = _Islands(threshold)
        begin = self._found.since
        starts, ends = (rows + begin for rows in _rows(levels[begin:] >= threshold))
        keep = _not_clicks(starts, ends)
        first = starts * self.frame + edges[0][starts]
        after = (ends - 1) * self.frame + edges[1][ends - 1] + 1
        later = [Stretch(int(a), int(b)) for a, b in zip(first[keep], after[keep], strict=True)]
        whole = [*self._found.settled, *later]
        self._settle(starts, ends, keep, later)
        return whole

    def _settle(
        self,
        starts: NDArray[np.intp],
        ends: NDArray[np.intp],
        keep: NDArray[np.bool_],
        later: list[Stretch],
    ) -> None:
        """What lies before a pause that is over stays as it is."""
        pauses = np.flatnonzero(starts[1:] - ends[:-1] > HANGOVER_MS // FRAME_MS)
        if len(pauses):
            row = int(pauses[-1]) + 1
            self._found.settled += later[: int(keep[:row].sum())]
            self._found.since = int(starts[row])


class _Islands:
    """What was found at a threshold in the frames before one that begins after a pause."""

    def __init__(self, threshold: int | None = None) -> None:
        self.threshold, self.since = threshold, 0
        self.settled: list[Stretch] = []


def _centibels(frames: Samples) -> NDArray[np.int16]:
    """RMS of each frame in hundredths of a decibel of full scale."""
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / frames.shape[1]
    with np.errstate(divide="ignore"):
        levels = 1000 * np.log10(power / 32768**2)
    rounded: NDArray[np.int16] = np.maximum(np.rint(levels), _SILENT).astype(np.int16)
    return rounded


def _rows(active: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where runs of True begin, and where they end (exclusive)."""
    edges = np.diff(np.concatenate(([False], active, [False])).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _not_clicks(starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Runs that, with those within the hangover of them, are active long enough."""
    if not len(starts):
        return np.zeros(0, bool)
    group = np.concatenate(([0], np.cumsum(starts[1:] - ends[:-1] > HANGOVER_MS // FRAME_MS)))
    lengths = np.bincount(group, weights=ends - starts)
    return np.asarray(lengths[group] >= LEAST_MS // FRAME_MS)


def bridged(islands: list[Stretch], hangover: int) -> list[Stretch]:
    """Islands that lie no further apart than `hangover` (same unit), as one stretch each."""
    found: list[Stretch] = []
    for island in islands:
        if found and island.start - found[-1].end <= hangover:
            found[-1] = Stretch(found[-1].start, island.end)
        else:
            found.append(island)
    return found


class FirstAudible:
    """Finds the first audible sample of a stream by the same rule, at the fixed threshold."""

    def __init__(self, rate: int) -> None:
        self.frame = max(1, rate * FRAME_MS // 1000)
        self.found: int | None = None
        self._seen = 0
        self._rest: Samples = np.zeros(0, np.int16)

    def push(self, samples: Samples) -> None:
        """Take more of the stream; nothing is looked at any more once it is found."""
        if self.found is not None:
            return
        whole = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        self.found = self._search(whole, len(whole) // self.frame)
        kept = len(whole) // self.frame * self.frame
        self._rest = whole[kept:].copy()
        self._seen += kept

    def at_end(self) -> int | None:
        """The sample's position, an unfinished last frame counted as if silence followed."""
        if self.found is not None or not len(self._rest):
            return self.found
        return self._search(np.pad(self._rest, (0, self.frame - len(self._rest))), 1)

    def _search(self, samples: Samples, count: int) -> int | None:
        frames = samples[: count * self.frame].reshape(count, self.frame)
        active = _centibels(frames) >= round(THRESHOLD_DBFS * 100) if count else np.zeros(0, bool)
        if not active.any():
            return None
        row = int(active.argmax())
        loud = np.abs(frames[row].astype(np.int32)) >= AMPLITUDE
        return self._seen + row * self.frame + int(loud.argmax())

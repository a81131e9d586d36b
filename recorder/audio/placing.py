"""Puts sound at times and fills the rest with silence: a track, made as it streams by.

Positions of the output are counted in its samples. Sound that continues where the last one
ended is one stretch and goes through one resampler; a stretch of n samples becomes exactly
round(n x rate / own rate). What would lie before the end of what is there is put at that end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from .formats import SECOND

if TYPE_CHECKING:
    from .codecs import Samples
    from .formats import AudioFormat

QUALITY: Final = "HQ"
"""soxr's recipe: transparent for 16 bits, and about 7,000 times faster than real time."""


class Resampler:
    """One stretch at one rate, to another, in pieces; the same rate passes untouched."""

    def __init__(self, source: int, target: int) -> None:
        self.source, self.target = source, target
        self.taken = 0
        self.given = 0
        same = source == target
        # In float: to 16 bits, soxr adds noise that is another one each time.
        self._stream = None if same else soxr.ResampleStream(source, target, 1, "float32", QUALITY)

    def push(self, samples: Samples) -> Samples:
        """What is ready after these."""
        self.taken += len(samples)
        ready = samples if self._stream is None else self._resampled(samples, last=False)
        self.given += len(ready)
        return ready

    def finish(self) -> Samples:
        """The rest; with it, exactly the length that the stretch asks for came out."""
        owed = self.length(self.taken) - self.given
        if self._stream is None or owed <= 0:
            return np.zeros(0, np.int16)
        rest = self._resampled(np.zeros(0, np.int16), last=True)[:owed]
        self.given += owed
        return np.pad(rest, (0, owed - len(rest)))

    def _resampled(self, samples: Samples, *, last: bool) -> Samples:
        assert self._stream is not None
        found = self._stream.resample_chunk(samples.astype(np.float32), last=last)
        rounded: Samples = np.clip(np.rint(found), -32768, 32767).astype(np.int16)
        return rounded

    def length(self, samples: int) -> int:
        """How many samples so many become, rounded to the nearest."""
        return (2 * samples * self.target + self.source) // (2 * self.source)


class Placer:
    """One channel while it is put together. Silence is kept as a count, not as samples."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.available = 0
        """Samples that can be taken now."""
        self._pieces: deque[Samples | int] = deque()
        self._stretch: Resampler | None = None
        self._start_ns = 0
        self._start = 0
        self._position = 0  # where the next stretch can begin at the earliest

    def put(self, at_ns: int, samples: Samples, form: AudioFormat) -> None:
        """Sound in this format, beginning at this time."""
        stretch = self._stretch
        if stretch is None or not self._continues(stretch, at_ns, form):
            self._close()
            self._start = max(self._sample_at(at_ns), self._position)
            self._start_ns = at_ns
            self._silence(self._start - self._position)
            stretch = self._stretch = Resampler(form.rate, self.rate)
        self._add(stretch.push(samples))
        self._position = self._start + stretch.length(stretch.taken)

    def quiet_until(self, at_ns: int) -> None:
        """Nothing more sounds before this time."""
        self._close()
        self._silence(self._sample_at(at_ns) - self._position)

    def _continues(self, stretch: Resampler, at_ns: int, form: AudioFormat) -> bool:
        """Whether it begins where the last sample ended, but for rounding to a sample."""
        if stretch.source != form.rate:
            return False
        apart = at_ns - self._start_ns - form.ns(stretch.taken)
        return abs(apart) * form.rate <= SECOND

    def _sample_at(self, at_ns: int) -> int:
        return (2 * at_ns * self.rate + SECOND) // (2 * SECOND)

    def _close(self) -> None:
        if self._stretch is not None:
            self._add(self._stretch.finish())
            self._stretch = None

    def _add(self, samples: Samples) -> None:
        if len(samples):
            self._pieces.append(samples)
            self.available += len(samples)

    def _silence(self, samples: int) -> None:
        if samples > 0:
            self._pieces.append(samples)
            self.available += samples
            self._position += samples

    def take(self, samples: int) -> Samples:
        """The next so many samples, filled up with silence where there are fewer."""
        found = np.empty(samples, np.int16)
        self.take_into(found)
        return found

    def take_into(self, found: Samples) -> None:
        """The same into an array: as many as it holds."""
        samples, filled = len(found), 0
        while filled < samples and self._pieces:
            piece = self._pieces.popleft()
            size = piece if isinstance(piece, int) else len(piece)
            used = min(size, samples - filled)
            found[filled : filled + used] = 0 if isinstance(piece, int) else piece[:used]
            if used < size:
                self._pieces.appendleft(size - used if isinstance(piece, int) else piece[used:])
            filled += used
        found[filled:] = 0
        self.available -= filled

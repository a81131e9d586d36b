"""Hearing when the user has stopped speaking, from the energy of what is appended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..audio.codecs import Decoder
from ..dialects.reading import integer, mapping

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat

LOUD: Final = 0.0056 * 32768
"""-45 dBFS, root mean square: above it, somebody speaks."""
SPOKEN_NS: Final = 60_000_000
"""What must be loud before it counts."""
QUIET_NS: Final = 500_000_000
"""What must be quiet after it, in the audio, unless the session says; or so long nothing is
appended at all."""
MS: Final = 1_000_000


class Ears:
    """Hears one client."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._form: AudioFormat | None = None
        self._loud_ns = self._quiet_ns = 0
        self._last_ns: int | None = None
        self._window_ns = QUIET_NS

    def configure(self, session: dict[str, Any]) -> None:
        """The session as it was stated: how long a silence ends a turn."""
        given = mapping(mapping(session, "audio"), "input")
        detection = mapping(given, "turn_detection") or mapping(session, "turn_detection")
        window_ms = integer(detection, "silence_duration_ms")
        if window_ms is not None and 0 < window_ms <= 60_000:
            self._window_ns = window_ms * MS

    @property
    def hearing(self) -> bool:
        """Whether somebody is speaking, or has just done so."""
        return self._loud_ns >= SPOKEN_NS

    def push(self, data: bytes, form: AudioFormat, now_ns: int) -> bool:
        """Appended audio: whether the user has stopped speaking with it."""
        if self._decoder is None or form != self._form:
            self._decoder, self._form = Decoder(form), form
        samples = self._decoder.push(data)
        self._last_ns = now_ns
        size = max(1, form.rate // 50)
        ended = False
        for row in range(0, len(samples), size):
            ended = self._hear(samples[row : row + size], form) or ended
        return ended

    def _hear(self, samples: np.ndarray, form: AudioFormat) -> bool:
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        length = form.ns(len(samples))
        if level >= LOUD:
            self._loud_ns, self._quiet_ns = self._loud_ns + length, 0
            return False
        self._quiet_ns += length
        return self.hearing and self._quiet_ns >= self._window_ns and self.forget()

    def due(self) -> int | None:
        """When the user counts as having stopped because nothing more is appended."""
        if self._last_ns is None or not self.hearing:
            return None
        return self._last_ns + max(self._window_ns, QUIET_NS)

    def poll(self, now_ns: int) -> bool:
        """Whether that is now."""
        due = self.due()
        return due is not None and now_ns >= due and self.forget()

    def forget(self) -> bool:
        """What was heard has ended: in silence, or because it was committed."""
        self._loud_ns = self._quiet_ns = 0
        return True

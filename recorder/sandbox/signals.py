"""What the assistant's audio is made of: clips, and signals that can be found again exactly.

Everything is made at 24 kHz; a session converts it to the format that was asked for. A sound is a
row of segments. Written as JSON a segment is an object, known by its first member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recorder.sandbox import voices
from recorder.sandbox.formats import Samples

RATE = voices.RATE
"""Samples a second of everything here."""

LONGEST_MS = 600_000
"""What one segment may last: ten minutes are 29 MB."""

EDGE_MS = 2
"""Hum fades in and out over this; tones and chirps start and stop at full level, so that their
onset is one sample."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One of the shipped utterances."""

    clip: str

    def __post_init__(self) -> None:
        if self.clip not in voices.NAMES:
            raise ValueError(f"no clip {self.clip!r}; there are: {', '.join(voices.NAMES)}")

    def samples(self) -> Samples:
        """As it lies in the file."""
        return voices.load(self.clip).samples


@dataclass(frozen=True, slots=True)
class Tone:
    """A sine that starts at its crest, so that its first sample is its loudest."""

    tone: float
    """Hertz."""
    ms: int = 500
    level: float = 0.5
    """Of full scale."""

    def __post_init__(self) -> None:
        _check_length(self.ms)

    def samples(self) -> Samples:
        """`ms` of it."""
        return _whole(self.level * np.cos(2 * np.pi * self.tone * _seconds(self.ms)))


@dataclass(frozen=True, slots=True)
class Chirp:
    """A sine whose frequency goes linearly from the first to the second: found by correlation."""

    chirp: tuple[float, float]
    """Hertz at the start and at the end."""
    ms: int = 500
    level: float = 0.5

    def __post_init__(self) -> None:
        _check_length(self.ms)

    def samples(self) -> Samples:
        """`ms` of it."""
        low, high = self.chirp
        t = _seconds(self.ms)
        sweep = (high - low) / max(self.ms / 1000, 1e-9)
        return _whole(self.level * np.cos(2 * np.pi * (low * t + sweep * t * t / 2)))


@dataclass(frozen=True, slots=True)
class Silence:
    """Digital silence."""

    silence: int
    """Milliseconds."""

    def __post_init__(self) -> None:
        _check_length(self.silence)

    def samples(self) -> Samples:
        """Zeros."""
        return np.zeros(self.silence * RATE // 1000, dtype=np.int16)


@dataclass(frozen=True, slots=True)
class Hum:
    """Something with the rhythm of speech, for a text that no clip says: one hum a word."""

    hum: str
    """The text."""

    def samples(self) -> Samples:
        """60 ms a letter and a breath between the words."""
        return joined([part for word in self.hum.split() for part in _hummed(word)])


Segment = Clip | Tone | Chirp | Silence | Hum


def joined(segments: Sequence[Segment | Samples]) -> Samples:
    """All of them, one after the other."""
    parts = [s if isinstance(s, np.ndarray) else s.samples() for s in segments]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)


def _check_length(ms: int) -> None:
    if not 0 <= ms <= LONGEST_MS:
        raise ValueError(f"a sound lasts 0 to {LONGEST_MS} ms, not {ms}")


def _hummed(word: str) -> tuple[Samples, Samples]:
    t = _seconds(60 * min(len(word), 12))
    pitch = 140 + 20 * (len(word) % 4)
    wave = np.sin(2 * np.pi * pitch * t) + 0.4 * np.sin(2 * np.pi * pitch * 4 * t)
    edge = np.minimum(1, np.minimum(t, t[::-1]) * 1000 / EDGE_MS)
    return _whole(0.2 * wave * edge), Silence(40).samples()


def _seconds(ms: int) -> NDArray[np.float64]:
    return np.arange(ms * RATE // 1000) / RATE


def _whole(wave: NDArray[np.float64]) -> Samples:
    return np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)

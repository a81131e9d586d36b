"""Audio formats of the Realtime protocol: PCM16 at a rate, and G.711 at 8 kHz.

G.711 by table (ITU-T G.711, with the inverted bits of the wire): the standard library's
`audioop` is gone since Python 3.13.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.int16]


class AudioFormat(NamedTuple):
    """How audio lies in bytes; `kind` is `pcm`, `pcmu` or `pcma`."""

    kind: str
    rate: int

    @property
    def width(self) -> int:
        """Bytes a sample."""
        return 2 if self.kind == "pcm" else 1

    def milliseconds(self, size: int) -> int:
        """How long so many bytes last, whole milliseconds, rounded down."""
        return size // self.width * 1000 // self.rate

    def bytes_in(self, milliseconds: int) -> int:
        """How many bytes that long is, whole samples, rounded down."""
        return milliseconds * self.rate // 1000 * self.width


PCM24 = AudioFormat("pcm", 24_000)
ULAW = AudioFormat("pcmu", 8_000)
ALAW = AudioFormat("pcma", 8_000)


def decode(data: bytes, audio: AudioFormat) -> Samples:
    """The samples in these bytes; half a sample at the end is left out."""
    if audio.kind == "pcm":
        return np.frombuffer(data[: len(data) & ~1], dtype="<i2").astype(np.int16)
    return _expansion(audio.kind)[np.frombuffer(data, dtype=np.uint8)]


def encode(samples: Samples, audio: AudioFormat) -> bytes:
    """The bytes of these samples."""
    if audio.kind == "pcm":
        return samples.astype("<i2").tobytes()
    return _compression(audio.kind)[samples.view(np.uint16)].tobytes()


def resample(samples: Samples, old_rate: int, new_rate: int) -> Samples:
    """The same sound at another rate."""
    if old_rate == new_rate or not samples.size:
        return samples
    return np.asarray(soxr.resample(samples, old_rate, new_rate), dtype=np.int16)


def transcode(data: bytes, old: AudioFormat, new: AudioFormat) -> bytes:
    """The same sound in another format."""
    if old == new:
        return data
    return encode(resample(decode(data, old), old.rate, new.rate), new)


@functools.cache
def _expansion(kind: str) -> Samples:
    """What each of the 256 codes stands for."""
    codes = np.arange(256)
    return (_expand_ulaw(codes) if kind == "pcmu" else _expand_alaw(codes)).astype(np.int16)


def _expand_ulaw(codes: NDArray[np.int_]) -> NDArray[np.int_]:
    inverted = ~codes & 0xFF
    exponent, mantissa = inverted >> 4 & 7, inverted & 15
    magnitude = ((mantissa << 3) + 132 << exponent) - 132
    return np.where(inverted & 0x80, -magnitude, magnitude)


def _expand_alaw(codes: NDArray[np.int_]) -> NDArray[np.int_]:
    toggled = codes ^ 0x55
    exponent, mantissa = toggled >> 4 & 7, toggled & 15
    low = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, low, low + 256 << np.maximum(exponent - 1, 0))
    return np.where(toggled & 0x80, magnitude, -magnitude)


@functools.cache
def _compression(kind: str) -> NDArray[np.uint8]:
    """The nearest code for each of the 65,536 samples, seen as unsigned numbers."""
    order = np.argsort(_expansion(kind), kind="stable")
    levels = _expansion(kind)[order].astype(np.int32)
    borders = (levels[1:] + levels[:-1]) / 2
    samples = np.arange(65_536).astype(np.uint16).view(np.int16)
    return order[np.searchsorted(borders, samples, side="right")].astype(np.uint8)

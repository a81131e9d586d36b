"""Bytes of the wire <-> int16 samples: PCM16, and G.711 µ-law and A-law by tables.

G.711 expands to 14 and 13 bits, which are shifted up to 16 as ITU-T G.191 does; compressing
what was expanded gives the same code back (except µ-law's negative zero, which becomes the
positive one).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .formats import ALAW, PCM16, ULAW, AudioFormat

Samples: TypeAlias = NDArray[np.int16]


def _expand_ulaw() -> Samples:
    """ITU-T G.711 table 2a, all 256 codes."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code >> 4) & 7)
    value = magnitude - 0x84
    return np.where(code & 0x80, -value, value).astype(np.int16)


def _expand_alaw() -> Samples:
    """ITU-T G.711 table 1a, all 256 codes."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = ((code >> 4) & 7).astype(np.int32)
    low = ((code & 0x0F).astype(np.int32) << 4) + 8
    value = np.where(segment == 0, low, (low + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.int16)


def _compress(table: Samples, order: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The nearest code for each of the 65,536 sample values; ties go towards zero."""
    levels = table[order].astype(np.int32)
    values = np.arange(-32768, 32768, dtype=np.int32)
    above = np.clip(np.searchsorted(levels, values), 1, len(levels) - 1)
    low, high = levels[above - 1], levels[above]
    down, up = values - low, high - values
    lower = (down < up) | ((down == up) & (np.abs(low) < np.abs(high)))
    return order[np.where(lower, above - 1, above)].astype(np.uint8)


def _by_level(table: Samples, positive_zero: int) -> NDArray[np.intp]:
    """Codes sorted by the level they stand for; of two that stand for 0, the positive."""
    order = np.argsort(table, kind="stable")
    return np.array([c for c in order if table[c] != 0 or c == positive_zero], dtype=np.intp)


_EXPAND = {ULAW: _expand_ulaw(), ALAW: _expand_alaw()}
_COMPRESS = {name: _compress(table, _by_level(table, 0xFF)) for name, table in _EXPAND.items()}


def decode_audio(data: bytes, form: AudioFormat) -> Samples:
    """The samples in `data`; an odd byte at the end of PCM16 is left out."""
    if form.encoding == PCM16:
        return np.frombuffer(data, "<i2", len(data) // 2).astype(np.int16, copy=False)
    return _EXPAND[form.encoding][np.frombuffer(data, np.uint8)]


def encode_audio(samples: Samples, form: AudioFormat) -> bytes:
    """The bytes for these samples."""
    if form.encoding == PCM16:
        return samples.astype("<i2").tobytes()
    return _COMPRESS[form.encoding][samples.astype(np.int32) + 32768].tobytes()


class Decoder:
    """Decodes a stream that comes in pieces: an odd byte waits for its other half."""

    def __init__(self, form: AudioFormat) -> None:
        self.form = form
        self._odd = b""

    def push(self, data: bytes) -> Samples:
        """The samples that are whole now."""
        if self._odd:
            data, self._odd = self._odd + data, b""
        if len(data) % self.form.width:
            data, self._odd = data[:-1], data[-1:]
        return decode_audio(data, self.form)

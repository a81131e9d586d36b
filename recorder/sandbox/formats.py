"""The audio formats that the sandbox speaks, and sound carried over from one to another."""

from __future__ import annotations

import numpy as np
import soxr

from recorder.audio import formats
from recorder.audio.codecs import Samples
from recorder.audio.codecs import decode_audio as decode
from recorder.audio.codecs import encode_audio as encode
from recorder.audio.formats import AudioFormat

PCM24 = formats.DEFAULT_FORMAT
ULAW = AudioFormat(formats.ULAW, 8_000)
ALAW = AudioFormat(formats.ALAW, 8_000)

__all__ = [
    "ALAW",
    "PCM24",
    "ULAW",
    "AudioFormat",
    "Samples",
    "decode",
    "encode",
    "resample",
    "transcode",
]


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

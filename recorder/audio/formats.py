"""The audio formats of the wire, and the arithmetic from bytes to samples to nanoseconds.

Laws:

1. Counts are summed as bytes or samples and converted once: no rounded durations are added up.
2. What a provider calls a format is read leniently; a name that says nothing gives None, never
   a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SECOND = 1_000_000_000
"""Nanoseconds."""
MS = 1_000_000
"""Nanoseconds in a millisecond."""

PCM16, ULAW, ALAW = "pcm16", "g711_ulaw", "g711_alaw"
"""The encodings, by their beta names."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How bytes are to be heard: mono, one of three encodings, at a rate."""

    encoding: str = PCM16
    rate: int = 24_000

    @property
    def width(self) -> int:
        """Bytes a sample."""
        return 2 if self.encoding == PCM16 else 1

    def samples(self, size: int) -> int:
        """Whole samples in so many bytes; an odd one over waits for its other half."""
        return size // self.width

    def ns(self, samples: int) -> int:
        """How long so many samples last."""
        return samples * SECOND // self.rate

    def ns_of_bytes(self, size: int) -> int:
        """How long so many bytes last."""
        return self.ns(size // self.width)

    def samples_in(self, ns: int) -> int:
        """Whole samples that fit into so much time, rounding to the nearest."""
        return (ns * self.rate + SECOND // 2) // SECOND

    def milliseconds(self, size: int) -> int:
        """How long so many bytes last, in whole milliseconds, rounded down."""
        return size // self.width * 1000 // self.rate

    def bytes_in(self, milliseconds: int) -> int:
        """How many bytes that long is: whole samples, rounded down."""
        return milliseconds * self.rate // 1000 * self.width

    def __str__(self) -> str:
        return f"{self.encoding} {self.rate} Hz"


DEFAULT_FORMAT = AudioFormat()
"""What holds until somebody says otherwise: PCM16 at 24 kHz, in both dialects."""

_ENCODINGS = {
    "pcm16": PCM16,
    "pcm": PCM16,
    "audio/pcm": PCM16,
    "g711_ulaw": ULAW,
    "audio/pcmu": ULAW,
    "pcmu": ULAW,
    "mulaw": ULAW,
    "g711_alaw": ALAW,
    "audio/pcma": ALAW,
    "pcma": ALAW,
    "alaw": ALAW,
}
_RATE = re.compile(r"[-_;]\s*(?:rate=)?(\d{4,6})(?:\s*hz)?$", re.IGNORECASE)
_RATES = range(1_000, 768_001)


def parse_format(value: Any, rate: Any = None) -> AudioFormat | None:
    """The format that `value` names: a beta string, a GA object; None where it says nothing.

    `rate` is a rate that was stated beside it (Voice Live's `input_audio_sampling_rate`); one
    inside the value wins. Names with a rate in them (`pcm16-16000hz`) are understood.
    """
    if isinstance(value, dict):
        return parse_format(value.get("type"), value.get("rate") or rate)
    if not isinstance(value, str):
        return None
    name = value.strip().lower()
    if found := _RATE.search(name):
        name, rate = name[: found.start()], found.group(1)
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        return None
    return AudioFormat(encoding, _rate(rate) or (24_000 if encoding == PCM16 else 8_000))


def _rate(value: Any) -> int | None:
    """A plausible rate in Hz, from a number or the digits of one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 8:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _RATES:
        return value
    return None

"""Audio formats: what providers call them, and counting without rounding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.formats import ALAW, PCM16, ULAW, AudioFormat, parse_format


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pcm16", AudioFormat(PCM16, 24_000)),
        ("g711_ulaw", AudioFormat(ULAW, 8_000)),
        ("g711_alaw", AudioFormat(ALAW, 8_000)),
        ({"type": "audio/pcm", "rate": 24_000}, AudioFormat(PCM16, 24_000)),
        ({"type": "audio/pcm", "rate": "16000"}, AudioFormat(PCM16, 16_000)),
        ({"type": "audio/pcm"}, AudioFormat(PCM16, 24_000)),
        ({"type": "audio/pcmu"}, AudioFormat(ULAW, 8_000)),
        ({"type": "audio/pcma"}, AudioFormat(ALAW, 8_000)),
        ("pcm16-16000hz", AudioFormat(PCM16, 16_000)),
        ("pcm16_8000hz", AudioFormat(PCM16, 8_000)),
        ("audio/pcm;rate=48000", AudioFormat(PCM16, 48_000)),
        ("not specified", None),
        ("", None),
        (None, None),
        (17, None),
        ({"type": "audio/opus"}, None),
        ({"type": "audio/pcm", "rate": -1}, AudioFormat(PCM16, 24_000)),
        ({"type": "audio/pcm", "rate": True}, AudioFormat(PCM16, 24_000)),
    ],
)
def test_a_format_is_read_from_every_name(value: object, expected: AudioFormat | None) -> None:
    """Names that say nothing give nothing, never a guess."""
    assert parse_format(value) == expected


def test_a_rate_beside_the_format_counts() -> None:
    """Voice Live states `input_audio_sampling_rate` next to `pcm16`."""
    assert parse_format("pcm16", 16_000) == AudioFormat(PCM16, 16_000)


def test_g711_has_eight_bytes_a_millisecond() -> None:
    """And PCM16 at 24 kHz has forty-eight."""
    assert AudioFormat(ULAW, 8_000).ns_of_bytes(8) == 1_000_000
    assert AudioFormat().ns_of_bytes(48) == 1_000_000


@given(st.integers(0, 10**10), st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]))
def test_samples_survive_the_way_to_time_and_back(samples: int, rate: int) -> None:
    """However long the call: no drift."""
    form = AudioFormat(PCM16, rate)
    assert form.samples_in(form.ns(samples)) == samples

"""PCM16 and G.711: tables, lengths, conversions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.sandbox.formats import ALAW, PCM24, ULAW, AudioFormat, decode, encode, transcode
from tests.sandbox_driver import tone

ALL_CODES = bytes(range(256))


@pytest.mark.parametrize(
    ("audio", "code", "sample"),
    [
        (ULAW, 0xFF, 0),
        (ULAW, 0x00, -32124),
        (ULAW, 0x80, 32124),
        (ULAW, 0xF0, 120),
        (ULAW, 0x70, -120),
        (ALAW, 0xD5, 8),
        (ALAW, 0x55, -8),
        (ALAW, 0xAA, 32256),
        (ALAW, 0x2A, -32256),
    ],
)
def test_codes_stand_for_what_g711_says(audio, code, sample):
    """Some codes of the standard's tables, scaled to 16 bits as everybody does."""
    assert decode(bytes([code]), audio)[0] == sample


@pytest.mark.parametrize(("audio", "quiet"), [(ULAW, 0xFF), (ALAW, 0xD5)])
def test_silence_has_its_usual_code(audio, quiet):
    """Zero is the positive zero, as on every telephone line."""
    assert encode(np.zeros(3, dtype=np.int16), audio) == bytes([quiet] * 3)


@pytest.mark.parametrize("audio", [ULAW, ALAW])
def test_encoding_gives_the_nearest_code(audio):
    """No other code is nearer to any of the 65,536 samples."""
    samples = np.arange(-32768, 32768).astype(np.int16)
    levels = np.unique(decode(ALL_CODES, audio).astype(np.int32))
    nearest = np.abs(samples[:, None].astype(np.int32) - levels[None, :]).min(axis=1)

    coded = decode(encode(samples, audio), audio).astype(np.int32)

    assert np.array_equal(np.abs(coded - samples), nearest)


@given(st.binary(max_size=200))
def test_g711_comes_back_as_it_was(data):
    """Decoding and encoding changes nothing, but that mu-law's negative zero becomes positive."""
    assert encode(decode(data, ALAW), ALAW) == data
    assert encode(decode(data, ULAW), ULAW) == data.replace(b"\x7f", b"\xff")


@given(st.binary(max_size=200))
def test_half_a_sample_is_left_out(data):
    """An odd number of PCM16 bytes gives the whole samples in it."""
    assert encode(decode(data, PCM24), PCM24) == data[: len(data) // 2 * 2]


def test_lengths_are_in_milliseconds():
    """48 bytes a millisecond for PCM16 at 24 kHz, 8 for G.711."""
    assert (PCM24.milliseconds(4800), ULAW.milliseconds(800)) == (100, 100)
    assert (PCM24.bytes_in(100), ALAW.bytes_in(100)) == (4800, 800)
    assert AudioFormat("pcm16", 16_000).bytes_in(100) == 3200


def test_transcoding_keeps_length_and_pitch():
    """A 300 Hz tone is still one after it went to mu-law at 8 kHz."""
    data = transcode(encode(tone(500), PCM24), PCM24, ULAW)

    samples = decode(data, ULAW).astype(float)
    spectrum = np.abs(np.fft.rfft(samples))
    assert len(data) == 4000
    assert np.argmax(spectrum) * 8000 / len(samples) == 300

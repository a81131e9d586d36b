"""G.711 by tables, PCM16, and streams that are cut anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.codecs import Decoder, decode_audio, encode_audio
from recorder.audio.formats import ALAW, PCM16, ULAW, AudioFormat

FORMS = [AudioFormat(PCM16), AudioFormat(ULAW, 8_000), AudioFormat(ALAW, 8_000)]


@pytest.mark.parametrize(
    ("encoding", "code", "sample"),
    [
        (ULAW, 0xFF, 0),
        (ULAW, 0x7F, 0),
        (ULAW, 0x80, 32_124),
        (ULAW, 0x00, -32_124),
        (ULAW, 0xFE, 8),
        (ULAW, 0xEF, 132),
        (ALAW, 0xD5, 8),
        (ALAW, 0x55, -8),
        (ALAW, 0xAA, 32_256),
        (ALAW, 0x2A, -32_256),
        (ALAW, 0xC5, 264),
    ],
)
def test_g711_codes_stand_for_the_levels_of_the_standard(
    encoding: str, code: int, sample: int
) -> None:
    """Values from ITU-T G.711's tables, at 16 bits."""
    assert decode_audio(bytes([code]), AudioFormat(encoding, 8_000)).tolist() == [sample]


@pytest.mark.parametrize("encoding", [ULAW, ALAW])
def test_g711_survives_the_way_there_and_back(encoding: str) -> None:
    """All codes but µ-law's negative zero."""
    form = AudioFormat(encoding, 8_000)
    codes = bytes(code for code in range(256) if not (encoding == ULAW and code == 0x7F))

    assert encode_audio(decode_audio(codes, form), form) == codes


@pytest.mark.parametrize("encoding", [ULAW, ALAW])
def test_g711_takes_the_nearest_level(encoding: str) -> None:
    """For every one of the 65,536 sample values."""
    form = AudioFormat(encoding, 8_000)
    samples = np.arange(-32768, 32768, dtype=np.int16)
    levels = np.unique(decode_audio(bytes(range(256)), form)).astype(np.int32)

    found = decode_audio(encode_audio(samples, form), form).astype(np.int32)

    nearest = np.abs(samples.astype(np.int32)[:, None] - levels[None, :]).min(axis=1)
    assert (np.abs(found - samples) == nearest).all()


@given(st.binary(max_size=200), st.lists(st.integers(0, 40)), st.sampled_from(FORMS))
def test_a_stream_may_be_cut_anywhere(data: bytes, cuts: list[int], form: AudioFormat) -> None:
    """Odd bytes are carried over, so that the pieces decode to what the whole does."""
    decoder, pieces, position = Decoder(form), [], 0
    for cut in [*cuts, len(data)]:
        pieces.append(decoder.push(data[position : position + cut]))
        position += cut

    assert np.array_equal(np.concatenate(pieces), decode_audio(data[:position], form))

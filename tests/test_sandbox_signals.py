"""Synthetic sounds: their exact first sample, length and frequency."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.sandbox import voices
from recorder.sandbox.signals import RATE, Chirp, Clip, Hum, Silence, Tone, joined


def test_a_tone_begins_at_full_level():
    """Its onset is its first sample, so that it can be found to the sample."""
    samples = Tone(440, 100, 0.5).samples()

    assert len(samples) == RATE // 10
    assert samples[0] == round(0.5 * 32767)
    assert np.argmax(np.abs(np.fft.rfft(samples))) * 10 == 440


def test_a_chirp_goes_from_one_frequency_to_the_other():
    """Zero crossings are sparse at the low end and dense at the high end."""
    samples = Chirp((200, 2000), 1000).samples()
    crossings = np.flatnonzero(np.diff(np.sign(samples)))

    first, last = (
        np.sum(crossings < RATE // 10) * 5,
        np.sum(crossings > RATE * 9 // 10) * 5,
    )
    assert (round(first, -2), round(last, -2)) == (300, 1900)


def test_segments_follow_each_other_without_a_seam():
    """A row of segments is as long as its parts, in order."""
    samples = joined([Silence(50), Tone(440, 100), Clip("caller_order")])

    assert len(samples) == RATE * 150 // 1000 + len(voices.load("caller_order").samples)
    assert not samples[: RATE // 20].any()
    assert samples[RATE // 20] == round(0.5 * 32767)


def test_hum_has_one_sound_for_each_word():
    """A text without a clip is at least as long as it looks."""
    samples = Hum("two words").samples()

    assert len(samples) == (3 + 5) * 60 * RATE // 1000 + 2 * 40 * RATE // 1000
    assert 0.1 < np.max(np.abs(samples)) / 32768 < 0.5


@pytest.mark.parametrize(
    "make", [lambda: Tone(440, -1), lambda: Silence(10**9), lambda: Clip("nobody")]
)
def test_what_cannot_be_played_is_refused(make):
    """A sound of no or endless length, a clip that is not there."""
    with pytest.raises(ValueError, match=r"lasts 0 to|no clip"):
        make()

"""The energy detector: known signals are found to the sample, noise and clicks are not speech."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.codecs import Samples
from recorder.audio.levels import FirstAudible, Levels, Stretch, bridged
from tests.building import spoken
from tests.captured import FOLDER


def samples(sound: bytes) -> Samples:
    return np.frombuffer(sound, "<i2").astype(np.int16)


def listen(sound: Samples, rate: int = 24_000, block: int = 24_000) -> Levels:
    levels = Levels(rate)
    for row in range(0, len(sound), block):
        levels.push(sound[row : row + block])
    return levels


@given(st.integers(0, 3000), st.integers(1500, 6000), st.sampled_from([8_000, 16_000, 24_000]))
def test_a_tone_is_found_to_the_sample(start: int, length: int, rate: int) -> None:
    """Wherever it lies between the frames."""
    sound = np.zeros(12_000, np.int16)
    sound[start : start + length] = 8_000

    assert listen(sound, rate).islands() == [Stretch(start, start + length)]


@given(st.integers(1, 5000))
def test_the_size_of_the_pieces_changes_nothing(block: int) -> None:
    """A stream may come in any chunks."""
    sound = samples(spoken(900, [(103, 404), (500, 820.5)]))
    assert listen(sound, block=block).islands() == listen(sound).islands()


def test_a_click_is_not_speech() -> None:
    """Under 60 ms of activity; two of them far apart are still two clicks."""
    sound = samples(spoken(3000, [(100, 140), (1000, 1050), (2000, 2070)]))
    assert listen(sound).islands() == [Stretch(48_000, 49_680)]


def test_steady_noise_lifts_the_threshold() -> None:
    """Speech over noise of -42 dBFS is found, and the noise is not taken for speech."""
    noise = np.random.default_rng(7).normal(0, 260, 24_000 * 4).astype(np.int16)
    noise[24_000:48_000] = samples(spoken(1000, [(0, 1000)]))

    levels = listen(noise)

    (found,) = bridged(levels.islands(), 4800)
    assert -33 >= levels.threshold_dbfs() > -40
    assert abs(found.start - 24_000) <= 240
    assert abs(found.end - 48_000) <= 240


def test_silence_holds_nothing() -> None:
    """Nor does an empty stream."""
    assert listen(np.zeros(24_000, np.int16)).islands() == []
    assert Levels(24_000).islands() == []


def test_clipped_samples_are_counted() -> None:
    """Both ends of the scale."""
    sound = np.array([32767, -32768, 100, 0] * 600, np.int16)
    assert listen(sound).clipped == 1200


def test_pauses_within_the_hangover_are_bridged() -> None:
    """Longer ones are not."""
    islands = [Stretch(0, 10), Stretch(15, 20), Stretch(31, 40)]
    assert bridged(islands, 5) == [Stretch(0, 20), Stretch(31, 40)]


@given(st.integers(0, 5000), st.integers(1, 3000))
def test_the_first_audible_sample_is_found(start: int, block: int) -> None:
    """In whatever pieces the audio comes."""
    sound = np.zeros(8_000, np.int16)
    sound[start : start + 1200] = 5_000
    first = FirstAudible(24_000)

    for row in range(0, len(sound), block):
        first.push(sound[row : row + block])

    assert first.at_end() == start


def test_silent_audio_has_no_first_audible_sample() -> None:
    """Not even at its very end."""
    first = FirstAudible(24_000)
    first.push(np.zeros(1000, np.int16))
    assert first.at_end() is None


def test_a_natural_voice_is_found_where_it_is() -> None:
    """`Hello, my name is Marcelo.`: by eye from 1.72 to 3.95 s."""
    path = FOLDER / "speech" / "marcelo_24khz.pcm"
    if not path.exists():
        pytest.skip(f"no captures in {FOLDER}")

    (found,) = bridged(listen(samples(path.read_bytes())).islands(), 4800)

    assert abs(found.start / 24 - 1725) < 25
    assert abs(found.end / 24 - 3945) < 25

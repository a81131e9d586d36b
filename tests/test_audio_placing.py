"""Sound put at times: exact to the sample, at any rate, in any pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.formats import AudioFormat
from recorder.audio.placing import Placer, Resampler

HALF = AudioFormat("pcm16", 12_000)
FULL = AudioFormat("pcm16", 24_000)
LOUD = np.full(240, 1_000, np.int16)


def test_sound_lies_at_its_time_and_silence_around_it() -> None:
    """10 ms of sound at 20 ms, then silence up to 50 ms."""
    placer = Placer(24_000)
    placer.put(20_000_000, LOUD, FULL)
    placer.quiet_until(50_000_000)

    track = placer.take(placer.available)

    assert len(track) == 1200
    assert (track[480:720] == 1_000).all()
    assert not track[:480].any()
    assert not track[720:].any()


def test_what_would_overlap_is_put_behind() -> None:
    """Nothing is lost and nothing is mixed."""
    placer = Placer(24_000)
    placer.put(0, LOUD, FULL)
    placer.put(5_000_000, LOUD * 2, FULL)

    assert placer.take(480).tolist() == [1_000] * 240 + [2_000] * 240


@given(st.lists(st.integers(0, 400), max_size=20))
def test_continuous_pieces_are_one_stretch(sizes: list[int]) -> None:
    """However a sound is cut up, it comes out whole and exactly twice as long."""
    sound = (np.arange(sum(sizes)) % 97 * 50).astype(np.int16)
    placer, position = Placer(24_000), 0
    for size in sizes:
        placer.put(HALF.ns(position), sound[position : position + size], HALF)
        position += size
    placer.quiet_until(0)

    assert placer.available == 2 * len(sound)


@pytest.mark.parametrize(("source", "target"), [(8_000, 24_000), (24_000, 8_000), (44_100, 24_000)])
def test_resampling_keeps_every_impulse_at_its_place(source: int, target: int) -> None:
    """To the sample, over three seconds in pieces, and with the exact length."""
    sound = np.zeros(3 * source + 7, np.int16)
    sound[source], sound[2 * source] = 20_000, -20_000
    stretch = Resampler(source, target)

    pieces = [stretch.push(sound[row : row + 333]) for row in range(0, len(sound), 333)]
    track = np.concatenate([*pieces, stretch.finish()])

    assert len(track) == round(len(sound) * target / source)
    assert (int(track.argmax()), int(track.argmin())) == (target, 2 * target)


def test_long_silence_takes_no_memory() -> None:
    """An hour of it is a number until it is asked for."""
    placer = Placer(24_000)
    placer.quiet_until(3600 * 1_000_000_000)

    assert placer.available == 24_000 * 3600
    assert not placer.take(10).any()


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8))
def test_resampled_sound_is_the_same_each_time(sizes: list[int]) -> None:
    """To the last bit, in whatever pieces it came: an export is the same file tomorrow."""
    noise = np.random.default_rng(7).integers(-32768, 32768, sum(sizes)).astype(np.int16)

    def resampled(pieces: list[int]) -> list[int]:
        resampler, begin, found = Resampler(8_000, 24_000), 0, []
        for size in pieces:
            found += resampler.push(noise[begin : begin + size]).tolist()
            begin += size
        return found + resampler.finish().tolist()

    assert resampled(sizes) == resampled([sum(sizes)])

"""The detector: its steps, its offsets, its patience."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.sandbox.formats import ALAW, ULAW, decode, encode
from recorder.sandbox.turn_detection import TurnDetection
from recorder.sandbox.vad import STEP_MS, SpeechStarted, SpeechStopped, Vad
from tests.sandbox_driver import silence, tone

SERVER_VAD = TurnDetection()


def found_in(samples, rate=24_000, settings=SERVER_VAD, chunk=None):
    """What is found in samples that are appended in chunks of that many samples."""
    vad, found = Vad(), []
    for at in range(0, len(samples), chunk or max(len(samples), 1)):
        found += vad.feed(samples[at : at + (chunk or len(samples))], rate, settings)
    return found


def test_a_tone_is_found_where_it_is():
    """640 ms of silence, 640 ms of tone: padding before, the silence window after."""
    samples = np.concatenate([silence(640), tone(640), silence(640)])

    # 300 ms of padding are nine steps; 200 ms of silence are reached after seven steps.
    assert found_in(samples) == [SpeechStarted(640 - 288), SpeechStopped(1280 + 224)]


def test_the_padding_ends_at_the_start_and_at_the_turn_before():
    """No offset is below 0, no turn begins before the one before it ended."""
    samples = np.concatenate([tone(320), silence(224 + 32), tone(320), silence(320)])

    assert found_in(samples) == [
        SpeechStarted(0),
        SpeechStopped(544),
        SpeechStarted(544),
        SpeechStopped(1120),
    ]


def test_a_click_is_no_speech():
    """One loud step alone does not begin a turn."""
    assert found_in(np.concatenate([silence(320), tone(32), silence(640)])) == []


def test_a_pause_shorter_than_the_window_does_not_end_a_turn():
    """The silence is counted anew after each loud step."""
    samples = np.concatenate([tone(320), silence(192), tone(320), silence(320)])

    assert found_in(samples) == [SpeechStarted(0), SpeechStopped(832 + 224)]


@pytest.mark.parametrize(("threshold", "is_found"), [(0.0, True), (0.5, True), (0.9, False)])
def test_the_threshold_is_a_level(threshold, is_found):
    """A tone at about -33 dBFS is above 0.5 (-40) and below 0.9 (-24)."""
    samples = np.concatenate([tone(640, level=0.0316), silence(640)])

    found = found_in(samples, settings=TurnDetection(threshold=threshold))

    assert bool(found) == is_found


@pytest.mark.parametrize(
    ("eagerness", "longest"), [("low", 8000), ("auto", 4000), ("medium", 4000), ("high", 2000)]
)
def test_semantic_vad_waits_longer_after_words_that_broke_off(eagerness, longest):
    """The whole wait after a tone that stops dead, an eighth of it after one that fades."""
    semantic = TurnDetection(type="semantic_vad", eagerness=eagerness)
    dead = np.concatenate([tone(640), silence(9000)])
    fading = np.concatenate([tone(640), tone(320, level=0.05), silence(9000)])

    def whole_steps(ms):
        return -(-ms // STEP_MS) * STEP_MS

    assert found_in(dead, settings=semantic)[1] == SpeechStopped(640 + whole_steps(longest))
    assert found_in(fading, settings=semantic)[1] == SpeechStopped(960 + whole_steps(longest // 8))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_offsets_do_not_depend_on_the_rate(rate):
    """The axis is milliseconds of audio, whatever the rate."""
    samples = np.concatenate([silence(640, rate), tone(640, rate=rate), silence(640, rate)])

    # A tone that begins within a step makes that step loud at any rate.
    assert found_in(samples, rate) == [SpeechStarted(352), SpeechStopped(1504)]


@pytest.mark.parametrize("audio", [ULAW, ALAW])
def test_g711_is_heard_as_well(audio):
    """What was coded for the telephone has the same offsets."""
    samples = np.concatenate([silence(640, 8000), tone(640, rate=8000), silence(640, 8000)])

    coded = decode(encode(samples, audio), audio)

    assert found_in(coded, 8000) == [SpeechStarted(352), SpeechStopped(1504)]


parts = st.lists(
    st.tuples(st.booleans(), st.integers(0, 700)).map(lambda p: (tone if p[0] else silence)(p[1])),
    max_size=6,
)


@settings(deadline=None)
@given(parts, st.integers(50, 20_000), st.integers(0, 1000), st.integers(0, 1000))
def test_laws_of_the_offsets(sounds, chunk, silence_ms, padding_ms):
    """Multiples of the step, in order, start and stop in turn, never beyond what was appended."""
    samples = np.concatenate([*sounds, silence(0)])
    tuning = TurnDetection(silence_duration_ms=silence_ms, prefix_padding_ms=padding_ms)

    found = found_in(samples, settings=tuning, chunk=chunk)

    offsets = [each[0] for each in found]
    assert all(offset % STEP_MS == 0 for offset in offsets)
    assert offsets == sorted(offsets)
    assert all(
        isinstance(each, (SpeechStarted, SpeechStopped)[at % 2]) for at, each in enumerate(found)
    )
    assert all(offset <= len(samples) / 24 for offset in offsets)


@settings(deadline=None)
@given(parts, st.integers(1, 20_000))
def test_chunks_do_not_matter(sounds, chunk):
    """Audio appended in other sizes is the same audio."""
    samples = np.concatenate([*sounds, silence(0)])

    assert found_in(samples, chunk=chunk) == found_in(samples)


def test_a_change_of_rate_does_not_move_the_axis():
    """500 ms at 24 kHz and 500 ms at 8 kHz are one second."""
    vad = Vad()
    list(vad.feed(silence(500), 24_000, SERVER_VAD))
    list(vad.feed(silence(500, 8000), 8_000, SERVER_VAD))
    found = list(vad.feed(tone(320), 24_000, SERVER_VAD))

    assert vad.position_ms == 1320
    assert found == [SpeechStarted(992 - 288)]

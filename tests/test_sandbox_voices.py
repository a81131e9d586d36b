"""The shipped utterances: what they must be for the sandbox to be spoken to."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pytest

from recorder.errors import UsageError
from recorder.sandbox import voices
from recorder.sandbox.turn_detection import TurnDetection
from recorder.sandbox.vad import SpeechStarted, SpeechStopped, Vad
from tests.sandbox_driver import silence

every = pytest.mark.parametrize("name", voices.NAMES)


@every
def test_a_clip_is_sound_speech(name):
    """24 kHz mono, loud, not clipped, with no silence at either end, and with words."""
    clip = voices.load(name)
    level = np.abs(clip.samples.astype(int))

    assert clip.rate == voices.RATE
    assert clip.samples.ndim == 1
    assert 0.65 * 32768 < level.max() < 0.75 * 32768
    assert level[:240].max() > 200
    assert level[-240:].max() > 200
    assert 0.15 < len(clip.samples) / clip.rate / len(clip.text.split()) < 0.55


@every
def test_the_vad_fires_once_for_a_clip(name):
    """With the GA default of 200 ms of silence, a clip is one turn."""
    samples = np.concatenate([silence(320), voices.load(name).samples, silence(600)])

    found = list(Vad().feed(samples, voices.RATE, TurnDetection()))

    assert [type(each) for each in found] == [SpeechStarted, SpeechStopped]
    length_ms = len(voices.load(name).samples) * 1000 // voices.RATE
    assert abs(found[1].end_ms - 200 - 320 - length_ms) <= 64


def pitch(name: str) -> float:
    """The median pitch of the voiced parts, by autocorrelation."""
    samples, found = voices.load(name).samples.astype(float), []
    shortest, longest = voices.RATE // 400, voices.RATE // 60
    for at in range(0, len(samples) - 2048, 1024):
        frame = samples[at : at + 2048]
        similar = np.correlate(frame, frame, "full")[2047:] / max(frame @ frame, 1)
        lag = shortest + int(np.argmax(similar[shortest:longest]))
        if similar[lag] > 0.5:
            found.append(voices.RATE / lag)
    return float(np.median(found))


def test_the_two_voices_differ():
    """Every clip of the caller is well below every clip of the assistant."""
    callers = [pitch(name) for name in voices.NAMES if name.startswith("caller")]
    assistants = [pitch(name) for name in voices.NAMES if name.startswith("assistant")]

    assert max(callers) * 1.25 < min(assistants)


def test_every_file_is_listed_and_small():
    """What lies in the folder is what `TEXTS` names; all of it under 600 kB."""
    folder = importlib.resources.files(voices)
    files = {each.name: each for each in folder.iterdir() if each.name.endswith(".flac")}

    assert set(files) == {f"{name}.flac" for name in voices.NAMES}
    assert sum(len(each.read_bytes()) for each in files.values()) < 600_000


def test_a_clip_is_shared_and_cannot_be_changed():
    """Whoever loads it gets the same samples, read-only."""
    clip = voices.load("caller_order")

    assert voices.load("caller_order") is clip
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0] = 1


def test_an_unknown_clip_names_the_known_ones():
    """The error says what there is."""
    with pytest.raises(UsageError, match=r"'nobody'.*caller_order"):
        voices.load("nobody")

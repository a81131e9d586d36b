"""What is taken for granted about the player: said on the command line, seen in the figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli_kit import Recorder
from tests.golden import interruptions
from tests.golden.kit import played


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """A call whose client talks on: 3050 to 7050, over the user from 4200 on, heard at 4280."""
    (line,) = played(interruptions.client_that_talks_on.__name__)
    recorder = Recorder(tmp_path / "calls.db")
    recorder.filled(
        lambda store: store.begin(line.recorder.session),
        lambda store: store.append([(line.recorder.session.id, line.log)]),
    )
    return recorder


def headline(recorder: Recorder, *words: str) -> list[float | None]:
    """`v2v_audible` of each turn."""
    told = json.loads(recorder("latency", "--json", *words).stdout)
    return [turn["values"]["v2v_audible"]["value_ms"] for turn in told["turns"]]


def test_speech_may_be_taken_for_a_stop(recorder: Recorder) -> None:
    """Then the next answer waits for nobody: audible as it comes, at 5930."""
    assert headline(recorder) == [450, 1570]  # 7050 - 5480
    assert headline(recorder, "--assume-stop-on-speech") == [450, 450]


def test_a_player_may_wait_before_it_begins(recorder: Recorder) -> None:
    """150 ms later; the second answer waits in the queue anyway, which is longer by as much."""
    assert headline(recorder, "--prebuffer", "150") == [600, 1720]


def test_the_file_and_the_words_follow(recorder: Recorder, tmp_path: Path) -> None:
    """The assistant is silent from 4280 on; of 39 letters 11 were heard, two words."""
    file = tmp_path / "assistant.wav"
    recorder("audio", "--track", "assistant", "-o", str(file), "--assume-stop-on-speech")
    sound, rate = soundfile.read(file, dtype="int16")
    gap = sound[4280 * rate // 1000 : 5900 * rate // 1000]
    assert not np.any(gap)
    assert np.any(sound[4200 * rate // 1000 : 4280 * rate // 1000])

    told = json.loads(recorder("transcript", "--json", "--assume-stop-on-speech").stdout)
    assert [line["heard"] for line in told["lines"]][1] == "one two"
    assert "talked over" not in recorder("show", "--assume-stop-on-speech").stdout
    assert "talked over" in recorder("show").stdout

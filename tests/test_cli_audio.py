"""`recorder audio`: files that sound right, stay private, and overwrite nothing unasked."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recorder import tracks
from recorder.cli import audio

from .cli_kit import Recorder
from .talks import RATE, Talk, refused, silence, spoken, texted, tone


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where sound files go."""
    return tmp_path / "sound"


def loud_ms(samples: np.ndarray) -> list[tuple[int, int]]:
    """From when to when there is sound, in milliseconds, pauses under 50 ms not counted."""
    places = np.flatnonzero(np.abs(samples) > 0.01) * 1000 / RATE
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > 50)
    starts = [places[0], *places[breaks + 1]]
    ends = [*places[breaks], places[-1]]
    return [(round(a), round(b)) for a, b in zip(starts, ends, strict=True)]


def test_the_names_of_the_tracks_are_those_of_the_table() -> None:
    """Spelt out for the help, which must not wait for numpy."""
    assert set(audio.TRACKS) == set(tracks.TRACKS)


def test_all_tracks_are_written_beside_each_other(recorder: Recorder, folder: Path) -> None:
    """Named after the session; user left and assistant right; each where it was on the clock."""
    recorder.filled(spoken)
    result = recorder("audio", "-d", str(folder))

    assert result.stdout.splitlines() == [
        str(folder / f"000001-{name}.wav") for name in ("user", "assistant", "stereo")
    ]
    both, rate = soundfile.read(folder / "000001-stereo.wav")
    assert (rate, both.shape) == (RATE, (11 * RATE, 2))
    assert loud_ms(both[:, 0]) == [(200, 1200), (5000, 5800)]
    assert loud_ms(both[:, 1]) == [(2220, 3720), (9320, 10520)]
    for index, name in enumerate(("user", "assistant")):
        one, _ = soundfile.read(folder / f"000001-{name}.wav")
        assert np.array_equal(one, both[: len(one), index])


def test_files_are_private_whatever_the_umask(recorder: Recorder, folder: Path) -> None:
    """0600, in a folder 0700."""
    recorder.filled(spoken)
    before = os.umask(0)
    try:
        recorder("audio", "-d", str(folder))
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600] * 3


def test_nothing_is_overwritten_unasked(recorder: Recorder, folder: Path) -> None:
    """Not one of the files, if one of them is there; `--force` overwrites."""
    recorder.filled(spoken)
    folder.mkdir()
    there = folder / "000001-stereo.wav"
    there.write_text("mine")

    assert f"{there} is there already" in recorder("audio", "-d", str(folder), code=2).stderr
    assert [file.name for file in folder.iterdir()] == [there.name]
    assert there.read_text() == "mine"
    recorder("audio", "-d", str(folder), "--force")
    assert soundfile.info(there).channels == 2


def test_one_track_to_a_file_of_one_s_own(recorder: Recorder, tmp_path: Path) -> None:
    """The name says the format; `--format` and `--rate` say otherwise."""
    recorder.filled(spoken)
    for name, words, form in (
        ("a.flac", [], "FLAC"),
        ("b", [], "WAV"),
        ("c.wav", ["--rate", "8000"], "WAV"),
        ("d.wav", ["--format", "flac"], "FLAC"),
    ):
        recorder("audio", "--track", "user", "-o", str(tmp_path / name), *words)
        info = soundfile.info(tmp_path / name)
        assert (info.format, info.samplerate) == (form, 8000 if words[:1] == ["--rate"] else RATE)


def test_sound_on_stdout_is_a_whole_file(recorder: Recorder) -> None:
    """And nothing else is."""
    recorder.filled(spoken)
    result = recorder("audio", "--track", "stereo", "-o", "-")

    samples, rate = soundfile.read(io.BytesIO(result.stdout_bytes))
    assert (rate, samples.shape) == (RATE, (11 * RATE, 2))


def test_sound_is_not_written_to_a_terminal(recorder: Recorder) -> None:
    """It would do no good there."""
    recorder.filled(spoken)
    assert recorder.on_a_terminal("audio", "--track", "user", "-o", "-", code=2) == ""


@pytest.mark.parametrize(
    ("words", "length_ms"), [(["--turn", "2"], 6000), (["--turn", "1", "--pad", "100ms"], 5000)]
)
def test_one_turn_is_cut_out(
    recorder: Recorder, folder: Path, words: list[str], length_ms: int
) -> None:
    """From its start to the start of the next, with so much before and after as one likes."""
    recorder.filled(spoken)
    told = recorder("audio", "-d", str(folder), "--track", "stereo", *words).stdout

    assert told == f"{folder}/000001-turn{words[1]}-stereo.wav\n"
    assert soundfile.info(told.strip()).frames == length_ms * RATE // 1000


def test_the_user_alone_is_all_there_is(recorder: Recorder, folder: Path) -> None:
    """Files that would hold nothing but silence are not written."""

    def alone(store: object) -> None:
        talk = Talk(store).opened().created()  # type: ignore[arg-type]
        talk.says(100, tone(500) + silence(500)).closed(2000).kept()

    recorder.filled(alone)
    assert recorder("audio", "-d", str(folder)).stdout == f"{folder}/000001-user.wav\n"
    told = recorder("audio", "-d", str(folder), "--track", "assistant", code=2).stderr
    assert "no sound of the assistant" in told


@pytest.mark.parametrize("made", [texted, refused, Talk])
def test_a_session_without_sound_says_so(recorder: Recorder, folder: Path, made: type) -> None:
    """Text only, refused, or empty: exit code 2 and no files."""
    recorder.filled(made)
    told = recorder("audio", "-d", str(folder), code=2).stderr

    assert told == "recorder: there is no sound in session 000001\n"
    assert not folder.exists()


def test_sound_that_was_not_kept_is_silence_of_the_same_length(
    recorder: Recorder, folder: Path
) -> None:
    """So that everything still lies where it was."""
    recorder.filled(lambda s: spoken(s, capture="no-audio"))
    recorder("audio", "-d", str(folder))

    both, _ = soundfile.read(folder / "000001-stereo.wav")
    assert both.shape == (11 * RATE, 2)
    assert not both.any()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "x.wav"], "say which --track"),
        (["-o", "x.wav", "--track", "user", "-d", "y"], "exclude each other"),
        (["--track", "music"], "is not one of"),
        (["--turn", "9"], "there is no turn 9; the session has 2"),
        (["--pad", "-1s", "--turn", "1"], "'-1s' lies before"),
        (["--rate", "1"], "not in the range"),
        (["-d", "/dev/null/x"], "/dev/null"),
    ],
)
def test_what_cannot_be_done_is_said(
    recorder: Recorder, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 2, and nothing written."""
    monkeypatch.chdir(tmp_path)
    recorder.filled(spoken)
    before = sorted(tmp_path.iterdir())

    assert told in recorder("audio", *words, code=2).stderr
    assert sorted(tmp_path.iterdir()) == before

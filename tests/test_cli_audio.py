"""`recorder audio`: files that sound right, stay private, and overwrite nothing unasked."""

from __future__ import annotations

import io
import json
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
    assert audio.TIMELINES == tracks.TIMELINES


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
        (["--pad", "3s"], "--pad 3s: say which --turn"),
        (["--item", "item_a1", "--track", "user"], "--track and --item exclude each other"),
        (["--item", "nobody"], "there is no sound of nobody in session 000001 that was heard"),
        (["--item", "item_"], "'item_' is in 4 ids: item_q1, item_a1, item_q2, item_a2"),
        (["--track", "turns", "-o", "x.wav"], "these are 2 files; give -d"),
        (["--track", "turns", "--turn", "3"], "there is no"),
        (["--json", "--track", "user", "-o", "-"], "cannot both go to stdout"),
        (["--timeline", "imagined"], "is not one of"),
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


def talked_over(store: object) -> Talk:
    """An answer of 1.5 s, which the client truncates after 400 ms of it."""
    talk = Talk(store).opened().created()  # type: ignore[arg-type]
    talk.says(200, tone(1000) + silence(800)).heard(1750, "item_q1", 0, 1500, "And?")
    talk.answers(1800, "a1", "We are open from nine to five.", tone(1500))
    cut = {"item_id": "item_a1", "content_index": 0, "audio_end_ms": 400}
    return talk.client(2700, "conversation.item.truncate", **cut).closed(6000).kept()


@pytest.mark.parametrize(
    ("timeline", "heard", "there"),
    [
        ("heard", [(2220, 2620)], "not in it"),
        ("received", [(2220, 3720)], "heard by nobody, but here"),
        ("generated", [(2220, 3720)], "heard by nobody, but here"),
    ],
)
def test_every_cut_is_told(
    recorder: Recorder, folder: Path, timeline: str, heard: list[tuple[int, int]], there: str
) -> None:
    """Where, how much, why, and by which events: on stderr, beside the names of the files."""
    recorder.filled(talked_over)
    words = ["audio", "--track", "assistant", "--timeline", timeline]
    result = recorder(*words, "-d", str(folder))

    samples, _ = soundfile.read(result.stdout.strip())
    assert loud_ms(samples) == heard
    assert (
        f"cut at 00:02.620: 1.1 s of item item_a1 {there}: truncated (estimated;" in result.stderr
    )

    told = json.loads(recorder(*words, "-d", str(folder), "--force", "--json").stdout)
    (cut,) = told["cuts"]
    assert told["timeline"] == timeline
    assert (cut["item_id"], cut["why"], cut["at_ns"]) == ("item_a1", "truncated", 2_620_000_000)
    assert cut["unheard_ns"] == 1_100_000_000
    assert cut["in_track"] == (timeline != "heard")
    (file,) = told["files"]
    assert (file["track"], file["rate"], file["samples"]) == ("assistant", RATE, 6 * RATE)


def test_turns_items_and_responses_are_a_file_each(recorder: Recorder, folder: Path) -> None:
    """In folders of their own, in order, named after what they are."""
    recorder.filled(spoken)
    listed = {
        kind: [
            line.removeprefix(f"{folder}/000001-{kind}/")
            for line in recorder("audio", "--track", kind, "-d", str(folder)).stdout.splitlines()
        ]
        for kind in ("turns", "items", "responses")
    }
    assert listed == {
        "turns": ["0001-user.wav", "0002-user.wav"],
        "items": [
            "0001-user-item_q1.wav",
            "0002-assistant-item_a1.wav",
            "0003-user-item_q2.wav",
            "0004-assistant-item_a2.wav",
        ],
        "responses": ["0001-assistant-resp_a1.wav", "0002-assistant-resp_a2.wav"],
    }
    lengths = [soundfile.info(f"{folder}/000001-responses/{n}").frames for n in listed["responses"]]
    assert lengths == [1.5 * RATE, 1.2 * RATE]
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_one_item_by_itself(recorder: Recorder, tmp_path: Path) -> None:
    """By its id or a part of it; bit for bit what came."""
    recorder.filled(spoken)
    target = tmp_path / "answer.flac"
    recorder("audio", "--item", "a1", "-o", str(target))

    samples, rate = soundfile.read(target, dtype="int16")
    assert (rate, samples.astype("<i2").tobytes()) == (RATE, tone(1500))


def test_the_items_of_one_turn(recorder: Recorder, folder: Path) -> None:
    """Those of the user and those of the answer."""
    recorder.filled(spoken)
    told = recorder("audio", "--track", "items", "--turn", "2", "-d", str(folder)).stdout
    assert [Path(line).name for line in told.splitlines()] == [
        "0001-user-item_q2.wav", "0002-assistant-item_a2.wav",
    ]  # fmt: skip


def test_an_id_that_is_no_file_name(recorder: Recorder, folder: Path) -> None:
    """Ids come from strangers: a file lands where it should."""

    def hostile(store: object) -> None:
        talk = Talk(store).opened().created()  # type: ignore[arg-type]
        talk.answers(1800, "../../x\x1b[2J\n", "Hm.", tone(300)).closed(4000).kept()

    recorder.filled(hostile)
    told = recorder("audio", "--track", "items", "-d", str(folder)).stdout
    assert told == f"{folder}/000001-items/0001-assistant-item__x_2J_.wav\n"


def test_what_was_not_kept_is_said(recorder: Recorder, folder: Path) -> None:
    """Silence that was no silence."""
    recorder.filled(lambda s: spoken(s, capture="no-audio"))
    said = recorder("audio", "-d", str(folder)).stderr
    assert "3.3 s of the user's audio was not kept: it is silence" in said
    assert "2.7 s of the assistant's audio was not kept: it is silence" in said


def test_a_telephone_call_is_written_at_its_own_rate(recorder: Recorder, folder: Path) -> None:
    """Nothing is resampled that nobody asked to."""

    def telephone(store: object) -> None:
        form = {"format": {"type": "audio/pcmu"}}
        talk = Talk(store).opened().created(audio={"input": form, "output": form})  # type: ignore[arg-type]
        talk.says(100, b"\x80" * 4800).closed(2000).kept()

    recorder.filled(telephone)
    file = recorder("audio", "-d", str(folder)).stdout.strip()
    assert soundfile.info(file).samplerate == 8000

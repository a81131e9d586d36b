"""`recorder audio CALL`: several sessions as one set of files on one clock, gaps told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from .cli_kit import Recorder
from .talks import NOW, RATE, SECOND, Talk, spoken, texted
from .test_cli_audio import loud_ms

USER = [(200, 1200), (5000, 5800)]
ASSISTANT = [(2220, 3720), (9320, 10520)]
"""Where there is sound in a session that `spoken` made; it is 11 s long."""


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


def call(recorder: Recorder, *after_s: float, label: str = "c-1") -> list[Talk]:
    """Sessions under one label, opened so many seconds after the first by the wall clock."""
    starts = [NOW, *(NOW + round(each * SECOND) for each in after_s)]
    return recorder.filled(*(
        lambda store, seed=seed, at=at: spoken(store, seed=seed, call=label, wall_ns=at)
        for seed, at in enumerate(starts, 1)
    ))  # fmt: skip


def later(stretches: list[tuple[int, int]], ms: int) -> list[tuple[int, int]]:
    """The same, so much later."""
    return [(begin + ms, end + ms) for begin, end in stretches]


def test_a_call_is_one_set_of_files_on_one_clock(recorder: Recorder, tmp_path: Path) -> None:
    """Named after the label; the second session where it began; the silence between is told."""
    call(recorder, 20)
    result = recorder("audio", "c-1", "-d", str(tmp_path / "s"))

    assert result.stdout.splitlines() == [
        str(tmp_path / "s" / f"c-1-{name}.wav") for name in ("user", "assistant", "stereo")
    ]
    both, rate = soundfile.read(tmp_path / "s" / "c-1-stereo.wav", dtype="int16")
    assert (rate, both.shape) == (RATE, (31 * RATE, 2))
    assert loud_ms(both[:, 0] / 32768) == USER + later(USER, 20_000)
    assert loud_ms(both[:, 1] / 32768) == ASSISTANT + later(ASSISTANT, 20_000)
    assert not both[11 * RATE : 20 * RATE].any()
    assert "no connection from 00:11.000 for about 9.0 s by the wall clock" in result.stderr
    for column, name in enumerate(("user", "assistant")):
        one, _ = soundfile.read(tmp_path / "s" / f"c-1-{name}.wav", dtype="int16")
        assert np.array_equal(one, both[: len(one), column])


def test_each_session_in_it_is_that_session_bit_for_bit(recorder: Recorder, tmp_path: Path) -> None:
    """Also where it begins in the middle of a block, at a time that is no whole sample."""
    first, second = call(recorder, 20.1234567)  # 482,962.96 samples
    for name in ("c-1", first.id, second.id):
        recorder("audio", name, "--track", "stereo", "-o", str(tmp_path / f"{name}.wav"))
    whole, _ = soundfile.read(tmp_path / "c-1.wav", dtype="int16")
    for talk, start in ((first, 0), (second, 482_963)):
        alone, _ = soundfile.read(tmp_path / f"{talk.id}.wav", dtype="int16")
        assert np.array_equal(whole[start : start + len(alone)], alone)
    assert len(whole) == start + len(alone)


def test_sessions_that_overlap_are_both_heard(recorder: Recorder, tmp_path: Path) -> None:
    """Samples are added and held within 16 bits; it is told that there were two at once."""
    first, second = call(recorder, 5)
    for name in ("c-1", first.id, second.id):
        recorder("audio", name, "--track", "stereo", "-o", str(tmp_path / f"{name}.wav"))
    whole, one, two = (
        soundfile.read(tmp_path / f"{name}.wav", dtype="int16")[0].astype(int)
        for name in ("c-1", first.id, second.id)
    )
    expected = np.zeros((16 * RATE, 2), int)
    expected[: 11 * RATE] += one
    expected[5 * RATE :] += two
    assert np.array_equal(whole, expected.clip(-32768, 32767))
    assert "opened at 00:05.000, 6.0 s before the end" in recorder(
        "audio", "c-1", "-d", str(tmp_path / "d")
    ).stderr  # fmt: skip


def test_for_machines_everything_is_on_the_calls_clock(recorder: Recorder, tmp_path: Path) -> None:
    """The files, the connections and the gap between them."""
    first, second = call(recorder, 20)
    told = json.loads(recorder("audio", "c-1", "-d", str(tmp_path / "s"), "--json").stdout)

    assert (told["call"], told["timeline"]) == ("c-1", "heard")
    assert [(f["track"], f["start_ns"], f["samples"]) for f in told["files"]] == [
        ("user", 0, 31 * RATE), ("assistant", 0, 31 * RATE), ("stereo", 0, 31 * RATE)
    ]  # fmt: skip
    assert [
        (c["id"], c["start_ns"], c["end_ns"], c["gap_ns"], c["exact"]) for c in told["connections"]
    ] == [
        (first.id, 0, 11 * SECOND, None, True),
        (second.id, 20 * SECOND, 31 * SECOND, 9 * SECOND, False),
    ]


def test_a_turn_of_the_call_is_cut_out(recorder: Recorder, tmp_path: Path) -> None:
    """The numbers are those of the transcript of the call; the padding is cut on its clock."""
    call(recorder, 20)
    lines = json.loads(recorder("transcript", "c-1", "--json").stdout)["lines"]
    third = [line for line in lines if line["turn"] == 3]
    assert third[0]["start_ns"] > 20 * SECOND
    told = json.loads(
        recorder("audio", "c-1", "--turn", "3", "--pad", "1s", "--track", "user", "-o",
                 str(tmp_path / "t.wav"), "--json").stdout
    )  # fmt: skip
    start = told["files"][0]["start_ns"]
    clip, _ = soundfile.read(tmp_path / "t.wav")
    assert 0 <= start - 19_200_000_000 <= SECOND // RATE + 1  # a sine begins with a zero
    assert loud_ms(clip)[0] == (1000, 2000)
    told = recorder("audio", "c-1", "--turn", "5", code=2).stderr
    assert "there is no turn 5: this call has 4 turns" in told


def test_pieces_stay_with_their_session(recorder: Recorder, tmp_path: Path) -> None:
    """A folder for each session; one item is found in whichever session it is."""
    first, second = call(recorder, 20)
    files = recorder("audio", "c-1", "--track", "turns", "-d", str(tmp_path)).stdout.splitlines()
    alone = [
        recorder("audio", each.id, "--track", "turns", "-d", str(tmp_path), "--force").stdout
        for each in (first, second)
    ]
    assert files == "".join(alone).splitlines()
    turn = recorder("audio", "c-1", "--track", "turns", "--turn", "3", "-d", str(tmp_path / "t"))
    assert [Path(file).name for file in turn.stdout.splitlines()] == ["0001-user.wav"]
    recorder("audio", "c-1", "--track", "turns", "-d", str(tmp_path), code=2)


def test_a_session_of_the_call_may_be_without_sound(recorder: Recorder, tmp_path: Path) -> None:
    """It is a silence of its length; where none has sound, that is said."""
    recorder.filled(
        lambda store: spoken(store, seed=1, call="c-1"),
        lambda store: texted(store, "Second", seed=2, call="c-1", wall_ns=NOW + 20 * SECOND),
        lambda store: texted(store, "Third", seed=3, call="c-2"),
        lambda store: texted(store, "Fourth", seed=4, call="c-2", wall_ns=NOW + 20 * SECOND),
    )
    recorder("audio", "c-1", "-d", str(tmp_path / "s"))
    both, _ = soundfile.read(tmp_path / "s" / "c-1-stereo.wav")
    assert loud_ms(both[:, 0]) == USER
    assert len(both) > 20 * RATE
    assert "there is no sound in call c-2" in recorder("audio", "c-2", code=2).stderr


def test_a_label_that_is_no_file_name_and_days_of_silence(
    recorder: Recorder, tmp_path: Path
) -> None:
    """Nothing leaves the folder; sessions days apart are not a file of silence."""
    call(recorder, 20, label="../../a b\x1b[31m")
    made = recorder("audio", "../../a b\x1b[31m", "-d", str(tmp_path / "s"), "--track", "user")
    assert made.stdout == f"{tmp_path}/s/a_b_31m-user.wav\n"
    assert "\x1b" not in made.stderr
    recorder.filled(
        lambda store: spoken(store, seed=8, call="days"),
        lambda store: spoken(store, seed=9, call="days", wall_ns=NOW + 10**6 * SECOND),
    )
    told = recorder("audio", "days", "-d", str(tmp_path / "d"), code=2).stderr
    assert "name each session by itself" in told
    assert not (tmp_path / "d").exists()

"""`recorder pin`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.mocking.cassettes import from_file
from recorder.testing import mocked
from tests import talks
from tests.cli_kit import Recorder


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A database with a spoken and a written call, in the current folder."""
    monkeypatch.chdir(tmp_path)
    run = Recorder(tmp_path / "calls.db")
    run.filled(
        lambda store: talks.spoken(store, seed=1),
        lambda store: talks.texted(store, seed=2, wall_ns=talks.NOW + talks.SECOND),
    )
    return run


SPOKEN, TEXTED = "000001", "000002"


def test_one_command_makes_a_test(recorder: Recorder, tmp_path: Path) -> None:
    """The cassette, its sound, a test to start from, and the command to run it."""
    done = recorder("pin", SPOKEN, "tests/cassettes/hours")

    folder = tmp_path / "tests" / "cassettes"
    assert sorted(path.name for path in folder.iterdir()) == [
        "hours.assistant.flac", "hours.jsonl", "hours.user.flac",
    ]  # fmt: skip
    assert "tests/cassettes/hours.jsonl: " in done.stdout
    assert "tests/test_hours.py: a test to start from" in done.stdout
    assert "try: pytest tests/test_hours.py" in done.stderr
    assert "read it before it is committed" in done.stderr
    test = (tmp_path / "tests" / "test_hours.py").read_text()
    assert '@pytest.mark.realtime_cassette("hours")' in test
    assert '"user: What are your opening hours?",' in test
    assert '"assistant: On Sundays we are closed.",' in test
    for path in [*folder.iterdir(), tmp_path / "tests" / "test_hours.py"]:
        assert path.stat().st_mode & 0o777 == 0o600


def test_chosen_turns_without_audio(recorder: Recorder, tmp_path: Path) -> None:
    """What was before stands as items, and the cut is said."""
    done = recorder("pin", SPOKEN, "late", "--turns", "2", "--audio", "cut")

    assert "2 items stand for what was said before" in done.stdout
    assert "the audio was cut" in done.stdout
    assert sorted(path.name for path in tmp_path.glob("late*")) == ["late.jsonl"]
    test = (tmp_path / "test_late.py").read_text()
    assert 'realtime_cassette("./late.jsonl")' in test
    assert "realtime_mock.history" in test
    with mocked("late.jsonl") as mock:
        assert [item["id"] for item in mock.history] == ["item_q1", "item_a1"]
        mock.repeat_caller()


def test_for_machines(recorder: Recorder) -> None:
    """One JSON object."""
    told = json.loads(recorder("pin", TEXTED, "a/b", "--json", "--no-test").stdout)
    assert told["cassette"] == "a/b.jsonl"
    assert told["files"] == ["a/b.jsonl"]
    assert (told["test"], told["turns"], told["history"]) == (None, "all", 0)
    assert (told["audio"], told["trouble"], told["notes"]) == ("none", "", [])


def test_a_cassette_is_overwritten_only_by_force_and_a_test_never(
    recorder: Recorder, tmp_path: Path
) -> None:
    """What was put into a test by hand stays."""
    recorder("pin", SPOKEN, "c.jsonl")
    (tmp_path / "test_c.py").write_text("# mine\n")
    before = (tmp_path / "c.jsonl").read_bytes()

    refused = recorder("pin", TEXTED, "c", code=2)
    assert "c.jsonl is there already; --force overwrites it" in refused.stderr
    assert (tmp_path / "c.jsonl").read_bytes() == before

    forced = recorder("pin", TEXTED, "c", "--force")
    assert "test_c.py is there already, and was kept as it is" in forced.stderr
    assert (tmp_path / "test_c.py").read_text() == "# mine\n"
    assert (tmp_path / "c.jsonl").read_bytes() != before
    assert not list(tmp_path.glob("c.*.flac"))


def test_a_test_elsewhere(recorder: Recorder, tmp_path: Path) -> None:
    """Its marker finds the cassette from where it lies."""
    recorder("pin", TEXTED, "tests/data/c", "--test", "tests/test_it.py")
    assert 'realtime_cassette("./data/c.jsonl")' in (tmp_path / "tests/test_it.py").read_text()
    recorder("pin", TEXTED, "tests/data/d", "--test", "other/test_it.py")
    marker = str((tmp_path / "tests/data/d.jsonl").resolve())
    assert f'realtime_cassette("{marker}")' in (tmp_path / "other/test_it.py").read_text()


def test_it_can_be_imported_and_is_played_by_mock(recorder: Recorder, tmp_path: Path) -> None:
    """A cassette is a file like any other export."""
    recorder("pin", SPOKEN, "hours", "--no-test")
    (tape,) = from_file(tmp_path / "hours.jsonl")
    assert any(event.audio for event in tape.events())
    other = Recorder(tmp_path / "other.db")
    other("import", "hours.jsonl")
    assert "On Sundays we are closed." in other("transcript", "latest").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nosuch", "c"), "nosuch"),
        (("0000", "c"), "0000"),
        ((SPOKEN, "c", "--turns", "3"), "turns 1 to 2"),
        ((SPOKEN, "c", "--turns", "2-1"), "2 comes after 1"),
        ((SPOKEN, "c", "--turns", "x"), "expected a turn or a range"),
        ((SPOKEN, "a b"), "no name for a cassette"),
        ((SPOKEN, "."), "folder"),
        ((SPOKEN, "there"), "there is a folder; name a cassette in it, as in there/greeting"),
        ((SPOKEN, "c", "--test", "x.txt"), "a test is a Python file"),
        ((SPOKEN, "c", "--test", "x.py", "--no-test"), "exclude each other"),
        ((SPOKEN, "calls.db/c"), "cannot be written"),
        ((SPOKEN, "c", "--audio", "louder"), "louder"),
        ((SPOKEN,), "CASSETTE"),
    ],
)
def test_what_is_wrong_is_said(
    recorder: Recorder, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    """With exit code 2, and nothing is written."""
    (tmp_path / "there").mkdir()
    assert says in recorder("pin", *words, code=2).stderr
    assert (
        sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".py")) == []
    )
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(recorder: Recorder, tmp_path: Path) -> None:
    """It is named."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "locked" in recorder("pin", SPOKEN, "locked/c", code=2).stderr


def test_sessions_that_hold_nothing_to_play(recorder: Recorder) -> None:
    """Refused at the handshake, broken off before anything was said, without content."""
    recorder.filled(
        lambda store: talks.refused(store, seed=3),
        lambda store: talks.Talk(store, seed=4).opened().kept(),
        lambda store: talks.spoken(store, seed=5, capture="metadata"),
        lambda store: talks.texted(store, seed=6, kind="http"),
    )
    for name, says in (
        ("000003", "holds no server event"), ("000004", "holds no server event"),
        ("000005", "without content"), ("000006", "side call"),
    ):  # fmt: skip
        assert says in recorder("pin", name, "c", code=2).stderr


def test_a_session_that_breaks_off(recorder: Recorder) -> None:
    """It is pinned as far as it goes; turns that it does not have are refused."""
    recorder.filled(lambda store: talks.unended(store, seed=7))
    assert "breaks off" in recorder("pin", "000007", "broken").stderr
    assert "no turns" in recorder("pin", "000007", "none", "--turns", "1", code=2).stderr


def test_a_session_without_times(recorder: Recorder, tmp_path: Path) -> None:
    """It is said that its events follow each other at once."""
    events = [
        {"type": "session.created", "event_id": "e1", "session": {"id": "s", "model": "m"}},
        {"type": "response.create"},
        {"type": "response.created", "event_id": "e2", "response": {"id": "r"}},
        {"type": "response.done", "event_id": "e3", "response": {"id": "r", "output": []}},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(each) + "\n" for each in events))
    recorder("import", "in.jsonl", "--times", "none")
    done = recorder("pin", "latest", "untimed")
    assert "no times" in done.stderr


def test_what_was_said_does_not_reach_the_terminal_raw(recorder: Recorder) -> None:
    """Nor is it more than a literal in the test."""
    recorder.filled(lambda store: talks.texted(store, '\x1b[2J"""\nimport os', seed=8))
    done = recorder("pin", "000008", "odd")
    assert "\x1b" not in done.stdout + done.stderr
    compile(Path("test_odd.py").read_text(), "test_odd.py", "exec")

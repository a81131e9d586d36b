"""`recorder state`: what a person and a machine are shown of one moment."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from recorder.sql.store import SqlStore
from tests.cli_kit import Recorder, plain
from tests.talks import Talk, spoken


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    found = Recorder(tmp_path / "recorder.db")
    found.filled(spoken)
    return found


def shown(recorder: Recorder, *words: str) -> list[str]:
    return [" ".join(line.split()) for line in recorder("state", *words).stdout.splitlines()]


def test_a_moment_of_a_spoken_answer(recorder: Recorder) -> None:
    """At 3 s: 1.5 s of answer play since 2.22 s; of 1.8 s appended, 1.5 s became the question."""
    lines = shown(recorder, "--at", "3s")
    assert lines[0].endswith(" at 00:03.000, after event 43 of 79: open")
    assert "audio.output.voice marin server #3 00:00.100" in lines
    assert '00:02.000 user item_q1 "What are your opening hours?" completed' in lines
    assert '00:02.050 assistant item_a1 "We are open from nine to five." completed' in lines
    assert "playing item_a1: 780 ms of 1.5 s (estimated)" in lines
    assert "tokens 90 in (30 text, 60 audio; 10 cached), 40 out (10 text, 30 audio)" in lines
    assert "input buffer 300 ms of pcm16 24000 Hz, since 00:01.800 (#19)" in lines


def test_before_anything_and_at_the_end(recorder: Recorder) -> None:
    """Neither is an error."""
    first, last = shown(recorder, "--at", "0"), shown(recorder)
    assert first[0].endswith(" at 00:00.000, after event 1 of 79: dialing")
    assert "nothing was said yet" in first
    assert "no items" in first
    assert last[0].endswith(" at 00:11.000, after event 79 of 79: closed")


def test_a_moment_after_the_end_is_said_to_be_one(recorder: Recorder) -> None:
    """What is shown is how it ended."""
    result = recorder("state", "--at", "1:00")
    assert result.stderr == "nothing was recorded after 00:11.000\n"
    assert " at 01:00.000, after event 79 of 79: closed" in result.stdout


def test_after_an_event_for_machines(recorder: Recorder) -> None:
    """Everything, with its evidence."""
    told = orjson.loads(recorder("state", "--seq", "3", "--json").stdout)
    assert (told["state"]["seq"], told["state"]["phase"]) == (3, "open")
    voice = next(s for s in told["state"]["config"] if s["path"] == "audio.output.voice")
    assert voice == {
        "path": "audio.output.voice",
        "value": "marin",
        "seq": 3,
        "at_ns": 100_000_000,
        "by": "server",
        "stated_seq": 3,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seq", "99"], "there is no event 99: this session has 79 events"),
        (["--seq", "1", "--at", "2s"], "--at and --seq both name a moment; say one of them"),
        (["--at", "soon"], "'soon' is no position; expected something like 12.5s, 850ms or 1:02.5"),
        (["--at=-1"], "'-1' lies before the session; positions count from 0"),
    ],
)
def test_what_cannot_be_meant(words: list[str], message: str, recorder: Recorder) -> None:
    """It is said what was wrong and what there is."""
    assert recorder("state", *words, code=2).stderr == f"recorder: {message}\n"


def test_everything_that_may_wait_is_shown(tmp_path: Path) -> None:
    """A request, a response, a tool, a limit, an error, speech; hostile text as text."""
    recorder = Recorder(tmp_path / "other.db")
    recorder.filled(_busy)
    lines = shown(recorder)
    assert "user speaks since 00:00.500 (#4), item U" in lines
    assert "response asked in #11 at 00:00.900, not answered" in lines
    assert "in flight R since 00:00.600 (#5), 0 ms of audio so far, cancel asked in #10" in lines
    assert "tool runs look_up({}) since 00:00.700 (#7)" in lines
    assert "rate limit tokens: 5 of 10 left, reset in 1.5 s (#8)" in lines
    assert "error \\x1b[31mNo. (#9, nothing followed yet)" in lines
    assert any(line.startswith("speed 2 client #12, not confirmed") for line in lines)


def _busy(store: SqlStore) -> None:
    talk = Talk(store).opened().created()
    name = "input_audio_buffer.speech_started"
    talk.server(500, name, audio_start_ms=10, item_id="U")
    talk.server(600, "response.created", response={"id": "R", "output": []})
    body = {"id": "F", "type": "function_call", "call_id": "c", "name": "look_up"}
    talk.server(650, "response.output_item.added", response_id="R", item=body)
    talk.server(700, "response.function_call_arguments.done", response_id="R", item_id="F",
                call_id="c", name="look_up", arguments="{}")  # fmt: skip
    limit = {"name": "tokens", "limit": 10, "remaining": 5, "reset_seconds": 1.5}
    talk.server(750, "rate_limits.updated", rate_limits=[limit])
    talk.server(800, "error", error={"message": "\x1b[31mNo."})
    talk.client(850, "response.cancel", response_id="R")
    talk.client(900, "response.create")
    talk.client(950, "session.update", session={"speed": 2})
    talk.kept()


def test_on_a_terminal_it_fits(recorder: Recorder) -> None:
    """No line is wider than the screen."""
    screen = plain(recorder.on_a_terminal("state", "--at", "3s", width=70))
    assert max(map(len, screen)) <= 70
    assert any("item_q1" in line for line in screen)

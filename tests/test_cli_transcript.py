"""`recorder transcript`: formats, files, turns, whole calls, live sessions."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import orjson
import pytest

from recorder.cli.transcript import FORMATS
from recorder.projections import RENDERERS
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from tests.cli_kit import Recorder, plain, process
from tests.talks import NOW, SECOND, Talk, spoken, texted, unended
from tests.talks import process as recording_process


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "recorder.db")


def test_the_choices_are_the_formats_there_are() -> None:
    """Help is written without importing them."""
    assert tuple(RENDERERS) == FORMATS


def test_a_file_is_private_and_its_name_says_the_format(recorder: Recorder, tmp_path: Path) -> None:
    """And nothing of it goes to stdout."""
    recorder.filled(spoken)
    file = tmp_path / "call.VTT"
    result = recorder("transcript", "-o", str(file))
    assert (result.stdout, result.stderr) == ("", f"{file}: 4 lines\n")
    assert file.read_text().startswith("WEBVTT\n\n00:00:00.200 --> ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_file_that_is_there_is_kept(recorder: Recorder, tmp_path: Path) -> None:
    """Unless it is to be overwritten; then it is private too, whatever it was."""
    recorder.filled(spoken)
    file = tmp_path / "call.md"
    file.write_text("mine")
    file.chmod(0o644)
    told = recorder("transcript", "-o", str(file), code=2).stderr
    assert told == f"recorder: {file} is there already; --force overwrites it\n"
    assert file.read_text() == "mine"
    recorder("transcript", "-o", str(file), "--force")
    assert file.read_text().startswith("# Transcript")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_where_nothing_can_be_written(recorder: Recorder, tmp_path: Path) -> None:
    """A folder, a folder that is not there."""
    recorder.filled(spoken)
    told = recorder("transcript", "-o", str(tmp_path), code=2).stderr
    assert told == f"recorder: {tmp_path} is a folder; name a file in it\n"
    gone = tmp_path / "gone" / "x.txt"
    told = recorder("transcript", "-o", str(gone), code=2).stderr
    assert told == f"recorder: {gone} cannot be written: No such file or directory\n"


@pytest.mark.parametrize("form", ["md", "srt", "vtt", "csv"])
def test_every_format_goes_to_stdout_as_to_a_file(
    form: str, recorder: Recorder, tmp_path: Path
) -> None:
    """Byte by byte; `-` is stdout."""
    recorder.filled(spoken)
    file = tmp_path / "out"
    recorder("transcript", "--format", form, "-o", str(file))
    shown = recorder("transcript", "--format", form, "-o", "-").stdout_bytes
    assert shown == file.read_bytes()


def test_one_turn(recorder: Recorder) -> None:
    """By its number; of one that is not there it is said how many there are."""
    recorder.filled(spoken)
    shown = recorder("transcript", "--turn", "2").stdout.splitlines()
    assert [line.split("  ")[1] for line in shown] == [
        "user: And on Sundays?",
        "assistant: On Sundays we are closed.",
    ]
    told = recorder("transcript", "--turn", "7", code=2).stderr
    assert told == "recorder: there is no turn 7: this session has 2 turns\n"


def test_json_and_another_format_contradict_each_other(recorder: Recorder) -> None:
    """It is said which."""
    recorder.filled(spoken)
    told = recorder("transcript", "--json", "--format", "srt", code=2).stderr
    assert told == "recorder: --json is --format json; --format srt was asked for as well\n"
    assert orjson.loads(recorder("transcript", "--format", "json").stdout)["id"]


def test_nothing_said_is_an_empty_transcript(recorder: Recorder) -> None:
    """Not an error, and not silence either."""
    recorder.filled(lambda store: Talk(store).opened().closed(100).kept())
    result = recorder("transcript", "--format", "srt")
    assert (result.stdout, result.stderr) == ("", "nothing was said\n")


# A call of several sessions.


def call(recorder: Recorder) -> list[Talk]:
    """Two sessions under one label, 20 s apart by the wall clock, and another call."""
    return recorder.filled(
        lambda store: texted(store, "First", seed=1, call="c-1"),
        lambda store: texted(store, "Second", seed=2, call="c-1", wall_ns=NOW + 20 * SECOND),
        lambda store: texted(store, "Other", seed=3, call="c-2", wall_ns=NOW + 40 * SECOND),
    )


def test_a_call_label_gives_the_whole_call(recorder: Recorder) -> None:
    """One clock, one numbering of turns, the gap between."""
    call(recorder)
    assert recorder("transcript", "c-1").stdout.splitlines() == [
        "00:00.200  user: First",
        "00:00.400  assistant: Hi.",
        "00:00.500  reconnect: no connection for about 19.5 s "
        "(closed by the client, code 1000; by the wall clock)",
        "00:20.200  user: Second",
        "00:20.400  assistant: Hi.",
    ]
    assert recorder("transcript", "c-1", "--turn", "2").stdout.splitlines() == [
        "00:20.200  user: Second",
        "00:20.400  assistant: Hi.",
    ]
    told = recorder("transcript", "c-1", "--turn", "3", code=2).stderr
    assert told == "recorder: there is no turn 3: this call has 2 turns\n"


def test_a_call_for_machines_says_what_it_is_made_of(recorder: Recorder) -> None:
    """Its connections with their places on the clock; each line names its own."""
    first, second, _ = call(recorder)
    told = orjson.loads(recorder("transcript", "c-1", "--json").stdout)
    assert told["call"] == "c-1"
    assert [(c["session"], c["start_ns"]) for c in told["connections"]] == [
        (first.id, 0),
        (second.id, 20 * SECOND),
    ]
    assert {line["session"] for line in told["lines"]} == {first.id, second.id}


def test_a_call_on_a_terminal(recorder: Recorder) -> None:
    """The mark stands among the lines."""
    call(recorder)
    shown = plain(recorder.on_a_terminal("transcript", "c-1"))
    assert shown[0].split() == ["00:00.200", "user", "First"]
    assert shown[2].startswith("00:00.500  reconnect  no connection for about 19.5 s")


# A session that is being recorded.


def test_follow_prints_what_is_said_until_the_session_ends(recorder: Recorder) -> None:
    """While it is recorded: lines come before the end, the last ones at the end."""
    (talk,) = recorder.filled(_begun)
    follower = process(["transcript", "--follow"], recorder.db)
    try:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"00:00.200  user: Hello\n"
        assert follower.poll() is None
        _goes_on(recorder, talk)
        rest, told = follower.communicate(timeout=30)
    finally:
        follower.kill()
        follower.wait()
    assert (rest, told) == (b"00:00.400  assistant: Hi.\n", b"")
    assert follower.returncode == 0


def _begun(store: SqlStore) -> Talk:
    """Live: its recorder's lease runs for an hour."""
    wall = time.time_ns()
    store.register(recording_process("p1", wall + 3600 * SECOND))
    talk = Talk(store, wall_ns=wall, recorder="p1").opened().created()
    item = {"id": "m", "type": "message", "role": "user"}
    item["content"] = [{"type": "input_text", "text": "Hello"}]  # type: ignore[assignment]
    talk.client(200, "conversation.item.create", item=item)
    talk.server(210, "conversation.item.added", item=item)
    return talk.kept()


def _goes_on(recorder: Recorder, talk: Talk) -> None:
    """The answer and the close, as the recording process would append them."""
    ids = {"response_id": "r", "item_id": "a", "content_index": 0}
    talk.server(300, "response.created", response={"id": "r", "output": []})
    talk.server(400, "response.output_text.done", text="Hi.", **ids)
    talk.server(410, "response.done", response={"id": "r", "status": "completed"})
    talk.closed(500)
    store = SqlStore.open(locate(str(recorder.db), {}))
    try:
        store.append([(talk.id, talk.events)])
    finally:
        store.close()


def test_follow_of_a_session_that_is_over_prints_it_and_ends(recorder: Recorder) -> None:
    """As JSON a line each."""
    recorder.filled(spoken)
    shown = recorder("transcript", "--follow", "--json").stdout.splitlines()
    assert [orjson.loads(line)["text"] for line in shown][:2] == [
        "What are your opening hours?",
        "We are open from nine to five.",
    ]
    assert len(shown) == 4


def test_follow_says_when_the_recording_just_stops(recorder: Recorder) -> None:
    """Its recorder is gone, and no close was written."""
    recorder.filled(unended)
    told = recorder("transcript", "--follow").stderr
    assert told == "the recording stopped without a close; what there is was printed\n"


@pytest.mark.parametrize("words", [["--format", "srt"], ["--turn", "1"], ["-o", "x.txt"]])
def test_follow_takes_no_file_and_no_other_format(words: list[str], recorder: Recorder) -> None:
    """They need the whole call."""
    recorder.filled(spoken)
    told = recorder("transcript", "--follow", *words, code=2).stderr
    assert told == ("recorder: --follow prints lines as they come, as txt or --json, and no file\n")

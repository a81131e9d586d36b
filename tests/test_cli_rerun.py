"""`recorder rerun` as a person uses it: before a sandbox, before what refuses it, wrong input.

Each test runs the command line on a real database; those that speak do so over loopback.
"""

from __future__ import annotations

import os
import pty
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from recorder.events import Event, Session
from recorder.rerunning.origin import Origin, original_of
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from tests import talks
from tests.cli_kit import Recorder, process

KEYLESS = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The command line on a database of its own, without keys."""
    for name in ("RECORDER_URL", "DGRID_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Recorder(tmp_path / "calls.db")


def logged(recorder: Recorder) -> list[tuple[Session, list[Event]]]:
    """Every session of the database."""
    store = SqlStore.open(locate(str(recorder.db), {}), create=False)
    try:
        return [(each, list(store.read(each.id))) for each in list(store.sessions())]
    finally:
        store.close()


def typed(store: SqlStore) -> talks.Talk:
    """A question in writing, and its answer."""
    return talks.texted(store, "When do you open?")


def called(store: SqlStore) -> talks.Talk:
    """A question that called `get_weather` for Rome, which is not where the sandbox asks for."""
    talk = talks.Talk(store).opened().created()
    tool = {"type": "function", "name": "get_weather", "parameters": {}}
    session = {"type": "realtime", "tools": [tool], "output_modalities": ["text"]}
    talk.client(200, "session.update", session=session)
    talk.server(210, "session.updated", session=session)
    content = [{"type": "input_text", "text": "the weather?"}]
    body = {"id": "mine", "type": "message", "role": "user", "content": content}
    talk.client(300, "conversation.item.create", item=body)
    talk.server(310, "conversation.item.added", item=body)
    talk.client(320, "response.create")
    talk.server(400, "response.created", response={"id": "r", "status": "in_progress"})
    call = {"id": "i", "type": "function_call", "status": "completed", "call_id": "c",
            "name": "get_weather", "arguments": '{"city": "Rome"}'}  # fmt: skip
    talk.server(450, "response.output_item.done", response_id="r", output_index=0, item=call)
    talk.server(460, "response.done", response={"id": "r", "status": "completed"})
    output = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
    talk.client(500, "conversation.item.create", item=output)
    talk.client(510, "response.create")
    return talk.closed(600).kept()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """An endpoint that answers every upgrade with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"ws://127.0.0.1:{server.getsockname()[1]}/v1"
    thread.join()


def test_a_rerun_is_recorded_and_knows_whose_it_is(recorder: Recorder) -> None:
    """Tagged, labelled, told of by `show`, found by `ls`; its question is the recorded one."""
    (talk,) = recorder.filled(typed)
    result = recorder("rerun", talk.id[-6:], "--url", "sandbox:", "--tag", "nightly",
                      "--voice", "cedar")  # fmt: skip

    assert "When do you open?" in result.stdout
    (_, first), (session, events) = logged(recorder)
    assert original_of(session) == Origin(talk.id, None, 1, "voice cedar")
    assert session.call == ""
    opened = orjson.loads(events[0].head)
    assert opened["tags"] == ["rerun", "nightly"]
    asked = [e for e in events if e.type == "conversation.item.create"]
    assert [e.head for e in asked] == [e.head for e in first if e.type == asked[0].type]
    told = orjson.loads(recorder("show", session.id, "--json").stdout)
    assert told["session"]["labels"]["rerun_of"] == talk.id
    assert talk.id in recorder("show", session.id).stdout
    assert session.id in recorder("ls", "tag:rerun").stdout
    assert f"recorded as {session.id}" in result.stderr


def test_it_says_what_it_sends_and_asks(recorder: Recorder) -> None:
    """Nobody is there to agree: nothing is sent, exit code 2."""
    recorder.filled(talks.spoken)
    result = recorder("rerun", "--url", "ws://127.0.0.1:9/v1", code=2)
    # 1.0 + 0.8 + 0.8 + 0.7 seconds of speech and pauses
    assert "sends 0.06 minutes of audio and 0 other messages to ws://127" in result.stderr
    assert "--yes" in result.stderr
    assert len(logged(recorder)) == 1


def test_a_person_may_say_no(recorder: Recorder) -> None:
    """On a terminal it asks; without a yes nothing is sent."""
    recorder.filled(typed)
    person, terminal = pty.openpty()
    os.write(person, b"n\n")
    words = ["rerun", "--url", "ws://127.0.0.1:9/v1"]
    with process(words, recorder.db, KEYLESS, stdin=terminal) as running:
        _, told = running.communicate(timeout=20)
    for each in (person, terminal):
        os.close(each)
    assert running.returncode == 2
    assert b"Send it?" in told
    assert b"nothing was sent" in told
    assert len(logged(recorder)) == 1


def test_a_cap_on_the_audio(recorder: Recorder) -> None:
    """More than that is not even begun; all runs count together."""
    recorder.filled(talks.spoken)
    words = ("rerun", "--url", "sandbox:", "--times", "3", "--max-audio-minutes")
    result = recorder(*words, "0.1", code=2)
    assert "0.17 minutes of audio and 0 other messages in 3 sessions" in result.stderr
    assert "more than --max-audio-minutes 0.1" in result.stderr


def test_several_runs_turn_by_turn_as_json(recorder: Recorder) -> None:
    """A line a session, each with its number, its turn, and whose rerun it is."""
    talk = recorder.filled(typed)[0]
    result = recorder("rerun", "--url", "sandbox:", "--each-turn", "--times", "2",
                      "--concurrency", "2", "--json")  # fmt: skip
    rows = sorted((orjson.loads(line) for line in result.stdout.splitlines()),
                  key=lambda row: row["number"])  # fmt: skip
    assert [(row["number"], row["turn"]) for row in rows] == [(1, 1), (2, 1)]
    assert {row["rerun_of"] for row in rows} == {talk.id}
    assert {row["stopped"] for row in rows} == {None}
    labelled = {session.id: original_of(session) for session, _ in logged(recorder)[1:]}
    assert {row["session"] for row in rows} == set(labelled)
    assert sorted(labelled.values(), key=str) == [Origin(talk.id, 1, 1), Origin(talk.id, 1, 2)]


def test_a_session_from_a_file(recorder: Recorder, tmp_path: Path) -> None:
    """What `export jsonl` wrote can be run again without being imported."""
    (talk,) = recorder.filled(typed)
    file = tmp_path / "call.jsonl"
    recorder("export", "jsonl", "latest", "-o", str(file))
    recorder("rerun", str(file), "--url", "sandbox:", "--quiet")
    assert original_of(logged(recorder)[1][0]) == Origin(talk.id)


def test_a_tool_that_was_never_asked_for_so(recorder: Recorder) -> None:
    """The sandbox asks for London, the recording knows Rome: it stops, exit code 1."""
    recorder.filled(called)
    result = recorder("rerun", "--url", "sandbox:", "--quiet", code=1)
    assert 'asks for get_weather({"city":"London"})' in result.stderr
    assert 'get_weather({"city":"Rome"})' in result.stderr
    notes = [orjson.loads(e.head) for e in logged(recorder)[1][1] if e.type == "recorder.note"]
    assert "stopped: this run asks for get_weather" in notes[0]["text"]


REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 28\r\nConnection: close\r\n\r\n"


def test_an_endpoint_that_refuses(recorder: Recorder) -> None:
    """Exit code 3, its own words, and the refused handshake in the log."""
    (talk,) = recorder.filled(typed)
    with answering(REFUSED + b'{"error":"no such account!"}') as url:
        result = recorder("rerun", "--url", url, "--model", "m", "--yes", code=3)
    assert "401" in result.stderr
    assert "no such account!" in result.stderr
    session, events = logged(recorder)[1]
    assert original_of(session) == Origin(talk.id, None, 1, "model m")
    assert [e.type for e in events] == ["recorder.opened", "recorder.handshake", "recorder.closed"]


def test_an_endpoint_that_is_not_there(recorder: Recorder) -> None:
    """Exit code 3."""
    recorder.filled(typed)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    recorder("rerun", "--url", f"ws://127.0.0.1:{port}/v1", "--yes", code=3)


def side_call(store: SqlStore) -> Any:
    return talks.Talk(store, kind="http").opened().client(1, "x").kept()


def wordless(store: SqlStore) -> Any:
    return talks.Talk(store).opened().created().closed(200).kept()


def soundless(store: SqlStore) -> Any:
    talk = talks.Talk(store, capture="no-audio").opened().created()
    return talk.says(200, talks.tone(300)).closed(900).kept()


@pytest.mark.parametrize(
    ("fill", "words", "says"),
    [
        (side_call, (), "HTTP side call"),
        (wordless, (), "the client sent nothing"),
        (talks.refused, (), "the client sent nothing"),
        (soundless, (), "--silence"),
        (typed, ("--speed", "0"), "a speed is a number above 0"),
        (typed, ("--patience", "soon"), "expected a time"),
        (typed, ("--voice", " "), "--voice is empty"),
        (typed, ("--session", "missing.json"), "missing.json"),
        (typed, ("--api-key-env", "NO_SUCH", "--url", "wss://api.example/v1"), "NO_SUCH"),
    ],
)
def test_what_cannot_be_run(recorder: Recorder, fill: Any, words: Any, says: str) -> None:
    """Exit code 2, what is wrong, and nothing is recorded."""
    recorder.filled(fill)
    result = recorder("rerun", "--url", "sandbox:", *words, code=2)
    assert says in result.stderr
    assert len(logged(recorder)) == 1


def test_nowhere_to_go_and_nobody_there(recorder: Recorder) -> None:
    """Without a URL, and with a session that there is not."""
    recorder.filled(typed)
    assert "--url" in recorder("rerun", "latest", code=2).stderr
    recorder("rerun", "nonsense", "--url", "sandbox:", code=2)


def test_a_key_goes_only_to_its_own_host(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `recorder record`."""
    recorder.filled(typed)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-0123456789abcdefPLANTED")
    result = recorder("rerun", "--url", "wss://elsewhere.example/v1", "--yes", code=2)
    assert "may be sent to elsewhere.example" in result.stderr
    assert "PLANTED" not in result.stderr


def test_silence_where_the_audio_was_not_kept(recorder: Recorder) -> None:
    """If it is asked for: of the same length, and it says so."""
    recorder.filled(soundless)
    result = recorder("rerun", "--url", "sandbox:", "--silence", "--quiet")
    assert "silence is sent for the audio of 3 events" in result.stderr
    events = logged(recorder)[1][1]
    audio = b"".join(e.audio or b"" for e in events if e.type == "input_audio_buffer.append")
    assert audio == bytes(2 * 24 * 300)


def test_interrupted_in_order(recorder: Recorder) -> None:
    """Ctrl-C closes the session, keeps what passed, and ends with 130."""
    recorder.filled(talks.spoken)
    with process(["rerun", "--url", "sandbox:"], recorder.db, KEYLESS) as running:
        assert running.stdout is not None
        assert b"user speaks" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=20)
    assert running.returncode == 130, told
    assert b"Traceback" not in told
    assert logged(recorder)[1][1][-1].type == "recorder.closed"

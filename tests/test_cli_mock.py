"""`recorder mock` as a command: what it refuses, what it says first, and how it ends."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from recorder.events import NO_FRAME, Event, Origin
from recorder.exporters import jsonl
from recorder.sql.store import SqlStore
from recorder.transport.client import open_websocket
from tests import log_kit
from tests.building import Talk
from tests.cli_kit import Recorder, process
from tests.test_replaying import item, text_turn

Fill = Callable[[SqlStore], Any]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """The command line on a database of its own."""
    return Recorder(tmp_path / "r.db")


def kept(number: int = 1, events: list[Event] | None = None, **facts: Any) -> Fill:
    """Enter a session with these events."""

    def fill(store: SqlStore) -> None:
        session = log_kit.session(number, **facts)
        store.begin(session)
        told = text_turn().events if events is None else events
        if told:
            store.append([(session.id, told)])

    return fill


SILENT = Talk().client(0, "response.create").events


@pytest.mark.parametrize("command", ["mock", "replay"])
def test_sessions_that_are_not_meant(command: str, recorder: Recorder) -> None:
    """None, several at once, and a database that is not there: each is told apart."""
    assert "there is no database at" in recorder(command, code=2).stderr
    recorder.filled()
    assert "nothing was recorded in this database yet" in recorder(command, code=2).stderr
    recorder.filled(kept(1), kept(2))
    assert "no session answers to 'nobody'" in recorder(command, "nobody", code=2).stderr
    either = log_kit.session(1).id[:8]
    assert log_kit.session(2).id.startswith(either)
    assert "fits several sessions; name one of them" in recorder(command, either, code=2).stderr


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (kept(1, []), "holds no server event: there is nothing to play"),
        (kept(1, SILENT), "holds no server event: there is nothing to play"),
        (kept(1, kind="http"), "is an HTTP side call: there is no conversation to play"),
        (kept(1, capture="metadata"), "was captured without content (metadata)"),
    ],
)
def test_a_session_with_nothing_to_play(fill: Fill, says: str, recorder: Recorder) -> None:
    """Empty, never answered, a side call, or without content."""
    recorder.filled(fill)
    told = recorder("mock", code=2).stderr
    assert says in told
    assert log_kit.session(1).id in told


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", b"", "there is no session in it"),
        ("noise.jsonl.gz", b"\xff\xfe\x00", "damaged at line 1"),
        ("cut.jsonl.gz", gzip.compress(b"{}" * 5000, mtime=0)[:40], "cut.jsonl.gz"),
        ("other.jsonl", b'{"type":"session.created"}\n', "other.jsonl"),
    ],
    ids=["empty", "noise", "cut", "other"],
)
def test_files_that_cannot_be_played(
    name: str, content: bytes, says: str, recorder: Recorder, tmp_path: Path
) -> None:
    """The message names the file."""
    (tmp_path / name).write_bytes(content)
    assert says in recorder("mock", str(tmp_path / name), code=2).stderr


def test_a_port_in_use(recorder: Recorder) -> None:
    """It is said which, and what to do."""
    recorder.filled(kept(1))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told = recorder("mock", "--listen", address, code=2).stderr
    assert f"{address} is in use by another process" in told


@pytest.mark.parametrize(
    "words",
    [
        ["--speed", "nan"],
        ["--speed", "inf"],
        ["--speed", "1e-300"],
        ["--patience", "0s"],
        ["--patience", "9" * 400 + "s"],
        ["--patience", "\u0663s"],
        ["--fault", f"delay={'9' * 400}s@a"],
        ["--fault", f"drop@a#{'9' * 5000}"],
        ["--fault", "close=1000@\x1b[31m"],
        ["--listen", "127.0.0.1:99999"],
        ["--cert", "nofile"],
        ["--cert", "nofile", "--key", "nofile"],
    ],
    ids=lambda words: " ".join(words)[:20].encode("unicode_escape").decode(),
)
def test_values_that_make_no_sense(words: list[str], recorder: Recorder) -> None:
    """Exit 2 with one line that names the option, and no escapes to the terminal."""
    recorder.filled(kept(1))
    if words[1] == "close=1000@\x1b[31m":
        words = [*words, "--speed", "0"]
    told = recorder("mock", *words, code=2).stderr
    assert told.startswith("recorder: ")
    assert "\x1b" not in told


# ---- as a process


@contextmanager
def running(db: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], str, list[str]]]:
    """The mock as a process; its address and what it said before it listened."""
    child = process(["mock", *words], db)
    before: list[str] = []
    try:
        assert child.stderr is not None
        while not (line := child.stderr.readline().decode()).startswith("listening on "):
            assert line, before
            before.append(line)
        yield child, line.split()[-1], before
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


async def ask(url: str, words: str) -> list[str]:
    """Ask for an answer with these words; the types of what came."""
    kinds: list[str] = []
    async with open_websocket(f"{url}?model=m") as client:
        await client.send(
            orjson.dumps({"type": "conversation.item.create", "item": item(words)}).decode()
        )
        await client.send('{"type":"response.create"}')
        while not kinds or kinds[-1] not in ("response.done", "error"):
            kinds.append(json.loads((await client.receive()).data)["type"])
    return kinds


def test_played_to_the_end(recorder: Recorder) -> None:
    """Once: it says what was played, as JSON where that is asked for, and ends with 0."""
    recorder.filled(kept(1))
    with running(recorder.db, "--once", "--no-wait", "--json") as (child, url, _):
        assert trio.run(ask, url, "hi")[-1] == "response.done"
        out, _ = child.communicate(timeout=10)
    assert child.returncode == 0
    told = json.loads(out)
    assert (told["sent"], told["left"], told["divergences"]) == (5, {}, [])


def test_another_question_is_a_divergence(recorder: Recorder) -> None:
    """What was expected and what came is told, where they differ too; exit code 1."""
    recorder.filled(kept(1))
    with running(recorder.db, "--once") as (child, url, _):
        assert trio.run(ask, url, "ho") == ["session.created", "error"]
        out, _ = child.communicate(timeout=10)
    assert child.returncode == 1
    assert 'differs   item.content[0].text: expected "hi", came "ho"' in out.decode()


def test_what_a_person_should_know_first(recorder: Recorder) -> None:
    """Without times or without audio it is played, and that is said; Ctrl-C ends it."""
    opened = orjson.dumps({"type": "recorder.opened", "times": "none"})
    note = Event(1, 0, Origin.RECORDER, "recorder.opened", NO_FRAME, opened)
    still = [note, *(event._replace(seq=event.seq + 1, at_ns=0) for event in text_turn().events)]
    recorder.filled(kept(1, still), kept(2, Talk().open(0).events, capture="no-audio"))
    names = [log_kit.session(number).id for number in (1, 2)]
    with running(recorder.db, *names) as (child, url, before):
        assert trio.run(ask, url, "hi")[-1] == "response.done"
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=10)
    assert "has no times: its events follow each other at once" in before[0]
    assert "has no audio: silence of the same length is sent" in before[1]
    assert b"5 of 5 events played" in out


def test_an_interrupted_session_is_played_as_far_as_it_goes(
    recorder: Recorder, tmp_path: Path
) -> None:
    """From a file, too: what was never answered is missed by nobody."""
    file = tmp_path / "cut.jsonl"
    events = text_turn().events[:-2]
    file.write_bytes(b"".join(jsonl.lines(log_kit.session(1), events)))
    with running(recorder.db, str(file), "--no-wait", "--match", "lenient", "--once") as (
        child, url, _,
    ):  # fmt: skip

        async def partly() -> None:
            async with open_websocket(f"{url}?model=m") as client:
                ask = {"type": "conversation.item.create", "item": item("hi")}
                await client.send(orjson.dumps(ask).decode())
                await client.send('{"type":"response.create"}')
                for _ in range(3):
                    last = await client.receive()
                assert b"response.created" in last.data

        trio.run(partly)
        out, _ = child.communicate(timeout=10)
    assert (child.returncode, b"3 of 3 events played" in out) == (0, True)

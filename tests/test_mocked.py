"""`recorder.mocked` and its like: cassettes in a block, without pytest."""

from __future__ import annotations

import asyncio
import base64
import threading
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from openai import AsyncOpenAI, OpenAI

import recorder
from recorder import wire
from recorder.errors import RecorderError, UsageError
from recorder.events import Session
from recorder.pinning import Turns, pin, read
from recorder.pinning.writing import put
from recorder.projections.analysis import analyse
from recorder.sandbox.builtin import SMALL_TALK
from recorder.sandbox.server import Options as SandboxOptions
from recorder.sandbox.server import serve_sandbox
from recorder.store import MemoryStore
from recorder.testing import CassetteMismatch, mocked, recorded_to
from recorder.testing.caller import Chunk, paced, repeat
from recorder.transport.client import open_websocket
from tests import talks
from tests.test_mock_openai import serving


@pytest.fixture
def store() -> MemoryStore:
    """A spoken call and a written one."""
    made = MemoryStore()
    talks.spoken(made, seed=1)
    talks.texted(made, seed=2)
    return made


def cassette(store: MemoryStore, folder: Path, number: int, **how: Any) -> Path:
    """The nth call of the store as a cassette."""
    session = list(store.sessions())[number]

    def source(audio: bool) -> Any:
        return store.read(session.id, audio=audio)

    put(folder, pin(session, source, analyse(source), name="tape", **how).files)
    return folder / "tape.jsonl"


def say(client: OpenAI, words: str) -> str:
    """One written turn, as the recorded client held it."""
    with client.realtime.connect(model="m") as call:
        content = [{"type": "input_text", "text": words}]
        item: Any = {"id": "mine", "type": "message", "role": "user", "content": content}
        call.conversation.item.create(item=item)
        call.response.create()
        for event in call:
            if event.type == "response.output_text.done":
                text = event.text
            if event.type == "response.done":
                return text
    raise AssertionError("no answer came")


def client(mock: Any) -> OpenAI:
    """The real client, before the mock."""
    return OpenAI(base_url=mock.http_url, api_key=mock.api_key)


def test_an_application_that_does_the_same(store: MemoryStore, tmp_path: Path) -> None:
    """Nothing is raised, and what it did is there as projections; nothing is left running."""
    path = cassette(store, tmp_path, 1)
    with recorder.mocked(path) as mock, client(mock) as made:
        assert say(made, "Hello there") == "Hi."
        assert mock.run.transcript == ["user: Hello there", "assistant: Hi."]
        assert [turn.status for turn in mock.run.turns] == ["answered"]
    assert not [each for each in threading.enumerate() if each.name.startswith("recorder-")]


def test_an_application_that_does_something_else(store: MemoryStore, tmp_path: Path) -> None:
    """It is raised at the end of the block, though nobody noticed inside; or left, if so asked."""
    path = cassette(store, tmp_path, 1)

    def otherwise() -> str:
        with mocked(path, **how) as mock, client(mock) as made:
            with pytest.raises(Exception, match="4000"):
                say(made, "Good bye")
        return "left"

    how: dict[str, Any] = {}
    with pytest.raises(CassetteMismatch, match='expected "Hello there", came "Good bye"'):
        otherwise()
    how = {"check": False}
    assert otherwise() == "left"


def test_an_error_of_the_block_stays_what_it_is(store: MemoryStore, tmp_path: Path) -> None:
    """What was left is a note on it."""
    with pytest.raises(ZeroDivisionError) as error, mocked(cassette(store, tmp_path, 1)):
        _ = 1 / 0
    assert "no client connected" in error.value.__notes__[0]


def test_the_recorded_caller(store: MemoryStore, tmp_path: Path) -> None:
    """What he said, utterance by utterance, and all that his client did."""
    with mocked(cassette(store, tmp_path, 0)) as mock:
        first, second = mock.utterances
        said = b"".join(chunk.data for chunk in (*first, *second))
        events = list(store.read(next(store.sessions()).id))
        assert said == b"".join(e.audio or b"" for e in events if e.type.endswith(".append"))
        assert [chunk.at for chunk in first[:2]] == [0.3, 0.4]
        assert [chunk.data for chunk in mock.paced(second, speed=1e6)] == [c.data for c in second]
        assert mock.caller_audio == [*first, *second]
        mock.repeat_caller()
        assert [turn.user for turn in mock.run.turns] == [
            "What are your opening hours?", "And on Sundays?",
        ]  # fmt: skip


@pytest.mark.parametrize("audio", ["keep", "cut"])
def test_a_spoken_application(store: MemoryStore, tmp_path: Path, audio: str) -> None:
    """It sends what the recorded user said, in chunks of its own, and hears the answers; a
    cassette whose audio was cut plays silence of the same length."""
    heard = []
    with mocked(cassette(store, tmp_path, 0, audio=audio)) as mock, client(mock) as made:
        with made.realtime.connect(model="gpt-realtime") as call:
            for utterance in mock.utterances:
                said = b"".join(chunk.data for chunk in utterance)
                for begin in range(0, len(said), 1000):
                    piece = Chunk(0.0, said[begin : begin + 1000])
                    call.input_audio_buffer.append(audio=piece.base64)
                for event in call:
                    if event.type == "response.output_audio.delta":
                        heard.append(len(base64.b64decode(event.delta)))
                    if event.type == "response.done":
                        break
        turns = mock.run.turns
        assert [turn.assistant for turn in turns] == [
            "We are open from nine to five.", "On Sundays we are closed.",
        ]  # fmt: skip
    assert sum(heard) == 2 * 24 * (1500 + 1200)


def test_the_caller_of_a_cassette_without_sound(store: MemoryStore, tmp_path: Path) -> None:
    """Silence of the same length, which the mock takes for what was said."""
    with mocked(cassette(store, tmp_path, 0, audio="cut")) as mock:
        assert {len(chunk.data) for chunk in mock.caller_audio} == {4800}
        assert not any(any(chunk.data) for chunk in mock.caller_audio)
        mock.repeat_caller()


def test_history_is_what_a_client_creates_first(store: MemoryStore, tmp_path: Path) -> None:
    """As it is given, so it can be sent; a client that leaves it out has diverged."""
    path = cassette(store, tmp_path, 0, turns=Turns(2, 2))
    with pytest.raises(CassetteMismatch) as error, mocked(path) as mock:
        with client(mock) as made, made.realtime.connect(model="m") as call:
            for item in mock.history[:1]:
                call.conversation.item.create(item=item)  # type: ignore[arg-type]
            while call.recv().type != "conversation.item.done":
                pass
    told = str(error.value)
    assert 'conversation.item.create {"type":"message","role":"assistant"' in told
    assert '"role":"user"' not in told


async def test_in_trio(store: MemoryStore, tmp_path: Path) -> None:
    """The loop of the test goes on while the mock serves it from its own."""
    with mocked(cassette(store, tmp_path, 1)) as mock:
        async with open_websocket(f"{mock.url}/realtime?model=m", proxy=None) as socket:
            await socket.receive()
            item = {"type": "message", "role": "user",
                    "content": [{"type": "input_text", "text": "Hello there"}]}  # fmt: skip
            asked = {"type": "conversation.item.create", "item": item}
            await socket.send(orjson.dumps(asked).decode())
            await socket.send('{"type":"response.create"}')
            kind = ""
            while kind != "response.done":
                kind = orjson.loads((await socket.receive())[2])["type"]
        await trio.lowlevel.checkpoint()


def test_in_asyncio(store: MemoryStore, tmp_path: Path) -> None:
    """The same, by the real client."""

    async def talk(url: str, key: str) -> None:
        async with AsyncOpenAI(base_url=url, api_key=key) as made:
            async with made.realtime.connect(model="m") as call:
                content = [{"type": "input_text", "text": "Hello there"}]
                item: Any = {"type": "message", "role": "user", "content": content}
                await call.conversation.item.create(item=item)
                await call.response.create()
                async for event in call:
                    if event.type == "response.done":
                        return

    with mocked(cassette(store, tmp_path, 1)) as mock:
        asyncio.run(talk(mock.http_url, mock.api_key))


def test_a_connection_that_is_still_open_is_closed(store: MemoryStore, tmp_path: Path) -> None:
    """The block ends all the same, and says what was left."""
    with pytest.raises(CassetteMismatch, match=r"response\.create"):
        with mocked(cassette(store, tmp_path, 1)) as mock, client(mock) as made:
            manager = made.realtime.connect(model="m")
            manager.enter().recv()
    manager.__exit__(None, None, None)


def test_several_runs_are_told_apart(store: MemoryStore, tmp_path: Path) -> None:
    """`run` is for one connection; `runs` are all."""
    with mocked(cassette(store, tmp_path, 1)) as mock:
        with pytest.raises(UsageError, match="no client has connected yet"):
            _ = mock.run
        mock.repeat_caller()
        mock.repeat_caller()
        assert len(mock.runs) == 2
        with pytest.raises(UsageError, match="2 connections"):
            _ = mock.run


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"match": "loose"}, "match is one of"),
        ({"speed": 0}, "above 0"),
        ({"patience": "soon"}, "expected a time"),
        ({"faults": ["x"]}, "there is no 'x'"),
    ],
)
def test_options_that_make_no_sense(
    store: MemoryStore, tmp_path: Path, how: dict[str, Any], says: str
) -> None:
    """They are refused before anything is served."""
    path = cassette(store, tmp_path, 1)
    with pytest.raises(UsageError, match=says), mocked(path, **how):
        raise AssertionError("it was served")


def test_cassettes_that_cannot_be_played(store: MemoryStore, tmp_path: Path) -> None:
    """One that is not there, and one in which nothing is."""
    with pytest.raises(UsageError, match=r"nosuch\.jsonl"), mocked(tmp_path / "nosuch.jsonl"):
        raise AssertionError("it was served")
    silent = MemoryStore()
    talks.refused(silent)
    path = cassette(silent, tmp_path, 0)
    with pytest.raises(UsageError, match="no server event"), mocked(path):
        raise AssertionError("it was served")


def test_a_recorded_caller_who_waits_in_vain(store: MemoryStore, tmp_path: Path) -> None:
    """He says for what, instead of waiting for ever."""
    path = cassette(store, tmp_path, 1)
    session, *events = read(path)
    assert isinstance(session, Session)
    with mocked(path, check=False, faults=["close=1011@response.created"]) as mock:
        with pytest.raises(RecorderError, match="closed before the end"):
            repeat(events, f"{mock.url}/realtime?model=m", "k")  # type: ignore[arg-type]


def test_pacing_keeps_the_order() -> None:
    """Each chunk once, none for none."""
    chunks = [Chunk(0.0, b"a"), Chunk(0.001, b"b"), Chunk(0.002, b"c")]
    assert list(paced(chunks)) == chunks
    assert list(paced([])) == []


def test_a_cassette_is_recorded(tmp_path: Path) -> None:
    """From an endpoint, when the block ends well; and it plays."""
    path = tmp_path / "new" / "tape.jsonl"
    with serving(partial(serve_sandbox, SandboxOptions(script=SMALL_TALK))) as endpoint:
        with pytest.raises(ZeroDivisionError), recorded_to(path, endpoint) as mock:
            _ = 1 / 0
        with pytest.raises(UsageError, match="no client connected"), recorded_to(path, endpoint):
            pass
        assert not path.exists()
        with recorded_to(path, endpoint) as mock, client_of(mock) as made:
            assert mock.recording
            assert mock.history == []
            with pytest.raises(UsageError, match="being recorded"):
                mock.repeat_caller()
            with made.realtime.connect(model="gpt-realtime") as call:
                call.session.update(session={"type": "realtime", "output_modalities": ["text"]})
                while call.recv().type != "session.updated":
                    pass
    with mocked(path) as mock:
        mock.repeat_caller()
    _, *events = read(path)
    assert not any(wire.tombstone(event) for event in events)  # type: ignore[arg-type]


def client_of(mock: Any) -> OpenAI:
    """With a key of one's own."""
    return OpenAI(base_url=mock.http_url, api_key="k")

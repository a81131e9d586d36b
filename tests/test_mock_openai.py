"""The mock before the `openai` package: a conversation is recorded, and then held again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import pybase64
import pytest
import trio
from openai import OpenAI
from websockets.exceptions import ConnectionClosed

from recorder.mocking.cassettes import from_store
from recorder.mocking.choosing import Played
from recorder.mocking.serving import Mock, Options, serve_mock
from recorder.proxy.running import proxied
from recorder.replaying import LENIENT, Rules
from recorder.sandbox import voices
from recorder.sandbox.script import Answer, Call, Say, Script, When
from recorder.sandbox.server import Options as SandboxOptions
from recorder.sandbox.server import serve_sandbox
from recorder.sandbox.signals import Clip, Tone
from recorder.store import MemoryStore

QUICK = {"first_delta_ms": 20, "first_audio_ms": 20}
KEY = "sk-mock-test"


@contextmanager
def serving(start: Callable[..., Any]) -> Iterator[str]:
    """Serve in a thread; gives the base URL that a client is configured with."""
    portal: dict[str, Any] = {}
    ready = threading.Event()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            portal["address"] = await nursery.start(start)
            portal["stop"] = nursery.cancel_scope.cancel
            portal["token"] = trio.lowlevel.current_trio_token()
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://{portal['address']}/v1"
    finally:
        with suppress(trio.RunFinishedError):  # a mock that was done ended by itself
            portal["token"].run_sync_soon(portal["stop"])
        thread.join()


@contextmanager
def connection(base: str, dialect: str = "ga") -> Iterator[Any]:
    """A connection of the real client, GA or beta."""
    socket = base.replace("http", "ws", 1)
    with OpenAI(api_key=KEY, websocket_base_url=socket) as client:
        realtime = client.realtime if dialect == "ga" else client.beta.realtime
        with realtime.connect(model="gpt-realtime") as opened:
            yield opened


def until(connection: Any, *types: str) -> list[Any]:
    """The events up to the first of one of these types."""
    came: list[Any] = []
    while not came or came[-1].type not in types:
        came.append(connection.recv())
    return came


def recorded(script: Script, talk: Callable[[Any], Any], dialect: str = "ga") -> MemoryStore:
    """The conversation as it was held with the sandbox, through the recording proxy."""
    store = MemoryStore()
    start = partial(serve_sandbox, SandboxOptions(script=script))
    with serving(start) as upstream, proxied(upstream, store=store) as base:
        with connection(base, dialect) as c:
            talk(c)
    return store


def replayed(
    store: MemoryStore, talk: Callable[[Any], Any], dialect: str = "ga", **options: Any
) -> tuple[Any, Played]:
    """What the program gets from the mock, and what came of it."""
    ended: list[Played] = []
    tape = [from_store(store, next(store.sessions()))]
    mock = Mock(tape, Options(once=True, **{"rules": Rules(), **options}), ended.append)
    with serving(partial(serve_mock, mock)) as base:
        with connection(base, dialect) as c:
            got = talk(c)
        for _ in range(500):
            if ended:
                break
            time.sleep(0.01)
    (played,) = ended
    return got, played


def say(c: Any, text: str) -> None:
    """A text turn."""
    content = [{"type": "input_text", "text": text}]
    c.conversation.item.create(item={"type": "message", "role": "user", "content": content})
    c.response.create()


def speak(c: Any, samples: np.ndarray, size: int) -> None:
    """Append audio, so many samples a message, as fast as it goes."""
    for at in range(0, len(samples), size):
        data = samples[at : at + size].tobytes()
        c.input_audio_buffer.append(audio=pybase64.b64encode(data).decode())


both = pytest.mark.parametrize("dialect", ["ga", "beta"])


def text_only(dialect: str) -> dict[str, Any]:
    """A session without sound."""
    if dialect == "ga":
        return {"type": "realtime", "output_modalities": ["text"]}
    return {"modalities": ["text"]}


@both
def test_a_text_turn_is_held_again(dialect: str) -> None:
    """The same program gets the same answer, and everything is consumed."""
    script = Script(otherwise=(Answer(items=(Say("You said: {user}", **QUICK),), times=None),))

    def talk(c: Any) -> str:
        c.session.update(session=text_only(dialect))
        until(c, "session.updated")
        say(c, "good day")
        came = until(c, "response.done")
        return "".join(e.delta for e in came if e.type.endswith("text.delta"))

    store = recorded(script, talk, dialect)
    got, played = replayed(store, talk, dialect)

    assert got == "You said: good day"
    assert played.outcome.sound, played.outcome


BETA = {
    "response.output_audio.delta": "response.audio.delta",
    "conversation.item.done": "conversation.item.created",
}


def named(kind: str, dialect: str) -> str:
    """What the event is called in the dialect."""
    return BETA.get(kind, kind) if dialect == "beta" else kind


@both
def test_spoken_turns_in_other_chunks(dialect: str) -> None:
    """Audio in chunks of 30 ms is the audio that was recorded in chunks of 100 ms."""
    script = Script(
        otherwise=(Answer(items=(Say("", (Clip("assistant_hours"),), **QUICK),), times=None),)
    )
    heard = np.concatenate([voices.load("caller_hours").samples, np.zeros(24_000, np.int16)])

    def talk(c: Any, size: int) -> bytes:
        speak(c, heard, size)
        came = until(c, "response.done")
        deltas = [e.delta for e in came if e.type == named("response.output_audio.delta", dialect)]
        return b"".join(pybase64.b64decode(each) for each in deltas)

    store = recorded(script, partial(talk, size=2400), dialect)
    got, played = replayed(store, partial(talk, size=720), dialect)

    assert got == voices.load("assistant_hours").samples.tobytes()
    assert played.outcome.sound, played.outcome


@both
def test_a_function_call_with_a_live_item_id(dialect: str) -> None:
    """The output goes out under an id of this run, and is answered with it."""
    script = Script(
        answers=(
            Answer(items=(Call("get_weather", {"city": "London"}),)),
            Answer(items=(Say("It is {output}.", **QUICK),), when=When(after_tool="get_weather")),
        )
    )

    def talk(c: Any, item_id: str) -> tuple[str, str]:
        c.session.update(session=text_only(dialect))
        say(c, "what is the weather in London?")
        first = until(c, "response.done")
        (call,) = [e for e in first if e.type == "response.function_call_arguments.done"]
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "foggy"}
        c.conversation.item.create(item={"id": item_id, **output})
        added = until(c, named("conversation.item.done", dialect))[-1].item.id
        c.response.create()
        done = until(c, "response.done")[-1].response
        return added, done.output[0].content[0].text

    store = recorded(script, partial(talk, item_id="item_recorded"), dialect)
    got, played = replayed(store, partial(talk, item_id="item_live"), dialect)

    assert got == ("item_live", "It is foggy.")
    assert played.outcome.sound, played.outcome


@both
def test_a_barge_in(dialect: str) -> None:
    """The answer is cut where the user's audio comes, and the truncation is answered."""
    slow = Say("A long story.", (Tone(440, 4000),), speed=1.0, chunks_ms=(100,), **QUICK)

    def talk(c: Any) -> tuple[str, int]:
        say(c, "tell me a story")
        begun = until(c, named("response.output_audio.delta", dialect))[-1]
        speak(c, voices.load("caller_stop").samples[:12_000], 2400)
        cancelled = until(c, "response.done")[-1].response
        c.conversation.item.truncate(item_id=begun.item_id, content_index=0, audio_end_ms=100)
        return cancelled.status, until(c, "conversation.item.truncated")[-1].audio_end_ms

    store = recorded(Script(answers=(Answer(items=(slow,)),)), talk, dialect)
    got, played = replayed(store, talk, dialect)

    assert got == ("cancelled", 100)
    assert played.outcome.sound, played.outcome


@pytest.mark.parametrize(("match", "ends"), [("strict", "error"), (LENIENT, "response.done")])
def test_other_words_are_a_divergence(match: str, ends: str) -> None:
    """Strict says so and ends it; lenient notes it and goes on."""
    script = Script(otherwise=(Answer(items=(Say("Yes.", **QUICK),), times=None),))

    def talk(c: Any, text: str) -> str:
        c.session.update(session=text_only("ga"))
        with suppress(ConnectionClosed):  # strict may be quicker than the second of two events
            say(c, text)
        return str(until(c, "response.done", "error")[-1].type)

    store = recorded(script, partial(talk, text="good day"))
    got, played = replayed(store, partial(talk, text="good night"), rules=Rules(match=match))

    assert got == ends
    assert played.outcome.divergences[0].differences == (
        'item.content[0].text: expected "good day", came "good night"',
    )

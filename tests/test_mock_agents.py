"""The mock before `openai-agents`: a voice agent's session is recorded, and then held again.

Each scenario is held with the sandbox through the recording proxy first, and then, by the same
program, with the mock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from recorder.mocking.cassettes import from_store
from recorder.mocking.choosing import Played
from recorder.mocking.serving import Mock, Options, serve_mock
from recorder.proxy.running import proxied
from recorder.sandbox import voices
from recorder.sandbox.script import Answer, Call, Say, Script, When
from recorder.sandbox.server import Options as SandboxOptions
from recorder.sandbox.server import serve_sandbox
from recorder.sandbox.signals import Clip, Tone
from recorder.store import MemoryStore
from tests.test_mock_openai import KEY, QUICK, serving

pytest.importorskip("agents.realtime", reason="needs openai-agents")

Talk = Callable[["Caller"], Awaitable[Any]]
CHUNK = 2400


class Caller:
    """A program with an agent: it says things and hears events."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.events: list[Any] = []
        self._stream = aiter(session)

    async def until(self, *kinds: str) -> Any:
        """The next event of one of these kinds: the library's own, or the server's raw ones."""
        while True:
            event = await anext(self._stream)
            self.events.append(event)
            if event.type == "error":
                raise AssertionError(event.error)
            raw = event.type == "raw_model_event" and event.data.type == "raw_server_event"
            if (event.data.data["type"] if raw else event.type) in kinds:
                return event.data.data if raw else event

    async def speak(self, samples: np.ndarray) -> None:
        """Say this, as fast as it goes."""
        for at in range(0, len(samples), CHUNK):
            await self.session.send_audio(samples[at : at + CHUNK].tobytes())

    def heard(self) -> bytes:
        """The assistant's audio so far."""
        return b"".join(each.audio.data for each in self.events if each.type == "audio")


def agent() -> Any:
    """An agent with one tool."""
    from agents import function_tool
    from agents.realtime import RealtimeAgent

    @function_tool
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"foggy in {city}"

    return RealtimeAgent(name="guide", instructions="Be brief.", tools=[get_weather])


async def hold(base: str, talk: Talk, settings: dict[str, Any]) -> Any:
    """One session of the agent at this address."""
    from agents.realtime import RealtimeRunner

    model: Any = {
        "url": f"{base.replace('http', 'ws', 1)}/realtime?model=gpt-realtime",
        "api_key": KEY,
        "initial_model_settings": {"model_name": "gpt-realtime", **settings},
    }
    async with asyncio.timeout(20):
        session = await RealtimeRunner(agent()).run(model_config=model)
        async with session:
            return await talk(Caller(session))


def twice(script: Script, talk: Talk, **settings: Any) -> tuple[Any, Any, Played]:
    """What the program got from the sandbox, what from the mock, and what came of that."""
    store, ended = MemoryStore(), []
    start = partial(serve_sandbox, SandboxOptions(script=script))
    with serving(start) as upstream, proxied(upstream, store=store) as base:
        first = asyncio.run(hold(base, talk, settings))
    mock = Mock([from_store(store, next(store.sessions()))], Options(once=True), ended.append)
    with serving(partial(serve_mock, mock)) as base:
        again = asyncio.run(hold(base, talk, settings))
    return first, again, ended[0]


TEXT = {"modalities": ["text"]}


def test_text() -> None:
    """The agent gets the same words, and everything is consumed."""
    script = Script(otherwise=(Answer(items=(Say("You said: {user}", **QUICK),), times=None),))

    async def talk(caller: Caller) -> str:
        await caller.until("session.updated")
        await caller.session.send_message("good day")
        said = (await caller.until("response.output_text.done"))["text"]
        await caller.until("response.done")
        return str(said)

    first, again, played = twice(script, talk, **TEXT)
    assert first == again == "You said: good day"
    assert played.outcome.sound, played.outcome


def test_audio() -> None:
    """Spoken to, it speaks: the same samples."""
    answer = Answer(items=(Say("", (Clip("assistant_hours"),), **QUICK),), times=None)
    heard = np.concatenate([voices.load("caller_hours").samples, np.zeros(24_000, np.int16)])

    async def talk(caller: Caller) -> bytes:
        await caller.speak(heard)
        await caller.until("response.done")
        await caller.until("agent_end")
        return caller.heard()

    first, again, played = twice(Script(otherwise=(answer,)), talk)
    assert first == again == voices.load("assistant_hours").samples.tobytes()
    assert played.outcome.sound, played.outcome


def test_a_function_call() -> None:
    """The library runs the tool, and sends its output back; the answer uses it."""
    script = Script(
        answers=(
            Answer(items=(Call("get_weather", {"city": "London"}),)),
            Answer(items=(Say("It is {output}.", **QUICK),), when=When(after_tool="get_weather")),
        )
    )

    async def talk(caller: Caller) -> tuple[str, str]:
        await caller.session.send_message("what is the weather in London?")
        end = await caller.until("tool_end")
        said = await caller.until("response.output_text.done")
        await caller.until("response.done")
        return end.output, said["text"]

    first, again, played = twice(script, talk, **TEXT)
    assert first == again == ("foggy in London", "It is foggy in London.")
    assert played.outcome.sound, played.outcome


def test_a_barge_in() -> None:
    """The library truncates what it has not played, and the user is answered."""
    story = Say("A long story.", (Tone(440, 20_000),), speed=5.0, chunks_ms=(100,), **QUICK)
    script = Script(
        answers=(Answer(items=(story,)),),
        otherwise=(Answer(items=(Say("Yes?", (Tone(440, 200),), **QUICK),), times=None),),
    )
    stop = np.concatenate([voices.load("caller_stop").samples, np.zeros(24_000, np.int16)])

    async def talk(caller: Caller) -> tuple[str, str, str]:
        await caller.session.send_message("tell me a story")
        for _ in range(3):
            await caller.until("audio")
        await caller.speak(stop)
        ends = [await caller.until("response.done", "conversation.item.truncated") for _ in "ab"]
        truncated, cut = sorted(ends, key=lambda each: each["type"])  # they come in either order
        done = await caller.until("response.done")
        words = done["response"]["output"][0]["content"][0]["transcript"]
        return cut["response"]["status"], truncated["item_id"], words

    listening = {"type": "server_vad", "silence_duration_ms": 300, "interrupt_response": True}
    first, again, played = twice(script, talk, turn_detection=listening)
    assert first == again
    assert (again[0], again[2]) == ("cancelled", "Yes?")
    assert played.outcome.sound, played.outcome

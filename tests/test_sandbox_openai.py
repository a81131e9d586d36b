"""The `openai` package, which we did not write, against the real server, in both dialects.

It is an asyncio library that also has a synchronous client: that one is used, here, while the
sandbox serves from a trio loop in a thread of its own.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pybase64
import pytest
import trio
from openai import OpenAI
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from recorder.sandbox import voices
from recorder.sandbox.dialect import BETA, GA
from recorder.sandbox.script import Answer, Call, Failure, Heard, McpCall, Say, Script, When
from recorder.sandbox.server import Options, serve_sandbox
from recorder.sandbox.signals import Clip, Tone
from tests.sandbox_driver import Talk, silence, tone

KEY = "sk-sandbox-test"
QUICK = {"first_delta_ms": 20, "first_audio_ms": 20}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@contextmanager
def sandbox(script: Script) -> Iterator[str]:
    """A sandbox on loopback; gives the base URL that a client is configured with."""
    portal: dict = {}
    ready = threading.Event()

    async def main() -> None:
        options = Options(script=script, api_keys=frozenset({KEY}))
        async with trio.open_nursery() as nursery:
            portal["address"] = await nursery.start(serve_sandbox, options)
            portal["stop"] = nursery.cancel_scope.cancel
            portal["token"] = trio.lowlevel.current_trio_token()
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(10)
    address = portal["address"]
    try:
        yield f"ws://{address.host}:{address.port}/v1"
    finally:
        portal["token"].run_sync_soon(portal["stop"])
        thread.join()


@contextmanager
def connection(base: str, dialect: str):
    """A connection of the real client, GA or beta."""
    with OpenAI(api_key=KEY, websocket_base_url=base) as client:
        realtime = client.realtime if dialect == "ga" else client.beta.realtime
        with realtime.connect(model="gpt-realtime") as opened:
            yield opened


def until(connection, *types: str) -> list:
    """The events up to the first of one of these types."""
    came = []
    while not came or came[-1].type not in types:
        came.append(connection.recv())
    return came


def in_dialect(dialect: str, ga: dict, beta: dict) -> dict:
    """A session for `session.update`."""
    return {"type": "realtime", **ga} if dialect == "ga" else beta


def speak(connection, samples: np.ndarray) -> None:
    """Append audio, 100 ms a message, as fast as it goes."""
    for at in range(0, len(samples), 2400):
        data = samples[at : at + 2400].tobytes()
        connection.input_audio_buffer.append(audio=pybase64.b64encode(data).decode())


def spoken(clip: str) -> np.ndarray:
    """A clip, and silence enough to end the turn."""
    return np.concatenate([voices.load(clip).samples, np.zeros(24_000, dtype=np.int16)])


def text_item(text: str) -> dict:
    """A user's message."""
    return {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }


both = pytest.mark.parametrize("dialect", ["ga", "beta"])


@both
def test_a_text_turn(dialect):
    """A question in text gets its answer by deltas, and whole."""
    script = Script(otherwise=(Answer(items=(Say("You said: {user}", **QUICK),), times=None),))
    with sandbox(script) as base, connection(base, dialect) as c:
        assert c.recv().type == "session.created"
        ga, beta = {"output_modalities": ["text"]}, {"modalities": ["text"]}
        c.session.update(session=in_dialect(dialect, ga, beta))
        updated = until(c, "session.updated")[-1].session
        c.conversation.item.create(item=text_item("good day"))
        c.response.create()
        came = until(c, "response.done")

    name = "response.output_text" if dialect == "ga" else "response.text"
    deltas = [event.delta for event in came if event.type == f"{name}.delta"]
    (done,) = [event.text for event in came if event.type == f"{name}.done"]
    assert (updated.output_modalities if dialect == "ga" else updated.modalities) == ["text"]
    assert "".join(deltas) == done == "You said: good day"
    assert came[-1].response.status == "completed"
    assert came[-1].response.usage.output_token_details.text_tokens > 0


@both
def test_a_spoken_turn_with_server_vad(dialect):
    """Speech is found, committed, transcribed and answered; the audio is what the script plays."""
    script = Script(
        otherwise=(Answer(items=(Say("", (Clip("assistant_hours"),), **QUICK),), times=None),)
    )
    with sandbox(script) as base, connection(base, dialect) as c:
        transcription = {"model": "gpt-4o-transcribe"}
        ga = {"audio": {"input": {"transcription": transcription}}}
        c.session.update(
            session=in_dialect(dialect, ga, {"input_audio_transcription": transcription})
        )
        speak(c, spoken("caller_hours"))
        came = until(c, "conversation.item.input_audio_transcription.completed")
        if not any(event.type == "response.done" for event in came):
            came += until(c, "response.done")

    by_type = {event.type: event for event in came}
    name = "response.output_audio" if dialect == "ga" else "response.audio"
    audio = b"".join(pybase64.b64decode(e.delta) for e in came if e.type == f"{name}.delta")
    started = by_type["input_audio_buffer.speech_started"]
    stopped = by_type["input_audio_buffer.speech_stopped"]
    assert started.item_id == stopped.item_id == by_type["input_audio_buffer.committed"].item_id
    assert (started.audio_start_ms, stopped.audio_end_ms % 32) == (0, 0)
    assert audio == voices.load("assistant_hours").samples.tobytes()
    assert by_type[f"{name}_transcript.done"].transcript == voices.TEXTS["assistant_hours"]


@both
def test_a_function_call_and_its_continuation(dialect):
    """The call comes whole, its output is taken, and the next response goes on from it."""
    script = Script(
        answers=(
            Answer(items=(Say("Let me see.", **QUICK), Call("get_weather", {"city": "London"}))),
            Answer(items=(Say("It is {output}.", **QUICK),), when=When(after_tool="get_weather")),
        )
    )
    with sandbox(script) as base, connection(base, dialect) as c:
        ga = {"output_modalities": ["text"], "tools": [WEATHER]}
        beta = {"modalities": ["text"], "tools": [WEATHER]}
        c.session.update(session=in_dialect(dialect, ga, beta))
        c.conversation.item.create(item=text_item("what is the weather in London?"))
        c.response.create()
        first = until(c, "response.done")
        (arguments,) = [e for e in first if e.type == "response.function_call_arguments.done"]
        output = {
            "type": "function_call_output",
            "call_id": arguments.call_id,
            "output": "foggy",
        }
        c.conversation.item.create(item=output)
        c.response.create()
        second = until(c, "response.done")

    message, call = first[-1].response.output
    assert (message.type, call.type, call.name) == ("message", "function_call", "get_weather")
    assert arguments.arguments == call.arguments == '{"city":"London"}'
    (answer,) = second[-1].response.output
    assert answer.content[0].text == "It is foggy."


@both
def test_a_barge_in(dialect):
    """Speech over an answer that is being given cancels it; then the client cuts what was heard."""
    slow = Say("A long story.", (Tone(440, 4000),), speed=1.0, chunks_ms=(100,), **QUICK)
    with (
        sandbox(Script(answers=(Answer(items=(slow,)),))) as base,
        connection(base, dialect) as c,
    ):
        c.conversation.item.create(item=text_item("tell me a story"))
        c.response.create()
        name = "response.output_audio.delta" if dialect == "ga" else "response.audio.delta"
        begun = until(c, name)[-1]
        time.sleep(0.2)
        speak(c, voices.load("caller_stop").samples[:12_000])
        cancelled = until(c, "response.done")
        c.conversation.item.truncate(item_id=begun.item_id, content_index=0, audio_end_ms=100)
        truncated = until(c, "conversation.item.truncated", "error")[-1]

    response = cancelled[-1].response
    assert "input_audio_buffer.speech_started" in [event.type for event in cancelled]
    assert (response.status, response.status_details.reason) == ("cancelled", "turn_detected")
    assert response.output[0].status == "incomplete"
    assert (truncated.item_id, truncated.audio_end_ms) == (begun.item_id, 100)


@both
def test_errors_name_the_event_that_caused_them(dialect):
    """An error carries the client's event id, and the session goes on."""
    with sandbox(Script()) as base, connection(base, dialect) as c:
        c.response.cancel(event_id="mine_1")
        error = until(c, "error")[-1].error
        c.input_audio_buffer.clear()
        cleared = until(c, "input_audio_buffer.cleared", "error")[-1]

    assert (error.code, error.event_id) == ("response_cancel_not_active", "mine_1")
    assert cleared.type == "input_audio_buffer.cleared"


def everything(talk: Talk, update: dict) -> None:
    """A conversation in which nearly every kind of event occurs."""
    for _ in range(5):
        talk.say("hello")
        talk.wait(3000)
    talk.send("session.update", session=update)
    for _ in range(2):
        talk.speak(np.concatenate([tone(500), silence(1500)]))
        talk.wait(4000)
    talk.speak(silence(9000))
    item_id = next(e["item_id"] for e in talk.events if e["type"].endswith("audio.done"))
    talk.send("conversation.item.retrieve", item_id=item_id)
    talk.send("conversation.item.truncate", item_id=item_id, content_index=1, audio_end_ms=5)
    talk.send("conversation.item.delete", item_id=item_id)
    talk.send("input_audio_buffer.clear")
    talk.send("no.such.event")


@pytest.mark.parametrize(
    ("dialect", "union", "kinds"), [(GA, RealtimeServerEvent, 37), (BETA, BetaServerEvent, 30)]
)
def test_every_event_is_what_the_packages_own_types_say(dialect, union, kinds):
    """Validated strictly, member by member: the package itself is more lenient when it reads."""
    tools = [{"type": "mcp", "server_label": "s", "server_url": "https://example.test"}]
    transcription = {"model": "gpt-4o-transcribe"}
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    audio = {"input": {"transcription": transcription, "turn_detection": detection}}
    ga, beta = {"audio": audio, "tools": tools}, {"input_audio_transcription": transcription}
    server_call = (McpCall("read", "s"),) if dialect is GA else ()
    script = Script(
        answers=(
            Answer(items=(Say("Both.", both=True), Call("f", {"a": 1}), *server_call)),
            Answer(items=(Say("Cut short, too long."),), content_filter=True),
            Answer(fail=Failure()),
        ),
        heard=(Heard(fail=Failure()),),
    )
    talk = Talk(script, dialect, options={"model": "gpt-realtime"})
    everything(talk, in_dialect("ga" if dialect is GA else "beta", ga, beta))

    types = TypeAdapter(union)
    for event in talk.events:
        types.validate_python(json.loads(json.dumps(event)))
    assert len({event["type"] for event in talk.events}) >= kinds

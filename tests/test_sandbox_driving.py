"""A session on a socket, with a clock that the test turns: real frames, exact times."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import numpy as np
import pybase64
import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from recorder.sandbox.driving import drive
from recorder.sandbox.formats import PCM24, encode
from recorder.sandbox.script import Fault, Script
from recorder.sandbox.session import SandboxSession
from recorder.transport.connection import Connection
from tests.sandbox_driver import QUICK, silence, tone


@asynccontextmanager
async def client_of(script):
    """A client's end of a connection to a session with that script."""
    near, far = trio.testing.memory_stream_pair()
    client, server = Connection(near, client=True), Connection(far, client=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        nursery.start_soon(server.run)
        nursery.start_soon(_serve, SandboxSession(script), server)
        try:
            yield client
        finally:
            client.stop()
            server.stop()
            nursery.cancel_scope.cancel()


async def _serve(session, server):
    try:
        await drive(session, server)
    except ConnectionClosed:
        return


async def receive(client, kind):
    """The next event of that type, with the time at which it came."""
    while True:
        event = json.loads(await client.get_message())
        if event["type"] == kind:
            return event, trio.current_time()


async def send(client, kind, **members):
    """Send an event."""
    await client.send_message(json.dumps({"type": kind, **members}))


async def test_times_on_the_wire_are_exact(autojump_clock):
    """A delta that is due after 100 ms is received after 100 ms."""
    async with client_of(Script(otherwise=(QUICK,))) as client:
        await receive(client, "session.created")
        begun = trio.current_time()
        await send(client, "response.create")

        times = [
            (await receive(client, kind))[1] - begun
            for kind in ("response.created", *["response.output_audio.delta"] * 4, "response.done")
        ]

    assert times == pytest.approx([0, 0.1, 0.125, 0.175, 0.275, 0.275], abs=1e-9)


async def test_speech_in_real_time_is_found_in_real_time(autojump_clock):
    """20 ms chunks: started and stopped come with the chunk that completes the step."""
    samples = np.concatenate([silence(640), tone(640), silence(640)])
    heard = {}

    async def listen(client):
        for kind in ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"):
            heard[kind] = (await receive(client, kind))[1]

    async with client_of(Script()) as client:
        await receive(client, "session.created")
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, client)
            for at in range(0, len(samples), 480):
                await trio.sleep_until(begun + (at + 480) / 24_000)
                data = encode(samples[at : at + 480], PCM24)
                await send(
                    client, "input_audio_buffer.append", audio=pybase64.b64encode(data).decode()
                )

    assert [time - begun for time in heard.values()] == pytest.approx([0.72, 1.52], abs=1e-9)


async def test_a_close_ends_both_sides_with_code_and_reason(autojump_clock):
    """At its time, whether or not the client says anything."""
    script = Script(faults=(Fault(do="close", at_ms=1500, code=4321, reason="enough"),))
    async with client_of(script) as client:
        await receive(client, "session.created")
        with pytest.raises(ConnectionClosed) as caught:
            await client.get_message()

    assert trio.current_time() == pytest.approx(1.5, abs=1e-9)
    assert (caught.value.reason.code, caught.value.reason.reason) == (4321, "enough")


async def test_an_abort_comes_without_a_close(autojump_clock):
    """The client sees the stream end: 1006."""
    async with client_of(Script(faults=(Fault(do="abort", at_ms=100),))) as client:
        await receive(client, "session.created")
        with pytest.raises(ConnectionClosed) as caught:
            await client.get_message()

    assert caught.value.reason.code == 1006


async def test_a_stall_delays_the_answer_to_what_came_meanwhile(autojump_clock):
    """What the client sends during it is read, and answered, after it."""
    script = Script(faults=(Fault(do="stall", at_ms=100, ms=2000),))
    async with client_of(script) as client:
        await receive(client, "session.created")
        await trio.sleep(1)
        await send(client, "input_audio_buffer.clear")
        _, at = await receive(client, "input_audio_buffer.cleared")

    assert at == pytest.approx(2.1, abs=1e-9)


async def test_frames_that_no_client_expects_arrive_as_they_are(autojump_clock):
    """Binary stays binary, what is no JSON stays what it is, a ping is answered."""
    script = Script(
        faults=(
            Fault(do="binary", at_ms=10, text="\0x"),
            Fault(do="ping", at_ms=20, text="p"),
            Fault(do="text", at_ms=30, text="{"),
        )
    )
    async with client_of(script) as client:
        await receive(client, "session.created")
        assert [await client.get_message(), await client.get_message()] == [b"\0x", "{"]

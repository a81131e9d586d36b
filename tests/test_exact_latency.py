"""Latencies over real WebSocket framing, on a clock that jumps: `==`, no tolerance.

The sandbox and the recording client talk over memory streams, handshake and frames and masks and
all; each event goes into a `MemoryStore` the moment it passes. Nothing sleeps in real time. The
link may hold up every byte by the same time each way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed

from recorder.events import Event, Origin, Session
from recorder.live.session import RealtimeSession
from recorder.live.tap import Subject, Tap
from recorder.live.writer import WriterOptions
from recorder.projections import Analysis, analyse
from recorder.sandbox.driving import drive
from recorder.sandbox.script import Call, Script, When
from recorder.sandbox.session import SandboxSession
from recorder.store import MemoryStore, RecorderProcess
from recorder.transport import ClientSocket, Frame, over_stream
from recorder.transport.connection import Connection
from tests.golden.kit import answer, heard, says, voice
from tests.golden.reading import figures, parts, qualities, said, turns
from tests.transport_kit import TIMES, now_ns, read_head, switch

TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}


@dataclass
class AtOnce:
    """What a tap writes to: straight into the store, with no thread that the clock would outrun."""

    store: MemoryStore
    options: WriterOptions = field(default_factory=WriterOptions)
    process: RecorderProcess = field(
        default_factory=lambda: RecorderProcess(
            id="here", host="here", pid=1, boot_id="boot", started_ns=0, lease_ns=0
        )
    )
    room: int = 1 << 30
    trouble: str = ""
    lost: int = 0

    async def begin(self, session: Session) -> None:
        self.store.begin(session)

    async def wait_for_room(self) -> None:
        return

    def put(self, session_id: str, event: Event) -> None:
        self.store.append([(session_id, [event])])


class Lab:
    """A client and the sandbox, `way_ms` apart."""

    def __init__(self, session: RealtimeSession, socket: ClientSocket, store: MemoryStore) -> None:
        self.session, self.socket, self._store = session, socket, store

    def analysis(self) -> Analysis:
        """What the log amounts to."""
        return analyse(lambda audio: self._store.read(self.session.id, audio=audio))

    def seen(self, kind: str) -> list[float]:
        """When events of this type passed, in ms."""
        return [e.at_ns / 1e6 for e in self._store.read(self.session.id) if e.type == kind]

    async def speak(self, *stretches: tuple[int, bool]) -> None:
        """The microphone, live: (ms, whether a voice sounds)."""
        sounds = [voice(ms) if loud else np.zeros(24 * ms, np.int16) for ms, loud in stretches]
        await self.session.stream(np.concatenate(sounds).astype("<i2").tobytes())

    async def until(self, kind: str) -> dict[str, object]:
        """Take events in until one of this type comes."""
        async for event in self.session:
            if event.type == kind:
                return event.data
        raise AssertionError(f"no {kind} came")


async def _hold_up(
    source: trio.abc.Stream, sink: trio.abc.HalfCloseableStream, seconds: float
) -> None:
    """Carry bytes over, each so much later."""
    send, receive = trio.open_memory_channel[tuple[float, bytes]](1000)

    async def read() -> None:
        async with send:
            while data := await source.receive_some():
                await send.send((trio.current_time() + seconds, bytes(data)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        async for due, data in receive:
            await trio.sleep_until(due)
            await sink.send_all(data)
        await sink.send_eof()


async def _sandbox(stream: trio.abc.HalfCloseableStream, script: Script) -> None:
    """The endpoint: the upgrade, then a session on the socket."""
    await stream.send_all(switch(await read_head(stream)))
    connection = Connection(stream, client=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        try:
            await drive(SandboxSession(script), connection)
        except ConnectionClosed:
            pass
        finally:
            connection.stop()


@asynccontextmanager
async def lab(script: Script, way_ms: float = 0) -> AsyncIterator[Lab]:
    """A recorded session, open; closed in order afterwards."""
    store = MemoryStore()
    near, middle = memory_stream_pair()
    beyond, far = memory_stream_pair()
    tap = Tap(AtOnce(store), Subject(url="ws://sandbox/v1/realtime"), clock=now_ns)  # type: ignore[arg-type]
    await tap.open()
    sessions: list[RealtimeSession] = []
    early: list[tuple[Frame, int | None]] = []

    def crossed(frame: Frame) -> None:
        origin = Origin.CLIENT if frame.sent else Origin.SERVER
        seq = tap.frame(origin, frame.at_ns, frame.data, frame.opcode)
        for session in sessions:
            session.crossed(frame, seq)
        if not sessions:
            early.append((frame, seq))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hold_up, middle, beyond, way_ms / 1000)
        nursery.start_soon(_hold_up, beyond, middle, way_ms / 1000)
        nursery.start_soon(_sandbox, far, script)
        async with over_stream(
            near, tap.session.url, timeouts=TIMES, clock=now_ns, on_frame=crossed
        ) as socket:
            tap.note("handshake", status=101, dialled_ns=0)
            session = RealtimeSession(socket, tap, "ga")
            sessions.append(session)
            for frame, seq in early:
                session.crossed(frame, seq)
            yield Lab(session, socket, store)
        tap.end(code=1000, reason="", initiator="client", clean=True)
        nursery.cancel_scope.cancel()


SPOKEN = Script(
    answers=(answer(says("Nine in the morning.", 500, lead=100)),),
    heard=(heard("When do you open?"),),
    session={"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
)


async def one_turn(script: Script, way_ms: float, pings: int = 0) -> Analysis:
    """The microphone is on as soon as the session is there, which counts as time 0 below."""
    async with lab(script, way_ms) as here:
        await here.session.ready()
        for _ in range(pings):
            assert await here.socket.ping() == 2 * way_ms * 1e6
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.speak, (320, False), (1280, True), (400, False))
            await here.until("conversation.item.input_audio_transcription.completed")
        return here.analysis()


async def test_a_spoken_turn_to_the_nanosecond(autojump_clock: trio.testing.MockClock) -> None:
    """No distance: heard at 400, over at 1840, created at 1850, its audio at 2050 and audible at
    2150; the voice sounded from 320 to 1600."""
    found = await one_turn(SPOKEN, 0)

    assert figures(found) == {
        "v2v_audible": 550,
        "v2v_wire": 450,
        "time_to_answer": 550,
        "dead_air": 550,
        "ttfa_stop": 210,
        "ttfa_created": 200,
        "ttfa_trigger": 210,
        "ttft": 150,
        "endpointing": 240,
        "input_backlog": 0,
        "onset_difference": 12,
        "end_difference": 24,
        "transcription_delay": 840,
        "transcription_commit": 600,
        "first_words": 1920,
        "response_start": 10,
        "response_duration": 275,  # 200, and the 300 ms before its last delta at 4x
    }
    assert qualities(found) == {"overlap": 0, "unheard": 0}
    assert turns(found) == [("vad_commit", "answered", 1, ())]


async def test_distance_is_the_networks(autojump_clock: trio.testing.MockClock) -> None:
    """40 ms each way: a message of the server answers one of the client 80 ms later than it would.

    Between two messages of the server nothing changes. The pings tell the 80 from the rest.
    """
    found = await one_turn(SPOKEN, 40, pings=2)

    numbers = figures(found)
    assert (numbers["endpointing"], numbers["v2v_wire"], numbers["v2v_audible"]) == (320, 530, 630)
    assert (numbers["ttfa_stop"], numbers["ttfa_created"], numbers["ttft"]) == (210, 200, 150)
    assert (numbers["response_start"], numbers["response_duration"]) == (10, 275)
    assert (numbers["transcription_delay"], numbers["transcription_commit"]) == (920, 600)
    session = found.latency.session
    assert (session["connect"].value_ms, session["ping_rtt"].value_ms) == (80, 80)
    assert parts(found) == {
        "input_backlog": 0,
        "endpointing_window": 200,
        "endpointing_rest": 40,
        "network": 80,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }


async def test_push_to_talk_over_a_distance(autojump_clock: trio.testing.MockClock) -> None:
    """25 ms each way. Commit 150 ms after the end of the voice, the request 30 later: created 10
    and 50 of the way after that, audio 200 later, audible 100 after that."""
    manual = Script(answers=SPOKEN.answers, session={"audio": {"input": {"turn_detection": None}}})
    async with lab(manual, 25) as here:
        await here.session.ready()
        before = trio.current_time()
        await here.session.send({"type": "session.update", "session": {"type": "realtime"}})
        await here.until("session.updated")
        assert round((trio.current_time() - before) * 1000) == 50
        await here.speak((600, True), (150, False))
        await here.session.commit()
        await trio.sleep(0.03)
        await here.session.respond()
        await here.session.answer()
        found = here.analysis()

    assert found.latency.session["config_rtt"].value_ms == 50
    assert figures(found) == {
        "v2v_audible": 540,  # 150 + 30 + 50 + 10 + 200 + 100
        "v2v_wire": 440,
        "time_to_answer": 540,
        "dead_air": 540,
        "ttfa_created": 200,
        "ttfa_trigger": 260,
        "commit_to_audio": 390,
        "create_to_audio": 360,
        "ttft": 150,
        "input_backlog": 0,
        "commit_ack": 50,
        "response_start": 60,
        "response_duration": 275,
    }
    assert parts(found) == {
        "input_backlog": 0,
        "app_wait": 180,
        "response_start": 60,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }


async def test_a_tool_over_a_distance(autojump_clock: trio.testing.MockClock) -> None:
    """15 ms each way, a tool of 700 ms, a text question: the call comes whole 190 ms after it was
    asked for (10 + 30 of the way + 150), the answer 240 after its output (10 + 30 + 200)."""
    script = Script(
        answers=(
            answer(Call("look_up", "{}", first_delta_ms=140, gap_ms=10)),
            answer(says("In bay seven.", 400), when=When(after_tool="look_up")),
        ),
        session={"tools": [TOOL]},
    )
    async with lab(script, 15) as here:
        await here.session.ready()
        await here.session.say("Where is it?")
        (call,) = (await here.session.answer()).tool_calls
        await trio.sleep(0.7)
        await here.session.tool_output(call.call_id, "{}")
        await here.session.respond()
        await here.session.answer()
        found = here.analysis()

    numbers = figures(found)
    assert (numbers["tool_exec"], numbers["tool_resume"]) == (700, 240)
    assert numbers["create_to_audio"] == 1130
    assert parts(found) == {
        "app_wait": 0,
        "response_start": 40,
        "tool_call": 150,
        "tool": 700,
        "tool_resume": 240,
        "queue": 0,
        "leading_silence": 0,
    }
    assert [line[0] for line in said(found)] == ["user", "tool", "assistant"]


@pytest.mark.parametrize("way_ms", [0, 35])
async def test_an_interruption_over_a_distance(
    autojump_clock: trio.testing.MockClock, way_ms: float
) -> None:
    """The answer plays from 2050 (and the way) on. The voice is back at 3200, is heard at 3280 and
    the way there and back; the application truncates 120 ms later what began at 2050 and the way.
    """
    trip = 2 * way_ms
    script = Script(answers=(answer(says("one two three four", 4000)), *SPOKEN.answers))
    async with lab(script, way_ms) as here:
        await here.session.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                here.speak, (320, False), (1280, True), (1600, False), (800, True), (400, False)
            )
            await here.until("response.output_audio.delta")
            began = trio.current_time()
            added = await here.until("response.output_item.done")
            await here.until("input_audio_buffer.speech_started")
            await trio.sleep(0.12)
            played = round((trio.current_time() - began) * 1000)
            await here.session.truncate(added["item"]["id"], played)  # type: ignore[index]
            await here.until("response.done")
        found = here.analysis()

    assert played == 3280 + trip + 120 - (2050 + trip)
    numbers = qualities(found, 2)
    assert numbers["barge_in_detection"] == 80 + trip
    assert numbers["client_reaction"] == 120
    assert numbers["barge_in_stop"] == numbers["overlap"] == 200 + trip
    assert qualities(found, 1)["unheard"] == 4000 - played

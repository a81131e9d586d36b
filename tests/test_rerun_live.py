"""Reruns over real WebSocket framing: exact times on a clock that jumps, ends, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
import pytest
import trio

from recorder.errors import ServerError, SessionClosed
from recorder.events import Event
from recorder.live.client import connect
from recorder.live.rerunning import Budget, Outcome, perform
from recorder.mocking.choosing import Recorded
from recorder.mocking.serving import Mock, serve_mock
from recorder.mocking.serving import Options as MockOptions
from recorder.projections import analyse
from recorder.replaying import Rules as ReplayRules
from recorder.rerunning import Options, Rerun, Rules, make_plan
from recorder.sandbox.script import Script
from recorder.store import MemoryStore
from tests import log_kit
from tests.building import Talk, tone
from tests.golden.reading import figures
from tests.rerun_kit import reading
from tests.test_exact_latency import SPOKEN, Lab, lab

APPEND = "input_audio_buffer.append"


def kept(here: Lab) -> Callable[..., Iterator[Event]]:
    """What the session's log holds, as a store gives it."""
    return partial(here._store.read, here.session.id)


def rerun_of(
    read: Callable[..., Iterator[Event]], options: Options | None = None, **rules: Any
) -> Rerun:
    """The session run again."""
    plan = make_plan(read, analyse(lambda audio: read(audio=audio)), options)
    return Rerun(plan, read, Rules(**rules), options)


async def recorded(script: Script = SPOKEN) -> Callable[..., Iterator[Event]]:
    """A spoken turn, recorded: the microphone is on as soon as the session is there."""
    async with lab(script) as here:
        await here.session.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.speak, (320, False), (1280, True), (400, False))
            await here.until("conversation.item.input_audio_transcription.completed")
        return kept(here)


async def again(
    read: Callable[..., Iterator[Event]], script: Script = SPOKEN, way_ms: float = 0, **how: Any
) -> tuple[Outcome, Callable[..., Iterator[Event]]]:
    """The session run again before a sandbox, and its log."""
    async with lab(script, way_ms) as here:
        outcome = await perform(rerun_of(read), here.session, **how)
        return outcome, kept(here)


def times(read: Callable[..., Iterator[Event]], kind: str) -> list[float]:
    """When events of this type passed, in ms since the session was there."""
    began = next(e.at_ns for e in read() if e.type == "session.created")
    return [(e.at_ns - began) / 1e6 for e in read() if e.type == kind]


async def test_to_the_nanosecond(autojump_clock: trio.testing.MockClock) -> None:
    """Before the same endpoint every latency is what it was, and every chunk goes out on time."""
    first = await recorded()
    outcome, second = await again(first)

    assert outcome == Outcome("", 2_000_000_000, [])
    assert times(second, APPEND) == [20.0 * row for row in range(1, 101)]
    then, now = (analyse(lambda audio, read=read: read(audio=audio)) for read in (first, second))
    assert figures(now) == figures(then)
    assert [e.audio for e in second() if e.type == APPEND] == [
        e.audio for e in first() if e.type == APPEND
    ]


async def test_distance_does_not_change_the_pace(autojump_clock: trio.testing.MockClock) -> None:
    """40 ms away the audio begins when the session is there, and goes at the same pace."""
    _, second = await again(await recorded(), way_ms=40)
    assert times(second, APPEND) == [20.0 * row for row in range(1, 101)]


async def test_what_goes_another_way_is_said_and_noted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A deletion of something that is not there: a note in the log, and a word to the person."""
    talk = Talk().open(0, vad=None)
    talk.write(100, "hi").answer(200, "R", "A", [(300, 500)], text="x")
    talk.answer(1200, "R2", "A2", [(1300, 500)], text="of its own accord")
    talk.client(2000, "conversation.item.delete", item_id="A2").close(2100)
    read = reading(talk.events)
    said: list[str] = []
    outcome, second = await again(read, say=said.append)
    notes = [orjson.loads(e.head)["text"] for e in second() if e.type == "recorder.note"]
    assert len(said) == 1
    assert notes == [f"rerun: {each}" for each in said]
    assert outcome.remarks == said


async def test_no_more_audio_than_was_allowed(autojump_clock: trio.testing.MockClock) -> None:
    """The budget is shared by all runs: a second of it is fifty chunks, whoever sends them."""
    read, budget = await recorded(), Budget(1_000_000_000)
    outcome, second = await again(read, budget=budget)
    assert "--max-audio-minutes" in outcome.stopped
    assert len(times(second, APPEND)) == 50
    outcome, second = await again(read, budget=budget)
    assert times(second, APPEND) == []


async def test_the_endpoint_refuses_the_configuration(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its own words are raised."""
    talk = Talk().open(0, vad=None)
    talk.client(10, "session.update", session={"type": "realtime", "audio": 7})
    talk.server(20, "session.updated", session={}).close(30)
    async with lab(SPOKEN) as here:
        with pytest.raises(ServerError, match=r"invalid_type: .*session\.audio"):
            await perform(rerun_of(reading(talk.events)), here.session)


async def test_the_endpoint_hangs_up(autojump_clock: trio.testing.MockClock) -> None:
    """An end before the end is raised with its code."""
    talk = Talk().open(0, vad=None)
    for row in range(10):
        talk.append(100 * row, tone(100))
    talk.close(2000)
    read = reading(talk.events)
    async with lab(SPOKEN) as here:
        async with trio.open_nursery() as nursery:

            async def hang_up() -> None:
                await trio.sleep(0.5)
                await here.socket.close(1000, "enough")

            nursery.start_soon(hang_up)
            with pytest.raises(SessionClosed):
                await perform(rerun_of(read), here.session)


@pytest.mark.parametrize(("closes_ms", "is_over"), [(3000, True), (1350, False)])
async def test_a_server_that_closes_by_itself(closes_ms: float, is_over: bool) -> None:
    """After all was over that is an end like any other; before, it is a failure."""
    talk = Talk().open(0, vad=None)
    talk.write(1000, "hi").answer(1100, "R", "A", [], text="x", done=1400)
    talk.close(4000)
    served = [e for e in talk.events if e.type != "recorder.closed" and e.at_ns / 1e6 < closes_ms]
    end = Talk().close(closes_ms, 1001, "server").events[0]
    served.append(end._replace(seq=len(served) + 1))
    mock = Mock([Recorded(session=log_kit.session(1), events=partial(iter, served))],
                MockOptions(rules=ReplayRules(match="lenient")))  # fmt: skip
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_mock, mock)
        url = f"ws://127.0.0.1:{address.port}/v1"
        async with connect(url, model="m", store=MemoryStore()) as session:
            rerun = rerun_of(reading(talk.events))
            if is_over:
                assert (await perform(rerun, session)).stopped == ""
            else:
                with pytest.raises(SessionClosed):
                    await perform(rerun, session)
        nursery.cancel_scope.cancel()

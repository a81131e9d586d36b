"""What the mock sends, recorded again: a golden call held once more over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from recorder import wire
from recorder.errors import RecorderError
from recorder.events import BINARY, TEXT, Event, Origin
from recorder.mocking.cassettes import from_store
from recorder.mocking.choosing import Played
from recorder.mocking.serving import Mock, Options, serve_mock
from recorder.replaying import Rules
from recorder.store import MemoryStore
from recorder.transport.client import open_websocket
from recorder.transport.client_socket import ClientSocket
from tests import log_kit
from tests.golden import formats, interruptions, tools, trouble, turns
from tests.golden.kit import SESSIONS, played
from tests.proxy_kit import House, proxy_before
from tests.test_mock_openai import KEY

LINES = [(name, row) for name, (_, count) in SESSIONS.items() for row in range(count)]
SPEAKERS = (formats, interruptions, tools, trouble, turns)
"""They enter their calls into `SESSIONS` as they are imported."""


@asynccontextmanager
async def recorded_mock(log: list[Event], ended: list[Played]) -> AsyncIterator[House]:
    """A recording proxy before a mock that plays this log, without its delays."""
    store = MemoryStore()
    session = log_kit.session(1)
    store.begin(session)
    store.append([(session.id, log)])
    options = Options(rules=Rules(speed=None))
    mock = Mock([from_store(store, session)], options, ended.append)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_mock, mock)
        async with proxy_before(f"http://{address}") as house:
            yield house
        with trio.fail_after(5):
            while not ended:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()


async def repeat(socket: ClientSocket, log: list[Event]) -> None:
    """Be the recorded caller: say everything in its turn, having heard what was heard before."""
    for event in log:
        if event.opcode not in (TEXT, BINARY):
            continue
        if event.origin == Origin.SERVER:
            await socket.receive()
        elif event.origin == Origin.CLIENT:
            data = wire.join(event)
            await socket.send(data if event.opcode == BINARY else data.decode())


def messages(log: list[Event], origin: Origin) -> list[tuple[int, bytes]]:
    """What one side said."""
    return [
        (event.opcode, wire.join(event))
        for event in log
        if event.origin == origin and event.opcode in (TEXT, BINARY)
    ]


def in_order_of_causes(told: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """An error that came late in the recording has nothing to wait for without delays."""
    late = [row for row, (_, data) in enumerate(told) if b'"event_id":"too_early"' in data]
    for row in late:
        told.insert(1, told.pop(row))
    return told


@pytest.mark.parametrize(("name", "row"), LINES)
async def test_a_golden_call_comes_out_as_it_was_recorded(name: str, row: int) -> None:
    """Both sides' messages, byte for byte and in order, and the close of the server."""
    log, ended = played(name)[row].log, []
    async with recorded_mock(log, ended) as house:
        url = f"ws://{house.address}/v1/realtime?model=sandbox"
        with trio.fail_after(10):
            try:
                async with open_websocket(url, headers=(("Authorization", KEY),)) as socket:
                    await repeat(socket, log)
            except RecorderError:
                pass
            await house.over()
        again = house.events()

    said, told = messages(again, Origin.CLIENT), messages(again, Origin.SERVER)
    assert told == in_order_of_causes(messages(log, Origin.SERVER))
    cut_off = log[-1].type == "recorder.closed" and b'"initiator":"client"' not in log[-1].head
    wanted = messages(log, Origin.CLIENT)
    assert said == (wanted[: len(said)] if cut_off else wanted)
    assert ended[0].outcome.sound, ended[0].outcome

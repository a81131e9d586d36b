"""The mock as a server: who is let in, which session is played, exact times, the command line."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from recorder.errors import DamagedLog, SessionClosed, UsageError
from recorder.events import Event, Origin
from recorder.exporters import jsonl
from recorder.mocking.cassettes import from_file
from recorder.mocking.choosing import Chooser, Recorded, check_playable
from recorder.mocking.faults import Faults, parse_fault
from recorder.mocking.line import Line
from recorder.mocking.performing import Performance, perform
from recorder.mocking.serving import Mock, Options, serve_mock
from recorder.mocking.tape import AHEAD, PAGE, Tape
from recorder.replaying import Replayer, Rules
from recorder.transport.client import open_websocket
from recorder.transport.connection import Connection
from recorder.transport.http import Accept, Address, Request, Response
from tests import log_kit
from tests.building import Talk
from tests.cli_kit import Recorder
from tests.test_replaying import item, spoken_turn, text_turn

HERE = Address("127.0.0.1", 1)


def recorded(number: int = 1, *, model: str = "m", tags: tuple[str, ...] = ()) -> Recorded:
    """A recorded text turn."""
    events = text_turn().events

    def read() -> Iterator[Event]:
        return iter(events)

    return Recorded(session=log_kit.session(number), events=read, model=model, tags=tags)


def request(target: str, method: str = "GET", body: bytes = b"", key: str = "") -> Request:
    """A request."""
    headers = (("Authorization", f"Bearer {key}"),) if key else ()
    return Request(method=method, target=target, headers=headers, remote=HERE, body=body)


@asynccontextmanager
async def on_a_socket(events: list[Event], **rules: Any) -> AsyncIterator[Connection]:
    """The client's end of a connection on which this session is played."""
    near, far = trio.testing.memory_stream_pair()
    client, server = Connection(near, client=True), Connection(far, client=False)
    tape = Tape(events)
    performance = Performance(Replayer(tape, Rules(**rules)), Line(Faults((), lambda: 0.0)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        nursery.start_soon(server.run)
        nursery.start_soon(perform, performance, tape, server)
        yield client
        nursery.cancel_scope.cancel()
        client.stop()
        server.stop()


@pytest.mark.parametrize(
    ("speed", "times"),
    [
        (1.0, (7020, 7200, 7290, 7390)),
        (2.0, (7010, 7100, 7145, 7195)),
        (0.5, (7040, 7400, 7580, 7780)),
        (None, (7000, 7000, 7000, 7000)),
    ],
)
async def test_exact_times(
    speed: float | None, times: tuple[int, ...], autojump_clock: trio.testing.MockClock
) -> None:
    """Over real framing, each event comes its recorded delay after its cause, to the nanosecond.

    The question comes at 7000 ms; the answers at 20 and 200 ms after it, the rest 90 and 100 ms
    later. At twice the speed it is half of that, and without waiting it is nothing.
    """
    began = trio.current_time()
    came = []
    async with on_a_socket(text_turn().events, speed=speed) as client:
        await client.get_message()
        await trio.sleep(7)
        asked = {"type": "conversation.item.create", "item": item("hi")}
        await client.send_message(orjson.dumps(asked).decode())
        await client.send_message('{"type":"response.create"}')
        while not came or came[-1][1] != "response.done":
            kind = orjson.loads(await client.get_message())["type"]
            came.append((round((trio.current_time() - began) * 1000, 6), kind))

    kinds = ("conversation.item.added", "response.created", "response.output_text.delta",
             "response.done")  # fmt: skip
    assert came == list(zip(times, kinds, strict=True))


async def test_lateness_never_adds_up(autojump_clock: trio.testing.MockClock) -> None:
    """A client that reads nothing for half a second gets what is due later when it is due."""
    talk = Talk().open(0)
    for row in range(100):
        talk.server(10 * row + 10, "x.tick", n=row)
    began = trio.current_time()
    async with on_a_socket(talk.events, speed=1.0) as client:
        await client.get_message()
        await trio.sleep(0.5)
        came = {}
        for row in range(100):
            assert orjson.loads(await client.get_message())["n"] == row
            came[row] = round((trio.current_time() - began) * 1000, 6)
    assert {came[row] for row in range(50)} == {500}
    assert [came[row] for row in range(50, 100)] == [10 * row + 10 for row in range(50, 100)]


async def test_a_stall_costs_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """While the line stalls nobody looks at it again and again."""
    fault = parse_fault("stall=30s@session.created")
    tape = Tape(text_turn().events)
    performance = Performance(Replayer(tape), Line(Faults((fault,), lambda: 0.0)))
    performance.open(0)
    await tape_read(tape)
    performance.poll(0)
    performance.receive('{"type":"conversation.item.create","item":{}}', 1)
    performance.poll(1)
    assert performance.next_at() == 30 * 10**9


async def tape_read(tape: Tape) -> None:
    """Let it read all that it will hold."""
    with trio.move_on_after(1):
        await tape.run()


async def test_a_tape_holds_no_more_than_its_window() -> None:
    """Of an endless recording it reads so far ahead, and on as it is used."""
    endless = (Event(n, n, Origin.SERVER, "x", 1, bytes(1000)) for n in itertools.count(1))
    tape, taken = Tape(endless), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tape.run)
        for _ in range(3000):
            while (event := next(tape)) is None:
                await tape.more()
            taken.append(event.seq)
            assert tape.held <= AHEAD + PAGE
        nursery.cancel_scope.cancel()
    assert taken == list(range(1, 3001))


async def test_a_tape_that_cannot_be_read_on_ends_there() -> None:
    """What was read before is there; it is known why there is no more."""

    def broken() -> Iterator[Event]:
        yield from text_turn().events[:2]
        raise DamagedLog("event 3 does not add up")

    tape = Tape(broken())
    await tape.run()
    assert [event.seq for event in tape if event is not None] == [1, 2]
    assert tape.broken == "event 3 does not add up"
    direct = Tape(broken())
    direct.cut()
    assert [event.seq for event in direct if event is not None] == [1, 2]
    assert direct.broken == "event 3 does not add up"


async def test_keep_alives_and_reconnects_are_normal_life() -> None:
    """A ping is answered while nothing is due; who comes again begins again."""
    mock = Mock([recorded()])
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_mock, mock)
        for _ in range(2):
            async with open_websocket(f"ws://{address}/v1/realtime?model=m") as socket:
                first = await socket.receive()
                assert b"session.created" in first.data
                with trio.fail_after(5):
                    await socket.ping()
                await socket.send('{"type":"x.keep_alive"}')
        nursery.cancel_scope.cancel()


def test_which_session_a_client_gets() -> None:
    """By id, by tag, by model, else in turn; once each, if so asked."""
    one, two = recorded(1, model="a", tags=("x",)), recorded(2, model="b")
    chooser = Chooser([one, two], once=False)
    assert [chooser.pick() for _ in range(3)] == [one, two, one]
    assert chooser.pick(model="b") is two
    assert chooser.pick(tag="x") is one
    assert chooser.pick(session=two.session.id[-4:]) is two
    assert chooser.pick(tag="y") is None
    assert chooser.pick(model="never recorded") is not None
    once = Chooser([one, two], once=True)
    assert [once.pick(model="b"), once.pick(model="b"), once.pick()] == [two, one, None]
    assert once.exhausted


async def test_keys_and_tokens() -> None:
    """Without the key nobody gets in; with it, or with a token that was got with it."""
    now = [1000.0]
    mock = Mock([recorded()], Options(api_keys=frozenset({"k"}), clock=lambda: now[0]))
    path = "/v1/realtime?model=m"

    refused = await mock.upgrade(request(path))
    assert isinstance(refused, Response)
    assert refused.status == 401
    answer = await mock.http(request("/v1/realtime/client_secrets", "POST", b"{}", "k"))
    token = orjson.loads(answer.body)  # type: ignore[arg-type]
    assert token["expires_at"] == 1600
    assert isinstance(await mock.upgrade(request(path, key=token["value"])), Accept)
    now[0] = 1600
    assert isinstance(await mock.upgrade(request(path, key=token["value"])), Response)
    beta = await mock.http(request("/v1/realtime/sessions", "POST", b'{"model":"m"}', "k"))
    assert orjson.loads(beta.body)["client_secret"]["expires_at"] == 1660  # type: ignore[arg-type]


async def test_plain_requests() -> None:
    """A GET without upgrade, an unknown path and a wrong method are told so."""
    mock = Mock([recorded()])
    statuses = [
        (await mock.http(request(path, method))).status
        for path, method in (("/v1/realtime", "GET"), ("/v1/other", "GET"),
                             ("/v1/realtime/sessions", "GET"))
    ]  # fmt: skip
    assert statuses == [400, 404, 405]


def test_what_cannot_be_played(tmp_path: Path) -> None:
    """Side calls, sessions without content, and empty ones are refused with the reason."""
    cases: list[tuple[dict[str, Any], list[Event], str]] = [
        ({"kind": "http"}, text_turn().events, "side call"),
        ({"capture": "metadata"}, text_turn().events, "without content"),
        ({}, [], "no server event"),
    ]
    for facts, events, says in cases:
        with pytest.raises(UsageError, match=says):
            check_playable(
                Recorded(session=log_kit.session(1, **facts), events=partial(iter, events))
            )
    broken = tmp_path / "broken.jsonl"
    broken.write_text("nonsense\n")
    with pytest.raises(UsageError, match=r"broken\.jsonl: damaged at line 1"):
        from_file(broken)


def test_sessions_of_a_file(tmp_path: Path) -> None:
    """Each of them can be read again and again."""
    file = tmp_path / "calls.jsonl"
    first, second = text_turn().events, spoken_turn().events
    file.write_bytes(
        b"".join(
            (*jsonl.lines(log_kit.session(1), first), *jsonl.lines(log_kit.session(2), second))
        )
    )
    one, two = from_file(file)
    for _ in range(2):
        assert (list(one.events()), list(two.events())) == (first, second)
    assert one.model == "gpt-realtime"


async def test_once_ends_by_itself() -> None:
    """After the last connection `serve_mock` returns; the outcome was told."""
    ended: list[Any] = []
    mock = Mock([recorded()], Options(once=True), ended.append)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_mock, mock)
        stream = await trio.open_tcp_stream(*address)
        head = ("GET /v1/realtime?model=m HTTP/1.1", "Host: h", "Upgrade: websocket",
                "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "")  # fmt: skip
        await stream.send_all("\r\n".join(head).encode())
        assert b"101" in await stream.receive_some()
        await stream.aclose()
    assert ended[0].outcome.left["response.done"] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nobody"], "nobody"),
        (["x.jsonl"], "cannot be read"),
        (["--fault", "explode@a"], "there is no 'explode'"),
        (["--patience", "soon"], "--patience soon"),
        (["--speed", "0"], "above 0"),
        (["--listen", "here"], "expected HOST:PORT"),
        (["--key-env", "NOT_THERE"], "not set"),
    ],
)
def test_wrong_usage(words: list[str], says: str, tmp_path: Path) -> None:
    """A clear message and exit code 2."""
    recorder = Recorder(tmp_path / "r.db")
    recorder.filled(lambda store: log_kit.session())
    assert says in recorder("mock", *words, code=2).stderr


@pytest.mark.parametrize("stays", [True, False])
async def test_a_recording_that_cannot_be_read_to_its_end(stays: bool) -> None:
    """A client that waits for it is told by a 1011; in any case the outcome says why."""

    def read() -> Iterator[Event]:
        yield from text_turn().events[:1]
        yield from (event._replace(type="x") for event in text_turn().events[3:4] * 2000)
        raise DamagedLog("event 2002 does not add up")

    ended: list[Any] = []
    mock = Mock(
        [Recorded(session=log_kit.session(1), events=read)],
        Options(once=True, rules=Rules(speed=None, match="lenient") if stays else Rules()),
        ended.append,
    )
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_mock, mock)
        with trio.fail_after(10), pytest.raises(SessionClosed if stays else _Left) as told:
            async with open_websocket(f"ws://{address}/v1/realtime?model=m") as socket:
                await socket.receive()
                if not stays:
                    raise _Left
                while True:
                    await socket.receive()
        while not ended:
            await trio.sleep(0.01)
    assert ended[0].broken == "event 2002 does not add up"
    assert not ended[0].sound
    assert ("1011" in str(told.value)) == stays


class _Left(Exception):
    """The client has seen enough."""

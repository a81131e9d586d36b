"""The mock as a server: who is let in, which session is played, exact times, the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from recorder.errors import UsageError
from recorder.events import Event
from recorder.exporters import jsonl
from recorder.mocking.cassettes import from_file
from recorder.mocking.choosing import Chooser, Recorded, check_playable
from recorder.mocking.faults import Faults
from recorder.mocking.line import Line
from recorder.mocking.performing import Performance, perform
from recorder.mocking.serving import Mock, Options, serve_mock
from recorder.replaying import Replayer
from recorder.transport.connection import Connection
from recorder.transport.http import Accept, Address, Request, Response
from tests import log_kit
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
async def on_a_socket(events: list[Event]) -> AsyncIterator[Connection]:
    """The client's end of a connection on which this session is played."""
    near, far = trio.testing.memory_stream_pair()
    client, server = Connection(near, client=True), Connection(far, client=False)
    performance = Performance(Replayer(events), Line(Faults((), lambda: 0.0)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        nursery.start_soon(server.run)
        nursery.start_soon(perform, performance, server)
        yield client
        nursery.cancel_scope.cancel()
        client.stop()
        server.stop()


async def test_exact_times(autojump_clock: trio.testing.MockClock) -> None:
    """Over real framing, each event comes its recorded delay after its cause, to the nanosecond."""
    began = trio.current_time()
    came = []
    async with on_a_socket(text_turn().events) as client:
        await client.get_message()
        await trio.sleep(7)
        asked = {"type": "conversation.item.create", "item": item("hi")}
        await client.send_message(orjson.dumps(asked).decode())
        await client.send_message('{"type":"response.create"}')
        while not came or came[-1][1] != "response.done":
            kind = orjson.loads(await client.get_message())["type"]
            came.append((round((trio.current_time() - began) * 1000, 6), kind))

    assert came == [
        (7020, "conversation.item.added"),
        (7200, "response.created"),
        (7290, "response.output_text.delta"),
        (7390, "response.done"),
    ]


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

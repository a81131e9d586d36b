"""The store breaks under a proxy that is carrying a call: what each end saw, what is in the log.

Every test has real sockets and a real database file. The call is the same each time: the server
says hello, answers every message, and answers the Close; both ends must see exactly that.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
import trio

import recorder
from recorder.proxy.measuring import Health
from recorder.sql.store import SqlStore
from recorder.transport.frames import FrameScanner
from recorder.transport.http import Request
from tests import proxy_kit
from tests.proxy_kit import CLOSE, PING, PONG, TEXT, House, frame, header, raw_house, read_head

HELLO = b'{"type":"session.created"}'
LONG = f"X-Long: {'x' * 20_000}"
"""A header that makes the row of a session longer than half a page."""


def numbered(number: int, size: int = 0) -> bytes:
    """A message of the client that can be told from the others."""
    return orjson.dumps({"type": "test", "n": number, "pad": "x" * size})


@dataclass
class Server:
    """The upstream's side of a call, and what it saw of it."""

    messages: list[bytes] = field(default_factory=list)
    pings: int = 0
    closed: bytes | None = None

    async def talk(self, stream: trio.SocketStream) -> None:
        """Say hello, answer each message with itself, each ping, and the Close."""
        await stream.send_all(frame(HELLO, masked=False))
        scanner = FrameScanner(masked=True, keep=True)
        async for data in stream:
            for mark in scanner.feed(data, 0):
                payload = bytes(mark.data or b"")
                if mark.opcode == CLOSE:
                    self.closed = payload
                    await stream.send_all(frame(payload, CLOSE, masked=False))
                    await stream.send_eof()
                elif mark.opcode == PING:
                    self.pings += 1
                    await stream.send_all(frame(payload, PONG, masked=False))
                else:
                    self.messages.append(payload)
                    await stream.send_all(frame(payload, masked=False))


class Client:
    """The application's side of a call, and what it saw of it."""

    def __init__(self, stream: trio.SocketStream, told: str, rest: bytes) -> None:
        self.stream, self.head = stream, told
        self.scanner = FrameScanner(masked=False, keep=True)
        self.seen: list[tuple[int, bytes]] = []
        self._take(rest)

    def _take(self, data: bytes) -> None:
        for mark in self.scanner.feed(data, 0):
            self.seen.append((mark.opcode, bytes(mark.data or b"")))

    async def until(self, count: int) -> list[tuple[int, bytes]]:
        """The first so many of all frames, waited for no longer than a keep-alive would."""
        with trio.fail_after(3):
            while len(self.seen) < count:
                data = bytes(await self.stream.receive_some())
                assert data, f"the connection ended after {self.seen}"
                self._take(data)
        return self.seen[:count]

    async def say(self, payload: bytes, opcode: int = TEXT) -> tuple[int, bytes]:
        """Send a frame; the frame that answers it."""
        before = len(self.seen)
        await self.stream.send_all(frame(payload, opcode, masked=True))
        return (await self.until(before + 1))[-1]

    async def part(self) -> tuple[tuple[int, bytes], bytes]:
        """Close with 1000; the Close that came back, and what came after it."""
        answer = await self.say((1000).to_bytes(2, "big") + b"bye", CLOSE)
        with trio.fail_after(3):
            rest, _ = await proxy_kit.read_all(self.stream)
        await self.stream.aclose()
        return answer, rest


GOODBYE = ((CLOSE, b"\x03\xe8bye"), b"")


async def dial(house: House, path: str = "/v1/realtime?model=m", *lines: str) -> Client:
    """A client whose WebSocket is open, and that has been greeted."""
    stream = await house.dial(path, *lines)
    head, rest = await read_head(stream)
    assert head.startswith("HTTP/1.1 101 "), head
    client = Client(stream, head, rest)
    assert await client.until(1) == [(TEXT, HELLO)]
    return client


@asynccontextmanager
async def house_on(path: Path, **options: object) -> AsyncIterator[tuple[House, SqlStore, Server]]:
    """A proxy that records into this file, before a server that answers."""
    server = Server()
    store = SqlStore.open(recorder.locate(str(path), {}), busy_seconds=0.1)
    try:
        async with raw_house(server.talk, store=store, **options) as house:
            yield house, store, server
    finally:
        store.close()


async def told_of(house: House, word: str) -> None:
    """Wait until the writer says this of its store; "" is that all is well."""
    with trio.fail_after(5):
        while (word not in house.writer.trouble) if word else house.writer.trouble:
            await trio.sleep(0.01)


async def is_ready(house: House) -> str:
    """What `/readyz` says of the store."""
    request = Request(method="GET", target="/readyz", headers=(), remote=house.address)
    said = orjson.loads((await Health(house.proxy).http(request)).body)
    return said["store"]


def logged(path: Path, session: str) -> list[bytes]:
    """The messages of the client in the log of a session that verifies."""
    from recorder.wire import join

    with closing(SqlStore.open(recorder.locate(str(path), {}))) as store:
        assert store.verify(session) == store.last_seq(session)
        events = list(store.read(session))
    assert events[-1].type == "recorder.closed"
    assert orjson.loads(events[-1].head)["code"] == 1000
    return [join(e) for e in events if e.origin.name == "CLIENT" and e.opcode == TEXT]


def only_session(path: Path) -> str:
    """The id of the one session in this file."""
    with closing(SqlStore.open(recorder.locate(str(path), {}))) as store:
        (session,) = store.sessions()
    return session.id


# ---- full


def fill(store: SqlStore) -> Callable[[], None]:
    """Leave the database not one more page; what gives it room again."""
    file = store.open_file()
    pages = file.execute("PRAGMA page_count").fetchone()[0]
    file.execute(f"PRAGMA max_page_count={pages}").fetchall()
    return lambda: file.execute("PRAGMA max_page_count=1000000").fetchall() and None


async def test_a_full_database_does_not_touch_the_call(tmp_path):
    """Neither end sees it; what waited is written when there is room, in order and whole."""
    path = tmp_path / "calls.db"
    sent = [numbered(n, 40_000) for n in range(10)]
    async with house_on(path) as (house, store, server):
        client = await dial(house)
        await house.writer.flush()
        make_room = fill(store)
        for message in sent:
            assert await client.say(message) == (TEXT, message)
        await told_of(house, "full")
        assert await client.say(b"beat", PING) == (PONG, b"beat")
        assert await client.part() == GOODBYE
        await house.over()
        assert "full" in house.writer.trouble
        make_room()
        await told_of(house, "")
        assert house.proxy.counts.lost == house.writer.lost == 0
    assert (server.messages, server.pings, server.closed) == (sent, 1, GOODBYE[0][1])
    assert logged(path, only_session(path)) == sent


async def test_a_session_that_a_full_database_does_not_take_is_carried(tmp_path, caplog):
    """`--store-down open`: with no session's id, and said; when there is room all is as before."""
    path = tmp_path / "calls.db"
    async with house_on(path) as (house, store, server):
        first = await parted(house)
        make_room = fill(store)
        client = await dial(house, "/v1/realtime?model=m", LONG)
        assert header(client.head, "X-Recorder-Session") is None
        assert await client.say(numbered(1)) == (TEXT, numbered(1))
        assert await client.part() == GOODBYE
        await house.over()
        assert server.messages == [numbered(1)]
        assert house.proxy.counts.unrecorded == 1
        assert "database or disk is full" in caplog.text
        make_room()
        last = await parted(house)
        assert [each.id for each in store.sessions()] == [first, last]
    assert logged(path, last) == []


async def test_a_session_that_a_full_database_does_not_take_is_refused(tmp_path):
    """`--store-down closed`: 503 with the reason, and nothing of it reaches the upstream."""
    path = tmp_path / "calls.db"
    async with house_on(path, store_down="closed") as (house, store, server):
        first = await parted(house)
        make_room = fill(store)
        head, body = await read_head(await house.dial("/v1/realtime?model=m", LONG))
        assert head.startswith("HTTP/1.1 503 ")
        assert b"cannot be recorded" in body
        make_room()
        last = await parted(house)
        assert [each.id for each in store.sessions()] == [first, last]
        assert house.upstream is not None
        assert len([head for head in house.upstream.heads if head]) == 2
        assert server.messages == []


async def parted(house: House) -> str:
    """The id of a session with a long row that was begun, ended and written."""
    client = await dial(house, "/v1/realtime?model=m", LONG)
    assert await client.part() == GOODBYE
    await house.over()
    await house.writer.flush()
    name = header(client.head, "X-Recorder-Session")
    assert name is not None
    return name


# ---- locked


async def test_a_database_that_stays_locked_until_the_end_of_the_call(tmp_path):
    """Both ends part with their own Close; afterwards the log has all, the close included."""
    path = tmp_path / "calls.db"
    sent = [numbered(n) for n in range(300)]
    async with house_on(path) as (house, _, server):
        client = await dial(house)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for message in sent:
                assert await client.say(message) == (TEXT, message)
            await told_of(house, "locked")
            assert await is_ready(house) == "not taking events"
            assert await client.part() == GOODBYE
            await house.over()
            other.execute("ROLLBACK")
        await told_of(house, "")
        assert await is_ready(house) == "ok"
        assert house.proxy.counts.lost == house.writer.lost == 0
    assert (server.messages, server.closed) == (sent, GOODBYE[0][1])
    assert logged(path, only_session(path)) == sent


async def test_a_locked_database_refuses_new_sessions_only_where_that_was_chosen(tmp_path):
    """`--store-down closed`: 503, while the call that was open goes on undisturbed."""
    path = tmp_path / "calls.db"
    async with house_on(path, store_down="closed") as (house, _, server):
        client = await dial(house)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            head, _ = await read_head(await house.dial())
            assert head.startswith("HTTP/1.1 503 ")
            assert await client.say(numbered(1)) == (TEXT, numbered(1))
            other.execute("ROLLBACK")
        assert await client.part() == GOODBYE
        await house.over()
        await told_of(house, "")
        assert house.proxy.counts.refused[503] == 1
    assert server.messages == [numbered(1)]
    assert logged(path, only_session(path)) == [numbered(1)]


# ---- missing


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_database_that_disappears_under_a_call(tmp_path, caplog, how):
    """Neither end sees it; what it held is saved beside it, and the call goes on there."""
    path = tmp_path / "calls.db"
    before, after = [numbered(n) for n in range(5)], [numbered(n) for n in range(5, 10)]
    caplog.set_level(logging.WARNING)
    async with house_on(path) as (house, _, server):
        client = await dial(house)
        for message in before:
            assert await client.say(message) == (TEXT, message)
        await house.writer.flush()
        path.unlink()
        if how == "replaced":
            path.write_bytes(b"")
        for message in after:
            assert await client.say(message) == (TEXT, message)
        assert await client.say(b"beat", PING) == (PONG, b"beat")
        second = await dial(house)
        assert header(second.head, "X-Recorder-Session")
        assert await second.say(numbered(77)) == (TEXT, numbered(77))
        for each in (client, second):
            assert await each.part() == GOODBYE
        await house.over()
        await house.writer.flush()
        counts, saved = house.proxy.counts, house.writer.moved_to
        assert (counts.lost, counts.unrecorded, house.writer.lost) == (0, 0, 0)
    assert server.messages == [*before, *after, numbered(77)]
    assert saved is not None
    assert f"{path} was removed or replaced" in caplog.text
    names = [header(each.head, "X-Recorder-Session") for each in (client, second)]
    assert [logged(saved, name) for name in names] == [[*before, *after], [numbered(77)]]
    assert path.exists() == (how == "replaced")
    assert not path.exists() or path.read_bytes() == b""


async def test_a_session_that_begins_when_the_file_is_gone_already(tmp_path):
    """The first thing that is written after the loss is a new session: it is saved as well."""
    path = tmp_path / "calls.db"
    async with house_on(path) as (house, _, _server):
        await house.writer.flush()
        os.unlink(path)
        client = await dial(house)
        assert await client.say(numbered(1)) == (TEXT, numbered(1))
        assert await client.part() == GOODBYE
        await house.over()
        await house.writer.flush()
        saved = house.writer.moved_to
        assert (house.proxy.counts.unrecorded, house.writer.lost) == (0, 0)
    assert saved is not None
    assert not path.exists()
    assert logged(saved, only_session(saved)) == [numbered(1)]


# ---- the upstream


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_an_upstream_that_goes_in_the_middle_of_a_frame(tmp_path, how):
    """The client gets what there was of the frame and the same end; the log tells of the cut."""
    from tests.test_proxy_relay import reset

    path = tmp_path / "calls.db"
    cut = frame(b"x" * 1000, masked=False)[:504]

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False) + cut)
        await stream.receive_some(1000)
        if how == "reset":
            reset(stream)
        else:
            await stream.aclose()

    with closing(SqlStore.open(recorder.locate(str(path), {}))) as store:
        async with raw_house(talk, store=store) as house:
            client = await house.open()
            data = b""
            while len(data) < len(frame(HELLO, masked=False) + cut):
                data += bytes(await client.receive_some())
            assert data == frame(HELLO, masked=False) + cut
            await client.send_all(frame(numbered(1), masked=True))
            assert await proxy_kit.read_all(client) == (b"", how)
            await client.aclose()
            await house.over()
            await house.writer.flush()
            events = house.events()
    told = [orjson.loads(e.head) for e in events if e.type in ("recorder.gap", "recorder.closed")]
    gap, end = told
    assert (gap["bytes"], gap["why"]) == (1000, "the connection ended in the middle of a message")
    assert gap["origins"] == {"server": {"count": 1, "bytes": 1000}}
    assert (end["code"], end["clean"], end["initiator"]) == (1006, False, "server")
    assert end["ends"]["server"] == how
    assert [e.head for e in events if e.type == "session.created"] == [HELLO]

"""When things break: the store, the end of the process, idle sessions, sampling, threads."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing as closing_file

import orjson
import pytest
import trio
from openai import OpenAI

import recorder
from recorder.errors import StoreUnavailable
from recorder.proxy.backlog import STROKE_SECONDS
from recorder.proxy.keeping import Keeping, sweep
from recorder.proxy.options import Bounds
from recorder.proxy.running import drain, proxied
from recorder.sql.store import SqlStore
from recorder.store import MemoryStore
from tests.proxy_kit import PING, PONG, closing, frame, header, raw_house, read_all, read_head

HELLO = b'{"type":"session.created"}'


async def talk(stream: trio.SocketStream) -> None:
    """Say hello, and answer whatever comes with the same."""
    await stream.send_all(frame(HELLO, masked=False))
    async for data in stream:
        if data[0] & 0x0F == PING:
            await stream.send_all(frame(b"", PONG, masked=False))
        else:
            await stream.send_all(frame(HELLO, masked=False))


class Refusing(MemoryStore):
    """A store that takes no new session."""

    def begin(self, session) -> None:
        raise StoreUnavailable("the disk is full")


async def test_a_store_that_is_down_does_not_stop_the_call(caplog):
    """It is carried unrecorded, and the proxy says so."""
    async with raw_house(talk, store=Refusing()) as house:
        client = await house.dial()
        head, rest = await read_head(client)
        assert head.startswith("HTTP/1.1 101 ")
        assert header(head, "X-Recorder-Session") is None
        assert rest or await client.receive_some(1000) == frame(HELLO, masked=False)
        assert house.proxy.counts.unrecorded == 1
        assert "the disk is full" in caplog.text


async def test_or_the_session_is_refused():
    """503, and nothing reaches the upstream's WebSocket."""
    async with raw_house(talk, store=Refusing(), store_down="closed") as house:
        client = await house.dial()
        data, _ = await read_all(client)
        assert data.startswith(b"HTTP/1.1 503 ")
        assert house.upstream.heads in ([], [""])  # dialled, perhaps, but nothing asked


@pytest.mark.parametrize("locked", ["begin", "later"])
async def test_a_locked_database_does_not_hold_up_a_ping(tmp_path, locked):
    """The client's keep-alive is answered by the upstream; what waited is written later."""
    path = tmp_path / "calls.db"
    store = SqlStore.open(recorder.locate(str(path), {}), busy_seconds=0.1)
    try:
        async with raw_house(talk, store=store) as house:
            with closing_file(sqlite3.connect(path, isolation_level=None)) as other:
                if locked == "begin":
                    other.execute("BEGIN IMMEDIATE")
                client = await house.dial()
                head, rest = await read_head(client)
                assert head.startswith("HTTP/1.1 101 ")
                if not rest:
                    await client.receive_some(1000)
                if locked == "later":
                    other.execute("BEGIN IMMEDIATE")
                with trio.fail_after(0.5):
                    await client.send_all(frame(b"", PING, masked=True))
                    assert await client.receive_some(1000) == frame(b"", PONG, masked=False)
                other.execute("ROLLBACK")
            await client.send_all(closing(1000, masked=True))
            await client.aclose()
            await house.over()
            await house.writer.flush()
            counts = house.proxy.counts
            assert (counts.unrecorded, counts.lost) == (1 if locked == "begin" else 0, 0)
            if locked == "later":
                assert [opcode for _, opcode, _ in house.passed()][:3] == [1, PING, PONG]
    finally:
        store.close()


async def test_draining_lets_sessions_end_and_takes_no_new_ones():
    """What is still open when the grace is over gets 1001."""
    async with raw_house(talk) as house:
        first, second = await house.open(), await house.open()
        for client in (first, second):
            assert await client.receive_some(1000) == frame(HELLO, masked=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, house.proxy, 0.3)
            await trio.sleep(0.05)
            refused, _ = await read_all(await house.dial())
            assert refused.startswith(b"HTTP/1.1 503 ")
            await first.aclose()
            data, _ = await read_all(second)
            assert data == closing(1001, "the proxy is going away", masked=False)
        assert not house.proxy.live
        codes = {orjson.loads(house.events(i)[-1].head)["initiator"] for i in (0, 1)}
        assert codes == {"client", "recorder"}


async def test_a_session_in_which_nothing_passes_is_ended(caplog):
    """With 1001 to both ends."""
    async with raw_house(talk, bounds=Bounds(idle_seconds=0.2)) as house:
        client = await house.open()
        with trio.fail_after(5):
            data, _ = await read_all(client)
        assert data == frame(HELLO, masked=False) + closing(1001, "idle for too long", masked=False)
        assert "not a byte" in caplog.text


async def test_what_is_not_to_be_recorded_passes_all_the_same():
    """By sampling, and by the application's own wish."""
    async with raw_house(talk, sample=0.0) as house:
        client = await house.open()
        assert await client.receive_some(1000) == frame(HELLO, masked=False)
        assert list(house.store.sessions()) == []
    async with raw_house(talk) as house:
        client = await house.open("/v1/realtime?recorder.record=off")
        assert await client.receive_some(1000) == frame(HELLO, masked=False)
        assert list(house.store.sessions()) == []
        assert house.upstream.heads[0].startswith("GET /v1/realtime HTTP/1.1")


async def test_a_defect_of_the_copy_does_not_touch_the_call(monkeypatch, caplog):
    """Whatever goes wrong in recording a message, its bytes have passed."""
    from recorder.live.tap import Tap

    def broken(*_args, **_more):
        raise ValueError("a defect")

    monkeypatch.setattr(Tap, "frame", broken)
    async with raw_house(talk) as house:
        client = await house.open()
        assert await client.receive_some(1000) == frame(HELLO, masked=False)
        await trio.sleep(5 * STROKE_SECONDS)
        assert "could not be recorded" in caplog.text


def test_the_oldest_closed_sessions_go_first(tmp_path, caplog):
    """By age and by size; what is being recorded stays; each removal is logged."""
    from recorder.events import Origin, Session, new_session_id
    from recorder.recording import Recorder
    from recorder.store import RecorderProcess

    caplog.set_level(logging.WARNING)
    day = 86_400_000_000_000
    store = SqlStore.open(recorder.locate(str(tmp_path / "calls.db"), {}))
    alive = RecorderProcess(
        id="r1", host="host", pid=1, boot_id="boot", started_ns=0, lease_ns=1000 * day
    )
    store.register(alive)
    names = []
    for number in range(4):
        live = number == 0
        session = Session(
            id=new_session_id(number * day, bytes(10)),
            wall_ns=number * day,
            mono_ns=0,
            recorder="r1" if live else "",
        )
        store.begin(session)
        one = Recorder(session)
        events = [one.admit(Origin.SERVER, n, bytes(200_000), 2, room=1 << 30) for n in range(5)]
        store.append([(session.id, events)])
        names.append(session.id)
    now = 3 * day + 1
    assert sweep(store, Keeping(), now) == []
    assert sweep(store, Keeping(seconds=1.5 * 86_400), now) == [names[1]]
    assert sweep(store, Keeping(size_bytes=2_500_000), now) == [names[2]]
    assert [s.id for s in store.sessions()] == [names[0], names[3]]
    assert caplog.text.count("removed session") == 2
    store.close()


def test_a_proxy_in_a_thread_for_a_client_that_is_not_ours(tmp_path):
    """The `openai` package, synchronous, through `recorder.proxied`."""
    from recorder.sandbox.builtin import SMALL_TALK
    from tests.test_sandbox_openai import KEY, sandbox

    ids: list[str] = []
    path = tmp_path / "calls.db"
    with (
        sandbox(SMALL_TALK) as upstream,
        proxied(upstream.replace("ws:", "http:"), store=path, on_session=ids.append) as base,
    ):
        client = OpenAI(api_key=KEY, base_url=base, websocket_base_url=base.replace("http", "ws"))
        with client.realtime.connect(model="gpt-realtime") as connection:
            assert connection.recv().type == "session.created"
            connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            assert connection.recv().type == "session.updated"
    store = SqlStore.open(recorder.locate(str(path), {}))
    events = list(store.read(ids[0]))
    store.close()
    kinds = [event.type for event in events if event.type]
    assert kinds == ["recorder.opened", "recorder.handshake", "session.created", "session.update",
                     "session.updated", "recorder.closed"]  # fmt: skip
    assert orjson.loads(events[-1].head)["code"] == 1000


def test_an_upstream_that_is_none_is_told_before_a_thread_begins():
    """And a port that is taken when it begins."""
    with pytest.raises(recorder.UsageError, match="no URL"), proxied("nonsense"):
        pass
    with (
        pytest.raises(recorder.UsageError),
        proxied("http://127.0.0.1:9", store=MemoryStore(), host="192.0.2.1"),
    ):
        pass

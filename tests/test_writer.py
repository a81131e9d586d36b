"""The writer against stores that stall, fill up, fail and disappear, and come back.

The store is a real SQLite file; what goes wrong with it really goes wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import trio
import trio.lowlevel

from recorder.errors import StoreUnavailable
from recorder.events import Origin
from recorder.live.tap import OnStall, Subject, Tap
from recorder.live.writer import Writer, WriterOptions, open_writer
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.store import MemoryStore


def message(number: int, size: int = 40) -> bytes:
    """A client event that can be told from all others."""
    return orjson.dumps({"type": "test", "n": number, "pad": "x" * size})


@asynccontextmanager
async def recording(
    path: Path, *, on_stall: OnStall = "gap", busy: float = 0.05, **options: object
) -> AsyncIterator[tuple[SqlStore, Writer, Tap]]:
    """A tap on a writer on a database file, opened and entered."""
    store = SqlStore.open(locate(str(path), {}), busy_seconds=busy)
    try:
        async with open_writer(store, WriterOptions(**options)) as writer:  # type: ignore[arg-type]
            tap = Tap(writer, Subject(url="wss://example.test/v1"), on_stall=on_stall)
            await tap.open()
            yield store, writer, tap
    finally:
        store.close()


def stored(path: Path, session_id: str) -> list[tuple[int, str, dict]]:
    """What a new process would read: (number, type, JSON)."""
    store = SqlStore.open(locate(str(path), {}), create=False)
    try:
        assert store.verify(session_id) == store.last_seq(session_id)
        return [(e.seq, e.type, orjson.loads(e.head)) for e in store.read(session_id)]
    finally:
        store.close()


def numbers(path: Path, session_id: str) -> list[int]:
    """The numbers of the test messages that are in the log, in order."""
    return [body["n"] for _, kind, body in stored(path, session_id) if kind == "test"]


async def feed(tap: Tap, count: int, start: int = 0, size: int = 40) -> None:
    """So many messages, with room for the others in between."""
    for number in range(start, start + count):
        tap.frame(Origin.CLIENT, tap.clock(), message(number, size))
        if number % 50 == 0:
            await trio.lowlevel.checkpoint()


async def test_what_is_put_is_committed_within_the_flush_interval(tmp_path: Path) -> None:
    """Without being asked, the writer commits; another connection sees it."""
    async with recording(tmp_path / "a.db") as (store, writer, tap):
        await feed(tap, 10)
        with trio.fail_after(2):
            while store.last_seq(tap.session.id) < 11:
                await trio.sleep(0.005)
        await writer.flush()
        assert writer.commits <= 3


async def test_leaving_writes_out_everything(tmp_path: Path) -> None:
    """Nothing waits for an interval that never comes."""
    async with recording(tmp_path / "a.db", flush_seconds=30.0) as (_, writer, tap):
        await feed(tap, 1000)
        tap.end(code=1000)
    assert writer.lost == 0
    assert numbers(tmp_path / "a.db", tap.session.id) == list(range(1000))


async def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    """While another process holds the lock, events are kept; then they are written, all."""
    told: list[str] = []
    async with recording(tmp_path / "a.db", on_trouble=told.append) as (_, writer, tap):
        await writer.flush()
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await feed(tap, 500)
        with trio.fail_after(5):
            while not told:
                await trio.sleep(0.01)
        assert "locked" in told[0]
        other.execute("ROLLBACK")
        other.close()
        with trio.fail_after(5):
            await writer.flush()
        await trio.lowlevel.checkpoint()
        assert "again" in told[-1]
        tap.end(code=1000)
    assert tap.lost == 0
    assert numbers(tmp_path / "a.db", tap.session.id) == list(range(500))


async def test_a_full_buffer_becomes_one_gap_that_tells_exactly_what_was_lost(
    tmp_path: Path,
) -> None:
    """What was admitted is in the log; the gap event stands for all the rest, by origin."""
    path = tmp_path / "a.db"
    offered = 400
    async with recording(path, buffer_bytes=100_000) as (_, writer, tap):
        await writer.flush()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for number in range(offered):
            origin = Origin.CLIENT if number % 4 else Origin.SERVER
            tap.frame(origin, tap.clock(), message(number, 1000))
        other.execute("ROLLBACK")
        other.close()
        with trio.fail_after(5):
            await writer.flush()
        tap.frame(Origin.CLIENT, tap.clock(), message(offered))
        tap.end(code=1000)
    events = stored(path, tap.session.id)
    kept = [body["n"] for _, kind, body in events if kind == "test"]
    gaps = [body for _, kind, body in events if kind == "recorder.gap"]
    lost = sorted(set(range(offered + 1)) - set(kept))
    assert len(gaps) == 1
    assert kept[-1] == offered
    assert gaps[0]["count"] == len(lost) == tap.lost
    assert gaps[0]["bytes"] == sum(len(message(n, 1000)) for n in lost)
    assert gaps[0]["origins"]["server"]["count"] == sum(1 for n in lost if n % 4 == 0)
    assert gaps[0]["origins"]["client"]["count"] == sum(1 for n in lost if n % 4)
    assert "locked" in gaps[0]["why"] or "buffer" in gaps[0]["why"]
    assert [seq for seq, _, _ in events] == list(range(1, len(events) + 1))


async def test_on_stall_wait_holds_back_and_loses_nothing(tmp_path: Path) -> None:
    """The one who sends waits in `hold` while the buffer is full, and goes on by itself."""
    path = tmp_path / "a.db"
    async with recording(path, on_stall="wait", buffer_bytes=50_000) as (_, writer, tap):
        await writer.flush()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        sent = 0

        async def sender() -> None:
            nonlocal sent
            for number in range(300):
                await tap.hold()
                tap.frame(Origin.CLIENT, tap.clock(), message(number, 1000))
                sent = number + 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender)
            await trio.sleep(0.2)
            assert sent < 60
            other.execute("ROLLBACK")
            other.close()
        tap.end(code=1000)
    assert tap.lost == 0
    assert numbers(path, tap.session.id) == list(range(300))


async def test_a_database_that_is_full_is_tried_again_until_it_has_room(tmp_path: Path) -> None:
    """SQLITE_FULL (max_page_count) is a stall like any other."""
    path = tmp_path / "a.db"
    told: list[str] = []
    async with recording(path, on_trouble=told.append) as (store, writer, tap):
        await writer.flush()
        file = store.open_file()
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        file.execute(f"PRAGMA max_page_count={pages + 2}").fetchall()
        await feed(tap, 200, size=2000)
        with trio.fail_after(5):
            while not told:
                await trio.sleep(0.01)
        assert "full" in told[0]
        file.execute("PRAGMA max_page_count=1000000").fetchall()
        with trio.fail_after(5):
            await writer.flush()
        tap.end(code=1000)
    assert numbers(path, tap.session.id) == list(range(200))


async def test_a_store_that_never_comes_back_is_given_up_loudly(tmp_path: Path) -> None:
    """Closing waits as long as it was told, then counts what is lost and says why."""
    path = tmp_path / "a.db"
    async with recording(path, close_seconds=0.3) as (_, writer, tap):
        await writer.flush()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await feed(tap, 100)
        tap.end(code=1000)
    other.execute("ROLLBACK")
    other.close()
    assert tap.lost == 101
    assert "locked" in writer.trouble
    assert numbers(path, tap.session.id) == []


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
async def test_a_database_file_that_disappears_is_rescued(tmp_path: Path, replaced: bool) -> None:
    """All that was recorded before is in a new file beside it, and recording goes on there."""
    path = tmp_path / "a.db"
    told: list[str] = []
    async with recording(path, on_trouble=told.append) as (store, writer, tap):
        await feed(tap, 100)
        await writer.flush()
        path.unlink()
        if replaced:
            path.write_bytes(b"somebody else's file")
        await feed(tap, 100, start=100)
        await writer.flush()
        tap.end(code=1000)
    rescued = writer.moved_to
    assert rescued is not None
    assert rescued.parent == tmp_path
    assert rescued.stat().st_mode & 0o777 == 0o600
    assert any(str(rescued) in text for text in told)
    assert numbers(rescued, tap.session.id) == list(range(200))
    if replaced:
        assert path.read_bytes() == b"somebody else's file"
    else:
        assert not path.exists()
    assert store.path == rescued


async def test_several_sessions_share_a_writer(tmp_path: Path) -> None:
    """Fifty sessions' events are committed together and stay apart."""
    store = SqlStore.open(locate(str(tmp_path / "a.db"), {}))
    async with open_writer(store) as writer:
        taps = [Tap(writer, Subject(url="wss://example.test")) for _ in range(50)]
        for tap in taps:
            await tap.open()
        await writer.flush()
        before = writer.commits
        for number in range(20):
            for tap in taps:
                tap.frame(Origin.SERVER, tap.clock(), message(number))
        await writer.flush()
        assert writer.commits - before <= 10
    for tap in taps:
        assert numbers(tmp_path / "a.db", tap.session.id) == list(range(20))
    store.close()


async def test_another_writer_on_the_same_session_costs_that_session_only(tmp_path: Path) -> None:
    """A conflict is said, counted and does not stop the others."""
    path = tmp_path / "a.db"
    async with recording(path) as (_store, writer, tap):
        second = Tap(writer, Subject(url="wss://example.test"))
        await second.open()
        await writer.flush()
        other = SqlStore.open(locate(str(path), {}))
        intruder = Tap(writer, Subject(url="wss://example.test"))
        intruder.recorder.last_seq = 1
        event = intruder.recorder.note("note", 0, {"text": "mine"})
        other.append([(tap.session.id, [event])])
        other.close()
        tap.frame(Origin.CLIENT, tap.clock(), message(1))
        second.frame(Origin.CLIENT, second.clock(), message(2))
        await writer.flush()
        assert writer.lost == 1
        assert list(writer.conflicts) == [tap.session.id]
        assert numbers(path, second.session.id) == [2]


async def test_a_session_that_is_removed_while_it_is_recorded_costs_that_session_only(
    tmp_path: Path,
) -> None:
    """Its events are counted as lost; the writer lives, and so do the others."""
    path = tmp_path / "a.db"
    async with recording(path) as (_, writer, tap):
        second = Tap(writer, Subject(url="wss://example.test"))
        await second.open()
        await writer.flush()
        other = SqlStore.open(locate(str(path), {}))
        other.remove(tap.session.id)
        other.close()
        for number in range(3):
            tap.frame(Origin.CLIENT, tap.clock(), message(number))
            second.frame(Origin.CLIENT, second.clock(), message(number))
        with trio.fail_after(5):
            await writer.flush()
        assert writer.lost == 3
        assert list(writer.conflicts) == [tap.session.id]
        assert numbers(path, second.session.id) == [0, 1, 2]


async def test_a_store_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before anything is recorded, a locked database is an error, not a loss."""
    store = SqlStore.open(locate(str(tmp_path / "a.db"), {}), busy_seconds=0.05)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        async with open_writer(store):
            pass
    other.close()
    store.close()


async def test_the_lease_is_renewed_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording process is known as alive, and as gone once it left."""
    monkeypatch.setattr("recorder.live.writer.RENEW_SECONDS", 0.05)
    async with recording(tmp_path / "a.db") as (store, writer, _):
        first = store.processes()[writer.process.id].lease_ns
        with trio.fail_after(3):
            while store.processes()[writer.process.id].lease_ns <= first:
                await trio.sleep(0.02)
        held = store.processes()[writer.process.id].lease_ns
    after = SqlStore.open(locate(str(tmp_path / "a.db"), {}))
    assert after.processes()[writer.process.id].lease_ns < held
    after.close()


async def test_a_store_in_memory_needs_no_thread(autojump_clock: trio.testing.MockClock) -> None:
    """Under the autojump clock nothing jumps: events are in the store when `frame` returns."""
    store = MemoryStore()
    async with open_writer(store) as writer:
        tap = Tap(
            writer,
            Subject(url="wss://example.test", tags=["a"]),
            clock=lambda: round(trio.current_time() * 1e9),
        )
        await tap.open()
        await trio.sleep(0.3)
        tap.frame(Origin.CLIENT, tap.clock(), message(1))
        tap.end(code=1000)
    events = list(store.read(tap.session.id))
    assert [e.type for e in events] == ["recorder.opened", "test", "recorder.closed"]
    assert [e.at_ns for e in events] == [0, 300_000_000, 300_000_000]

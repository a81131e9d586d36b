"""The switchboard and the backlog: real sockets, and what is unusual on them."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager

import pytest
import trio

from recorder.events import Origin
from recorder.proxy.backlog import (
    PATIENCE_SECONDS,
    STROKE_SECONDS,
    WAITING_BYTES,
    Backlog,
    Reader,
)
from recorder.proxy.copying import Budget, Copy
from recorder.proxy.switchboard import MANY, Switchboard
from tests.proxy_kit import closing, frame


@asynccontextmanager
async def carried():
    """A switchboard that runs, and a pair of sockets each for a source and a sink."""
    board = Switchboard()
    pairs = [socket.socketpair() for _ in range(2)]
    for pair in pairs:
        for end in pair:
            end.setblocking(False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.run)
        await trio.testing.wait_all_tasks_blocked()
        try:
            yield board, pairs[0], pairs[1]
        finally:
            nursery.cancel_scope.cancel()
            for pair in pairs:
                for end in pair:
                    end.close()


class Hearing:
    """What was seen passing, and what is said to it."""

    def __init__(self, *, look_up: bool = False) -> None:
        self.heard, self.look_up = b"", look_up

    def __call__(self, data: bytes) -> bool:
        self.heard += data
        return self.look_up


async def test_what_comes_goes_on_until_the_end():
    """Whole and in order; the end is given to who asked."""
    async with carried() as (board, (ours, source), (sink, theirs)):
        seen = Hearing()
        async with trio.open_nursery() as nursery:

            async def asks() -> None:
                assert await board.carry(source.fileno(), sink.fileno(), seen) == b""

            nursery.start_soon(asks)
            for number in range(20):
                ours.send(b"%03d" % number)
                await trio.testing.wait_all_tasks_blocked(0.001)
            ours.close()
        assert theirs.recv(1000) == seen.heard == b"".join(b"%03d" % n for n in range(20))


async def test_what_the_sink_does_not_take_is_given_back():
    """The rest is with who asked, and nothing more is read until he asks again."""
    async with carried() as (board, (ours, source), (sink, theirs)):
        while True:
            try:
                sink.send(bytes(65536))
            except BlockingIOError:
                break
        ours.send(b"one")
        seen = Hearing()
        assert await board.carry(source.fileno(), sink.fileno(), seen) == b"one"
        ours.send(b"two")
        await trio.sleep(0.05)
        assert seen.heard == b"one"
        assert source.recv(10) == b"two"
        assert theirs.recv(1) == b"\0"


async def test_looking_up():
    """By a word from elsewhere, or because what sees it pass says so; nothing is lost by it."""
    async with carried() as (board, (ours, source), (sink, theirs)):
        async with trio.open_nursery() as nursery:

            async def asks() -> None:
                assert await board.carry(source.fileno(), sink.fileno(), Hearing()) is None

            nursery.start_soon(asks)
            await trio.testing.wait_all_tasks_blocked()
            board.stir(source.fileno())
            board.stir(sink.fileno())  # nobody carries from there
        ours.send(b"abc")
        busy = Hearing(look_up=True)
        assert await board.carry(source.fileno(), sink.fileno(), busy) is None
        assert theirs.recv(10) == b"abc"


async def test_a_broken_source_and_a_defect_touch_nobody_else():
    """Each goes to who asked for it, the other line goes on."""

    def defect(data: bytes) -> bool:
        raise ValueError("a defect")

    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    broken, _ = server.accept()
    broken.setblocking(False)
    async with carried() as (board, (ours, source), (sink, theirs)):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with pytest.raises(trio.BrokenResourceError):
            await board.carry(broken.fileno(), sink.fileno(), Hearing())
        ours.send(b"abc")
        with pytest.raises(ValueError, match="a defect"):
            await board.carry(source.fileno(), sink.fileno(), defect)
        ours.send(b"def")
        ours.shutdown(socket.SHUT_WR)
        assert await board.carry(source.fileno(), sink.fileno(), Hearing()) == b""
        assert theirs.recv(10) == b"def"
    broken.close()
    server.close()


async def test_whoever_stops_asking_is_forgotten():
    """A cancelled session leaves its sockets as they are."""
    async with carried() as (board, (ours, source), (sink, theirs)):
        seen = Hearing()
        with trio.move_on_after(0.01):
            await board.carry(source.fileno(), sink.fileno(), seen)
        ours.send(b"late")
        await trio.sleep(0.02)
        assert (seen.heard, source.recv(10)) == (b"", b"late")
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


# ---- the backlog


class Log:
    """A tap that keeps what it is given."""

    opened_ns = 0

    def __init__(self) -> None:
        self.frames: list[tuple[Origin, int, bytes]] = []

    def frame(self, origin, at_ns, payload, opcode=1):
        self.frames.append((origin, at_ns, payload))


def backlog_of(reader: Reader) -> tuple[Log, Backlog, Copy, Copy, list[Copy]]:
    """A session's backlog, its two copies, and in which of them a Close was found."""
    log, closed = Log(), []
    sent = Copy(log, Origin.CLIENT, 1 << 20, Budget(1 << 30))
    received = Copy(log, Origin.SERVER, 1 << 20, Budget(1 << 30))
    return log, Backlog(reader, closed.append), sent, received, closed


async def test_both_directions_are_read_in_the_order_in_which_they_passed(autojump_clock):
    """With the times at which they did, one stroke later."""
    reader = Reader()
    log, backlog, sent, received, closed = backlog_of(reader)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.run)
        backlog.put(sent, frame(b"a", masked=True), 1)
        backlog.put(received, frame(b"b", masked=False), 2)
        backlog.put(sent, frame(b"c", masked=True), 3)
        await trio.sleep(STROKE_SECONDS * 0.9)
        assert log.frames == []
        await trio.sleep(STROKE_SECONDS * 0.2)
        assert [each[1:] for each in log.frames] == [(1, b"a"), (2, b"b"), (3, b"c")]
        backlog.put(received, closing(1000, masked=False), 4)
        await trio.sleep(STROKE_SECONDS * 1.1)
        assert closed == [received]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("turns", [3, 10**9])
async def test_what_waits_to_be_passed_on_comes_first(turns: int):
    """For as long as something does, and at most for so long."""
    left = turns

    def calls_wait() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    reader = Reader(calls_wait)
    log, backlog, sent, _, _ = backlog_of(reader)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.run)
        backlog.put(sent, frame(b"a", masked=True), 1)
        began = trio.current_time()
        with trio.fail_after(5):
            while not log.frames:
                await trio.sleep(0.005)
        took = trio.current_time() - began
        nursery.cancel_scope.cancel()
    assert (took >= PATIENCE_SECONDS) is (turns > 3)
    assert (left < 0) is (turns == 3)


async def test_how_much_waits_to_be_passed_on():
    """Asked between two turns of the switchboard; nothing does before it runs, or afterwards."""
    board, seen = Switchboard(), Hearing()
    assert not board.many_wait()
    pairs = [socket.socketpair() for _ in range(MANY)]
    for ours, source in pairs:
        ours.setblocking(False)
        source.setblocking(False)
    ours, sink = socket.socketpair()
    sink.setblocking(False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.run)
        await trio.testing.wait_all_tasks_blocked()
        for _, source in pairs:
            nursery.start_soon(board.carry, source.fileno(), sink.fileno(), seen)
        await trio.testing.wait_all_tasks_blocked()
        for here, _ in pairs[1:]:
            here.send(b"a")
        assert not board.many_wait()
        pairs[0][0].send(b"a")
        assert board.many_wait()
        await trio.testing.wait_all_tasks_blocked()
        assert not board.many_wait()
        assert seen.heard == b"a" * MANY
        nursery.cancel_scope.cancel()
    assert not board.many_wait()
    for pair in [*pairs, (ours, sink)]:
        for end in pair:
            end.close()


def test_much_is_read_at_once():
    """What waits is bounded, whether the reader comes or not."""
    log, backlog, sent, _, _ = backlog_of(Reader())
    backlog.put(sent, frame(bytes(WAITING_BYTES - 100), masked=True), 1)
    assert log.frames == []
    backlog.put(sent, frame(bytes(200), masked=True), 2)
    assert [len(each[2]) for each in log.frames] == [WAITING_BYTES - 100, 200]


def test_a_defect_while_reading_a_note_does_not_double_anything():
    """A note that is taken while the backlog is read finds it empty."""
    log, backlog, sent, _, _ = backlog_of(Reader())
    log.frame = lambda *args: (backlog.read(), log.frames.append(args[:3]))
    for number in range(3):
        backlog.put(sent, frame(b"%d" % number, masked=True), number)
    backlog.read()
    assert [each[2] for each in log.frames] == [b"0", b"1", b"2"]

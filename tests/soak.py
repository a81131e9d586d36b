"""A soak of the proxy: many sessions in real time, with faults by a seed, checked one by one.

    python -m tests.soak --minutes 10 --sessions 100

Ends and proxy share one process and one event loop, over real sockets and a real database file.
Each session ends in a way that the seed chooses; when it is over, its log is held against what
the two ends sent and got:

1. What one end got is a beginning of what the log has, and that of what the other end sent:
   every message that was exchanged is there once, in order, byte for byte.
2. The log ends with `recorder.closed`, and nothing was lost on the way to the database.

In the end the tasks and descriptors are as many as in the beginning, and the memory is what it
was after the first quarter. The exit code is 1 where anything of this does not hold.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing as closing_file
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import trio

import recorder
from recorder.events import TEXT, Origin
from recorder.live.writer import open_writer
from recorder.proxy.options import ProxyOptions
from recorder.proxy.routes import parse_upstream
from recorder.proxy.running import BUSY_SECONDS, drain, serve_proxy
from recorder.sql.store import SqlStore
from recorder.transport.frames import unmask
from recorder.transport.handshake import accept_token
from recorder.wire import join
from tests.proxy_kit import CLOSE, CONTINUATION, PING, PONG, closing, frame, header, upgrade

ENDS = (
    "client closes", "server closes", "client resets", "server resets", "client stops speaking",
    "client is cut in a frame", "server is cut in a frame", "server sends no frames any more",
    "upgrade is refused", "client leaves during the dial",
)  # fmt: skip
GROWTH = 12_000_000
"""Bytes of memory that may come on top after the first quarter: caches, arenas."""
FLUSHED_SECONDS = 60.0
MOST_OF_DATABASE = 60
"""Descriptors of the database: a pool of connections, three files each."""


@dataclass
class Ends:
    """What the two ends of one session sent and got: digests, in order."""

    how: str
    seconds: float
    client_sent: list[bytes] = field(default_factory=list)
    client_got: list[bytes] = field(default_factory=list)
    server_sent: list[bytes] = field(default_factory=list)
    server_got: list[bytes] = field(default_factory=list)


def digest(payload: bytes) -> bytes:
    """Short, and of no other message."""
    return hashlib.blake2b(payload, digest_size=8).digest()


class Reader:
    """The messages in a stream of frames. Shares no code with what it checks but `unmask`."""

    def __init__(self, into: list[bytes]) -> None:
        self._data, self._parts, self._into = bytearray(), bytearray(), into
        self.pings: list[bytes] = []
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._data += data
        while (size := self._frame()) > 0:
            del self._data[:size]

    def _frame(self) -> int:
        data = self._data
        if len(data) < 2 or data[0] & 0x70:
            return 0
        size, at = data[1] & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return 0
            size = int.from_bytes(data[2:at], "big")
        masked = data[1] & 0x80
        whole = at + (4 if masked else 0) + size
        if len(data) < whole:
            return 0
        payload = bytes(data[whole - size : whole])
        self._take(data[0], unmask(payload, bytes(data[at : at + 4])) if masked else payload)
        return whole

    def _take(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == CLOSE:
            self.closed = True
        elif opcode == PING:
            self.pings.append(payload)
        elif opcode != PONG:
            self._parts += payload
            if first & 0x80:
                self._into.append(digest(bytes(self._parts)))
                self._parts.clear()


@dataclass
class Talker:
    """One end of one session: it sends in real time, and reads at its own pace."""

    stream: trio.SocketStream
    chance: random.Random
    masked: bool
    sent: list[bytes]
    got: list[bytes]
    name: str

    def __post_init__(self) -> None:
        self.reader = Reader(self.got)
        self._lock = trio.Lock()
        self.silent = False

    async def send(self, data: bytes) -> None:
        """Whole frames, never two at once."""
        async with self._lock:
            await self.stream.send_all(data)

    async def read(self, rest: bytes) -> None:
        """Until the end; now and then slowly."""
        self.reader.feed(rest)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in self.stream:
                self.reader.feed(bytes(data))
                while self.reader.pings and not self.silent:
                    await self.send(frame(self.reader.pings.pop(), PONG, masked=self.masked))
                if self.chance.random() < 0.002:
                    await trio.sleep(self.chance.uniform(0.5, 2.5))

    async def speak(self, seconds: float) -> None:
        """A message some twenty times a second, of any length, some in fragments."""
        until, number = trio.current_time() + seconds, 0
        while trio.current_time() < until and not self.reader.closed:
            number += 1
            text = b'{"type":"soak","from":"%s","n":%d,"fill":"' % (self.name.encode(), number)
            size = self.chance.choice((20, 300, 4000, 4000, 20_000))
            payload = text + self.chance.randbytes(size // 2).hex().encode() + b'"}'
            self.sent.append(digest(payload))  # before: it may arrive while this still waits
            await self.send(self._framed(payload))
            await trio.sleep(self.chance.expovariate(20))

    def _framed(self, payload: bytes) -> bytes:
        if self.chance.random() > 0.05:
            return frame(payload, masked=self.masked)
        return (
            frame(payload[:7], masked=self.masked, last=False)
            + frame(b"beat", PING, masked=self.masked)
            + frame(payload[7:], CONTINUATION, masked=self.masked)
        )

    async def fall_silent(self) -> None:
        """Say no more, and still listen."""
        async with self._lock:
            self.silent = True
            await self.stream.send_eof()

    async def until_closed(self) -> None:
        """Wait for the Close of the other end."""
        with trio.move_on_after(10):
            while not self.reader.closed:
                await trio.sleep(0.02)

    async def cut(self) -> None:
        """Half a frame, and then nothing but the end."""
        await self.send(frame(b"half a message", masked=self.masked)[:9])
        await self.stream.aclose()

    async def reset(self) -> None:
        """So that the other end sees a reset."""
        self.stream.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER: on, 0 s
        await self.stream.aclose()


class Soak:
    """Everything that runs."""

    def __init__(self, sessions: int, seconds: float, seed: int, store: SqlStore) -> None:
        self.sessions, self.seconds, self.seed, self.store = sessions, seconds, seed, store
        self.open: dict[str, Ends] = {}
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory: list[int] = []

    # ---- the server

    async def serve(self, stream: trio.SocketStream) -> None:
        """The upstream's side of one session."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            head, rest = await _head(stream)
            name = head.partition("label=")[2].partition(" ")[0]
            ends = self.open.get(name)
            if ends is None or ends.how == "client leaves during the dial":
                await stream.receive_some(1)  # it leaves first
            elif ends.how == "upgrade is refused":
                await stream.send_all(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
            else:
                token = accept_token(header(head, "Sec-WebSocket-Key") or "")
                await stream.send_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                    b"Upgrade\r\nSec-WebSocket-Accept: " + token.encode() + b"\r\n\r\n"
                )
                await self._server(stream, name, ends, rest)
        await trio.aclose_forcefully(stream)

    async def _server(self, stream: trio.SocketStream, name: str, ends: Ends, rest: bytes) -> None:
        chance = random.Random(f"{self.seed} server {name}")
        sent, got = ends.server_sent, ends.server_got
        talker = Talker(stream, chance, masked=False, sent=sent, got=got, name=name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._server_says, talker, ends)
            await talker.read(rest)
            nursery.cancel_scope.cancel()

    async def _server_says(self, talker: Talker, ends: Ends) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await talker.speak(ends.seconds * 1.5 if "client" in ends.how else ends.seconds)
            match ends.how:
                case "server closes":
                    await talker.send(closing(4000, "enough", masked=False))
                    await talker.until_closed()
                    await talker.stream.aclose()
                case "server resets":
                    await talker.reset()
                case "server is cut in a frame":
                    await talker.cut()
                case "server sends no frames any more":
                    await talker.send(b"\xf3" + talker.chance.randbytes(3000))
                    await talker.stream.aclose()
                case _:
                    await talker.until_closed()
                    await talker.send(closing(1000, masked=False))
                    await talker.stream.aclose()

    # ---- the clients

    async def calls(self, number: int, address: tuple[str, int]) -> None:
        """One caller: one session after the other until the time is over."""
        chance = random.Random(f"{self.seed} caller {number}")
        until, count = trio.current_time() + self.seconds, 0
        while trio.current_time() < until:
            count += 1
            name = f"{number}-{count}"
            ends = self.open[name] = Ends(chance.choice(ENDS), chance.uniform(1, 20))
            try:
                with trio.fail_after(ends.seconds * 2 + 30):
                    session = await self._call(name, ends, address)
                self.told[ends.how] += 1
                if session:
                    await self._check(session, name, ends)
            except trio.TooSlowError:
                self.wrong.append(f"{name}: {ends.how}: it never ended")
            del self.open[name]

    async def _call(self, name: str, ends: Ends, address: tuple[str, int]) -> str:
        chance = random.Random(f"{self.seed} client {name}")
        stream = await trio.open_tcp_stream(*address)
        path = f"/v1/realtime?model=soak&recorder.call={name}&label={name}"
        await stream.send_all(upgrade(path, f"127.0.0.1:{address[1]}"))
        if ends.how == "client leaves during the dial":
            await trio.sleep(chance.uniform(0, 0.1))
            await stream.aclose()
            return ""
        head, rest = await _head(stream)
        if " 101 " not in head:
            await stream.aclose()
            if ends.how != "upgrade is refused":
                self.wrong.append(f"{name}: {ends.how}: {head[:60]!r}")
            return ""
        sent, got = ends.client_sent, ends.client_got
        talker = Talker(stream, chance, masked=True, sent=sent, got=got, name=name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._client_says, talker, ends)
            await talker.read(rest)
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)
        return header(head, "X-Recorder-Session") or ""

    async def _client_says(self, talker: Talker, ends: Ends) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await talker.speak(ends.seconds * 1.5 if "server" in ends.how else ends.seconds)
            match ends.how:
                case "client closes":
                    await talker.send(closing(1000, masked=True))
                case "client resets":
                    await talker.reset()
                case "client is cut in a frame":
                    await talker.cut()
                case "client stops speaking":
                    await talker.fall_silent()
                case "server closes":
                    await talker.send(closing(4000, masked=True))
                case _:
                    pass

    # ---- what the log has

    async def _check(self, session: str, name: str, ends: Ends) -> None:
        with trio.fail_after(FLUSHED_SECONDS):
            while session in self.proxy.live:
                await trio.sleep(0.02)
            await self.proxy.writer.flush(hurry=False)
        logged = await trio.to_thread.run_sync(self._logged, session)
        self.told["messages"] += len(logged["client"]) + len(logged["server"])
        for side, sent, got in (
            ("client", ends.client_sent, ends.server_got),
            ("server", ends.server_sent, ends.client_got),
        ):
            log = logged[side]
            if log != sent[: len(log)]:
                self.wrong.append(f"{name}: {ends.how}: the log of the {side} is not what it sent")
            if got != log[: len(got)]:
                self.wrong.append(f"{name}: {ends.how}: the {side} was heard otherwise than logged")
        if logged["last"] != [b"recorder.closed"]:
            self.wrong.append(f"{name}: {ends.how}: no close in the log, but {logged['last']}")

    def _logged(self, session: str) -> dict[str, list[bytes]]:
        told: dict[str, list[bytes]] = {"client": [], "server": [], "last": []}
        for event in self.store.read(session):
            told["last"] = [event.type.encode()]
            if event.opcode == TEXT and event.origin != Origin.RECORDER:
                told[event.origin.name.lower()].append(digest(join(event)))
        return told

    # ---- beside them

    async def lock_the_database(self, path: Path) -> None:
        """Now and then somebody else holds it."""
        chance = random.Random(f"{self.seed} lock")
        while True:
            await trio.sleep(chance.uniform(5, 15))
            with closing_file(sqlite3.connect(path, isolation_level=None)) as other:
                with suppress(sqlite3.OperationalError):
                    other.execute("PRAGMA busy_timeout=2000")
                    other.execute("BEGIN IMMEDIATE")
                    self.told["locks"] += 1
                    await trio.sleep(chance.uniform(0.2, 1.5))
                    other.execute("ROLLBACK")

    async def watch_memory(self) -> None:
        """Once a second."""
        while True:
            gc.collect(0)
            self.memory.append(resident())
            await trio.sleep(1)

    async def run(self, path: Path) -> None:
        """The whole of it."""
        async with trio.open_nursery() as upstreams:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await upstreams.start(trio.serve_listeners, self.serve, listeners)
            url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            options = ProxyOptions(upstreams=[parse_upstream(url)])
            async with open_writer(self.store) as writer:
                async with serve_proxy(options, writer) as (self.proxy, address):
                    await self._warm(address)
                    before = await self._state()
                    async with trio.open_nursery() as beside:
                        beside.start_soon(self.lock_the_database, path)
                        beside.start_soon(self.watch_memory)
                        async with trio.open_nursery() as callers:
                            for number in range(self.sessions):
                                callers.start_soon(self.calls, number, tuple(address))
                                await trio.sleep(0.01)
                        beside.cancel_scope.cancel()
                    await drain(self.proxy, 10)
                    self._compare(before, await self._state())
                    lost = self.proxy.counts.lost
                if lost or writer.lost or self.proxy.counts.unrecorded:
                    unrecorded = self.proxy.counts.unrecorded
                    self.wrong.append(f"lost: {lost} + {writer.lost}, unrecorded: {unrecorded}")
            upstreams.cancel_scope.cancel()

    async def _warm(self, address: tuple[str, int]) -> None:
        ends = self.open["warm"] = Ends("client closes", 0.2)
        await self._call("warm", ends, tuple(address))
        del self.open["warm"]

    async def _state(self) -> tuple[int, int, int]:
        """Tasks, descriptors, and those of the database, once all has come to rest."""
        await trio.sleep(2)
        gc.collect()
        files = descriptors()
        of_database = sum("soak.db" in file for file in files)
        # What appends has two pipes to us, and memory in common with us.
        committing = self.proxy.writer._committing
        of_database += 3 * sum(each is not None for each in (committing._apart, committing._next))
        tasks = trio.lowlevel.current_statistics().tasks_living
        return tasks, len(files) - of_database, of_database

    def _compare(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
        for what, then, now in zip(("tasks", "descriptors"), before[:2], after[:2], strict=True):
            if now > then:
                self.wrong.append(f"{what}: {then} before, {now} after")
        if after[2] > MOST_OF_DATABASE:
            self.wrong.append(f"descriptors of the database: {after[2]}")
        quarter = max(len(self.memory) // 4, 1)
        early = median(self.memory[quarter : 2 * quarter] or self.memory)
        late = median(self.memory[-quarter:])
        if late - early > GROWTH:
            self.wrong.append(
                f"memory: {early / 1e6:.1f} MB in the second quarter, {late / 1e6:.1f}"
            )
        print(f"tasks, descriptors, those of the database: {before} before, {after} after")
        print(f"memory: {early / 1e6:.1f} MB in the second quarter, {late / 1e6:.1f} in the last")


async def _head(stream: trio.SocketStream) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = bytes(await stream.receive_some())
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself is gone again
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Run it, and say what it showed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20_261_122)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "soak.db"
        store = SqlStore.open(recorder.locate(str(path), {}), busy_seconds=BUSY_SECONDS)
        soak = Soak(given.sessions, given.minutes * 60, given.seed, store)
        began = time.monotonic()
        try:
            trio.run(soak.run, path)
        finally:
            store.close()
        size = path.stat().st_size
    print(f"{time.monotonic() - began:.0f} s, seed {given.seed}, database of {size / 1e6:.0f} MB")
    for what, count in sorted(soak.told.items()):
        print(f"{count:8} {what}")
    for line in soak.wrong[:40]:
        print(f"WRONG  {line}")
    print("nothing is wrong" if not soak.wrong else f"{len(soak.wrong)} things are wrong")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

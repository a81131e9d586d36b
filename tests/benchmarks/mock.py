"""`recorder mock` as a process, before clients that cost less than it does.

call        CPU a message at --no-wait, both directions of a spoken call: the bare transport, which
            sends and reads the same messages and knows nothing of them, against the mock. At least
            0.7 of what the bare transport carries.
answers     The same of a session in which nearly only the server speaks.
first       From the connection to the first event of a one-hour session, the handshake included.
memory      What the peak of memory is more for an hour than for half an hour, which fills the
            buffers of a client that sends as fast as it goes.
deviation   20 sessions at once at --speed 1: how far each event is from its recorded offset (p99).

    python -m tests.benchmarks.mock
    python -m tests.benchmarks.mock --turns 20 --rounds 3   # small, to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import trio

from recorder import wire
from recorder.events import TEXT, Event, Origin, Session
from recorder.live import frontdoor
from recorder.live.frontdoor import Accept, Request, Response
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.transport.connection import Connection
from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.long_call import RATE, TURN_MS, TURNS_AN_HOUR, call
from tests.benchmarks.long_call import fill as fill_call
from tests.log_kit import session
from tests.proxy_kit import frame, upgrade

ROUNDS: Final = 7
SHORT_TURNS: Final = 150
SESSIONS: Final = 20
PACED_TURNS: Final = 2
STAGGER_S: Final = 0.05
DELTAS: Final = 20_000
TICKS: Final = os.sysconf("SC_CLK_TCK")
CALL, ANSWERS, SHORT, PACED, HOUR = (session(number) for number in range(1, 6))
MS: Final = 1_000_000


# ---- the sessions


def answers(deltas: int = DELTAS) -> Iterator[Event]:
    """One request, and an answer of so many deltas of the usual kinds."""
    form = {"type": "audio/pcm", "rate": RATE}
    stated = {"type": "realtime", "audio": {"input": {"format": form}, "output": {"format": form}}}
    ids = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    body = {"id": "resp_1", "object": "realtime.response", "status": "in_progress", "output": []}
    made: list[tuple[Origin, dict[str, object]]] = [
        (Origin.SERVER, {"type": "session.created", "session": stated}),
        (Origin.CLIENT, {"type": "response.create"}),
        (Origin.SERVER, {"type": "response.created", "response": body}),
    ]
    sound = wire.parse(next(e for e in call(1) if e.type == "input_audio_buffer.append"))
    for row in range(deltas):
        kind = ("audio_transcript", "audio")[row % 2]
        delta = str(sound.get("audio")) * 7 if row % 2 else " word"
        name = {"type": f"response.output_{kind}.delta", "event_id": f"event_{row:06d}"}
        made.append((Origin.SERVER, name | {"delta": delta, **ids}))
    made.append((Origin.SERVER, {"type": "response.done", "response": body}))
    for seq, (origin, message) in enumerate(made, 1):
        part = wire.split(orjson.dumps(message))
        yield Event(seq, seq * MS, origin, part.type, TEXT, part.head, part.meta, part.audio)


def fill(path: Path, turns: int, hour: int) -> None:
    """The database with all of them."""
    store = SqlStore.open(locate(str(path), {}), durability="normal")
    for facts, count in ((CALL, turns), (SHORT, SHORT_TURNS), (PACED, PACED_TURNS), (HOUR, hour)):
        fill_call(store, facts, count)
    store.begin(ANSWERS)
    store.append([(ANSWERS.id, list(answers()))])
    store.close()


@dataclass
class Script:
    """What a client sends and gets, as frames."""

    sends: list[tuple[int, bytes]] = field(default_factory=list)
    """When, in ns of the recording, and what."""
    comes: list[tuple[int, int]] = field(default_factory=list)
    """When, and how many bytes have come in all once it is there."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Script:
        """The recorded client's part."""
        made, size = cls(), 0
        for event in events:
            if event.opcode != TEXT:
                continue
            if event.origin == Origin.CLIENT:
                made.sends.append((event.at_ns, frame(wire.join(event), masked=True)))
            else:
                size += len(frame(wire.join(event), masked=False))
                made.comes.append((event.at_ns, size))
        return made

    @property
    def messages(self) -> int:
        """In both directions."""
        return len(self.sends) + len(self.comes)

    @property
    def size(self) -> int:
        """Bytes that come."""
        return self.comes[-1][1]


# ---- the servers


async def bare(path: Path, session_id: str) -> None:
    """Our transport alone: it sends these messages, and reads what comes."""
    store = SqlStore.open(locate(str(path), {}), create=False)
    told = [
        wire.join(event).decode()
        for event in store.read(session_id)
        if event.origin == Origin.SERVER and event.opcode == TEXT
    ]

    async def talk(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_swallow, connection)
            for message in told:
                await connection.send_message(message)

    class Bare:
        async def http(self, request: Request) -> Response:
            return Response.json({}, 404)

        async def upgrade(self, request: Request) -> Accept | Response:
            return Accept(talk, None)

    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(frontdoor.serve, Bare(), host="127.0.0.1", port=0))
        print(f"listening on ws://{address}/v1/realtime", file=sys.stderr, flush=True)


async def _swallow(connection: Connection) -> None:
    while True:
        await connection.get_message()


@dataclass
class Server:
    """A process that listens."""

    pid: int
    port: int

    @property
    def cpu_s(self) -> float:
        """What it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def peak_mb(self) -> float:
        """The most memory that it ever held."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024


@contextmanager
def mock(path: Path, facts: Session, *words: str) -> Iterator[Server]:
    """`recorder mock` with this session."""
    command = [sys.executable, "-m", "recorder.cli", "--db", str(path), "mock", facts.id, *words]
    with _listening(command) as server:
        yield server


@contextmanager
def transport(path: Path, facts: Session) -> Iterator[Server]:
    """The transport alone, with this session's messages."""
    words = ["--child", str(path), facts.id]
    with _listening([sys.executable, "-m", "tests.benchmarks.mock", *words]) as server:
        yield server


@contextmanager
def _listening(command: list[str]) -> Iterator[Server]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    try:
        line = ""
        while "listening on " not in line:
            line = process.stderr.readline().decode()
            assert line, f"{command} did not listen"
        found = re.search(r":(\d+)/", line)
        assert found is not None
        yield Server(process.pid, int(found[1]))
    finally:
        process.kill()
        process.communicate()


# ---- the clients


@dataclass(eq=False)
class Client:
    """One connection, without a framework; frames are told apart by counting bytes."""

    script: Script
    socket: socket.socket
    came: int = 0
    rows: int = 0
    sent: int = 0
    rest: bytes = b""
    began_ns: int = 0
    off_ns: list[int] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether everything came."""
        return self.came >= self.script.size

    def read(self) -> None:
        """Take what is there, and note when each event was complete."""
        size = len(self.socket.recv(1 << 20))
        now_ns = time.monotonic_ns()
        assert size, f"cut off after {self.rows} of {len(self.script.comes)} events"
        self.came += size
        comes = self.script.comes
        while self.rows < len(comes) and comes[self.rows][1] <= self.came:
            if not self.rows:
                self.began_ns = now_ns - comes[0][0]
            self.off_ns.append(now_ns - self.began_ns - comes[self.rows][0])
            self.rows += 1


def connected(server: Server, script: Script) -> Client:
    """A client whose handshake is done; nothing that came after it is lost."""
    made = socket.create_connection(("127.0.0.1", server.port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.sendall(upgrade("/v1/realtime?model=m", "127.0.0.1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = made.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 101"), head
    return Client(script, made)


def as_fast_as_it_goes(server: Server, script: Script) -> tuple[float, float]:
    """Send and read everything: (seconds, CPU seconds of the server)."""
    client = connected(server, script)
    begun, used = time.perf_counter(), server.cpu_s
    waiting = memoryview(b"".join(data for _, data in script.sends))
    client.socket.setblocking(False)
    with selectors.DefaultSelector() as selector:
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        selector.register(client.socket, both)
        while not client.done or waiting:
            for _, ready in selector.select(30):
                if ready & selectors.EVENT_READ:
                    client.read()
                if ready & selectors.EVENT_WRITE and waiting:
                    waiting = waiting[client.socket.send(waiting[: 1 << 16]) :]
                    if not waiting:
                        selector.modify(client.socket, selectors.EVENT_READ)
    took, cpu = time.perf_counter() - begun, server.cpu_s - used
    client.socket.close()
    return took, cpu


def first_event_ms(server: Server, script: Script) -> float:
    """From before the connection to the last byte of the first event."""
    begun = time.perf_counter()
    client = connected(server, script)
    while not client.rows:
        client.read()
    took = time.perf_counter() - begun
    client.socket.close()
    return took * 1000


def in_real_time(server: Server, script: Script, sessions: int) -> list[float]:
    """Each is the recorded caller; how far every event was from its offset, in ms."""
    clients: list[Client] = []
    due: list[tuple[int, int, Client]] = []
    with selectors.DefaultSelector() as selector:
        starts = [time.monotonic_ns() + round(n * STAGGER_S * 1e9) for n in range(sessions)]
        while len(clients) < sessions or any(not client.done for client in clients):
            now_ns = time.monotonic_ns()
            if len(clients) < sessions and now_ns >= starts[len(clients)]:
                client = connected(server, script)
                clients.append(client)
                selector.register(client.socket, selectors.EVENT_READ, client)
            while due and due[0][0] <= now_ns:
                _, _, client = heapq.heappop(due)
                client.socket.sendall(script.sends[client.sent][1])
                client.sent += 1
                _plan(due, client)
            upcoming = [due[0][0]] if due else []
            upcoming += starts[len(clients) : len(clients) + 1]
            timeout = max(0, min(upcoming) - time.monotonic_ns()) / 1e9 if upcoming else 5
            for key, _ in selector.select(timeout):
                client = key.data
                begun = client.rows
                client.read()
                if not begun and client.rows:
                    _plan(due, client)
    for client in clients:
        client.socket.close()
    return sorted(abs(off) / 1e6 for client in clients for off in client.off_ns)


def _plan(due: list[tuple[int, int, Client]], client: Client) -> None:
    if client.sent < len(client.script.sends):
        at_ns = client.began_ns + client.script.sends[client.sent][0]
        heapq.heappush(due, (at_ns, id(client), client))


async def timer(seconds: float) -> None:
    """Print how late a task is that only sleeps: what this machine does to anybody, p99 in ms."""
    began, late = trio.current_time(), []
    for row in range(round(seconds * 100)):
        await trio.sleep_until(began + row / 100)
        late.append((trio.current_time() - began - row / 100) * 1000)
    print(sorted(late)[round(len(late) * 0.99) - 1])


# ---- the figures


def carried(path: Path, facts: Session, script: Script, rounds: int) -> list[float]:
    """How much of what the transport carries the mock carries, by CPU, in turns; told."""
    rows, ratios = [], []
    mine, theirs = [], []
    for number in range(rounds):
        for kind in ("mock", "bare") if number % 2 else ("bare", "mock"):
            serving = mock(path, facts, "--no-wait") if kind == "mock" else transport(path, facts)
            with serving as server:
                as_fast_as_it_goes(server, script)  # whatever is done once was done
                took, cpu = as_fast_as_it_goes(server, script)
            (mine if kind == "mock" else theirs).append((took, cpu))
    for (took, cpu), (bare_took, bare_cpu) in zip(mine, theirs, strict=True):
        ratios.append(bare_cpu / cpu)
        rows.append((bare_took / took,))
    count = script.messages
    table(
        ["server", "messages/s", "CPU a message, µs"],
        [[name, spread([count / took for took, _ in of]),
          spread([cpu / count * 1e6 for _, cpu in of], 1)]
         for name, of in (("mock", mine), ("transport alone", theirs))],
    )  # fmt: skip
    print(f"by time: {spread([row[0] for row in rows], 2)}, by CPU: {spread(ratios, 2)}\n")
    return ratios


def peak_mb(path: Path, facts: Session, script: Script) -> float:
    """Of a mock that played this session once."""
    with mock(path, facts, "--no-wait") as server:
        as_fast_as_it_goes(server, script)
        return server.peak_mb


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=80, help="of the call, 12 s each")
    parser.add_argument("--hour", type=int, default=TURNS_AN_HOUR, help="turns of the hour")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--timer", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        trio.run(bare, Path(given.child[0]), given.child[1])
        return
    if given.timer:
        trio.run(timer, given.timer)
        return
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "bench.db"
        fill(path, given.turns, given.hour)
        finish("mock", list(_figures(path, given)))


def _figures(path: Path, given: argparse.Namespace) -> Iterator[Figure]:
    scripts = {
        "call": (CALL, Script.of(call(given.turns))),
        "answers": (ANSWERS, Script.of(answers())),
    }
    for name, (facts, script) in scripts.items():
        print(f"{name}: {len(script.sends):,} messages of the client, {len(script.comes):,} events")
        yield Figure(name, statistics.median(carried(path, facts, script, given.rounds)), 0.7)
    hour = Script.of(call(given.hour))
    with mock(path, HOUR) as server:
        times = [first_event_ms(server, hour) for _ in range(2 * given.rounds)]
    print(f"first event of {given.hour * 12 / 60:.0f} minutes, ms: {spread(times, 1)}")
    yield Figure("first_ms", statistics.median(times), 200, at_least=False)
    short = Script.of(call(SHORT_TURNS))
    peaks = [peak_mb(path, facts, of) for facts, of in ((SHORT, short), (HOUR, hour))]
    print(f"peak of memory, MB: {peaks[0]:.0f} of {SHORT_TURNS * 12 / 60:.0f} minutes, "
          f"{peaks[1]:.0f} of {given.hour * 12 / 60:.0f}")  # fmt: skip
    yield Figure("memory_more_mb", peaks[1] - peaks[0], 16, at_least=False)
    seconds = PACED_TURNS * TURN_MS / 1000
    words = [sys.executable, "-m", "tests.benchmarks.mock", "--timer", str(seconds)]
    with mock(path, PACED) as server, subprocess.Popen(words, stdout=subprocess.PIPE) as probe:
        off = in_real_time(server, Script.of(call(PACED_TURNS)), given.sessions)
        late_ms = float(probe.communicate()[0])
    p50, p99 = (off[round(len(off) * part) - 1] for part in (0.5, 0.99))
    print(f"{given.sessions} sessions, {len(off):,} events: off by {p50:.2f} ms (p50), "
          f"{p99:.2f} (p99), {off[-1]:.2f} at most")  # fmt: skip
    print(f"a bare timer meanwhile: {late_ms:.2f} ms (p99)")
    yield Figure("deviation_ms", p99, 5, at_least=False)


if __name__ == "__main__":
    main()

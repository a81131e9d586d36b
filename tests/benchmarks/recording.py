"""Recording a live session: what it costs the event loop, how soon it is on disk, how much memory.

A server in a process of its own holds N sessions: 20 audio deltas a second each, 4 to 16 kB; the
client sends 50 appends of 20 ms a second, as a microphone does. When all have been up for three
seconds a ticker of 1 ms in the client's event loop measures how late the loop runs, with recording
on and off in turns.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import pybase64
import trio

import recorder
from recorder.events import Origin
from recorder.live import frontdoor
from recorder.live.frontdoor import Accept, Request, Response
from recorder.live.tap import Subject, Tap
from recorder.live.writer import FLUSH_SECONDS, Writer
from recorder.transport import open_websocket

from .figures import Figure, finish, spread, table

ROUNDS = 5
SECONDS = 4.0
WARM_UP = 3.0
"""Before it is measured: the calls have connected, and what commits under load has started."""
DELTAS = 20
APPEND = b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(bytes(960)) + b'"}'


def delta(number: int) -> str:
    """A server's audio delta, 4 to 16 kB of base64."""
    audio = os.urandom(3000 + number % 4 * 3000)
    return orjson.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": f"event_{number:012}",
            "response_id": "resp_000000000001",
            "item_id": "item_000000000001",
            "output_index": 0,
            "content_index": 0,
            "delta": pybase64.b64encode(audio).decode(),
        }
    ).decode()


class Feeder:
    """Sends deltas to every client, and swallows what they send."""

    async def http(self, _request: Request) -> Response:
        return Response(404)

    async def upgrade(self, _request: Request) -> Accept:
        return Accept(self.talk)

    async def talk(self, socket) -> None:
        async def swallow() -> None:
            while True:
                await socket.get_message()

        messages = [delta(number) for number in range(16)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(swallow)
            started = trio.current_time()
            for number in range(1_000_000):
                await trio.sleep_until(started + number / DELTAS)
                await socket.send_message(messages[number % 16])


async def serve() -> None:
    """The server's process: prints its port, ends with its stdin."""
    async with trio.open_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, Feeder())
        print(address.port, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


async def tick(late: list[float]) -> None:
    """How late the loop comes back from a sleep of 1 ms, in ms."""
    while True:
        before = time.perf_counter()
        await trio.sleep(0.001)
        late.append((time.perf_counter() - before - 0.001) * 1000)


async def microphone(send) -> None:
    """An append every 20 ms."""
    started = trio.current_time()
    for number in range(1_000_000):
        await trio.sleep_until(started + number * 0.02)
        await send(APPEND.decode())


async def with_recording(url: str, writer: Writer) -> None:
    """One session, recorded."""
    async with recorder.connect(url, model="m", store=writer) as session, trio.open_nursery() as n:
        n.start_soon(microphone, session.send)
        async for _ in session:
            pass


async def without_recording(url: str, _writer: Writer | None) -> None:
    """The same session through the same client, not recorded."""
    async with open_websocket(url) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(microphone, socket.send)
        while True:
            orjson.loads((await socket.receive()).data)


async def acknowledge(writer: Writer, waits: list[float]) -> None:
    """How long an event takes to be committed when nobody hurries it, in ms."""
    while True:
        await trio.sleep(0.037)
        before = time.perf_counter()
        await writer.flush(hurry=False)
        waits.append((time.perf_counter() - before) * 1000)


async def run(port: int, sessions: int, record: bool, folder: Path) -> tuple[float, list[float]]:
    """p99 of the loop's delay in ms, and the waits for a commit."""
    late: list[float] = []
    waits: list[float] = []
    url = f"ws://127.0.0.1:{port}/v1/realtime?model=m"
    store = recorder.SqlStore.open(recorder.locate(str(folder / f"{time.time_ns()}.db"), {}))
    async with recorder.open_writer(store) as writer:
        with trio.move_on_after(SECONDS + WARM_UP):
            async with trio.open_nursery() as nursery:
                for _ in range(sessions):
                    nursery.start_soon(with_recording if record else without_recording, url, writer)
                await trio.sleep(WARM_UP)
                if record:
                    nursery.start_soon(acknowledge, writer, waits)
                nursery.start_soon(tick, late)
    store.close()
    return statistics.quantiles(late, n=100)[98], waits


def loop_delay(port: int, folder: Path) -> tuple[list[list[str]], list[Figure]]:
    """The event loop's delay, on against off, for 1 and 50 sessions."""
    rows, figures = [], []
    for sessions in (1, 50):
        on, off, waits = [], [], []
        for number in range(ROUNDS):
            for record in (True, False) if number % 2 else (False, True):
                p99, acks = trio.run(run, port, sessions, record, folder)
                (on if record else off).append(p99)
                waits += acks
        extra = statistics.median(a - b for a, b in zip(on, off, strict=True))
        allowed = max(0.25 * statistics.median(off), 0.5)
        rows.append([f"loop delay p99, {sessions} sessions, off (ms)", spread(off, 2)])
        rows.append([f"loop delay p99, {sessions} sessions, on (ms)", spread(on, 2)])
        rows.append([f"commit acknowledged, {sessions} sessions (ms)", spread(waits, 1)])
        name = f"loop_delay_{sessions}"
        figures.append(Figure(name, extra / allowed, 1.0, at_least=False))
        p50 = statistics.median(waits) - FLUSH_SECONDS * 1000
        figures.append(Figure(f"commit_ack_{sessions}_ms_over_flush", p50, 2.0, at_least=False))
    return rows, figures


def memory() -> int:
    """Resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def ten_minutes(folder: Path) -> list[int]:
    """Memory after each of ten simulated minutes of a two-sided call."""
    store = recorder.SqlStore.open(recorder.locate(str(folder / "memory.db"), {}))
    readings = []
    async with recorder.open_writer(store) as writer:
        tap = Tap(writer, Subject(url="wss://example.test"))
        await tap.open()
        deltas = [delta(number).encode() for number in range(16)]
        for _minute in range(10):
            for tenth in range(600):
                for _ in range(5):
                    tap.frame(Origin.CLIENT, tap.clock(), APPEND)
                for number in range(2):
                    tap.frame(Origin.SERVER, tap.clock(), deltas[(tenth + number) % 16])
                if tenth % 20 == 0:
                    await writer.flush()
            await writer.flush()
            readings.append(memory())
        tap.end(code=1000)
    store.close()
    return readings


def main() -> None:
    """Measure and tell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.recording", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with server:
            port = int(server.stdout.readline())
            rows, figures = loop_delay(port, folder)
            server.stdin.close()
        readings = trio.run(ten_minutes, folder)
    rows.append(["memory after 1 simulated minute (MB)", f"{readings[0] / 1e6:.1f}"])
    rows.append(["memory after 10 simulated minutes (MB)", f"{readings[-1] / 1e6:.1f}"])
    figures.append(Figure("memory_10_min", readings[-1] / readings[0], 1.1, at_least=False))
    table(["what", "median (least to most)"], rows)
    print("loop_delay: extra p99 in units of what is allowed, max(25 %, 0.5 ms)")
    finish("recording", figures)


if __name__ == "__main__":
    trio.run(serve) if sys.argv[1:] == ["serve"] else main()

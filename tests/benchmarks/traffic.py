"""Both ends of many Realtime sessions in one process: how long each message takes between them.

Frames have a fixed size in each direction, so that the end of a message is found by counting
bytes, and the same clock reads both ends. `server` is what stands behind a proxy, `Load` what
stands before it; sessions find their other end by a number in the query.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass, field

import orjson
import pybase64
import trio

from recorder.transport.handshake import accept_token
from tests.proxy_kit import closing, frame, header, read_head, upgrade

APPENDS, DELTAS = 50, 20
"""Messages a second: what a microphone sends, and what an answer comes in."""

APPEND = frame(
    b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(bytes(960)) + b'"}',
    masked=True,
)
DELTA = frame(
    orjson.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "event_000000000001",
            "response_id": "resp_000000000001",
            "item_id": "item_000000000001",
            "output_index": 0,
            "content_index": 0,
            "delta": pybase64.b64encode(bytes(range(256)) * 24).decode(),
        }
    ),
    masked=False,
)


@dataclass
class Session:
    """One session's messages on their way, and how long those that arrived took."""

    up: deque[int] = field(default_factory=deque)
    down: deque[int] = field(default_factory=deque)
    late: list[int] = field(default_factory=list)
    passed: int = 0


class Load:
    """Sessions through the proxy at `address`, in real time or as fast as it goes."""

    def __init__(self, *, real_time: bool) -> None:
        self.real_time = real_time
        self.sessions: dict[int, Session] = {}
        self.measuring = False

    async def serve(self, stream: trio.SocketStream) -> None:
        """The upstream's end."""
        head, _ = await read_head(stream)
        if not head:
            return
        number = int(head.split("session=")[1].split(" ")[0].split("&")[0])
        session = self.sessions[number]
        token = accept_token(header(head, "Sec-WebSocket-Key") or "")
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + token.encode() + b"\r\n\r\n"
        )
        await self._talk(stream, session, DELTA, DELTAS, session.down, len(APPEND), session.up)

    async def call(self, address: tuple[str, int], number: int) -> None:
        """The client's end."""
        session = self.sessions[number] = Session()
        stream = await trio.open_tcp_stream(*address)
        host = f"{address[0]}:{address[1]}"
        await stream.send_all(upgrade(f"/v1/realtime?model=m&session={number}", host))
        head, rest = await read_head(stream)
        assert head.startswith("HTTP/1.1 101"), head
        await self._talk(
            stream, session, APPEND, APPENDS, session.up, len(DELTA), session.down, len(rest)
        )

    async def _talk(
        self,
        stream: trio.SocketStream,
        session: Session,
        message: bytes,
        rate: int,
        leaving: deque[int],
        size: int,
        coming: deque[int],
        held: int = 0,
    ) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send, stream, message, rate, leaving)
                while data := await stream.receive_some(65536):
                    now = time.perf_counter_ns()
                    held += len(data)
                    while held >= size and coming:
                        held -= size
                        took = now - coming.popleft()
                        if self.measuring:
                            session.late.append(took)
                            session.passed += 1
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the run is over
        finally:
            await trio.aclose_forcefully(stream)

    async def _send(
        self, stream: trio.SocketStream, message: bytes, rate: int, leaving: deque[int]
    ) -> None:
        started = trio.current_time()
        for number in range(1_000_000_000):
            if self.real_time:
                await trio.sleep_until(started + number / rate)
            leaving.append(time.perf_counter_ns())
            await stream.send_all(message)


@dataclass(frozen=True)
class Outcome:
    """What one run showed. Latencies in ms."""

    p50: float
    p99: float
    messages: int
    seconds: float
    due: float
    """Messages that should have arrived, in real time."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


async def drive(
    load: Load, listeners: list, address: tuple[str, int], sessions: int, seconds: float, probe
) -> Outcome:
    """Hold sessions and measure once all are open; `probe(True)` and `probe(False)` frame it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, load.serve, listeners)
        for number in range(sessions):
            nursery.start_soon(load.call, address, number)
            await trio.sleep(1 / (APPENDS * sessions) if load.real_time else 0)
        await trio.sleep(1.0)
        probe(True)
        load.measuring = True
        began = time.perf_counter()
        await trio.sleep(seconds)
        load.measuring = False
        took = time.perf_counter() - began
        probe(False)
        nursery.cancel_scope.cancel()
    late = [each / 1e6 for session in load.sessions.values() for each in session.late]
    cuts = statistics.quantiles(late, n=100)
    passed = sum(session.passed for session in load.sessions.values())
    return Outcome(cuts[49], cuts[98], passed, took, sessions * (APPENDS + DELTAS) * took)


async def listen() -> tuple[list, int]:
    """Where the upstream's ends are; the port."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listeners, listeners[0].socket.getsockname()[1]


async def idle(address: tuple[str, int], count: int, hold) -> None:
    """Open so many sessions in which nothing passes, and call `hold` while they stand."""
    load = Load(real_time=True)
    streams = []
    for number in range(count):
        load.sessions[number] = Session()
        stream = await trio.open_tcp_stream(*address)
        await stream.send_all(upgrade(f"/v1/realtime?session={number}", f"{address[0]}:0"))
        await read_head(stream)
        streams.append(stream)
    hold()
    for stream in streams:
        await stream.send_all(closing(1000, masked=True))
        await trio.aclose_forcefully(stream)

"""Both ends of many Realtime sessions in one process: how long each message takes between them.

Frames have a fixed size in each direction, so that the end of a message is found by counting
bytes, and the same clock reads both ends. Sessions find their other end by a number in the query.
One loop over epoll, without a framework: what measures must cost less than what is measured.
"""

from __future__ import annotations

import heapq
import select
import socket
import statistics
import time
from collections import deque
from collections.abc import Callable
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
WARM_SECONDS = 3.0
"""Between the last session's opening and the first message that counts."""


@dataclass
class Session:
    """One session's messages on their way."""

    up: deque[int] = field(default_factory=deque)
    down: deque[int] = field(default_factory=deque)


@dataclass(eq=False)
class End:
    """One end of a session."""

    socket: socket.socket
    message: bytes
    period: float
    expected: int
    """Bytes of a message that comes."""
    sent: deque[int]
    coming: deque[int]
    head: bytes = b""
    open: bool = False
    held: int = 0
    rest: bytes = b""
    """Of the message that is being sent."""
    owed: int = 0
    """Messages that are due and have not begun to be sent."""
    wanted: int = select.EPOLLIN


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


class Traffic:
    """Sessions through the proxy at `address`, in real time or as fast as it goes."""

    def __init__(self, listener: socket.socket, address: tuple[str, int], *, real_time: bool):
        self._listener, self._address, self.real_time = listener, address, real_time
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._ends: dict[int, End] = {}
        self._sessions: dict[int, Session] = {}
        self._strangers: dict[int, tuple[socket.socket, bytes]] = {}
        self._due: list[tuple[float, int, End]] = []
        self._count = 0
        self._buffer = bytearray(262_144)
        self._late: list[int] = []
        self.measuring = False

    def drive(self, sessions: int, seconds: float, probe: Callable[[bool], None]) -> Outcome:
        """Hold sessions, and measure once all are open; `probe` is told of begin and end."""
        try:
            for number in range(sessions):
                self._call(number)
                self._run(1 / (APPENDS * sessions) if self.real_time else 0)
            while sum(end.open for end in self._ends.values()) < 2 * sessions:
                self._run(0.01)
            self._run(WARM_SECONDS)
            probe(True)
            self.measuring, began = True, time.perf_counter()
            self._run(seconds)
            self.measuring, took = False, time.perf_counter() - began
            probe(False)
        finally:
            for end in self._ends.values():
                end.socket.close()
            self._epoll.close()
            self._listener.close()
        cuts = [each / 1e6 for each in statistics.quantiles(self._late, n=100)]
        due = sessions * (APPENDS + DELTAS) * took
        return Outcome(cuts[49], cuts[98], len(self._late), took, due)

    def _call(self, number: int) -> None:
        session = self._sessions[number] = Session()
        client = socket.create_connection(self._address)
        host = f"{self._address[0]}:{self._address[1]}"
        client.sendall(upgrade(f"/v1/realtime?model=m&session={number}", host))
        self._add(End(client, APPEND, 1 / APPENDS, len(DELTA), session.up, session.down))

    def _add(self, end: End) -> None:
        end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.socket.setblocking(False)
        self._ends[end.socket.fileno()] = end
        self._epoll.register(end.socket, select.EPOLLIN)

    def _run(self, seconds: float) -> None:
        """Let them talk so long."""
        until = time.perf_counter() + seconds
        while (now := time.perf_counter()) < until or not seconds:
            wake = min(until, self._due[0][0]) if self._due else until
            for fd, what in self._epoll.poll(max(0, wake - now)):
                self._ready(fd, what)
            now = time.perf_counter()
            while self._due and self._due[0][0] <= now:
                at, number, end = self._due[0]
                heapq.heapreplace(self._due, (at + end.period, number, end))
                end.sent.append(time.perf_counter_ns())
                end.owed += 1
                self._say(end)
            if not seconds:
                return

    def _later(self, end: End, at: float) -> None:
        self._count += 1
        heapq.heappush(self._due, (at, self._count, end))

    def _ready(self, fd: int, what: int) -> None:
        if (end := self._ends.get(fd)) is not None:
            if what & select.EPOLLIN:
                self._hear(end)
            if what & select.EPOLLOUT:
                self._say(end)
        elif fd in self._strangers:
            self._welcome(fd)
        else:
            stranger, _ = self._listener.accept()
            self._strangers[stranger.fileno()] = stranger, b""
            self._epoll.register(stranger, select.EPOLLIN)

    def _welcome(self, fd: int) -> None:
        """The upstream's end: answers the handshake, and begins to speak."""
        stranger, head = self._strangers[fd]
        data = stranger.recv(65536)
        head += data
        self._strangers[fd] = stranger, head
        if not data or b"\r\n\r\n" not in head:
            if not data:  # somebody only looked whether we listen
                del self._strangers[fd]
                self._epoll.unregister(fd)
                stranger.close()
            return
        del self._strangers[fd]
        self._epoll.unregister(fd)
        text = head.decode("latin-1")
        session = self._sessions[int(text.split("session=")[1].split(" ")[0].split("&")[0])]
        token = accept_token(header(text, "Sec-WebSocket-Key") or "").encode()
        stranger.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + token + b"\r\n\r\n"
        )
        end = End(stranger, DELTA, 1 / DELTAS, len(APPEND), session.down, session.up)
        self._add(end)
        self._begin(end)

    def _begin(self, end: End) -> None:
        end.open = True
        if self.real_time:
            self._later(end, time.perf_counter() + end.period)
        else:
            self._listen_for(end, select.EPOLLIN | select.EPOLLOUT)

    def _hear(self, end: End) -> None:
        count = end.socket.recv_into(self._buffer)
        now = time.perf_counter_ns()
        if not count:
            raise RuntimeError("the other end has gone")
        if not end.open:
            end.head += self._buffer[:count]
            head, found, data = end.head.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._begin(end)
            count = len(data)
        end.held += count
        while end.held >= end.expected:
            end.held -= end.expected
            took = now - end.coming.popleft()
            if self.measuring:
                self._late.append(took)

    def _say(self, end: End) -> None:
        """Send what is due, or as much as can be sent where it goes as fast as it can."""
        while end.rest or end.owed or not self.real_time:
            if not end.rest:
                if not self.real_time:
                    end.sent.append(time.perf_counter_ns())
                end.owed -= 1
                end.rest = end.message
            try:
                sent = end.socket.send(end.rest)
                end.rest = end.rest[sent:] if sent < len(end.rest) else b""
            except BlockingIOError:
                self._listen_for(end, select.EPOLLIN | select.EPOLLOUT)
                return
        if end.wanted != select.EPOLLIN:
            self._listen_for(end, select.EPOLLIN)

    def _listen_for(self, end: End, what: int) -> None:
        if end.wanted != what:
            end.wanted = what
            self._epoll.modify(end.socket, what)


def listen() -> tuple[socket.socket, int]:
    """Where the upstream's ends are; the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    return listener, listener.getsockname()[1]


async def idle(address: tuple[str, int], count: int, hold, trusted=None) -> None:
    """Open so many sessions in which nothing passes, and call `hold` while they stand.

    With an `ssl.SSLContext` that trusts the proxy they are opened over TLS.
    """
    streams = []
    for number in range(count):
        stream = await trio.open_tcp_stream(*address)
        if trusted is not None:
            stream = trio.SSLStream(stream, trusted, server_hostname="localhost")
        await stream.send_all(upgrade(f"/v1/realtime?session={number}", f"{address[0]}:0"))
        await read_head(stream)
        streams.append(stream)
    hold()
    for stream in streams:
        await stream.send_all(closing(1000, masked=True))
        await trio.aclose_forcefully(stream)

"""A tap of plain sockets and threads between a proxy and its upstream, and what it heard.

It shares no code with the recorder: bytes are copied by `socket`, frames are read by wsproto.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage


@dataclass
class Overheard:
    """One connection: the bytes of both directions, heads included."""

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)

    def messages(self, side: str) -> list[tuple[int, bytes]]:
        """Opcode and payload of every message and control frame that a side sent."""
        _, _, data = bytes(getattr(self, side)).partition(b"\r\n\r\n")
        kind = ConnectionType.SERVER if side == "client" else ConnectionType.CLIENT
        reader = Connection(kind)
        reader.receive_data(data)
        found: list[tuple[int, bytes]] = []
        text, pieces = "", b""
        for event in reader.events():
            match event:
                case TextMessage():
                    text += event.data
                    if event.message_finished:
                        found.append((1, text.encode()))
                        text = ""
                case BytesMessage():
                    pieces += bytes(event.data)
                    if event.message_finished:
                        found.append((2, pieces))
                        pieces = b""
                case CloseConnection():
                    code = b"" if event.code == 1005 else int(event.code).to_bytes(2, "big")
                    found.append((8, code + (event.reason or "").encode()))
                case Ping():
                    found.append((9, bytes(event.payload)))
                case Pong():
                    found.append((10, bytes(event.payload)))
        return found


@contextmanager
def tapped(host: str, port: int) -> Iterator[tuple[int, list[Overheard]]]:
    """A relay to this address; its port, and what passed, by connection."""
    heard: list[Overheard] = []
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    open_sockets: list[socket.socket] = [listener]

    def pump(source: socket.socket, sink: socket.socket, into: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                into += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, port))
                open_sockets.extend((client, server))
                one = Overheard()
                heard.append(one)
                for ends in ((client, server, one.client), (server, client, one.server)):
                    threads.append(threading.Thread(target=pump, args=ends))
                    threads[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        for each in open_sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        accepting.join(5)
        for thread in threads:
            thread.join(5)
        for each in open_sockets:
            each.close()

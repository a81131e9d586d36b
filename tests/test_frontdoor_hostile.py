"""The front door under attack: no client hurts another, and the log stays discreet."""

from __future__ import annotations

import logging
import os
import re
import socket as sockets
import struct
from collections.abc import AsyncIterator

import pytest
import trio

from recorder.events import CLOSE, PING, PONG, TEXT
from recorder.live.frontdoor import Limits
from recorder.transport import open_websocket
from tests.frontdoor_kit import (
    MASK,
    SECRET,
    House,
    get,
    open_house,
    upgrade,
)
from tests.transport_kit import EASY, frame


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """An open front door with short timeouts."""
    async with open_house() as opened:
        yield opened


# Hostile clients

TALK = upgrade("/talk?api-key=" + SECRET)

HOSTILE = {
    "ping after our Close": (upgrade("/close"), frame(PING, b"x", key=MASK)),
    "non-ASCII Host": (upgrade("/talk").replace(b"Host: h", b"Host: \xff\xfe"),),
    "non-ASCII subprotocol": (upgrade("/talk", "Sec-WebSocket-Protocol: r\xe9al"),),
    "http handler fails": (get("/fail?api-key=" + SECRET),),
    "http header impossible": (get("/bad-header"),),
    "upgrade handler fails": (upgrade("/fail-upgrade?k=" + SECRET),),
    "unoffered subprotocol": (upgrade("/unoffered"),),
    "socket handler fails": (upgrade("/fail-talking?k=" + SECRET), frame(TEXT, b"x", key=MASK)),
    "bad UTF-8": (TALK, frame(TEXT, b"\xff", key=MASK)),
    "no mask": (TALK, frame(TEXT, b"x")),
    "reserved bits": (TALK, b"\xf1\x80" + MASK),
    "reserved opcode": (TALK, b"\x83\x80" + MASK),
    "huge announcement": (TALK, b"\x82\xff" + struct.pack("!Q", 1 << 62) + MASK, bytes(200_000)),
    "too big": (TALK, frame(TEXT, b"x" * 100_001, key=MASK)),
    "empty fragments": (
        TALK,
        frame(TEXT, b"", fin=False, key=MASK),
        frame(0, b"", fin=False, key=MASK) * 5000,
    ),
    "half a frame": (TALK, b"\x81\xfe\x7f"),
    "two Closes": (TALK, frame(CLOSE, b"", key=MASK) * 2),
    "close code 1": (TALK, frame(CLOSE, b"\x00\x01", key=MASK)),
    "garbage frames": (TALK, os.urandom(5000)),
    "garbage": (os.urandom(5000),),
    "ping flood": (TALK, frame(PING, b"x" * 125, key=MASK) * 2000),
    "pongs": (TALK, frame(PONG, b"", key=MASK) * 2000),
    "nothing": (),
}  # fmt: skip


@pytest.mark.parametrize("manner", ["stays", "hangs up", "resets"])
async def test_hostile_clients_hurt_nobody_else(
    manner: str, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """All of them at once: another session goes on, and the log stays short and discreet."""
    caplog.set_level(logging.INFO)

    async def attack(name: str) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", house.port)
        with trio.move_on_after(0.6):
            try:
                for piece in HOSTILE[name]:
                    await stream.send_all(piece)
                    await trio.sleep(0.02)
                while manner == "stays" and await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
        if manner == "resets":
            stream.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    async with open_websocket(house.url("/good"), timeouts=EASY) as socket:
        async with trio.open_nursery() as nursery:
            for name in HOSTILE:
                nursery.start_soon(attack, name)
            for number in range(30):
                with trio.fail_after(2):
                    await socket.send(f"{number}")
                    assert (await socket.receive()).data == b"%d" % number
                await trio.sleep(0.01)
        assert await socket.ping() > 0

    assert (await house.say(get("/echo", "Connection: close"))).startswith(b"HTTP/1.1 200")
    assert SECRET not in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)
    failed = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    line = re.compile(r"\S+:\d+: GET /\S+: the handler failed \(\w+\)")
    assert all(line.fullmatch(message) for message in failed)
    assert any("/fail: the handler failed (ValueError)" in message for message in failed)


@pytest.mark.parametrize(
    ("name", "code"),
    [("bad UTF-8", 1007), ("no mask", 1002), ("too big", 1009), ("huge announcement", 1009)],
)
async def test_what_a_violation_is_told(house: House, name: str, code: int) -> None:
    """The client reads a Close with the right code, however much it was still sending."""
    answer = await house.say(*HOSTILE[name], bytes(500_000))

    close = answer.partition(b"\r\n\r\n")[2]
    assert close[:1] == b"\x88"
    assert struct.unpack("!H", close[2:4]) == (code,)


async def test_failures_become_500(house: House) -> None:
    """A handler's exception before anything was said is an answer with nothing in it."""
    for request in (
        get("/fail"),
        upgrade("/fail-upgrade"),
        upgrade("/unoffered"),
        get("/bad-header"),
    ):
        answer = await house.say(request)
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert SECRET.encode() not in answer


async def test_too_many_connections() -> None:
    """One more than the limit is told so; when one leaves, the next gets in."""
    async with open_house(Limits(connections=2, head_seconds=5)) as house:
        streams = [await trio.open_tcp_stream("127.0.0.1", house.port) for _ in range(2)]
        await trio.sleep(0.05)
        assert (await house.say()).startswith(b"HTTP/1.1 503 ")
        for stream in streams:
            await stream.aclose()
        await trio.sleep(0.05)
        assert (await house.say(get("/echo", "Connection: close"))).startswith(b"HTTP/1.1 200")

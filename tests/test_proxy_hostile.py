"""Hostile clients and upstreams: the proxy and the other sessions live, memory stays bounded."""

from __future__ import annotations

import random
import tracemalloc

import orjson
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.events import Origin
from recorder.proxy.copying import Budget, Copy
from recorder.proxy.options import Bounds
from recorder.transport.frames import FrameScanner
from tests.proxy_kit import (
    PING,
    closing,
    frame,
    raw_house,
    read_all,
    read_head,
    upgrade,
)  # fmt: skip

HELLO = b'{"type":"session.created"}'


async def echo(stream: trio.SocketStream) -> None:
    """Whatever comes goes back, unmasked or not."""
    async for data in stream:
        await stream.send_all(data)


async def alive(house) -> None:
    """A session of somebody else still works, and is recorded to its end."""
    client = await house.open("/v1/realtime?model=healthy")
    await client.send_all(frame(HELLO, masked=True) + closing(1000, masked=True))
    await client.send_eof()
    data, how = await read_all(client)
    assert (data, how) == (frame(HELLO, masked=True) + closing(1000, masked=True), "eof")
    await house.over()
    sessions = [s for s in house.store.sessions() if s.model == "healthy"]
    events = list(house.store.read(sessions[-1].id))
    assert events[-1].type == "recorder.closed"
    assert [e.seq for e in events] == list(range(1, len(events) + 1))


HEADS = [
    b"\x00\xff\x00\xff" * 100,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    upgrade("/v1/realtime?x=\r\nX-Evil: 1", "127.0.0.1"),
    upgrade("/v1/realtime", "127.0.0.1", "X-Big: " + "a" * 100_000),
    upgrade("/v1/realtime", "127.0.0.1", *[f"X-{n}: 1" for n in range(5000)]),
    upgrade("/v1/realtime", "127.0.0.1\xff"),
    upgrade("//evil.example/v1/realtime", "127.0.0.1"),
    upgrade("http://evil.example/v1/realtime", "127.0.0.1"),
    upgrade("/v1/realtime\x00", "127.0.0.1"),
    upgrade("/v1/../../etc/passwd", "127.0.0.1"),
    upgrade("*", "127.0.0.1"),
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\n",
]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
async def test_a_hostile_head_harms_nobody(head):
    """It is answered or cut off; what reaches the upstream is one well-formed head at most."""
    async with raw_house(echo, bounds=Bounds(head_seconds=0.3)) as house:
        client = await house.connect()
        await client.send_all(head)
        with trio.fail_after(5), trio.move_on_after(0.5):
            await read_all(client)
        await client.aclose()
        for seen in house.upstream.heads:
            assert seen.count("HTTP/1.1") <= 1
            assert "X-Evil" not in seen
            assert "evil.example" not in seen.partition("\r\nHost:")[2].partition("\r\n")[0]
        await alive(house)


FRAMES = {
    "unmasked": frame(HELLO, masked=False),
    "a reserved opcode": bytes((0x83, 0x81)) + b"\x01\x02\x03\x04x",
    "a reserved bit": bytes((0xC1, 0x81)) + b"\x01\x02\x03\x04x",
    "a huge length": bytes((0x82, 0xFF)) + (1 << 62).to_bytes(8, "big") + b"\x01\x02\x03\x04abc",
    "a fragmented ping": frame(b"x", PING, masked=True, last=False),
    "bad UTF-8": frame(b"\xff\xfe\xc0", masked=True),
    "a Close of one byte": frame(b"\x03", 8, masked=True),
    "a Close and then more": closing(1000, masked=True) + frame(HELLO, masked=True),
    "a continuation of nothing": frame(b"x", 0, masked=True),
    "half a header": b"\x81",
}


@pytest.mark.parametrize("name", FRAMES)
async def test_hostile_frames_pass_and_harm_nobody(name):
    """The proxy judges nothing: the upstream gets the very bytes, and the log is valid."""
    data = FRAMES[name]
    async with raw_house(echo) as house:
        client = await house.open()
        await client.send_all(data)
        await client.send_eof()
        assert await read_all(client) == (data, "eof")
        await house.over()
        assert house.events()[-1].type == "recorder.closed"
        await alive(house)


async def test_a_flood_of_pings_is_carried():
    """All of them, and all are in the log."""
    flood = frame(b"", PING, masked=True) * 5000
    async with raw_house(echo) as house:
        client = await house.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, flood)
            got = 0
            while got < len(flood):
                got += len(await client.receive_some(65536))
        await client.aclose()
        await house.over()
        pings = [e for e in house.events() if e.opcode == PING and e.origin == Origin.CLIENT]
        assert len(pings) == 5000


async def test_many_idle_connections_do_not_keep_out_a_session():
    """Those that send nothing are cut off after the time for a head."""
    async with raw_house(echo, bounds=Bounds(head_seconds=0.3, connections=300)) as house:
        idle = [await house.connect() for _ in range(290)]
        await alive(house)
        for stream in idle:
            with trio.fail_after(5):
                assert (await read_all(stream))[1] == "eof"
        await alive(house)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=300), max_size=12), st.booleans())
def test_a_copy_never_raises(chunks, client):
    """Whatever the bytes, however they are cut."""
    notes: list[str] = []

    class Deaf:
        opened_ns = 0

        def frame(self, origin, at_ns, payload, opcode=1):
            notes.append(f"frame {opcode}")

        def note(self, kind, **fields):
            orjson.dumps(fields)
            notes.append(kind)

    copy = Copy(Deaf(), Origin.CLIENT if client else Origin.SERVER, 100, Budget(1000))
    for number, chunk in enumerate(chunks):
        copy.take(chunk, number)
    copy.end(len(chunks))
    whole = FrameScanner(masked=client)
    whole.feed(b"".join(chunks), 0)
    assert ("unparsed" in notes) == (whole.fault is not None)
    assert copy.bytes == sum(map(len, chunks))


async def test_random_bytes_for_a_while():
    """Heads and frames that are garbage, or nearly right: bounded memory, a log that is valid."""
    chance = random.Random(20_261_122)
    async with raw_house(echo, bounds=Bounds(head_seconds=0.2)) as house:
        await alive(house)
        tracemalloc.start()
        for _ in range(120):
            await _garbage(house, chance)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await alive(house)
        assert grown < 30_000_000
        for session in house.store.sessions():
            events = list(house.store.read(session.id))
            assert events[-1].type == "recorder.closed"
            assert [e.seq for e in events] == list(range(1, len(events) + 1))


async def _garbage(house, chance: random.Random) -> None:
    client = await house.connect()
    try:
        if chance.random() < 0.7:
            await client.send_all(upgrade("/v1/realtime", "127.0.0.1"))
            await read_head(client)
        data = bytearray(frame(chance.randbytes(chance.randrange(2000)), masked=True))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(min(len(data), 14))] = chance.randrange(256)
        await client.send_all(bytes(data) + chance.randbytes(chance.randrange(500)))
        with trio.move_on_after(0.02):
            await client.receive_some(1000)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # it was cut off, as it deserves
    finally:
        await client.aclose()


async def test_an_upstream_that_answers_garbage_is_told():
    """502 for the client, and the reason in the log; no echo of secrets."""
    for answer in (b"\x00\x01\x02garbage\r\n\r\n", b"HTTP/1.1 101\r\nBad\r\n\r\n", b""):
        async with raw_house(echo, answer=answer) as house:
            client = await house.dial("/v1/realtime", "Authorization: Bearer sk-echo-0123456789ab")
            data, _ = await read_all(client)
            assert data.startswith(b"HTTP/1.1 502 ")
            assert b"sk-echo" not in data
            await house.over()
            assert house.events()[-1].type == "recorder.closed"

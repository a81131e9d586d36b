"""How a session through the proxy begins and ends: clients that leave, Closes that cross, TLS."""

from __future__ import annotations

import logging
import ssl
from contextlib import asynccontextmanager

import orjson
import pytest
import trio
import trustme

from recorder.events import CLOSE, Origin
from recorder.proxy.running import drain, proxied
from recorder.store import MemoryStore
from tests.proxy_kit import (
    RawUpstream,
    closing,
    frame,
    header,
    proxy_before,
    raw_house,
    read_all,
    read_head,
)

HELLO = b'{"type":"session.created"}'
ASK = b'{"type":"response.create"}'


def closed(house) -> dict:
    """The last event of the newest session."""
    event = house.events()[-1]
    assert event.type == "recorder.closed"
    return orjson.loads(event.head)


@asynccontextmanager
async def tls_house(talk, **options):
    """A proxy on plain TCP before an upstream that speaks TLS, as in production."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        await RawUpstream(talk).serve(secured)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        url = f"https://localhost:{listeners[0].socket.getsockname()[1]}"
        with authority.cert_pem.tempfile() as file:
            async with proxy_before(url, ca_file=file, **options) as house:
                yield house
        nursery.cancel_scope.cancel()


async def test_the_end_of_an_upstream_over_tls_reaches_the_client_at_once():
    """After a closing handshake a client waits for TCP to end: not a moment longer than needed."""

    async def talk(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(closing(1000, masked=False))
        await stream.aclose()

    async with tls_house(talk) as house:
        client = await house.open()
        await client.send_all(closing(1000, masked=True))
        with trio.fail_after(2):  # the proxy itself would linger for 5 s
            assert await read_all(client) == (closing(1000, masked=False), "eof")
        await client.aclose()
        await house.over()
        assert (closed(house)["clean"], closed(house)["initiator"]) == (True, "client")


async def test_a_client_that_is_gone_is_told_to_an_upstream_over_tls_at_once():
    """There is no half-close in TLS: nobody goes on generating for a client that left."""
    seen: list[bytes] = []
    over = trio.Event()

    async def talk(stream: trio.abc.Stream) -> None:
        seen.append((await read_all(stream))[0])
        over.set()

    async with tls_house(talk) as house:
        client = await house.open()
        await client.send_all(frame(ASK, masked=True))
        await client.aclose()
        with trio.fail_after(2):
            await over.wait()
        assert seen == [frame(ASK, masked=True)]


async def test_a_close_and_a_fin_in_one_breath_still_get_the_answer():
    """Some clients end TCP right behind their Close; the upstream's Close is still recorded."""

    async def talk(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)
        await trio.sleep(0.1)
        await stream.send_all(closing(1000, masked=False))
        await stream.aclose()

    async with tls_house(talk) as house:
        client = await house.open()
        await client.send_all(closing(1000, masked=True))
        await client.send_eof()
        assert (await read_all(client))[0] == closing(1000, masked=False)
        await house.over()
        assert closed(house)["clean"] is True


async def test_a_client_that_leaves_during_the_dial_takes_the_dial_with_it():
    """The upstream's connection ends, and the log says who left."""
    asked, left = trio.Event(), trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_head(stream)
        asked.set()
        await stream.receive_some(1)
        left.set()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, slow, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with proxy_before(f"http://127.0.0.1:{port}") as house:
            client = await house.dial()
            with trio.fail_after(3):
                await asked.wait()
                await client.aclose()
                await left.wait()
            await house.over()
            shake = next(e for e in house.events() if e.type == "recorder.handshake")
            assert "left before" in orjson.loads(shake.head)["error"]
            assert closed(house)["initiator"] == "client"
        nursery.cancel_scope.cancel()


async def test_what_a_client_sends_during_the_dial_is_passed_on():
    """Bytes that come before the answer are kept, in order, once."""
    got: list[bytes] = []
    answer = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await answer.wait()

        async def talk(inner: trio.SocketStream) -> None:
            got.append(bytes(await inner.receive_some(1000)))
            await inner.aclose()

        await RawUpstream(talk).serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, slow, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with proxy_before(f"http://127.0.0.1:{port}") as house:
            client = await house.dial()
            await client.send_all(frame(ASK, masked=True))
            await trio.testing.wait_all_tasks_blocked(0.05)
            answer.set()
            await read_all(client)
            await client.aclose()
            await house.over()
            assert got == [frame(ASK, masked=True)]
            assert [data for _, _, data in house.passed()] == [ASK]
        nursery.cancel_scope.cancel()


async def test_our_close_survives_a_client_that_is_still_speaking():
    """Closing with bytes unread would destroy it; what comes after it is in no log."""
    got: list[bytes] = []

    async def talk(stream: trio.SocketStream) -> None:
        got.append((await read_all(stream))[0])

    async with raw_house(talk) as house:
        client = await house.open()
        await client.send_all(frame(ASK, masked=True))
        await trio.testing.wait_all_tasks_blocked(0.05)
        (live,) = house.proxy.live.values()
        live.relay.stop(1001, "going away")
        late = frame(b"too late", masked=True)
        assert await client.receive_some(1000) == closing(1001, "going away", masked=False)
        await client.send_all(late * 3)
        await client.send_all(closing(1001, masked=True))
        assert await read_all(client) == (b"", "eof")
        await house.over()
        assert got[0].startswith(frame(ASK, masked=True))
        assert b"too late" not in b"".join(data for _, _, data in house.passed())
        end = closed(house)
        assert (end["code"], end["initiator"], end["answer"]) == (1001, "recorder", 1001)


async def test_a_message_that_our_end_cut_off_is_a_gap():
    """Also where its other half comes while we wait for the answer to our Close."""

    async def talk(stream: trio.SocketStream) -> None:
        await read_all(stream)

    whole = frame(b"half of this is passed on", masked=True)
    async with raw_house(talk) as house:
        client = await house.open()
        await client.send_all(whole[:12])
        await trio.testing.wait_all_tasks_blocked(0.05)
        (live,) = house.proxy.live.values()
        live.relay.stop(1001, "going away")
        assert await client.receive_some(1000) == closing(1001, "going away", masked=False)
        await client.send_all(whole[12:] + closing(1001, masked=True))
        await read_all(client)
        await house.over()
        gaps = [orjson.loads(e.head) for e in house.events() if e.type == "recorder.gap"]
        assert [gap["count"] for gap in gaps] == [1]
        assert not [e for e in house.events() if e.origin == Origin.CLIENT and e.opcode != CLOSE]


async def test_a_session_that_is_being_opened_is_waited_for_when_draining():
    """It began before; only what comes later is refused."""
    go = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await go.wait()

        async def talk(inner: trio.SocketStream) -> None:
            await inner.send_all(frame(HELLO, masked=False))
            await read_all(inner)
            await inner.aclose()

        await RawUpstream(talk).serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, slow, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with proxy_before(f"http://127.0.0.1:{port}") as house:
            client = await house.dial()
            await trio.testing.wait_all_tasks_blocked(0.05)
            async with trio.open_nursery() as draining:
                draining.start_soon(drain, house.proxy, 5)
                await trio.testing.wait_all_tasks_blocked(0.05)
                go.set()
                head, rest = await read_head(client)
                assert head.startswith("HTTP/1.1 101 ")
                assert rest or await client.receive_some(100) == frame(HELLO, masked=False)
                await client.aclose()
            assert closed(house)["initiator"] == "client"
        nursery.cancel_scope.cancel()


async def test_who_looks_on_does_not_end_the_call(caplog):
    """`on_session` is somebody else's code."""

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False))
        await read_all(stream)

    def failing(_name: str) -> None:
        raise ValueError("a defect")

    async with raw_house(talk, on_session=failing) as house:
        client = await house.open()
        assert await client.receive_some(100) == frame(HELLO, masked=False)
        assert "on_session failed" in caplog.text


async def test_a_store_that_fails_in_whatever_way_does_not_stop_the_call():
    """Not every failure has the store's own error."""

    class Broken(MemoryStore):
        def begin(self, session) -> None:
            raise ValueError("a defect")

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(HELLO, masked=False))

    async with raw_house(talk, store=Broken()) as house:
        client = await house.open()
        assert await client.receive_some(100) == frame(HELLO, masked=False)
        assert house.proxy.counts.unrecorded == 1


async def test_several_lines_of_subprotocols_pass_as_they_are():
    """Each on its own line, the key in its place."""

    async def talk(stream: trio.SocketStream) -> None:
        await read_all(stream)

    async with raw_house(talk, extra="Sec-WebSocket-Protocol: realtime\r\n") as house:
        client = await house.dial(
            "/v1/realtime?model=m", "Sec-WebSocket-Protocol: realtime",
            "Sec-WebSocket-Protocol: openai-insecure-api-key.sk-0123456789abcdefghij",
        )  # fmt: skip
        head, _ = await read_head(client)
        assert header(head, "Sec-WebSocket-Protocol") == "realtime"
        lines = house.upstream.heads[0].split("\r\n")
        assert [line for line in lines if line.startswith("Sec-WebSocket-Protocol")] == [
            "Sec-WebSocket-Protocol: realtime",
            "Sec-WebSocket-Protocol: openai-insecure-api-key.sk-0123456789abcdefghij",
        ]


async def test_what_comes_before_the_101_and_right_behind_it():
    """103 is passed over; a first frame in the same breath reaches the client."""
    from recorder.transport.handshake import accept_token
    from tests.proxy_kit import KEY

    told = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept_token(KEY).encode() + b"\r\n\r\n"
        + frame(HELLO, masked=False)
    )  # fmt: skip

    async def talk(_stream: trio.SocketStream) -> None:
        raise AssertionError

    async with raw_house(talk, answer=told) as house:
        client = await house.dial()
        data, _ = await read_all(client)
        assert data.startswith(b"HTTP/1.1 101 Yes\r\n")
        assert data.endswith(b"\r\n\r\n" + frame(HELLO, masked=False))
        await client.aclose()
        await house.over()
        assert [payload for _, _, payload in house.passed()] == [HELLO]


def test_what_goes_wrong_in_the_block_of_a_proxy_in_a_thread_is_not_hidden(caplog):
    """Not by what went wrong in the proxy either, and several run at once."""
    caplog.set_level(logging.ERROR)
    one, two = MemoryStore(), MemoryStore()
    with (
        pytest.raises(KeyError, match="theirs"),
        proxied("http://127.0.0.1:9", store=one) as first,
        proxied("http://127.0.0.1:9", store=two) as second,
    ):
        assert first != second
        raise KeyError("theirs")

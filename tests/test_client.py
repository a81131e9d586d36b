"""The recording client against real servers, good and bad: what the application sees, and what
is in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import orjson
import pytest
import trio

import recorder
from recorder.errors import (
    EndpointTimeout,
    HandshakeRefused,
    ProtocolViolation,
    ServerError,
    SessionClosed,
    Unreachable,
    UsageError,
)
from recorder.events import Event, Origin
from recorder.live.frontdoor import Headers, Response
from recorder.live.session import RealtimeSession
from recorder.live.shapes import SessionOptions
from recorder.store import MemoryStore
from recorder.transport import Timeouts

from .serving import CREATED, answer_everything, respond, send, serving

SHORT = Timeouts(connect=0.4, handshake=0.4, close=0.4)


def only_session(store: MemoryStore) -> list[Event]:
    """The events of the one session in the store."""
    (session,) = store.sessions()
    return list(store.read(session.id))


def own(events: list[Event], kind: str) -> list[dict]:
    """The recorder's own events of this kind."""
    return [orjson.loads(e.head) for e in events if e.type == f"recorder.{kind}"]


async def test_a_session_from_dial_to_close_is_in_the_log() -> None:
    """Opened, handshake, every message both ways, the close: numbered without gaps."""
    store = MemoryStore()
    async with (
        serving(answer_everything) as (url, _),
        recorder.connect(url, model="m", store=store) as session,
    ):
        await session.say("hi")
        answer = await session.answer()
        session.mark("playback", item_id="item_resp_1", played_ms=120)
    assert (answer.status, answer.text) == ("completed", "hello")
    events = only_session(store)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.at_ns for e in events] == sorted(e.at_ns for e in events)
    assert [e.type for e in events if e.opcode != 8] == [
        "recorder.opened",
        "recorder.handshake",
        *sorted_by_passing(events),
        "recorder.playback",
        "recorder.closed",
    ]
    (handshake,) = own(events, "handshake")
    assert handshake["status"] == 101
    assert ["x-request-id", "req_test_1"] in handshake["headers"]
    (closed,) = own(events, "closed")
    assert (closed["code"], closed["initiator"], closed["clean"]) == (1000, "client", True)


def sorted_by_passing(events: list[Event]) -> list[str]:
    """Types of what passed, in the log's own order: `session.created` may cross the first send."""
    return [e.type for e in events if e.origin != Origin.RECORDER and e.opcode == 1]


async def test_messages_are_kept_byte_for_byte_both_ways() -> None:
    """Odd spacing, key order and escapes come back exactly; so do binary frames."""
    odd = '{ "delta":"AAAA" ,\t"type" : "response.audio.delta" , "x":"\\u00e9\\/"}'
    got: list[object] = []

    async def talk(socket) -> None:
        got.append(await socket.get_message())
        got.append(await socket.get_message())
        await socket.send_message(odd)
        await socket.send_message(b"\x00\xff binary")
        await socket.send_message("no JSON at all \u2713")
        await trio.sleep_forever()

    store = MemoryStore()
    async with (
        serving(talk) as (url, _),
        recorder.connect(url, model="m", store=store) as session,
    ):
        await session.send(odd)
        await session.send(b"\x01\x02")
        events = [await session.receive() for _ in range(3)]
    assert got == [odd, b"\x01\x02"]
    assert [e.raw for e in events] == [
        odd.encode(),
        b"\x00\xff binary",
        "no JSON at all \u2713".encode(),
    ]
    log = [e for e in only_session(store) if e.opcode in (1, 2)]
    assert [recorder.join(e) for e in log] == [odd.encode(), b"\x01\x02", *(e.raw for e in events)]
    assert [e.seq for e in log[2:]] == [e.seq for e in events]
    assert [e.at_ns for e in log[2:]] == [e.at_ns for e in events]


async def test_iteration_ends_on_a_normal_close_and_raises_on_another() -> None:
    """1000 is the end; 3000 is an error that says what to look at."""

    async def goodbye(socket) -> None:
        await send(socket, CREATED)
        await socket.aclose(1000, "bye")

    async def bad_key(socket) -> None:
        await send(socket, {"type": "error", "error": {"code": "invalid_api_key"}})
        await socket.aclose(3000, "invalid_request_error.invalid_api_key")

    async with (
        serving(goodbye) as (url, _),
        recorder.connect(url, model="m", store=MemoryStore()) as session,
    ):
        assert [event.type async for event in session] == ["session.created"]

    store = MemoryStore()
    with pytest.raises(SessionClosed, match="the key was refused") as caught:
        async with (
            serving(bad_key) as (url, _),
            recorder.connect(url, model="m", store=store, api_key="sk-0123456789") as session,
        ):
            async for _event in session:
                pass
    assert caught.value.code == 3000
    (closed,) = own(only_session(store), "closed")
    assert (closed["code"], closed["initiator"]) == (3000, "server")


async def test_close_4000_names_the_option_to_use() -> None:
    """An endpoint without the beta protocol: say --dialect ga."""

    async def no_beta(socket) -> None:
        await socket.aclose(4000, "invalid_request_error.beta_api_shape_disabled")

    with pytest.raises(SessionClosed, match="--dialect ga"):
        async with (
            serving(no_beta) as (url, handler),
            recorder.connect(url, model="m", dialect="beta", store=MemoryStore()) as session,
        ):
            await session.ready()
    assert handler.requests[0].header("OpenAI-Beta") == "realtime=v1"


async def refused(expected: type[Exception], url: str, **options) -> list[Event]:
    """The log of a dial that fails with this error, in time."""
    store = MemoryStore()
    with trio.fail_after(2), pytest.raises(expected):
        async with recorder.connect(url, model="m", store=store, timeouts=SHORT, **options):
            raise AssertionError("the session must not open")
    return only_session(store)


async def test_a_refused_handshake_is_in_the_log_with_status_and_body() -> None:
    """401 with its JSON body; the key that the body echoes is not in it."""
    key = "sk-proj-0123456789abcdef"
    body = {"error": {"code": "invalid_api_key", "message": f"Incorrect API key: {key}"}}

    async def never(_socket) -> None:
        raise AssertionError

    async with serving(never, Response.json(body, 401)) as (url, _):
        events = await refused(HandshakeRefused, url, api_key=key)
    (handshake,) = own(events, "handshake")
    (closed,) = own(events, "closed")
    assert handshake["status"] == 401
    assert "Incorrect API key" in handshake["body"]
    assert "401" in closed["error"]
    assert not any(key.encode() in event.head for event in events)


async def test_a_refusal_without_a_key_says_that_none_was_sent() -> None:
    """Whether the upgrade is refused or closed with 3000: the remedy is to name a key."""

    async def goodbye(socket) -> None:
        await send(socket, CREATED)
        await socket.aclose(3000, "invalid_request_error.invalid_api_key")

    async def told(accept: Response | Headers, **options) -> str:
        store = MemoryStore()
        with pytest.raises((HandshakeRefused, SessionClosed)) as caught:
            async with (
                serving(goodbye, accept) as (url, _),
                recorder.connect(url, model="m", store=store, **options) as session,
            ):
                async for _event in session:
                    pass
        return str(caught.value)

    none = "no key was sent: name the variable that holds yours with --api-key-env NAME"
    for accept in (Response.json({}, 401), Response.json({}, 403), ()):
        assert none in await told(accept)
        assert none in await told(accept, headers=[("OpenAI-Project", "p"), ("X-Tenant", "t")])
        for options in (
            {"api_key": "sk-proj-0123456789abcdef"},
            {"api_key": "sk-proj-0123456789abcdef", "auth": "subprotocol"},
            {"headers": [("X-Gateway-Token", "abcdef0123")]},
        ):
            assert "no key was sent" not in await told(accept, **options)


async def test_nobody_listening_silence_and_garbage_are_told_apart_and_logged() -> None:
    """Each has its own error, within the timeout, and each leaves a session in the log."""
    (closed_port,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = closed_port.socket.getsockname()[1]
    await closed_port.aclose()
    events = await refused(Unreachable, f"ws://127.0.0.1:{port}/v1")
    assert own(events, "handshake")[0]["status"] is None

    async def silent(_stream) -> None:
        await trio.sleep_forever()

    async def garbage(stream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"\x00\x01SSH-2.0 nonsense\r\n\r\n")
        await trio.sleep(0.5)

    for talk, expected in ((silent, EndpointTimeout), (garbage, ProtocolViolation)):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, talk, 0, host="127.0.0.1"))
            where = listener.socket.getsockname()
            events = await refused(expected, f"ws://127.0.0.1:{where[1]}/v1")
            nursery.cancel_scope.cancel()
        assert own(events, "closed")[0]["error"]


async def test_an_exception_of_the_application_comes_out_as_it_is() -> None:
    """No group round it; the log says that the session ended with it."""
    store = MemoryStore()
    with pytest.raises(KeyError, match="mine"):
        async with (
            serving(answer_everything) as (url, _),
            recorder.connect(url, model="m", store=store),
        ):
            raise KeyError("mine")
    (closed,) = own(only_session(store), "closed")
    assert "KeyError" in closed["error"]


async def test_an_error_event_in_answer_to_us_is_an_exception() -> None:
    """`answer` and `configure` raise it; a late cancel's error is none."""

    async def talk(socket) -> None:
        await send(socket, CREATED)
        refusal = {"code": "invalid_value", "message": "no such voice", "param": "session.voice"}
        while True:
            event = orjson.loads(await socket.get_message())
            if event["type"] == "session.update":
                error = {**refusal, "event_id": event["event_id"]}
                await send(socket, {"type": "error", "error": error})
            elif event["type"] == "response.create":
                late = {"code": "response_cancel_not_active", "message": "no active response"}
                await send(socket, {"type": "error", "error": late})
                await respond(socket, "resp_1", "fine")

    async with (
        serving(talk) as (url, _),
        recorder.connect(url, model="m", store=MemoryStore()) as session,
    ):
        with pytest.raises(ServerError, match=r"no such voice.*session\.voice"):
            await session.configure(SessionOptions(voice="nobody"))
        await session.say("hi")
        assert (await session.answer()).text == "fine"


async def test_a_listener_that_fails_does_not_end_the_call() -> None:
    """It is not called any more; the session goes on, and all of it is in the log."""
    heard: list[str] = []

    def listener(event: Event) -> None:
        heard.append(event.type)
        if event.type == "session.created":
            raise ValueError("a display that broke")

    store = MemoryStore()
    how = recorder.Recording(listener=listener)
    async with (
        serving(answer_everything) as (url, _),
        recorder.connect(url, model="m", store=store, recording=how) as session,
    ):
        await session.ready()
        await session.say("hi")
        assert (await session.answer()).text == "hello"
    assert heard[-1] == "session.created"
    assert only_session(store)[-1].type == "recorder.closed"


async def test_a_session_object_that_is_none_and_a_passing_error_are_survived() -> None:
    """Garbage in `session.created`, and an error that nobody asked for, end nothing."""

    async def talk(socket) -> None:
        await send(socket, {"type": "session.created", "session": 5})
        await send(socket, {"type": "error", "error": {"type": "server_error", "message": "x"}})
        await send(socket, {**CREATED, "session": {"audio": 3, "id": "s"}})
        while True:
            event = orjson.loads(await socket.get_message())
            if event["type"] == "session.update":
                await send(socket, {**CREATED, "type": "session.updated"})
            elif event["type"] == "response.create":
                await respond(socket, "resp_1", "fine")

    async with (
        serving(talk) as (url, _),
        recorder.connect(url, model="m", store=MemoryStore()) as session,
    ):
        assert session.input_format.rate == 24000
        await session.configure(SessionOptions(voice="x"))
        await session.say("hi")
        assert (await session.answer()).text == "fine"


async def test_a_secret_header_repeated_without_its_scheme_is_not_stored() -> None:
    """`Authorization: Bearer X` given as a header: X alone, of no known shape, stays out."""
    token = "plainAUTHval_99zz"

    async def talk(socket) -> None:
        await send(socket, CREATED, {"type": "error", "error": {"message": f"bad {token}"}})
        await trio.sleep_forever()

    store = MemoryStore()
    async with (
        serving(talk) as (url, _),
        recorder.connect(
            url, model="m", store=store, headers=[("Authorization", f"Bearer {token}")]
        ) as session,
    ):
        await session.receive()
        await session.receive()
    assert not any(token.encode() in event.head for event in only_session(store))


async def test_waiting_for_what_never_comes_ends_in_time() -> None:
    """A server that accepts and says nothing."""

    async def mute(_socket) -> None:
        await trio.sleep_forever()

    async with (
        serving(mute) as (url, _),
        recorder.connect(url, model="m", store=MemoryStore(), timeouts=SHORT) as session,
    ):
        with trio.fail_after(2), pytest.raises(EndpointTimeout, match=r"session\.created"):
            await session.ready(timeout=0.2)
        with trio.fail_after(2), pytest.raises(EndpointTimeout, match="response"):
            await session.answer(timeout=0.2)


async def test_audio_goes_out_at_the_pace_of_a_microphone() -> None:
    """Half a second of audio takes half a second, in chunks of 20 ms, nothing lost at the end."""
    got: list[bytes] = []

    async def talk(socket) -> None:
        await send(socket, CREATED)
        while True:
            got.append((await socket.get_message()).encode())

    audio = bytes(range(256)) * 94  # 24,064 bytes: 501 ms, not a whole number of chunks
    store = MemoryStore()
    async with (
        serving(talk) as (url, _),
        recorder.connect(url, model="m", store=store) as session,
    ):
        await session.ready()
        began = trio.current_time()
        await session.stream(audio)
        took = trio.current_time() - began

        async def pieces() -> AsyncIterator[bytes]:
            yield b"\x01\x00" * 240
            yield b"\x02\x00" * 240

        await session.stream(pieces())
    assert 0.5 <= took < 0.8
    appended = [e for e in only_session(store) if e.type == "input_audio_buffer.append"]
    assert b"".join(e.audio for e in appended[:-2]) == audio
    assert [len(e.audio) for e in appended[:25]] == [960] * 25
    assert [recorder.join(e) for e in appended] == got[: len(appended)]


async def test_marks_that_are_the_recorders_own_are_refused() -> None:
    """An application cannot make a `closed` or a `gap`."""
    async with (
        serving(answer_everything) as (url, _),
        recorder.connect(url, model="m", store=MemoryStore()) as session,
    ):
        for kind in ("closed", "gap", "", "a b", "x\n"):
            with pytest.raises(UsageError, match="mark"):
                session.mark(kind)
        assert session.mark("note", text="fine") > 0


async def test_capture_without_audio_keeps_lengths_and_times() -> None:
    """The audio is nowhere in the log; how much there was is."""
    from recorder.wire import audio_bytes, tombstone

    async def talk(socket) -> None:
        await send(socket, CREATED)
        await trio.sleep_forever()

    store = MemoryStore()
    how = recorder.Recording(capture="no-audio", tags=["t"], call="c")
    async with (
        serving(talk) as (url, _),
        recorder.connect(url, model="m", store=store, recording=how) as session,
    ):
        await session.append(b"\x01\x02" * 480)
    (append,) = [e for e in only_session(store) if e.type == "input_audio_buffer.append"]
    assert append.audio is None
    assert audio_bytes(append) == 960
    assert "not captured" in tombstone(append)["reason"]
    (kept,) = store.sessions()
    assert (kept.capture, kept.call) == ("no-audio", "c")


async def test_many_sessions_record_at_once_through_one_writer(tmp_path) -> None:
    """Ten sessions of one process, one database, one writer."""
    store = recorder.SqlStore.open(recorder.locate(str(tmp_path / "a.db"), {}))
    done: list[str] = []

    async def one(url: str, writer: recorder.Writer) -> None:
        async with recorder.connect(url, model="m", store=writer) as session:
            for _ in range(3):
                await session.say("hi")
                await session.answer()
        done.append(session.id)

    async with serving(answer_everything) as (url, _), recorder.open_writer(store) as writer:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one, url, writer)
    assert len(done) == 10
    for session_id in done:
        types = [e.type for e in store.read(session_id)]
        assert types.count("response.done") == 3
        assert types[-1] == "recorder.closed"
    store.close()


async def test_a_cancelled_session_is_closed_in_order() -> None:
    """The server sees a close frame, the log a close; nothing hangs."""
    seen: list[object] = []

    async def talk(socket) -> None:
        await send(socket, CREATED)
        try:
            await socket.get_message()
        finally:
            seen.append(socket.closed)

    store = MemoryStore()
    session: RealtimeSession | None = None
    async with serving(talk) as (url, _):
        with trio.move_on_after(0.2):
            async with recorder.connect(url, model="m", store=store) as session:
                await trio.sleep_forever()
        await trio.sleep(0.05)
    assert session is not None
    (closed,) = own(only_session(store), "closed")
    assert (closed["code"], closed["initiator"]) == (1001, "client")
    assert seen

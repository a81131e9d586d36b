"""The sandbox on real sockets: doors, keys, tokens, and clients that behave badly."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from recorder.errors import HandshakeRefused, SessionClosed, UsageError
from recorder.sandbox.script import Fault, Script
from recorder.sandbox.server import Options, serve_sandbox
from recorder.transport import open_websocket
from tests.sandbox_driver import QUICK

KEY = "sk-test-key"
BEARER = [("Authorization", f"Bearer {KEY}")]
LOCKED = {"api_keys": frozenset({KEY})}
PATH = "/v1/realtime?model=gpt-realtime"


@asynccontextmanager
async def serving(**options):
    """The address of a sandbox, `host:port`."""
    options = {"script": Script(otherwise=(QUICK,)), **options}
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_sandbox, Options(**options))
        yield f"{address.host}:{address.port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(address, path=PATH, **how):
    """A WebSocket to it, after the first event; with that event."""
    async with open_websocket(f"ws://{address}{path}", proxy=None, **how) as socket:
        yield socket, await receive(socket)


async def receive(socket):
    """The next event."""
    return json.loads((await socket.receive()).data)


async def ask(socket, kind, **members):
    """Send an event; gives the next one that comes."""
    await socket.send(json.dumps({"type": kind, **members}))
    return await receive(socket)


@asynccontextmanager
async def http(address):
    """An HTTP client of it."""
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=5) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "how", "dialect"),
    [
        (PATH, {}, "ga"),
        ("/v1/realtime/?model=m", {}, "ga"),
        ("/openai/v1/realtime?model=m", {}, "ga"),
        ("/openai/realtime?api-version=x&deployment=m", {}, "beta"),
        (PATH, {"headers": [("OpenAI-Beta", "realtime=v1")]}, "beta"),
        (PATH, {"subprotocols": ["realtime", "openai-beta.realtime-v1"]}, "beta"),
    ],
)
async def test_the_dialect_is_the_one_that_was_asked_for(path, how, dialect):
    """By header, subprotocol or path; GA otherwise."""
    async with serving() as address, connected(address, path, **how) as (_, created):
        assert created["type"] == "session.created"
        assert ("modalities" in created["session"]) == (dialect == "beta")


async def test_a_dialect_can_be_forced():
    """Whatever the client says."""
    async with serving(dialect="beta") as address, connected(address) as (_, created):
        assert "modalities" in created["session"]


async def test_the_model_is_the_one_of_the_url():
    """It stands in the session, as does when it ends by the clock that was given."""
    async with serving(clock=lambda: 1000.5) as address, connected(address) as (_, created):
        assert created["session"]["model"] == "gpt-realtime"
        assert created["session"]["expires_at"] == 4600


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/realtime?model="])
async def test_without_a_model_the_session_ends_at_once(path):
    """An error, then close 4000."""
    async with serving() as address, connected(address, path) as (socket, error):
        assert error["error"]["code"] == "missing_model"
        with pytest.raises(SessionClosed) as caught:
            await socket.receive()
    assert caught.value.code == 4000


async def test_an_intent_stands_for_a_model():
    """`?intent=transcription` opens a transcription session."""
    async with (
        serving() as address,
        connected(address, "/v1/realtime?intent=transcription") as (_, created),
    ):
        assert created["session"]["type"] == "transcription"


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["realtime", f"openai-insecure-api-key.{KEY}"], "realtime"),
        ([f"openai-insecure-api-key.{KEY}", "realtime"], "realtime"),
        ([f"openai-insecure-api-key.{KEY}", "other"], "other"),
        ([f"openai-insecure-api-key.{KEY}"], None),
    ],
)
async def test_one_subprotocol_is_selected_and_never_the_key(offered, selected):
    """`realtime` if it was offered."""
    async with (
        serving(**LOCKED) as address,
        connected(address, subprotocols=offered) as (socket, _),
    ):
        assert socket.handshake.subprotocol == selected


@pytest.mark.parametrize(
    ("path", "how"),
    [
        (PATH, {"headers": BEARER}),
        (PATH, {"headers": [("api-key", KEY)]}),
        (PATH, {"subprotocols": ["realtime", f"openai-insecure-api-key.{KEY}"]}),
        (f"{PATH}&api-key={KEY}", {}),
    ],
)
async def test_a_key_may_come_in_any_of_the_usual_ways(path, how):
    """Bearer header, `api-key` header, subprotocol, query."""
    async with serving(**LOCKED) as address, connected(address, path, **how) as (_, created):
        assert created["type"] == "session.created"


@pytest.mark.parametrize("key", ["none", "sk-test-ke"])
async def test_a_bad_key_is_refused_with_401(key):
    """At the upgrade, with the error as JSON."""
    headers = [("Authorization", f"Bearer {key}")]
    async with serving(**LOCKED) as address:
        with pytest.raises(HandshakeRefused) as caught:
            async with connected(address, headers=headers):
                pass

    assert caught.value.status == 401
    assert json.loads(caught.value.body)["error"]["code"] == "invalid_api_key"


async def test_a_bad_key_can_be_refused_late():
    """As OpenAI does: 101, an error, close 3000."""
    async with (
        serving(**LOCKED, late_auth=True) as address,
        connected(address) as (socket, error),
    ):
        with pytest.raises(SessionClosed) as caught:
            await socket.receive()

    assert error["error"]["code"] == "invalid_api_key"
    assert caught.value.code == 3000
    assert caught.value.reason == "invalid_request_error.invalid_api_key"


async def test_a_beta_client_can_be_turned_away():
    """Close 4000, in the words that OpenAI uses now."""
    async with serving(script=Script(refuse_beta=True)) as address:
        headers = [("OpenAI-Beta", "realtime=v1")]
        async with connected(address, headers=headers) as (socket, _):
            with pytest.raises(SessionClosed) as caught:
                await socket.receive()

    assert caught.value.code == 4000
    assert caught.value.reason == "invalid_request_error.beta_api_shape_disabled"


async def test_each_connection_has_ids_of_its_own():
    """A request id in the 101, and a seed in all others."""
    async with (
        serving() as address,
        connected(address) as (one, first),
        connected(address) as (_, second),
    ):
        assert dict(one.handshake.headers)["x-request-id"].startswith("req_")
        assert first["session"]["id"] != second["session"]["id"]
        assert first["event_id"] != second["event_id"]


async def test_a_seed_makes_the_ids_known():
    """Then only the connection's number is in them."""
    async with serving(seed="t") as address, connected(address), connected(address) as (_, second):
        assert second["event_id"] == "event_t020001"


async def test_a_client_secret_opens_sessions_until_it_expires():
    """With the session that it was made with; several times; then no more."""
    now = [1000.0]
    async with serving(**LOCKED, clock=lambda: now[0]) as address, http(address) as client:
        answer = await client.post(
            "/v1/realtime/client_secrets",
            headers=BEARER,
            json={
                "expires_after": {"anchor": "created_at", "seconds": 30},
                "session": {"type": "realtime", "model": "m7", "instructions": "Be kind."},
            },
        )
        secret = answer.json()
        headers = [("Authorization", f"Bearer {secret['value']}")]
        for path in (PATH, "/v1/realtime"):
            async with connected(address, path, headers=headers) as (_, created):
                assert created["session"]["instructions"] == "Be kind."
        assert created["session"]["model"] == "m7"
        now[0] = 1030
        with pytest.raises(HandshakeRefused):
            async with connected(address, headers=headers):
                pass

    assert answer.status_code == 200
    assert secret["value"].startswith("ek_")
    assert secret["expires_at"] == 1030
    assert secret["session"]["audio"]["output"]["voice"] == "marin"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("sessions", "realtime.session"),
        ("transcription_sessions", "realtime.transcription_session"),
    ],
)
async def test_the_beta_form_of_a_token(path, kind):
    """A flat session object with the secret in it, for a minute."""
    async with serving(**LOCKED, clock=lambda: 1000) as address, http(address) as client:
        body = {"input_audio_format": "g711_ulaw"}
        answer = await client.post(f"/v1/realtime/{path}", headers=BEARER, json=body)
        session = answer.json()
        secret = session["client_secret"]
        protocols = ["realtime", f"openai-insecure-api-key.{secret['value']}"]
        protocols.append("openai-beta.realtime-v1")
        async with connected(address, subprotocols=protocols) as (_, created):
            assert created["session"]["input_audio_format"] == "g711_ulaw"

    assert (session["object"], secret["expires_at"]) == (kind, 1060)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", "body"),
        (b'{"session": {"type": "x"}}', "session.type"),
        (b'{"session": 1}', "session"),
        (b'{"expires_after": {"seconds": 1}}', "expires_after.seconds"),
        (b'{"expires_after": {"anchor": "now"}}', "expires_after.anchor"),
        (b'{"sesion": {}}', "sesion"),
    ],
)
async def test_a_bad_token_request_is_answered_with_400(body, param):
    """The error object names the parameter."""
    async with serving() as address, http(address) as client:
        answer = await client.post("/v1/realtime/client_secrets", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/realtime?model=m", BEARER, 400),
        ("GET", "/v1/realtime?model=m", [], 401),
        ("POST", "/v1/realtime/client_secrets", [], 401),
        ("GET", "/v1/realtime/client_secrets", BEARER, 405),
        ("POST", "/v1/realtime", BEARER, 405),
        ("GET", "/v1/models", BEARER, 404),
        ("GET", "/v1/realtime/nothing", BEARER, 404),
        ("GET", "/", BEARER, 404),
    ],
)
async def test_plain_http_gets_an_error_object(method, path, headers, status):
    """Never an empty answer."""
    async with serving(**LOCKED) as address, http(address) as client:
        answer = await client.request(method, path, headers=headers)

    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["message"]


async def test_a_websocket_elsewhere_is_refused():
    """404, with a body."""
    async with serving() as address:
        with pytest.raises(HandshakeRefused) as caught:
            async with connected(address, "/v1/other?model=m"):
                pass

    assert caught.value.status == 404
    assert "Unknown request URL" in json.loads(caught.value.body)["error"]["message"]


async def test_a_session_that_is_too_old_is_closed():
    """The error, then 1001, on the wire."""
    async with serving(script=Script(max_duration_ms=100)) as address:
        async with connected(address) as (socket, _):
            error = await receive(socket)
            with pytest.raises(SessionClosed) as caught:
                await socket.receive()

    assert error["error"]["code"] == "session_expired"
    assert caught.value.code == 1001


async def test_an_abort_reaches_the_client():
    """As 1006."""
    async with serving(script=Script(faults=(Fault(do="abort", at_ms=50),))) as address:
        async with connected(address) as (socket, _):
            with pytest.raises(SessionClosed) as caught:
                await socket.receive()

    assert caught.value.code == 1006


HELLO = (
    b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\napi-key: sk-test-key\r\n%s\r\n"
)


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        b"GET /v1/realtime HTTP/1.1\r\nHost: \xff\r\n\r\n",
        HELLO % b"Sec-WebSocket-Protocol: \xff\xfe\r\n",
        HELLO % b"Authorization: Bearer \xff\r\n",
        HELLO % b"" + b"\x81\x05hello",  # a frame without a mask
        HELLO % b"" + b"\x81\x82\0\0\0\0\xff\xff",  # no UTF-8
        HELLO % b"" + b"\xf1\x80\0\0\0\0",  # reserved bits
        HELLO % b"" + b"\x88\x82\0\0\0\0\x0f\xa0" + b"\x89\x80\0\0\0\0",  # a ping after Close
        HELLO % b"" + b"\x81\x8a\0\0\0\0[[[[[[[[[[",
    ],
)
async def test_one_hostile_client_takes_nobody_down(bytes_sent, caplog):
    """Whatever bytes one sends, another's session goes on, and new ones begin."""
    async with serving(**LOCKED) as address, connected(address, headers=BEARER) as (old, _):
        host, port = address.split(":")
        async with await trio.open_tcp_stream(host, int(port)) as hostile:
            await hostile.send_all(bytes_sent)
            with trio.move_on_after(0.1):
                await hostile.receive_some(100)
        assert (await ask(old, "input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"
        async with connected(address, headers=BEARER) as (_, created):
            assert created["type"] == "session.created"


async def test_a_client_that_does_not_read_is_not_read_either():
    """Its requests wait in its own socket; others are served; then it gets all answers."""
    count, size = 80, 1 << 20
    item = {
        "id": "big",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "x" * (size // 2)}],
    }
    async with serving() as address, connected(address, max_message=size) as (greedy, _):
        await greedy.send(json.dumps({"type": "conversation.item.create", "item": item}))
        request = json.dumps({"type": "conversation.item.retrieve", "item_id": "big"})
        async with trio.open_nursery() as nursery:

            async def demand():
                for _ in range(count):
                    await greedy.send(request)

            nursery.start_soon(demand)
            async with connected(address) as (modest, _):
                cleared = await ask(modest, "input_audio_buffer.clear")
            kinds = [(await receive(greedy))["type"] for _ in range(count + 2)]

    assert cleared["type"] == "input_audio_buffer.cleared"
    assert kinds[2:] == ["conversation.item.retrieved"] * count


async def test_options_that_make_no_sense_are_refused():
    """Before anything is bound."""
    with pytest.raises(UsageError, match="no dialect 'gamma'; there are: auto, ga, beta, mixed"):
        Options(dialect="gamma")
    with pytest.raises(UsageError, match=r"script\.session"):
        await serve_sandbox(Options(script=Script(session={"x": 1})))

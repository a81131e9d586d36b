"""Ways round the custody of a key and the bounds of a token, each of them closed."""

from __future__ import annotations

import orjson
import pytest
import trio

from recorder.errors import UsageError
from recorder.live import frontdoor
from recorder.proxy.guarding import Doors, Grant, Refused, Tokens
from recorder.proxy.heads import Credential
from recorder.proxy.measuring import Health
from recorder.proxy.routes import Route, parse_upstream
from recorder.proxy.running import proxied
from recorder.store import MemoryStore
from tests.proxy_kit import raw_house, read_all, read_head
from tests.test_proxy_guarding import KEY, STATIC, Place, mint, status_of

ELSEWHERE = [
    "/v1/realtime/../chat/completions",
    "/v1/realtime/%2e%2e/chat/completions",
    "/v1/realtime/%252E%252e/chat/completions",
    "/v1/realtime/..;x=1/chat/completions",
    "/v1/realtime/..%2fchat%2fcompletions",
    "/v1/realtime/..%5cchat",
    "/v1//realtime",
    "/v1/files/realtime",
    "/v1/chat/completions/live",
]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_a_key_in_custody_is_spent_on_no_path_that_leads_elsewhere(path):
    """However a server may read it."""
    async with Place(credential=Credential(KEY)) as (house, endpoint):
        head, _ = await house.ask("POST", path, body=b"{}")
        assert head.startswith("HTTP/1.1 404 "), path
        assert await status_of(house, path) == 404
        assert endpoint.requests == []


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("https://h", "/v1/realtime"),
        ("https://h", "/v1/realtime/calls/rtc_1/hangup"),
        ("https://h", "/openai/v1/realtime"),
        ("https://h", "/openai/realtime"),
        ("https://h/gateway/v1beta", "/gateway/v1beta/realtime/"),
        ("https://h", "/v1/live/sessions"),
    ],
)
def test_realtime_paths_are_served_under_custody(base, path):
    """With the prefixes that real endpoints have."""
    assert Route(parse_upstream(base), path, "").only_realtime


BEYOND = [
    "model=m&model=other",
    "model=m&deployment=other",
    "model=m&Model=other",
    "model=m&mod%65l=other",
    "model=m;model=other",
    "model=m&intent=transcription",
    "model=m&call_id=rtc_1",
    "",
    "model=",
]


@pytest.mark.parametrize("query", BEYOND)
def test_a_token_for_a_model_opens_nothing_else(query):
    """Servers differ in which of two values they take: both have to be the one."""
    with pytest.raises(Refused) as caught:
        Grant("m").check("/v1/realtime", query)
    assert caught.value.status == 403


def test_a_token_for_a_model_opens_its_session():
    """By either name; and an unbound one opens any."""
    Grant("m").check("/v1/realtime", "model=m&api-version=1")
    Grant("m").check("/openai/realtime", "deployment=m")
    Grant("").check("/v1/realtime/calls/x", "call_id=1")
    with pytest.raises(Refused):
        Grant("m").check("/v1/live/sessions", "model=m")


async def test_a_minted_token_does_nothing_else_over_http():
    """Nobody hangs up other people's calls with it, or chooses a model in a body."""
    async with Place(tokens=Tokens([STATIC]), credential=Credential(KEY)) as (house, endpoint):
        _, told = await mint(house, {"session": {"model": "m"}})
        bearer = f"Authorization: Bearer {told['value']}"
        sdp = "Content-Type: application/sdp"
        for method, path, kind in (
            ("POST", "/v1/realtime/calls/rtc_1/hangup?model=m", sdp),
            ("POST", "/v1/realtime/calls?model=m", "Content-Type: multipart/form-data; boundary=x"),
            ("GET", "/v1/realtime?model=m", sdp),
            ("POST", "/v1/realtime/calls", sdp),
        ):
            head, _ = await house.ask(method, path, bearer, kind, body=b"v=0")
            assert head.startswith("HTTP/1.1 403 "), path
        assert endpoint.requests == []
        head, _ = await house.ask("POST", "/v1/realtime/calls?model=m", bearer, sdp, body=b"v=0")
        assert head.startswith("HTTP/1.1 200 ")


async def test_a_token_is_minted_for_a_model_or_not_at_all():
    """One without a model would be bound to nothing."""
    async with Place(tokens=Tokens([STATIC]), credential=Credential(KEY)) as (house, _):
        for body in ({}, {"session": {}}, {"session": {"model": ""}}, {"session": {"model": 7}}):
            status, told = await mint(house, body)
            assert (status, "session.model" in told["error"]["message"]) == (400, True)


async def test_an_upgrade_that_came_to_nothing_costs_no_use():
    """Only a session that was opened counts."""

    async def talk(_stream: trio.SocketStream) -> None:
        return

    tokens = Tokens([], key=b"k" * 32)
    minted = tokens.mint("m", now_ns=0, seconds=60, uses=1)
    bearer = f"Authorization: Bearer {minted.value}"
    refusal = b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n"
    async with raw_house(talk, answer=refusal, tokens=tokens) as house:
        house.proxy.wall = lambda: 0
        for _ in range(2):
            head, _ = await read_head(await house.dial("/v1/realtime?model=m", bearer))
            assert head.startswith("HTTP/1.1 429 ")
            await house.over()


async def test_a_token_of_the_proxy_goes_no_further():
    """Without custody too: the upstream gets the client's other credentials, and not this one."""
    async with Place(tokens=Tokens([STATIC])) as (house, endpoint):
        own = "Authorization: Bearer sk-their-own-0123456789"
        assert (
            await status_of(house, "/v1/realtime?model=m", own, f"X-Recorder-Token: {STATIC}")
            == 101
        )
        assert await status_of(house, f"/v1/realtime?model=m&api-key={STATIC}", own) == 101
        offer = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{STATIC}"
        assert await status_of(house, "/v1/realtime?model=m", own, offer) == 101
        await house.ask("GET", "/v1/models", f"API-Key: {STATIC}", own)
        assert len(endpoint.requests) == 4
        for request in endpoint.requests:
            assert STATIC not in repr(request.headers) + request.target
            assert request.header("Authorization") == "Bearer sk-their-own-0123456789"


async def test_a_token_in_the_query_may_be_percent_encoded():
    """And its name in any case."""
    token = "static+token/0123456789="
    async with Place(tokens=Tokens([token])) as (house, _):
        path = "/v1/realtime?model=m&Api-Key=static%2Btoken%2F0123456789%3D"
        assert await status_of(house, path) == 101
        assert await status_of(house, "/v1/realtime?authorization=Bearer%20" + token) == 101


def test_one_key_goes_to_one_place():
    """From Python too: not to several upstreams, and not over plain HTTP to another machine."""
    for upstreams in (["a=https://h.example", "b=https://i.example"], "http://h.example"):
        with (
            pytest.raises(UsageError),
            proxied(upstreams, store=MemoryStore(), credential=Credential(KEY)),
        ):
            pass


async def test_marks_take_the_sessions_token_where_others_may_come_from():
    """Behind a name of its own, what comes from this machine may be somebody else's."""

    async def talk(stream: trio.SocketStream) -> None:
        await read_all(stream)

    doors = Doors(True, hosts=frozenset({"rec.example"}))
    async with raw_house(talk, doors=doors) as house:
        head, _ = await read_head(await house.dial())
        told = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        path = f"/_recorder/sessions/{told['X-Recorder-Session']}/marks"
        body = orjson.dumps({"kind": "note", "text": "here"})
        for lines, status in (
            ((), 401),
            (("Authorization: Bearer wrong",), 401),
            ((f"X-Recorder-Token: {told['X-Recorder-Token']}",), 200),
            ((f"Authorization: Bearer {told['X-Recorder-Token']}",), 200),
            (("Origin: https://evil.example",), 403),
        ):
            head, _ = await house.ask("POST", path, *lines, body=body)
            assert head.startswith(f"HTTP/1.1 {status} "), lines


async def test_probes_and_metrics_are_not_for_pages_of_other_names():
    """DNS rebinding reads them otherwise."""

    async def talk(_stream: trio.SocketStream) -> None:
        return

    async with raw_house(talk) as house, trio.open_nursery() as nursery:
        probes = Health(house.proxy, Doors(loopback=True))
        house.address = await nursery.start(frontdoor.serve, probes)
        assert (await house.ask("GET", "/metrics"))[0].startswith("HTTP/1.1 200 ")
        stream = await house.connect()
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert (await read_head(stream))[0].startswith("HTTP/1.1 403 ")
        nursery.cancel_scope.cancel()


async def test_what_a_client_says_cannot_write_lines_into_the_log(caplog):
    """Escaped, whatever it is."""
    async with Place() as (house, _):
        assert await status_of(house, "/v1/realtime?recorder.x%0aFAKE%1b[31m=1") == 400
        assert await status_of(house, "/v1/realtime", "Origin: https://e\x9b31m") == 403
        for record in caplog.records:
            assert record.getMessage().isprintable()

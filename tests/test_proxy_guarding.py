"""Who may use a proxy: hosts, origins, static and minted tokens, custody of the key."""

from __future__ import annotations

import logging

import orjson
import pytest
import trio

from recorder.errors import UsageError
from recorder.live import frontdoor
from recorder.live.frontdoor import Accept, Request, Response
from recorder.proxy.guarding import Doors, Refused, Tokens, read_tokens
from recorder.proxy.heads import Credential
from recorder.proxy.running import check_listening
from tests.proxy_kit import House, header, proxy_before, read_all, read_head

STATIC = "static-token-0123456789"
KEY = "sk-custody-0123456789abcdefghij"


class Endpoint:
    """An upstream that remembers what it was asked, and mints tokens."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def http(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path.endswith("client_secrets"):
            return Response.json({"value": "ek_upstreams-own-0123456789", "expires_at": 4102444800})
        return Response.json({"path": request.path})

    async def upgrade(self, request: Request) -> Accept | Response:
        self.requests.append(request)
        return Accept(self.talk, "realtime" if "realtime" in request.subprotocols else None)

    async def talk(self, socket) -> None:
        await socket.send_message('{"type":"session.created"}')


class Place:
    """A proxy before such an endpoint."""

    def __init__(self, **options) -> None:
        self.options, self.endpoint = options, Endpoint()

    async def __aenter__(self) -> tuple[House, Endpoint]:
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        address = await nursery.start(frontdoor.serve, self.endpoint)
        self._house = proxy_before(f"http://{address}", **self.options)
        return await self._house.__aenter__(), self.endpoint

    async def __aexit__(self, *error) -> None:
        await self._house.__aexit__(*error)
        self._nursery._nursery.cancel_scope.cancel()
        await self._nursery.__aexit__(*error)


async def status_of(house: House, path: str = "/v1/realtime?model=m", *lines: str) -> int:
    """What an upgrade is answered with."""
    client = await house.dial(path, *lines)
    head, _ = await read_head(client)
    await client.aclose()
    return int(head.split(" ")[1])


async def test_a_page_may_connect_only_if_its_origin_was_allowed(caplog):
    """The log of the proxy has the very option to add; the page learns nothing."""
    async with Place(doors=Doors(True, origins=frozenset({"https://app.example"}))) as (house, _):
        assert await status_of(house, "/v1/realtime", "Origin: https://app.example") == 101
        client = await house.dial("/v1/realtime", "Origin: https://evil.example")
        data, _ = await read_all(client)
        assert data.startswith(b"HTTP/1.1 403 ")
        assert b"evil" not in data
        assert "--allow-origin https://evil.example" in caplog.text


async def test_a_name_that_only_resolves_to_us_is_refused():
    """DNS rebinding: on loopback the Host is a name of this machine, or one that was allowed."""
    async with Place(doors=Doors(True, hosts=frozenset({"rec.example"}))) as (house, _):
        for host, status in (("evil.example", 403), ("rec.example", 101), ("localhost:1", 101)):
            stream = await house.connect()
            from tests.proxy_kit import upgrade

            await stream.send_all(upgrade("/v1/realtime", host))
            head, _ = await read_head(stream)
            assert int(head.split(" ")[1]) == status


async def test_without_a_token_nothing_reaches_the_upstream():
    """In any of the places in which clients show one it opens the door."""
    async with Place(tokens=Tokens([STATIC])) as (house, endpoint):
        assert await status_of(house) == 401
        assert (
            await status_of(house, "/v1/realtime", "Authorization: Bearer wrong-token-0123") == 401
        )
        head, _ = await house.ask("GET", "/v1/models")
        assert head.startswith("HTTP/1.1 401 ")
        assert endpoint.requests == []
        for path, line in (
            ("/v1/realtime?model=m", f"Authorization: Bearer {STATIC}"),
            ("/v1/realtime?model=m", f"api-key: {STATIC}"),
            (
                "/v1/realtime?model=m",
                f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{STATIC}",
            ),
            (f"/v1/realtime?model=m&api-key={STATIC}", "X-None: 1"),
        ):
            assert await status_of(house, path, line) == 101


async def test_under_custody_the_key_goes_up_and_the_clients_own_does_not():
    """Wherever the client had put it; and only realtime paths are served."""
    async with Place(credential=Credential(KEY)) as (house, endpoint):
        assert (
            await status_of(
                house,
                "/v1/realtime?model=m&api-key=theirs-0123456789",
                "Authorization: Bearer theirs-0123456789",
                "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.theirs-0123456789",
            )
            == 101
        )
        (request,) = endpoint.requests
        assert [v for n, v in request.headers if n.lower() == "authorization"] == [f"Bearer {KEY}"]
        assert "theirs" not in repr(request.headers) + request.target
        assert request.subprotocols == ("realtime",)
        head, _ = await house.ask("POST", "/v1/chat/completions", body=b"{}")
        assert head.startswith("HTTP/1.1 404 ")
        assert len(endpoint.requests) == 1
        await house.over()
        whole = (
            b"".join(e.head for e in house.events()) + repr(list(house.store.sessions())).encode()
        )
        assert KEY.encode() not in whole
        assert b"theirs-0123456789" not in whole


async def test_an_offer_of_nothing_but_the_key_is_still_answered():
    """A browser fails if none of what it offered comes back."""
    async with Place(credential=Credential(KEY)) as (house, endpoint):
        offer = "openai-insecure-api-key.theirs-0123456789"
        client = await house.dial("/v1/realtime", f"Sec-WebSocket-Protocol: {offer}")
        head, _ = await read_head(client)
        assert header(head, "Sec-WebSocket-Protocol") == offer
        assert endpoint.requests[0].subprotocols == ()


async def mint(house: House, body: dict, token: str = STATIC) -> tuple[int, dict]:
    """Ask for a short-lived token."""
    head, data = await house.ask(
        "POST", "/v1/realtime/client_secrets", f"Authorization: Bearer {token}",
        "Content-Type: application/json", body=orjson.dumps(body),
    )  # fmt: skip
    return int(head.split(" ")[1]), orjson.loads(data)


async def test_a_minted_token_is_bound_to_its_model_and_its_uses():
    """It opens so many sessions of that model, and gets no further tokens."""
    options = {"tokens": Tokens([STATIC]), "credential": Credential(KEY), "token_uses": 1}
    async with Place(**options) as (house, endpoint):
        status, told = await mint(house, {"session": {"type": "realtime", "model": "m"}})
        assert status == 200
        token = told["value"]
        assert token.startswith("ek_")
        assert endpoint.requests == []
        bearer = f"Authorization: Bearer {token}"
        assert await status_of(house, "/v1/realtime?model=other", bearer) == 403
        assert await status_of(house, "/v1/realtime?model=m", bearer) == 101
        assert await status_of(house, "/v1/realtime?model=m", bearer) == 401
        assert (await mint(house, {}, token))[0] in (401, 403)


async def test_what_a_relay_could_not_keep_is_not_promised():
    """Instructions in a token would not be enforced: 400."""
    async with Place(tokens=Tokens([STATIC]), credential=Credential(KEY)) as (house, _):
        status, told = await mint(house, {"session": {"model": "m", "instructions": "be nice"}})
        assert status == 400
        assert "session.instructions" in told["error"]["message"]
        assert (await mint(house, {"expires_after": {"seconds": 5}}))[0] == 400


async def test_where_the_upstream_mints_its_tokens_are_passed_through():
    """Asked for with the key in custody; sessions then carry the token, not the key."""
    options = {"tokens": Tokens([STATIC]), "credential": Credential(KEY), "mint": "upstream"}
    async with Place(**options) as (house, endpoint):
        status, told = await mint(house, {"session": {"model": "m", "instructions": "be nice"}})
        assert (status, told["value"]) == (200, "ek_upstreams-own-0123456789")
        assert endpoint.requests[0].header("Authorization") == f"Bearer {KEY}"
        assert (
            await status_of(house, "/v1/realtime?model=m", f"Authorization: Bearer {told['value']}")
            == 101
        )
        assert endpoint.requests[1].header("Authorization") == f"Bearer {told['value']}"
        await house.over()
        for session in house.store.sessions():
            heads = b"".join(event.head for event in house.store.read(session.id))
            assert b"ek_upstreams" not in heads
            assert KEY.encode() not in heads


def test_a_minted_token_expires_and_is_used_up():
    """Exact times."""
    tokens = Tokens([], key=b"k" * 32)
    minted = tokens.mint("m", now_ns=0, seconds=60, uses=1)
    grant = tokens.check([minted.value], now_ns=59_999_999_999)
    assert grant.model == "m"
    assert minted.value not in repr(grant)
    tokens.use(grant)
    with pytest.raises(Refused, match="used up"):
        tokens.check([minted.value], now_ns=0)
    with pytest.raises(Refused, match="used up"):
        tokens.use(grant)
    tokens.give_back(grant)
    tokens.use(tokens.check([minted.value], now_ns=0))
    again = tokens.mint("m", now_ns=0, seconds=60, uses=9)
    with pytest.raises(Refused, match="expired"):
        tokens.check([again.value], now_ns=60_000_000_000)
    with pytest.raises(Refused, match="minted before"):
        Tokens([], key=b"k" * 32).check([minted.value], now_ns=0)
    with pytest.raises(Refused, match="unknown"):
        Tokens([]).check([minted.value], now_ns=0)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("short\n", 0o600, "token 1"),
        ("# only a comment\n\n", 0o600, "no token"),
        ("static-token-0123456789\n", 0o644, "chmod 600"),
    ],
)
def test_a_file_of_tokens_that_is_not_safe_is_refused(tmp_path, text, mode, said):
    """Each with what to do; the tokens are not shown."""
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(UsageError, match=said) as caught:
        read_tokens(path)
    assert "static-token" not in str(caught.value)


def test_listening_for_others_takes_tls_and_tokens():
    """Or an explicit word."""
    check_listening("127.0.0.1", secure=False, guarded=False, insecure=False)
    check_listening("0.0.0.0", secure=True, guarded=True, insecure=False)
    check_listening("0.0.0.0", secure=False, guarded=False, insecure=True)
    with pytest.raises(UsageError, match=r"TLS.*--client-auth"):
        check_listening("0.0.0.0", secure=False, guarded=False, insecure=False)


async def test_too_many_sessions_of_one_client_are_answered_429():
    """Other clients are not counted against it, and a session that ended neither."""
    from recorder.proxy.options import Bounds
    from tests.proxy_kit import raw_house

    async def talk(stream: trio.SocketStream) -> None:
        await read_all(stream)

    async with raw_house(talk, bounds=Bounds(per_client=2)) as house:
        first = await house.open()
        await house.open()
        assert await status_of(house) == 429
        await first.aclose()
        with trio.fail_after(3):
            while len(house.proxy.live) > 1:
                await trio.sleep(0.01)
        assert await status_of(house) == 101


async def test_httpx_does_not_log_the_keys_of_a_query(caplog):
    """It logs every URL; ours then has no query."""
    caplog.set_level(logging.DEBUG)
    async with Place() as (house, endpoint):
        await house.ask("GET", "/v1/realtime/calls/x?api-key=theirs-0123456789")
        assert endpoint.requests[0].target.endswith("?api-key=theirs-0123456789")
        messages = [r.getMessage() for r in caplog.records if r.name == "httpx"]
        assert messages
        assert "theirs" not in "".join(messages)

"""HTTP through the proxy: what passes, what is recorded, and the proxy's own paths."""

from __future__ import annotations

import orjson
import trio

from recorder.events import Origin
from recorder.live import frontdoor
from recorder.live.frontdoor import Accept, Request, Response
from recorder.wire import join
from tests.proxy_kit import closing, header, proxy_before, raw_house, read_all

SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\n"


class Api:
    """An upstream with a few HTTP paths."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def http(self, request: Request) -> Response:
        self.requests.append(request)
        match request.path:
            case "/v1/realtime/client_secrets":
                secret = {"value": "ek_0123456789abcdef0123", "expires_at": 4102444800,
                          "session": {"id": "sess_7", "model": "m"}}  # fmt: skip
                return Response.json(secret)
            case "/v1/realtime/calls":
                headers = (
                    ("Content-Type", "application/sdp"),
                    ("Location", "/v1/realtime/calls/rtc_1"),
                )
                return Response(201, headers, SDP.encode())
            case "/v1/chat/completions":
                return Response(200, (("Content-Type", "text/event-stream"),), self.pieces())
        return Response.json({"echo": request.body.decode("latin-1")}, 200, (("X-One", "1"),))

    async def pieces(self):
        for number in range(3):
            yield b"data: %d\n\n" % number

    async def upgrade(self, request: Request) -> Accept:
        return Accept(self.talk)

    async def talk(self, socket) -> None:
        await socket.get_message()


def noted(events, kind: str) -> dict:
    """The first event of the recorder's own of this kind."""
    return next(orjson.loads(e.head) for e in events if e.type == f"recorder.{kind}")


async def test_a_token_call_is_recorded_without_its_token():
    """Method, path, status and JSON; the client gets the token, the log a placeholder."""
    api = Api()
    async with trio.open_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, api)
        async with proxy_before(f"http://{address}") as house:
            head, body = await house.ask(
                "POST", "/v1/realtime/client_secrets", "Content-Type: application/json",
                "Authorization: Bearer sk-0123456789abcdefghij", body=b'{"session":{"model":"m"}}',
            )  # fmt: skip
            assert head.startswith("HTTP/1.1 200 ")
            assert orjson.loads(body)["value"] == "ek_0123456789abcdef0123"
            (session,) = house.store.sessions()
            assert header(head, "X-Recorder-Session") == session.id
            assert (session.kind, session.vantage) == ("http", "proxy")
            events = house.events()
            request, answer = noted(events, "request"), noted(events, "handshake")
            assert (request["method"], request["path"]) == ("POST", "/v1/realtime/client_secrets")
            assert answer["status"] == 200
            bodies = [join(e) for e in events if e.origin != Origin.RECORDER]
            assert bodies[0] == b'{"session":{"model":"m"}}'
            assert orjson.loads(bodies[1])["session"]["id"] == "sess_7"
            whole = b"".join(e.head for e in events) + repr(session).encode()
            assert b"ek_0123" not in whole
            assert b"sk-0123" not in whole
        nursery.cancel_scope.cancel()


async def test_sdp_passes_and_is_told_by_its_length_only():
    """It holds the addresses of the caller."""
    async with trio.open_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, Api())
        async with proxy_before(f"http://{address}") as house:
            head, body = await house.ask(
                "POST", "/v1/realtime/calls", "Content-Type: application/sdp", body=SDP.encode()
            )
            assert head.startswith("HTTP/1.1 201 ")
            assert header(head, "Location") == "/v1/realtime/calls/rtc_1"
            assert body == SDP.encode()
            events = house.events()
            assert noted(events, "request")["bytes"] == len(SDP)
            assert b"192.0.2.7" not in b"".join(e.head for e in events)
        nursery.cancel_scope.cancel()


async def test_everything_else_passes_unrecorded_and_piece_by_piece():
    """One base URL serves the application's other calls."""
    api = Api()
    async with trio.open_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, api)
        async with proxy_before(f"http://{address}") as house:
            head, body = await house.ask("POST", "/v1/chat/completions", body=b"{}")
            assert header(head, "Content-Type") == "text/event-stream"
            assert b"data: 0" in body
            assert b"data: 2" in body
            head, body = await house.ask("PUT", "/v1/files?x=%20", "X-Two: 2", body=b"\x00\xff")
            assert header(head, "X-One") == "1"
            assert orjson.loads(body) == {"echo": "\x00\xff"}
            request = api.requests[-1]
            assert (request.method, request.target) == ("PUT", "/v1/files?x=%20")
            assert request.header("X-Two") == "2"
            assert request.header("Host") == str(address)
            assert request.header("User-Agent") is None
            assert list(house.store.sessions()) == []
        nursery.cancel_scope.cancel()


async def test_only_realtime_refuses_the_rest_with_a_reason():
    """404, in the form of the API's errors."""
    async with trio.open_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, Api())
        async with proxy_before(f"http://{address}", only_realtime=True) as house:
            head, body = await house.ask("GET", "/v1/models")
            assert head.startswith("HTTP/1.1 404 ")
            assert "only realtime" in orjson.loads(body)["error"]["message"]
        nursery.cancel_scope.cancel()


async def test_an_upstream_that_is_not_there_is_502():
    """In the form of the API's errors, and in the log."""
    async with proxy_before("http://127.0.0.1:9") as house:
        head, body = await house.ask("GET", "/v1/realtime")
        assert head.startswith("HTTP/1.1 502 ")
        assert "cannot be reached" in orjson.loads(body)["error"]["message"]
        assert "cannot be reached" in noted(house.events(), "handshake")["error"]


async def talk_until_closed(stream: trio.SocketStream) -> None:
    await read_all(stream)
    await stream.send_all(closing(1000, masked=False))


async def test_an_application_posts_what_it_played():
    """As events of the open session; what is no mark is refused with a reason."""
    async with raw_house(talk_until_closed) as house:
        client = await house.open()
        (session,) = house.store.sessions()
        path = f"/_recorder/sessions/{session.id}/marks"
        marks = [{"kind": "playback", "item_id": "item_1", "played_ms": 1200},
                 {"kind": "note", "text": "echo"}]  # fmt: skip
        head, body = await house.ask("POST", path, body=orjson.dumps(marks))
        assert head.startswith("HTTP/1.1 200 "), body
        seqs = orjson.loads(body)["seqs"]
        told = {e.seq: orjson.loads(e.head) for e in house.events()}
        assert [told[seq]["type"] for seq in seqs] == ["recorder.playback", "recorder.note"]
        assert told[seqs[0]]["played_ms"] == 1200
        for bad in (b"{", b"[1]", b'{"kind":"closed"}', b'{"text":"no kind"}'):
            head, _ = await house.ask("POST", path, body=bad)
            assert head.startswith("HTTP/1.1 400 "), bad
        head, _ = await house.ask("POST", "/_recorder/sessions/nobody/marks", body=b"{}")
        assert head.startswith("HTTP/1.1 404 ")
        await client.aclose()
        await house.over()
        head, _ = await house.ask("POST", path, body=orjson.dumps(marks))
        assert head.startswith("HTTP/1.1 404 ")

"""Dialling: every way in which it fails gives its own plain error, within its timeout."""

from __future__ import annotations

import base64
import errno
import gzip
import re
import socket
from contextlib import ExitStack
from typing import NamedTuple

import pytest
import trio

from recorder.errors import (
    EndpointError,
    EndpointTimeout,
    HandshakeRefused,
    ProtocolViolation,
    RecorderError,
    Unreachable,
    UntrustedCertificate,
    UsageError,
)
from recorder.transport import Handshake, open_websocket
from recorder.transport.dial import unreachable
from tests.transport_kit import (
    EASY,
    HELLO,
    PATH,
    QUERY,
    SECRET,
    SHORT,
    SLACK,
    Script,
    failing,
    saying,
    serving,
    switching,
)


class Case(NamedTuple):
    """What a server does in answer to the upgrade, and what is made of it."""

    name: str
    script: Script
    error: type[RecorderError]
    words: tuple[str, ...]
    slow: bool = False


JSON_401 = b'{"error":{"message":"Incorrect API key provided: ' + SECRET.encode() + b'"}}'
COMPRESSED = gzip.compress(JSON_401)


def refusing(status: str, body: bytes, *headers: str, sent: int | None = None) -> bytes:
    """A whole HTTP answer; `sent` cuts its body short."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body[:sent]


CASES = [
    Case("silent", saying(then="wait"), EndpointTimeout, ("did not answer", "0.3 s"), True),
    Case("half a head", saying(b"HTTP/1.1 101 Swi", then="wait"), EndpointTimeout, ("0.3",), True),
    Case("closes", saying(), Unreachable, ("closed the connection", "without an answer")),
    Case("closes in mid-head", saying(b"HTTP/1.1 101"), ProtocolViolation, ("in the middle",)),
    Case("not HTTP", saying(b"SSH-2.0-OpenSSH\r\n", then="wait"), ProtocolViolation, ("SSH-2.0",)),
    Case("garbage", saying(b"\x00\xff\x1b[2J", then="wait"), ProtocolViolation, ("not HTTP",)),
    Case("TLS alert", saying(b"\x15\x03\x01\0\2\2\x16"), ProtocolViolation, ("wss://",)),
    Case("odd status", saying(b"HTTP/1.1 abc\r\n\r\n"), ProtocolViolation, ("not HTTP",)),
    Case("endless head", saying(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000), ProtocolViolation, ()),
    Case(
        "wrong accept",
        switching(edit=(rb"Accept: .*", b"Accept: bm8=\r")),
        ProtocolViolation,
        ("Sec-WebSocket-Accept",),
    ),
    Case(
        "no upgrade",
        switching(edit=(rb"Upgrade: websocket\r\n", b"")),
        ProtocolViolation,
        ("Upgrade: websocket",),
    ),
    Case(
        "unoffered subprotocol",
        switching("Sec-WebSocket-Protocol: chat"),
        ProtocolViolation,
        ("subprotocol", "not offered"),
    ),
    Case(
        "two subprotocols",
        switching("Sec-WebSocket-Protocol: realtime", "Sec-WebSocket-Protocol: realtime"),
        ProtocolViolation,
        ("subprotocol",),
    ),
    Case(
        "non-ASCII subprotocol",
        switching("Sec-WebSocket-Protocol: r\xe9altime"),
        ProtocolViolation,
        ("subprotocol",),
    ),
    Case(
        "unasked extension",
        switching("Sec-WebSocket-Extensions: permessage-deflate"),
        ProtocolViolation,
        ("permessage-deflate",),
    ),
    Case("401", saying(refusing("401 Unauthorized", JSON_401)), HandshakeRefused, ("API key",)),
    Case("403", saying(refusing("403 Forbidden", b"no")), HandshakeRefused, ("403", ": no")),
    Case(
        "full stop",
        saying(refusing("401 No", b"Go away.")),
        HandshakeRefused,
        ("401 No: Go away; check the API key",),
    ),
    Case("404", saying(refusing("404 Not Found", b"<html>")), HandshakeRefused, ("path",)),
    Case(
        "429",
        saying(refusing("429 Too Many Requests", b"", "Retry-After: 20")),
        HandshakeRefused,
        ("429", "wait 20"),
    ),
    Case("503", saying(refusing("503 Busy", b"")), HandshakeRefused, ("503 Busy", "later")),
    Case("200", saying(refusing("200 OK", b"<html>hi")), HandshakeRefused, ("200", "path")),
    Case("204", saying(b"HTTP/1.1 204 \r\n\r\n"), HandshakeRefused, ("204",)),
    Case(
        "302",
        saying(
            refusing("302 Found", b"", "Location: https://u:p@else.example/x?key=abcdef#y"),
        ),
        HandshakeRefused,
        ("https://else.example/x;", "not followed"),
    ),
    Case("HTTP/1.0", saying(b"HTTP/1.0 401 No\r\n\r\nwhy"), HandshakeRefused, ("401 No: why",)),
    Case(
        "100 first", saying(b"HTTP/1.1 100 \r\n\r\n", refusing("401 No", b"")), HandshakeRefused, ()
    ),
    Case("no reason", saying(b"HTTP/1.1 401\r\n\r\n"), HandshakeRefused, ("HTTP 401;",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_a_server_does_wrong(case: Case) -> None:
    """Each misbehaviour in answer to the upgrade: its error, its words, in its time."""
    async with serving(case.script) as port:
        url = f"ws://127.0.0.1:{port}{PATH}{QUERY}"
        error, seconds = await failing(url, timeouts=SHORT if case.slow else EASY)

    assert type(error) is case.error
    for words in (*case.words, f"ws://127.0.0.1:{port}{PATH}"):
        assert words in str(error)
    assert seconds < SLACK
    if case.slow:
        assert seconds > SHORT.handshake * 0.9


BODIES = [
    ("length", [refusing("401 No", JSON_401)], JSON_401),
    ("in pieces", [refusing("401 No", b"{}")[at : at + 5] for at in range(0, 60, 5)], b"{}"),
    (
        "chunked",
        [
            b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
            b"2\r\nef\r\n0\r\n\r\n",
        ],
        b"abcdef",
    ),
    ("until close", [b"HTTP/1.1 401 No\r\n\r\nun", b"til the end"], b"until the end"),
    ("too short", [refusing("401 No", b"half of it", sent=4)], b"half"),
    ("broken chunks", [b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab"], b"ab"),
    ("gzip", [refusing("401 No", COMPRESSED, "Content-Encoding: gzip")], JSON_401),
    ("no gzip", [refusing("401 No", b"plain", "Content-Encoding: gzip")], b"plain"),
    ("huge", [refusing("401 No", b"x" * 200_000)], b"x" * 65536),
    (
        "gzip bomb",
        [refusing("401 No", gzip.compress(bytes(9 << 20)), "Content-Encoding: gzip")],
        bytes(65536),
    ),
]


@pytest.mark.parametrize("then", ["close", "wait"])
@pytest.mark.parametrize(("name", "pieces", "body"), BODIES, ids=lambda value: str(value)[:12])
async def test_every_kind_of_body(name: str, pieces: list[bytes], body: bytes, then: str) -> None:
    """A refusal keeps status, headers and body, as far as it came, and says so in time."""
    handshake = Handshake()
    async with serving(saying(*pieces, then=then)) as port:
        error, seconds = await failing(
            f"ws://127.0.0.1:{port}/", handshake=handshake, timeouts=SHORT
        )

    assert isinstance(error, HandshakeRefused)
    assert (error.status, error.body) == (401, body)
    assert (handshake.status, handshake.body, handshake.reason) == (401, body, "No")
    assert error.headers == handshake.headers
    assert handshake.answered_ns is not None
    assert seconds < SHORT.handshake + SLACK


async def test_nothing_listens() -> None:
    """A refused connection says so at once."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    error, seconds = await failing(f"ws://127.0.0.1:{port}/")

    assert type(error) is Unreachable
    assert f"127.0.0.1:{port} refused the connection" in str(error)
    assert seconds < SLACK


class Resolver(trio.abc.HostnameResolver):
    """A name server that knows nobody, or does not answer."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers

    async def getaddrinfo(self, *args: object, **kwargs: object) -> list[object]:
        if not self.answers:
            await trio.sleep_forever()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *args: object) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        (True, Unreachable, "the host name api.example cannot be resolved"),
        (False, EndpointTimeout, "no connection to api.example:443 within 0.3 s"),
    ],
)
async def test_no_such_name(answers: bool, kind: type[RecorderError], words: str) -> None:
    """A name that cannot be resolved, and one that nobody answers for."""
    trio.socket.set_custom_hostname_resolver(Resolver(answers=answers))

    error, seconds = await failing("wss://api.example/v1", timeouts=SHORT)

    assert type(error) is kind
    assert words in str(error)
    assert seconds < SLACK


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "cannot be resolved"),
        (OSError(errno.ECONNREFUSED, ""), "refused the connection"),
        (OSError(errno.ENETUNREACH, ""), "the network does not reach"),
        (OSError(errno.EHOSTUNREACH, ""), "the network does not reach"),
        (OSError(errno.EACCES, ""), "permission denied"),
        (OSError("all failed"), "cannot connect"),
    ],
)
def test_what_the_system_says(error: OSError, words: str) -> None:
    """Each reason of the system's for a failed connect, alone and among several attempts."""
    several = OSError("all attempts to connect failed")
    several.__cause__ = ExceptionGroup("attempts", [OSError(errno.EINVAL, ""), error])

    assert words in str(unreachable(error, "h", "h:80"))
    if not isinstance(error, socket.gaierror) and error.errno not in (None, errno.EACCES):
        assert words in str(unreachable(several, "h", "h:80"))


async def test_a_listener_that_accepts_nobody() -> None:
    """TCP that is never accepted ends within one of the two timeouts."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with ExitStack() as waiting:
            for _ in range(3):
                other = waiting.enter_context(socket.socket())
                other.setblocking(False)
                other.connect_ex(address)
            error, seconds = await failing(f"ws://127.0.0.1:{address[1]}/", timeouts=SHORT)

    assert type(error) is EndpointTimeout
    assert "firewall" in str(error)
    assert SHORT.connect * 0.9 < seconds < SHORT.connect + SLACK


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("http://localhost/", {}, "ws:// or wss://"),
        ("localhost:80", {}, "host"),
        ("ws://", {}, "host"),
        ("ws://h:70000/", {}, "malformed"),
        ("ws://h/a b", {}, "control characters"),
        ("ws://h/#top", {}, "fragment"),
        ("ws://h/", {"headers": [("Bad Name", "x")]}, "name of a header"),
        ("ws://h/", {"headers": [("Api-Key", "x\r\nEvil: 1 hidden-value-1")]}, "Api-Key"),
        ("ws://h/", {"headers": [("Api-Key", "☃")]}, "Api-Key"),
        ("ws://h/", {"headers": [("Sec-WebSocket-Key", "x")]}, "sec-websocket-key"),
        ("ws://h/", {"subprotocols": ["a, b"]}, "subprotocol"),
        ("ws://h/", {"proxy": "socks5://h"}, "socks5"),
        ("wss://127.0.0.1:9/", {"ca_file": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    ],
)
async def test_what_cannot_be_asked_for(url: str, options: dict[str, object], words: str) -> None:
    """A mistake of the caller's is a `UsageError` that names it."""
    if "ca_file" in options:
        async with serving(saying(then="wait")) as port:
            error, _ = await failing(f"wss://127.0.0.1:{port}/", **options)
    else:
        error, _ = await failing(url, **options)

    assert type(error) is UsageError
    assert words in str(error)


# What is asked


async def asked_with(url: str, **options: object) -> list[str]:
    """The lines of the upgrade request as they went over the wire."""
    seen: list[bytes] = []

    async def script(stream: trio.SocketStream, head: bytes) -> None:
        seen.append(head)
        await switching("Sec-WebSocket-Protocol: realtime")(stream, head)

    async with serving(script) as port:
        options = {"subprotocols": ["realtime"], **options}
        async with open_websocket(url.format(port=port), timeouts=EASY, **options) as socket:
            pass
    lines = seen[0].decode("latin-1").split("\r\n")
    assert [f"{name}: {value}" for name, value in socket.handshake.request] == lines[1:-2]
    return [re.sub(r"(?<=Key: ).*", "K", line.replace(str(port), "PORT")) for line in lines[:-2]]


async def test_the_request() -> None:
    """Ours come first, the caller's keep case and order, and the target is encoded."""
    lines = await asked_with(
        "ws://localhost:{port}/v1/réaltime?model=gpt-4o&x=a|b",
        headers=[
            ("X-Zoo", "1"),
            ("authorization", "Bearer k"),
            ("x-zoo", "2 "),
            ("Origin", "null"),
        ],
        subprotocols=["realtime", "openai-insecure-api-key.sk-x"],
    )

    assert [re.sub(r"(?<=recorder)/[\d.]+$", "/VERSION", line) for line in lines] == [
        "GET /v1/r%C3%A9altime?model=gpt-4o&x=a|b HTTP/1.1",
        "Host: localhost:PORT",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: K",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-x",
        "User-Agent: realtime-recorder/VERSION",
        "X-Zoo: 1",
        "authorization: Bearer k",
        "x-zoo: 2",
        "Origin: null",
    ]


async def test_own_host_agent_and_userinfo() -> None:
    """A caller's Host and User-Agent replace ours; user information becomes Basic."""
    own = [("user-agent", "me"), ("Host", "api.example")]
    lines = await asked_with("ws://al%40ice:pass@127.0.0.1:{port}", headers=own)

    assert lines[0] == "GET / HTTP/1.1"
    assert lines[1] == "Host: api.example"
    assert lines[-1] == "user-agent: me"
    assert f"Authorization: Basic {base64.b64encode(b'al@ice:pass').decode()}" in lines


async def test_the_answer_is_kept() -> None:
    """Status, reason and headers of the 101, and what came in the same packet."""
    script = switching("X-Request-Id: req_1", "x-request-ID: req_2", rest=HELLO)
    async with (
        serving(script) as port,
        open_websocket(f"ws://127.0.0.1:{port}/", timeouts=EASY) as socket,
    ):
        assert (await socket.receive()).data == b"hello"

    shake = socket.handshake
    assert (shake.status, shake.reason, shake.subprotocol) == (101, "Switching Protocols", None)
    assert shake.headers[-2:] == (("X-Request-Id", "req_1"), ("x-request-ID", "req_2"))
    assert shake.secured_ns is None
    assert "req_1" not in repr(shake)


async def test_failures_are_plain_inside_nurseries() -> None:
    """No group comes out, neither of the dial nor of the body that it surrounds."""
    async with serving(switching(rest=HELLO)) as port:
        with pytest.raises(ZeroDivisionError):
            async with open_websocket(f"ws://127.0.0.1:{port}/", timeouts=EASY):
                raise ZeroDivisionError
        with trio.move_on_after(0.05) as scope:
            async with open_websocket(f"ws://127.0.0.1:{port}/", timeouts=EASY):
                await trio.sleep_forever()
    assert scope.cancelled_caught


def test_every_error_here_is_an_endpoint_error() -> None:
    """Whoever catches `EndpointError` catches every failure that is not his own mistake."""
    kinds = {case.error for case in CASES} | {UntrustedCertificate, EndpointTimeout}
    assert all(issubclass(kind, EndpointError) for kind in kinds)

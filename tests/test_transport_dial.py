"""TLS and proxies: what stands between the dial and the upgrade, and how it fails."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
import trustme

from recorder.errors import (
    EndpointTimeout,
    ProtocolViolation,
    Unreachable,
    UntrustedCertificate,
    UsageError,
)
from recorder.transport import Timeouts, open_websocket
from recorder.transport.urls import Scrubber, choose_proxy, parse_target
from tests.transport_kit import (
    EASY,
    HELLO,
    QUERY,
    SHORT,
    SLACK,
    failing,
    saying,
    serving,
    switching,
)


class Authority(NamedTuple):
    """A certificate authority of the test's own, and where its certificate lies."""

    ca: trustme.CA
    pem: str


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that no system trusts."""
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return Authority(ca, str(path))


def certified(authority: Authority, *names: str) -> ssl.SSLContext:
    """A server's context for these names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.ca.issue_cert(*names).configure_cert(context)
    return context


async def test_a_trusted_certificate(authority: Authority) -> None:
    """With the authority's file given, `wss://` works, and the times are told in order."""
    context = certified(authority, "127.0.0.1")
    async with (
        serving(switching(rest=HELLO), context) as port,
        open_websocket(
            f"wss://127.0.0.1:{port}/", ca_file=authority.pem, timeouts=EASY, proxy=None
        ) as socket,
    ):
        assert (await socket.receive()).data == b"hello"

    shake = socket.handshake
    assert shake.dialled_ns < shake.connected_ns < shake.secured_ns
    assert shake.secured_ns < shake.requested_ns < shake.answered_ns
    assert shake.peer == f"127.0.0.1:{port}"


async def test_an_untrusted_certificate(authority: Authority) -> None:
    """The error says what is wrong with it and names the CA file as the remedy."""
    async with serving(switching(), certified(authority, "127.0.0.1")) as port:
        error, _ = await failing(f"wss://127.0.0.1:{port}/{QUERY}")

    assert type(error) is UntrustedCertificate
    assert f"127.0.0.1:{port}" in str(error)
    assert "CA file: --ca FILE" in str(error)


async def test_a_certificate_for_another_host(authority: Authority) -> None:
    """A mismatch of names is a matter of trust as well."""
    async with serving(switching(), certified(authority, "example.org")) as port:
        error, _ = await failing(f"wss://127.0.0.1:{port}/", ca_file=authority.pem)

    assert type(error) is UntrustedCertificate
    assert "127.0.0.1" in str(error)
    assert "mismatch" in str(error)


async def test_tls_to_a_plain_port() -> None:
    """A port that speaks HTTP says so by not shaking hands."""
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]

    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, plain, listener)
        error, _ = await failing(f"wss://127.0.0.1:{port}/")
        nursery.cancel_scope.cancel()

    assert type(error) is ProtocolViolation
    assert "ws://" in str(error)


@pytest.mark.parametrize("manner", ["silent", "closing"])
async def test_tls_that_never_comes(manner: str) -> None:
    """A port that takes the connection and says nothing, or hangs up."""

    async def visit(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if manner == "silent":
            await trio.sleep_forever()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, visit, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        times = SHORT if manner == "silent" else EASY
        error, seconds = await failing(f"wss://127.0.0.1:{port}/", timeouts=times)
        nursery.cancel_scope.cancel()

    assert type(error) is (EndpointTimeout if manner == "silent" else Unreachable)
    assert "TLS handshake" in str(error)
    assert seconds < SLACK


async def test_silence_after_tls(authority: Authority) -> None:
    """The handshake's timeout covers TLS and the answer together."""
    times = Timeouts(handshake=0.6, silence=None)
    async with serving(saying(then="wait"), certified(authority, "127.0.0.1")) as port:
        url = f"wss://127.0.0.1:{port}/"
        error, seconds = await failing(url, ca_file=authority.pem, timeouts=times)

    assert type(error) is EndpointTimeout
    assert "did not answer the upgrade within 0.6 s" in str(error)
    assert times.handshake * 0.9 < seconds < SLACK


async def test_a_ca_file_without_certificates(tmp_path: Path, authority: Authority) -> None:
    """A file that is no PEM is told by its name."""
    path = str(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_text("not a certificate")
    async with serving(switching(), certified(authority, "127.0.0.1")) as port:
        error, _ = await failing(f"wss://127.0.0.1:{port}/", ca_file=path)

    assert type(error) is UsageError
    assert path in str(error)


# Proxies

PROXY_SECRET = "proxy-pass-77"


@asynccontextmanager
async def tunnelling(
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[int, list[str]]]:
    """A proxy that answers every CONNECT with `answer`; its port, and the heads it has read."""
    heads: list[str] = []

    async def script(stream: trio.abc.Stream, head: bytes) -> None:
        heads.append(head.decode("latin-1"))
        await stream.send_all(answer)
        if b" 200 " not in answer:
            return
        host, _, port = heads[-1].split()[1].rpartition(":")
        far = await trio.open_tcp_stream(host.strip("[]"), int(port))
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(relay, stream, far)
            await relay(far, stream)
            nursery.cancel_scope.cancel()

    async with serving(script, context) as port:
        yield port, heads


async def relay(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    """Bytes from one to the other, until either ends."""
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
    except trio.BrokenResourceError:
        return


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_through_a_proxy(authority: Authority, scheme: str) -> None:
    """A tunnel is asked for, with the proxy's credentials, and the session runs in it."""
    context = certified(authority, "localhost") if scheme == "wss" else None
    async with (
        serving(switching(rest=HELLO), context) as port,
        tunnelling() as (proxy, heads),
        open_websocket(
            f"{scheme}://localhost:{port}/x?api-key=query-secret-99",
            proxy=f"http://user:{PROXY_SECRET}@127.0.0.1:{proxy}",
            ca_file=authority.pem,
            timeouts=EASY,
        ) as socket,
    ):
        assert (await socket.receive()).data == b"hello"

    token = base64.b64encode(f"user:{PROXY_SECRET}".encode()).decode()
    assert heads[0].splitlines()[0] == f"CONNECT localhost:{port} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {token}" in heads[0]
    assert "query-secret-99" not in heads[0]
    assert socket.handshake.proxy == f"127.0.0.1:{proxy}"
    assert all(name != "Proxy-Authorization" for name, _ in socket.handshake.request)


async def test_tls_to_the_proxy_and_through_it(authority: Authority) -> None:
    """An `https://` proxy: TLS to the proxy, and inside the tunnel TLS to the endpoint."""
    context = certified(authority, "localhost")
    async with (
        serving(switching(rest=HELLO), context) as port,
        tunnelling(context=context) as (proxy, heads),
        open_websocket(
            f"wss://localhost:{port}/",
            proxy=f"https://localhost:{proxy}",
            ca_file=authority.pem,
            timeouts=EASY,
        ) as socket,
    ):
        assert (await socket.receive()).data == b"hello"
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Authentication Required\r\n\r\n", ("407", "user:password@")),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ("403 Forbidden",)),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\nwhy", ("502",)),
        (b"", ("closed the connection",)),
        (b"nonsense\r\n\r\n", ("not HTTP",)),
    ],
)
async def test_a_proxy_that_refuses(answer: bytes, words: tuple[str, ...]) -> None:
    """The proxy is named, and not its password; the endpoint is not to blame."""
    async with tunnelling(answer) as (proxy, _):
        url = f"http://user:{PROXY_SECRET}@127.0.0.1:{proxy}"
        error, seconds = await failing("wss://endpoint.example/v1", proxy=url)

    assert type(error) in (Unreachable, ProtocolViolation)
    assert f"the proxy 127.0.0.1:{proxy}" in str(error)
    assert all(word in str(error) for word in words)
    assert PROXY_SECRET not in str(error)
    assert seconds < SLACK


async def test_a_proxy_that_is_not_there() -> None:
    """What refuses the connection is the proxy, and the message says so."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    error, _ = await failing("wss://endpoint.example/", proxy=f"http://127.0.0.1:{port}")

    assert type(error) is Unreachable
    assert f"the proxy 127.0.0.1:{port} refused the connection" in str(error)


async def test_a_silent_proxy() -> None:
    """A tunnel that is never opened is the handshake's timeout."""
    async with serving(saying(then="wait")) as proxy:
        error, seconds = await failing(
            "ws://e.example/", proxy=f"127.0.0.1:{proxy}", timeouts=SHORT
        )

    assert type(error) is EndpointTimeout
    assert f"127.0.0.1:{proxy} did not open a tunnel to e.example:80" in str(error)
    assert seconds < SLACK


ENVIRONMENTS = [
    ("wss://api.example/", {"HTTPS_PROXY": "http://p:1"}, "p:1"),
    ("wss://api.example/", {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "low:1"),
    ("wss://api.example/", {"HTTP_PROXY": "http://p:1"}, None),
    ("ws://api.example/", {"HTTP_PROXY": "http://p:1"}, "p:1"),
    ("ws://api.example/", {"http_proxy": "p"}, "p:80"),
    ("wss://api.example/", {"ALL_PROXY": "http://[::1]:1"}, "[::1]:1"),
    ("wss://api.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example"}, None),
    ("wss://api.example/", {"HTTPS_PROXY": "http://p:1", "no_proxy": ".x, api.example"}, None),
    ("wss://api.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ("wss://api.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.example"}, "p:1"),
    ("wss://api.example/", {"HTTPS_PROXY": ""}, None),
    ("ws://127.0.0.1:8765/", {"HTTP_PROXY": "http://p:1"}, None),
    ("ws://localhost/", {"HTTP_PROXY": "http://p:1"}, None),
    ("ws://[::1]/", {"HTTP_PROXY": "http://p:1"}, None),
]


@pytest.mark.parametrize(("url", "environment", "address"), ENVIRONMENTS)
def test_the_environment_chooses(
    url: str, environment: dict[str, str], address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY for wss, HTTP_PROXY for ws, NO_PROXY above both, never for loopback."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    proxy = choose_proxy("auto", parse_target(url))

    assert (proxy.address if proxy else None) == address
    assert choose_proxy(None, parse_target(url)) is None
    asked = choose_proxy("http://mine:9", parse_target(url))
    assert asked is not None
    assert asked.address == "mine:9"


def test_an_unusable_proxy_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which variable, and shows nothing of its value's secrets."""
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:{PROXY_SECRET}@h:1080")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with pytest.raises(UsageError, match="HTTPS_PROXY names a socks5://") as caught:
        choose_proxy("auto", parse_target("wss://api.example/"))

    assert PROXY_SECRET not in str(caught.value)
    assert PROXY_SECRET not in repr(
        choose_proxy(f"http://u:{PROXY_SECRET}@h", parse_target("ws://h"))
    )


# What is shown


def test_what_is_shown_of_a_url() -> None:
    """Neither user information nor query, in `str` and in `repr`."""
    target = parse_target("wss://user:pass-word@[::1]:444/v1/x?api-key=secret&model=m")

    assert str(target) == "wss://[::1]:444/v1/x"
    assert target.resource == "/v1/x?api-key=secret&model=m"
    assert "secret" not in repr(target)
    assert "pass-word" not in repr(target)


def test_what_the_other_side_says_is_scrubbed() -> None:
    """What we sent as a secret is replaced, control characters are escaped, length is bounded."""
    target = parse_target("wss://bob:hunter22@h/?api-key=q%2Fsecret&model=gpt-realtime")
    scrub = Scrubber(
        target,
        [
            ("api-key", "header-key"),
            ("Authorization", "Token tok-abcdef"),
            ("User-Agent", "browser"),
        ],
        ["realtime", "openai-insecure-api-key.proto-key"],
    )

    said = scrub(
        "hunter22 q/secret q%2Fsecret header-key tok-abcdef proto-key gpt-realtime browser "
        "sk-0123456789abcdef\x1b[31m\r\nnext"
    )

    for secret in ("hunter22", "secret", "header-key", "tok-abcdef", "proto-key", "sk-0123"):
        assert secret not in said
    assert "gpt-realtime browser" in said
    assert "\\x1b[31m next" in said
    assert len(scrub("x" * 1000)) == 300
    assert scrub("\udcff") == "?"

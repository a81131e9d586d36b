"""TLS on both sides: an authority of the proxy's own, an upstream that has to be trusted."""

from __future__ import annotations

import ssl
import stat
from contextlib import suppress

import trio
import trustme

from recorder.proxy.authority import dev_context
from tests.proxy_kit import closing, frame, proxy_before, raw_house, read_all, read_head, upgrade

HELLO = b'{"type":"session.created"}'


async def talk(stream: trio.abc.Stream) -> None:
    """Say hello, and close when the client does."""
    await stream.send_all(frame(HELLO, masked=False))
    await stream.receive_some(1000)
    await stream.send_all(closing(1000, masked=False))


async def over_tls(house, context: ssl.SSLContext) -> trio.SSLStream:
    """A client that has opened its WebSocket over TLS."""
    tcp = await house.connect()
    stream = trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True)
    await stream.send_all(upgrade("/v1/realtime?model=m", "localhost"))
    head, rest = await read_head(stream)
    assert head.startswith("HTTP/1.1 101 ")
    assert rest in (b"", frame(HELLO, masked=False))
    if not rest:
        assert await stream.receive_some(1000) == frame(HELLO, masked=False)
    return stream


async def test_an_authority_is_made_once_and_kept(tmp_path):
    """Its key is private, and clients that trust it connect; a second run has the same one."""
    context, certificate = dev_context(tmp_path)
    again, same = dev_context(tmp_path)
    assert certificate == same
    assert stat.S_IMODE((tmp_path / "dev-ca.key").stat().st_mode) == 0o600
    client = ssl.create_default_context(cafile=str(certificate))
    for each in (context, again):
        async with raw_house(talk, ssl_context=each) as house:
            stream = await over_tls(house, client)
            await stream.send_all(closing(1000, masked=True))
            data, _ = await read_all(stream)
            assert data == closing(1000, masked=False)
            await house.over()


async def test_an_upstream_over_tls_is_verified():
    """With its authority named the session works; without it the client is told why not."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(stream: trio.SocketStream) -> None:
        from tests.proxy_kit import RawUpstream

        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError):  # the certificate was not trusted
            await RawUpstream(talk).serve(secured)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        url = f"https://localhost:{listeners[0].socket.getsockname()[1]}"
        with authority.cert_pem.tempfile() as file:
            async with proxy_before(url, ca_file=file) as house:
                client = await house.open()
                assert await client.receive_some(1000) == frame(HELLO, masked=False)
                await client.send_all(closing(1000, masked=True))
                await client.send_eof()
                data, _ = await read_all(client)
                assert data == closing(1000, masked=False)
                await house.over()
        async with proxy_before(url) as house:
            data, _ = await read_all(await house.dial())
            assert data.startswith(b"HTTP/1.1 502 ")
            assert b"is not trusted" in data
        nursery.cancel_scope.cancel()

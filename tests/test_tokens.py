"""Client tokens over HTTP, from a real endpoint over TLS."""

from __future__ import annotations

import socket
import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from recorder.errors import HandshakeRefused, Unreachable, UntrustedCertificate, UsageError
from recorder.live.endpoints import endpoint
from recorder.live.frontdoor import Request, Response
from recorder.live.tokens import get_token
from recorder.sandbox.server import serve_sandbox
from tests.serving import answer_everything, serving


async def test_a_certificate_of_an_authority_of_ones_own(tmp_path: Path) -> None:
    """Not trusted without its file, and the error names the option; with it the token comes."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(serve_sandbox, ssl_context=context))
        place = endpoint(f"https://127.0.0.1:{address.port}/v1", model="m", dialect="ga")
        with pytest.raises(UntrustedCertificate, match="with --ca FILE"):
            await get_token(place, "client_secrets")
        token = await get_token(place, "client_secrets", ca_file=str(tmp_path / "ca.pem"))
        nursery.cancel_scope.cancel()
    assert token.value.startswith("ek_")


async def test_nobody_listens() -> None:
    """The error says where, and why."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    place = endpoint(f"http://127.0.0.1:{port}/v1", model="m", dialect="ga")
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}.* cannot be reached: .*refused"):
        await get_token(place, "client_secrets")


async def test_a_ca_file_that_is_none() -> None:
    """Said before anything is asked for."""
    place = endpoint("https://127.0.0.1:9/v1", model="m", dialect="ga")
    with pytest.raises(UsageError, match=r"no-such-file\.pem cannot be read"):
        await get_token(place, "client_secrets", ca_file="no-such-file.pem")


@pytest.mark.parametrize("key", [None, "sk-proj-0123456789abcdef"])
async def test_a_refusal_says_whether_a_key_was_sent(key: str | None) -> None:
    """Without one that is the remedy; with one the form may be the wrong one."""

    async def refusing(_request: Request) -> Response:
        return Response.json({"error": {"message": "who are you?"}}, 401)

    async with serving(answer_everything) as (url, handler):
        handler.http = refusing  # type: ignore[method-assign]
        with pytest.raises(HandshakeRefused) as caught:
            await get_token(endpoint(url, model="m", api_key=key, dialect="ga"), "client_secrets")
    assert ("no key was sent" in str(caught.value)) is (key is None)

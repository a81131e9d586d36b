"""What a request to a Realtime endpoint of ours asks for: which path, which key. No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from typing import Final

from ..transport.http import Request

BASES: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
"""OpenAI and its like; Azure; Azure's preview."""
KEY_PROTOCOL: Final = "openai-insecure-api-key."


def route(request: Request) -> str | None:
    """What follows the API's base in the path, without slashes; None: not ours."""
    path = request.path.rstrip("/")
    for base in BASES:
        if path == base or path.startswith(f"{base}/"):
            return path[len(base) :].strip("/")
    return None


def keys(request: Request) -> Iterator[str]:
    """Every credential that came along, in any of the usual places."""
    authorization = request.header("Authorization") or ""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer":
        yield key.strip()
    if (key := request.header("api-key") or "") != "":
        yield key
    for offered in request.subprotocols:
        if offered.startswith(KEY_PROTOCOL):
            yield offered.removeprefix(KEY_PROTOCOL)
    yield from (value for name, value in request.query if name == "api-key")


def is_known(request: Request, known: Collection[str]) -> bool:
    """Whether one of its credentials is one of these; compared in constant time."""
    return any(
        secrets.compare_digest(each.encode(), key.encode())
        for key in keys(request)
        for each in known
    )


def subprotocol(request: Request) -> str | None:
    """The one to select: `realtime`, else one that holds no secret."""
    offered = [name for name in request.subprotocols if not name.startswith("openai-")]
    return "realtime" if "realtime" in offered else next(iter(offered), None)


def parameter(request: Request, *names: str) -> str:
    """The first of these query parameters that has a value."""
    given = dict(request.query)
    return next((given[name] for name in names if given.get(name)), "")

"""What a request to the sandbox asks for: which path, which key, which dialect. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from recorder.sandbox.dialect import BETA, DIALECTS, GA, Dialect
from recorder.transport.http import Request

_BASES: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
"""OpenAI and its like; Azure; Azure's preview."""
AZURE_PREVIEW: Final = "/openai/realtime"
KEY_PROTOCOL: Final = "openai-insecure-api-key."
BETA_PROTOCOL: Final = "openai-beta.realtime-v1"


def route(request: Request) -> str | None:
    """What follows the API's base in the path, without slashes; None: not ours."""
    path = request.path.rstrip("/")
    for base in _BASES:
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


def dialect(request: Request, forced: str) -> Dialect:
    """The one that was forced, or what the client's beta marker asks for."""
    if forced != "auto":
        return DIALECTS[forced]
    wants_beta = "realtime=v1" in (request.header("OpenAI-Beta") or "")
    is_preview = request.path.rstrip("/") == AZURE_PREVIEW
    return BETA if wants_beta or is_preview or BETA_PROTOCOL in request.subprotocols else GA


def subprotocol(request: Request) -> str | None:
    """The one to select: `realtime`, else one that holds no secret."""
    offered = [name for name in request.subprotocols if not name.startswith("openai-")]
    return "realtime" if "realtime" in offered else next(iter(offered), None)


def parameter(request: Request, *names: str) -> str:
    """The first of these query parameters that has a value."""
    given = dict(request.query)
    return next((given[name] for name in names if given.get(name)), "")

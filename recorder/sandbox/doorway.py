"""Which dialect a request to the sandbox asks for. No I/O."""

from __future__ import annotations

from typing import Final

from recorder.sandbox.dialect import BETA, DIALECTS, GA, Dialect
from recorder.transport.http import Request

AZURE_PREVIEW: Final = "/openai/realtime"
BETA_PROTOCOL: Final = "openai-beta.realtime-v1"


def asked_dialect(request: Request, forced: str) -> Dialect:
    """The one that was forced, or what the client's beta marker asks for."""
    if forced != "auto":
        return DIALECTS[forced]
    wants_beta = "realtime=v1" in (request.header("OpenAI-Beta") or "")
    is_preview = request.path.rstrip("/") == AZURE_PREVIEW
    return BETA if wants_beta or is_preview or BETA_PROTOCOL in request.subprotocols else GA

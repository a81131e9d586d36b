"""How the log tells of a dial: the handshake's times and headers, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from ..errors import HandshakeRefused, RecorderError
from ..secrets import redact_headers, redact_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..transport import Handshake

BODY_KEPT: Final = 4096
"""Bytes of a refusal's body that go into the log."""


def handshake_fields(
    shake: Handshake,
    opened_ns: int,
    secrets: Sequence[str],
    error: BaseException | None = None,
) -> dict[str, Any]:
    """What a `recorder.handshake` event holds. `opened_ns` is the clock when the session opened."""
    headers, _ = redact_headers(shake.headers, secrets)
    fields: dict[str, Any] = {
        "status": shake.status,
        "reason": shake.reason,
        "subprotocol": shake.subprotocol,
        "headers": headers,
        "peer": shake.peer,
        "proxy": shake.proxy,
    }
    for name in ("dialled_ns", "connected_ns", "secured_ns", "requested_ns", "answered_ns"):
        reading = getattr(shake, name)
        fields[name] = None if reading is None else reading - opened_ns
    if error is not None:
        fields["error"] = told(error, secrets)
    body = error.body if isinstance(error, HandshakeRefused) else shake.body
    if body:
        text = body[:BODY_KEPT].decode("utf-8", "replace")
        fields["body"] = redact_text(text, secrets)[0]
    return fields


def told(error: BaseException, secrets: Sequence[str]) -> str:
    """An exception as the log tells it: our own by message, others by type as well."""
    if isinstance(error, trio.Cancelled | KeyboardInterrupt):
        return "the application stopped the session"
    text = redact_text(str(error), secrets)[0]
    if isinstance(error, RecorderError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

"""What a server asks of the caller: a function's output, an approval. Told by what it is about.

Two runs give the same request different ids; it is the same where name and arguments are. Of
arguments the meaning counts, not the order of their members or the space between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from ..dialects.reading import text

if TYPE_CHECKING:
    from .nouns import JSON, Name

FUNCTION, APPROVAL = "function_call", "mcp_approval_request"
ANSWERS: Final = {"function_call_output": "call_id", "mcp_approval_response": "approval_request_id"}
"""What the caller answers with, and the member that says to what."""

_SHOWN: Final = 80
"""Characters of arguments that a message quotes."""


class Key(NamedTuple):
    """What is asked for."""

    kind: str
    name: str
    arguments: str
    """As canonical JSON."""

    def __str__(self) -> str:
        told = self.arguments
        short = told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"
        return f"{self.name}({short})"


class Request(NamedTuple):
    """One time that it was asked for."""

    key: Key
    server_id: str
    """What the answer names: a call id, or the id of the approval request."""
    at_ns: int
    response: Name
    """The response that asks; empty where that is not told."""


def request_in(item: JSON, at_ns: int, response: Name) -> Request | None:
    """The request that a complete item is; None where it is none, or not complete."""
    kind = text(item, "type")
    if kind not in (FUNCTION, APPROVAL) or text(item, "status") in ("in_progress", "incomplete"):
        return None
    server_id = text(item, "call_id" if kind == FUNCTION else "id")
    if not server_id or "arguments" not in item:
        return None
    name = text(item, "name")
    if label := text(item, "server_label"):
        name = f"{label}.{name}"
    return Request(Key(kind, name, _canonical(text(item, "arguments"))), server_id, at_ns, response)


def _canonical(arguments: str) -> str:
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return arguments.strip()
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

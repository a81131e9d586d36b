"""Reading JSON that strangers wrote: nothing is trusted, nothing raises.

Missing and mistyped members read as empty strings, None or empty containers; numbers may be
strings; an object may stand where a string was expected, and the other way round.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pybase64

from .facts import ContentPart, ErrorBody, ItemBody

if TYPE_CHECKING:
    from .facts import JSON

_LARGEST = 1 << 53


def text(body: JSON, key: str) -> str:
    """The string under `key`, else empty."""
    value = body.get(key)
    return value if isinstance(value, str) else ""


def optional_text(body: JSON, key: str) -> str | None:
    """The string under `key`; None where there is none, which is not the same as empty."""
    value = body.get(key)
    return value if isinstance(value, str) else None


def number(body: JSON, key: str) -> float | None:
    """The number under `key`, written as a number or as a string."""
    value = body.get(key)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) < _LARGEST else None


def integer(body: JSON, key: str) -> int | None:
    """The whole number under `key`, fractions rounded."""
    value = number(body, key)
    return None if value is None else round(value)


def index(body: JSON, key: str = "content_index") -> int:
    """The index under `key`; 0 where none is given."""
    value = body.get(key)
    return value if type(value) is int else integer(body, key) or 0


def flag(body: JSON, key: str) -> bool | None:
    """The truth value under `key`; None where none is given."""
    value = body.get(key)
    return value if isinstance(value, bool) else None


def mapping(body: JSON, key: str) -> JSON:
    """The object under `key`, else an empty one."""
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def optional_mapping(body: JSON, key: str) -> JSON | None:
    """The object under `key`; None where there is none or an empty one."""
    value = body.get(key)
    return value if isinstance(value, dict) and value else None


def sequence(body: JSON, key: str) -> list[Any]:
    """The array under `key`, else an empty one."""
    value = body.get(key)
    return value if isinstance(value, list) else []


def strings(body: JSON, key: str) -> tuple[str, ...]:
    """The strings in the array under `key`."""
    return tuple(value for value in sequence(body, key) if isinstance(value, str))


def name_of(value: Any) -> str | None:
    """A voice or a model, which may be a string or an object that names one."""
    if isinstance(value, dict):
        value = value.get("name") or value.get("id") or value.get("model")
    return value if isinstance(value, str) else None


# Content parts go by several names: those of the beta, of GA, of users and of assistants.
_PART_KINDS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "input_audio": "audio",
    "output_audio": "audio",
    "audio": "audio",
    "input_image": "image",
}


def content_part(value: Any) -> ContentPart:
    """One content part of any dialect."""
    if not isinstance(value, dict):
        return ContentPart("", None)
    kind = text(value, "type")
    first, second = ("transcript", "text") if kind.endswith("audio") else ("text", "transcript")
    words = optional_text(value, first)
    if words is None:
        words = optional_text(value, second)
    return ContentPart(_PART_KINDS.get(kind, kind), words)


def item_body(value: Any) -> ItemBody:
    """An item of any dialect; empty where the value is none."""
    body: JSON = value if isinstance(value, dict) else {}
    error = body.get("error")
    return ItemBody(
        text(body, "id"),
        text(body, "type") or ("message" if body.get("content") else ""),
        text(body, "role"),
        text(body, "status"),
        tuple(content_part(part) for part in sequence(body, "content")),
        text(body, "call_id"),
        text(body, "name"),
        optional_text(body, "arguments"),
        optional_text(body, "output"),
        error_body(error).message if error else "",
    )


def error_body(value: Any) -> ErrorBody:
    """An error, whether it came as an object or as a bare string."""
    if isinstance(value, str):
        return ErrorBody("", "", value, "", "")
    body: JSON = value if isinstance(value, dict) else {}
    code = body.get("code")
    return ErrorBody(
        text(body, "type"),
        str(code) if isinstance(code, int) else text(body, "code"),
        text(body, "message"),
        text(body, "param"),
        text(body, "event_id"),
    )


_FOREIGN = re.compile(r"[^A-Za-z0-9+/]")


def base64_size(value: Any) -> int:
    """How many bytes a base64 string stands for, read as leniently as `base64_bytes`."""
    if not isinstance(value, str):
        return 0
    return len(_FOREIGN.sub("", value.replace("-", "+").replace("_", "/"))) * 3 // 4


def base64_bytes(value: Any) -> bytes:
    """What a base64 string stands for: either alphabet, any padding, noise skipped."""
    if not isinstance(value, str):
        return b""
    clean = _FOREIGN.sub("", value.replace("-", "+").replace("_", "/"))
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    return pybase64.b64decode(clean + "=" * (-len(clean) % 4))

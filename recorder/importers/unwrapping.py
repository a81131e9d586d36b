"""One record of a file of events: which part of it is the message, exactly as it stands there.

A record is a JSON object: the message itself, or a wrapper that holds it under `event`, `data`,
`message` … as an object or as a string, perhaps two wrappers deep. The message is never built
anew: of an object it is the slice of the record's own text, of a string what the string says.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import orjson

from .elements import value_end
from .sides import BY_TYPE, Named, named, word

JSON = dict[str, Any]

PAYLOADS: Final = (
    "event", "data", "message", "payload", "raw", "body", "msg", "json", "text", "frame",
)  # fmt: skip
"""Members that may hold the message, in the order in which they are asked."""

_DEEPEST: Final = 3


class Record(NamedTuple):
    """One record, taken apart."""

    message: bytes
    """As it stands in the file."""
    type: str
    """As the message states it; empty where it states none."""
    named: Named | None
    """The direction, where the record names one."""
    around: JSON
    """The members beside the message, of all wrappers: the times are among them."""
    text: bool
    """The message stood as a string: these are the characters that passed. An object may have
    been parsed and written again by whoever wrote the file."""


def unwrapped(record: bytes, parsed: object) -> Record | None:
    """The record taken apart; None where there is no message in it."""
    return _open(record, parsed, {}, None, _DEEPEST) if isinstance(parsed, dict) else None


def _open(
    record: bytes, parsed: JSON, around: JSON, side: Named | None, left: int
) -> Record | None:
    side = side or named(parsed)
    kind = parsed.get("type")
    if left and not (isinstance(kind, str) and kind in BY_TYPE and not _is_doubled(parsed, kind)):
        for key, held, told in _candidates(parsed, side):
            others = {name: value for name, value in parsed.items() if name != key}
            if isinstance(held, dict):
                inner = _open(_member(record, key), held, others | around, told, left - 1)
                if inner is not None:
                    return inner
            elif found := _said(held, told, others | around):
                return found
    if not isinstance(kind, str) or word(kind):
        return None
    return Record(record.strip(), kind, side, around or parsed, text=False)


def _is_doubled(parsed: JSON, kind: str) -> bool:
    """Whether a wrapper only repeats the type of the message that it holds."""
    held = (parsed.get(key) for key in PAYLOADS)
    return any(
        each.get("type") == kind if isinstance(each, dict) else _looks_like(each, kind)
        for each in held
    )


def _looks_like(held: object, kind: str) -> bool:
    return isinstance(held, str) and held.lstrip().startswith("{") and f'"{kind}"' in held


def _candidates(parsed: JSON, side: Named | None) -> list[tuple[str, Any, Named | None]]:
    """What may hold the message, and the direction that goes with it."""
    found: list[tuple[str, Any, Named | None]] = [
        (key, parsed[key], side) for key in PAYLOADS if isinstance(parsed.get(key), dict | str)
    ]
    for key, held in parsed.items():  # {"sent": {…}}: the direction is the name of the member
        if isinstance(held, dict | str) and key not in PAYLOADS and (told := word(key)):
            found.append((key, held, told))
    return found


def _said(text: str, side: Named | None, around: JSON) -> Record | None:
    """A message that stands as a string. One that is no JSON counts where a side is named."""
    if word(text):
        return None
    message = text.encode("utf-8", "surrogatepass")
    try:
        held = orjson.loads(message)
    except orjson.JSONDecodeError:
        held = None
    kind = held.get("type") if isinstance(held, dict) else None
    if isinstance(kind, str):
        return Record(message, kind, side, around, text=True)
    whole = isinstance(held, dict) or side is not None
    return Record(message, "", side, around, text=True) if whole and text else None


_KEY = re.compile(r'\s*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+', re.DOTALL)
_NEXT = re.compile(r"\s*+([,}])")


def _member(record: bytes, key: str) -> bytes:
    """The exact text of a member of the object that `record` is. The last one of its name counts.

    The record was parsed before: it is well-formed.
    """
    text = record.decode("latin-1")
    at, found = text.index("{") + 1, b""
    while name := _KEY.match(text, at):
        end = value_end(text, name.end())
        if _name(name.group(1)) == key:
            found = record[name.end() : end]
        after = _NEXT.match(text, end)
        if after is None or after.group(1) == "}":
            break
        at = after.end()
    return found


def _name(raw: str) -> str:
    """The key that these bytes, held as Latin-1, spell."""
    plain = raw.encode("latin-1").decode("utf-8", "replace")
    return str(json.loads(f'"{plain}"', strict=False)) if "\\" in plain else plain

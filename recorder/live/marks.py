"""What an application may record beside what passed: the kinds of marks, and their fields.

Kinds that mean something to us are checked, because a misspelt field would be kept and never
seen; of any other kind the fields are the application's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import orjson

from ..errors import UsageError

RESERVED_MARKS = frozenset({"opened", "handshake", "closed", "gap", "tag", "request", "unparsed"})
"""Kinds of our own events that an application cannot make."""

RESERVED_FIELDS = frozenset({"type", "at_ns"})
"""What every event of ours says of itself: a mark is of the moment at which it is made."""


class _Field(NamedTuple):
    """What a field of a known kind holds."""

    fits: Callable[[object], bool]
    expected: str


class _Kind(NamedTuple):
    fields: Mapping[str, _Field]
    needs: tuple[tuple[str, ...], ...]
    """Of each group at least one."""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_length(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 53


KINDS: Final[Mapping[str, _Kind]] = {
    "playback": _Kind(
        {
            "item_id": _Field(_is_text, "the id of the item that was played"),
            "played_ms": _Field(_is_length, "how many milliseconds of it were played, 0 or more"),
            "state": _Field(
                ("started", "playing", "stopped").__contains__, "started, playing or stopped"
            ),
        },
        (("item_id",), ("played_ms", "state")),
    ),
    "note": _Kind({"text": _Field(_is_text, "what there is to say")}, (("text",),)),
}
"""The kinds that mean something to us."""


def check_mark(kind: str, fields: Mapping[str, Any]) -> None:
    """Raises `UsageError` for a mark that cannot be called so, or lacks what its kind needs."""
    if kind in RESERVED_MARKS or not kind.replace("_", "").replace("-", "").isalnum():
        raise UsageError(f"a mark cannot be called {kind!r}")
    for name in sorted(RESERVED_FIELDS & fields.keys()):
        raise UsageError(f"a mark has no field {name!r} of its own: the recorder sets it")
    if known := KINDS.get(kind):
        _check_fields(kind, known, fields)
    try:
        orjson.dumps(dict(fields))
    except TypeError as error:
        raise UsageError(f"the fields of a mark must be JSON: {error}") from None


def _check_fields(kind: str, known: _Kind, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        field = known.fields.get(name)
        if field is None:
            near = get_close_matches(name, known.fields, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known.fields)}"
            raise UsageError(f"a {kind} mark has no field {name!r}; {hint}")
        if not field.fits(value):
            raise UsageError(f"{name} of a {kind} mark: expected {field.expected}, not {value!r}")
    for group in known.needs:
        if not fields.keys() & set(group):
            raise UsageError(f"a {kind} mark needs {' or '.join(group)}")

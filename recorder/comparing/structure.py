"""JSON values laid beside each other: canonical text, and what differs by path.

Laws:

1. Order of members means nothing, order in a list does; but entries that have names of their own
   (tools) are found by name. 1 and 1.0 are the same number; true is not 1.
2. A member that is null is as good as absent.
3. What is no JSON is text, and compared as that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from .nouns import CHANGED, ONLY_A, ONLY_B, Change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEEPEST: Final = 12
"""Values inside values beyond this are compared as one, by their canonical text."""

TOO_DEEP: Final = "(nested too deep to be compared)"
"""Instead of a value that has no canonical text either."""

_ABSENT: Final = object()


def parsed(text: str) -> tuple[Any, bool]:
    """(the value, whether the text is JSON); what is not is the text itself."""
    try:
        return orjson.loads(text), True
    except (ValueError, UnicodeError):
        return text.strip(), False


def canonical(value: Any) -> str | None:
    """One text for equal values: members sorted, whole numbers without a point, no spaces.

    None where there is none: the value is nested too deep.
    """
    try:
        return orjson.dumps(_whole(value), option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        return None


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value


def changes(a: Mapping[str, Any], b: Mapping[str, Any], path: str = "") -> tuple[Change, ...]:
    """What differs between two objects, sorted by path."""
    mine, yours = dict(leaves(a, path)), dict(leaves(b, path))
    found = (
        change_of(name, mine.get(name, _ABSENT), yours.get(name, _ABSENT))
        for name in sorted({*mine, *yours})
    )
    return tuple(change for change in found if change is not None)


def change_of(path: str, a: Any, b: Any) -> Change | None:
    """What differs between two values; None where nothing does."""
    if same(a, b):
        return None
    for nothing in (_ABSENT, None):
        if b is nothing:
            return Change(path, ONLY_A, a, None)
        if a is nothing:
            return Change(path, ONLY_B, None, b)
    return Change(path, CHANGED, a, b)


def same(a: Any, b: Any) -> bool:
    """Equal as JSON."""
    if a is _ABSENT or b is _ABSENT:
        return a is b
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if not isinstance(a, dict | list | tuple):
        return bool(a == b)
    one, two = canonical(a), canonical(b)
    return one == two if one is not None and two is not None else bool(a == b)


def leaves(value: Mapping[str, Any], path: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in it that holds nothing further."""
    for name, each in value.items():
        if each is not None:
            yield from _leaf(f"{path}.{name}" if path else name, each, depth)


def _leaf(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if each is not None}
    if not value or not isinstance(value, dict | list):
        yield path, value
    elif depth >= DEEPEST:
        yield path, canonical(value) or TOO_DEEP
    elif isinstance(value, dict):
        yield from leaves(value, path, depth + 1)
    else:
        for place, each in enumerate(value):
            yield from _leaf(f"{path}[{_name(value, place)}]", each, depth + 1)


def _name(entries: list[Any], place: int) -> str:
    """By its name, where all have one and no two the same; else by number."""
    names = [each.get("name") if isinstance(each, dict) else None for each in entries]
    if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return str(names[place])
    return str(place)

"""The tool calls of one turn on both sides: which belong together, and what differs.

A call belongs first to one of the same name with the same arguments, wherever it stands; then to
the next of the same name; then to none. So what was called in another order is not taken for
other calls, but `reordered` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .nouns import CHANGED, ONLY_A, ONLY_B, SAME, Change, ToolPair, ToolUse
from .structure import change_of, changes, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def tool_pairs(a: Sequence[ToolUse], b: Sequence[ToolUse]) -> tuple[tuple[ToolPair, ...], bool]:
    """The pairs, in the order of a with what only b has at its end; whether order differs."""
    partner: dict[int, int] = {}
    _match(a, b, partner, lambda use: (use.name, use.arguments))
    _match(a, b, partner, lambda use: (use.name,))
    taken = set(partner.values())
    pairs = [_pair(use, b[partner[n]] if n in partner else None) for n, use in enumerate(a)]
    pairs += [_pair(None, use) for n, use in enumerate(b) if n not in taken]
    order = [partner[n] for n in sorted(partner)]
    return tuple(pairs), order != sorted(order)


def _match(
    a: Sequence[ToolUse],
    b: Sequence[ToolUse],
    partner: dict[int, int],
    key: Callable[[ToolUse], tuple[str, ...]],
) -> None:
    """Pair those that have no partner yet, the first with the first of the same key."""
    free: dict[tuple[str, ...], list[int]] = {}
    taken = set(partner.values())
    for n in reversed(range(len(b))):
        if n not in taken:
            free.setdefault(key(b[n]), []).append(n)
    for n, use in enumerate(a):
        if n not in partner and free.get(key(use)):
            partner[n] = free[key(use)].pop()


def _pair(a: ToolUse | None, b: ToolUse | None) -> ToolPair:
    if a is None or b is None:
        return ToolPair(ONLY_A if b is None else ONLY_B, a, b, ())
    found = tuple(_differences(a, b))
    return ToolPair(CHANGED if found else SAME, a, b, found)


def _differences(a: ToolUse, b: ToolUse) -> Iterator[Change]:
    if a.arguments != b.arguments:
        yield from _of_texts("arguments", a.arguments, b.arguments)
    if a.output != b.output:
        yield from _of_texts("output", a.output, b.output)
    error = change_of("error", a.error or None, b.error or None)
    if error is not None:
        yield error


def _of_texts(path: str, a: str | None, b: str | None) -> Iterator[Change]:
    """By path where both are JSON objects, else the texts."""
    one, two = (parsed(text)[0] if text is not None else None for text in (a, b))
    if isinstance(one, dict) and isinstance(two, dict):
        found = changes(one, two, path)
        if found or path != "arguments":  # an output that is only spelt otherwise is the same
            yield from found
            return
    change = change_of(path, a, b)
    if change is not None:
        yield change

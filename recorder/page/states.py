"""The state of the session after every event that is no delta, as what changed in it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..projections.state import StateFold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..events import Event
    from ..projections.model_state import State, StateItem
    from .facts import Call

BLOCK: Final = 1_024
"""States in a block."""

_PARTS: Final = (
    "phase", "config", "asked", "deleted", "out_of_band", "buffer", "responses", "requests",
    "calls", "speaking", "rate_limits", "tokens",
)  # fmt: skip
"""What is told whole when it changed. What plays is known by the page, errors are events."""
_MOST: Final = 1_024
"""Deltas that wait for a state."""


def blocks(call: Call) -> Iterator[list[object]]:
    """All states: {seq, at_ns}, the parts that changed, and what became of the items."""
    rows = _rows(call)
    while block := list(islice(rows, BLOCK)):
        yield block


def _rows(call: Call) -> Iterator[object]:
    rows = Rows()
    for event in call.events(False):
        yield from rows.take([event])


class Rows:
    """Tells the states of a session that may still grow."""

    def __init__(self) -> None:
        self._fold, self._before = StateFold(), _Before()
        self._take = self._fold.taker()
        self._waiting: list[Event] = []

    def take(self, events: Iterable[Event]) -> Iterator[dict[str, object]]:
        """The next events: the state after each of them that is no delta."""
        for event in events:
            self._waiting.append(event)
            if not is_one_of_many(event.type) or len(self._waiting) >= _MOST:
                self._take(self._waiting)
                self._waiting.clear()
            if not is_one_of_many(event.type):
                yield self._before.changes(self._fold.state())


def is_one_of_many(kind: str) -> bool:
    """Whether such events come in runs and change little: deltas, appends, pings."""
    return not kind or kind.endswith((".delta", ".append"))


class _Before:
    """The last state that was told."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}
        self._items: tuple[StateItem, ...] = ()

    def changes(self, state: State) -> dict[str, object]:
        """What is different in this one."""
        told: dict[str, object] = {"seq": state.seq, "at_ns": state.at_ns}
        for name in _PARTS:
            value = getattr(state, name)
            if name not in self._parts or self._parts[name] != value:
                self._parts[name] = told[name] = value
        if state.items is not self._items:
            told["items"] = self._spliced(state.items)
            self._items = state.items
        return told

    def _spliced(self, items: tuple[StateItem, ...]) -> list[object]:
        """[first row, rows that go, items that come]: only a stretch in the middle is new."""
        old, begin = self._items, 0
        least = min(len(old), len(items))
        while begin < least and old[begin] is items[begin]:
            begin += 1
        end = 0
        while end < least - begin and old[-1 - end] is items[-1 - end]:
            end += 1
        return [begin, len(old) - begin - end, items[begin : len(items) - end]]

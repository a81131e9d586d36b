"""Conversation order: a linked list, kept by what `previous_item_id` says.

What says nothing goes to the end. What follows an item that is not there yet goes to the end
too, and moves behind it as soon as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = "root"
"""`previous_item_id` of what is to stand first."""
_HEAD: Final = "\0head"  # no wire id holds a NUL


class Order:
    """Ids in conversation order; every operation takes the same time however long it is."""

    def __init__(self) -> None:
        self._next: dict[str, str] = {_HEAD: ""}
        self._back: dict[str, str] = {}
        self._tail = _HEAD
        self._chained: set[str] = set()
        self._orphans: dict[str, list[str]] = {}
        self.changes = 0
        """How often anything was put somewhere: the same number, the same order."""

    def __contains__(self, item: str) -> bool:
        return item in self._back

    def __iter__(self) -> Iterator[str]:
        item = self._next[_HEAD]
        while item:
            yield item
            item = self._next[item]

    def put(self, item: str, previous: str = "") -> None:
        """Place the item. One that already follows what it says is left where it is."""
        if item in self._back:
            if item in self._chained or not previous:
                return
            self._unlink(item)
        self._link(item, self._place_for(item, previous))
        for orphan in self._orphans.pop(item, ()):
            if orphan in self._back and orphan != item:
                self._unlink(orphan)
                self._link(orphan, item)

    def remove(self, item: str) -> None:
        """Take the item away: it never stood there."""
        if item in self._back:
            self._unlink(item)
            self._chained.discard(item)
            self.changes += 1

    def rename(self, old: str, new: str) -> None:
        """The same item under its final id; it may still be placed by a chain."""
        if old in self._back and new not in self._back:
            back = self._back[old]
            self._unlink(old)
            self._link(new, back)

    def _place_for(self, item: str, previous: str) -> str:
        if previous == ROOT:
            self._chained.add(item)
            return _HEAD
        if previous in self._back and previous != item:
            self._chained.add(item)
            return previous
        if previous and previous != item:
            self._chained.add(item)
            self._orphans.setdefault(previous, []).append(item)
        return self._tail

    def _link(self, item: str, after: str) -> None:
        self.changes += 1
        following = self._next[after]
        self._next[after], self._next[item] = item, following
        self._back[item] = after
        if following:
            self._back[following] = item
        else:
            self._tail = item

    def _unlink(self, item: str) -> None:
        back, following = self._back.pop(item), self._next.pop(item)
        self._next[back] = following
        if following:
            self._back[following] = back
        else:
            self._tail = back

"""Names for things, counted: the same seed gives the same ids.

A client may choose ids of its own. It cannot take one that the server has given, even if the
server has not used it yet; and the server steps over those that the client chose.
"""

from __future__ import annotations

from collections import Counter


class Ids:
    """The ids of one session."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self._taken: set[str] = set()

    def new(self, kind: str) -> str:
        """The next id of that kind: `item_<seed>0001`."""
        while True:
            self._counts[kind] += 1
            name = f"{kind}_{self._seed}{self._counts[kind]:04d}"
            if name not in self._taken:
                break
        if kind == "item":
            self._taken.add(name)
        return name

    def is_taken(self, name: str) -> bool:
        """An item has it, or will have it."""
        return name in self._taken

    def take(self, name: str) -> None:
        """A client chose it for an item."""
        self._taken.add(name)

    def release(self, name: str) -> None:
        """The item is gone; a client may make it again."""
        self._taken.discard(name)

"""Which response and which item a message is about, where it does not say so itself.

Compatible servers leave ids out. What has no response belongs to the one that is open; what has
no item belongs to the response's latest item. Invented ids contain an `@`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dialects.facts import OutputItemAdded, ResponseCreated, ResponseDone
from .base import Part, on

if TYPE_CHECKING:
    from ..events import Event


class Streams:
    """Resolves (response, item); fed by whoever folds with `created`, `done`, `item_added`."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self._items: dict[str, str] = {}
        self._over: set[str] = set()
        self.latest_item = ""
        """The item of a response that was last begun or spoken of."""

    def created(self, seq: int, fact: ResponseCreated) -> str:
        """A response began; its id, invented where it has none."""
        response = fact.response.id or f"response@{seq}"
        if response not in self.open and response not in self._over:
            self.open.append(response)
        return response

    def done(self, seq: int, fact: ResponseDone) -> str:
        """A response ended; the id under which it was known."""
        response = fact.response.id or (self.open[-1] if self.open else f"response@{seq}")
        self._over.add(response)
        if response in self.open:
            self.open.remove(response)
        return response

    def item_added(self, seq: int, fact: OutputItemAdded) -> tuple[str, str]:
        """An item of a response began: (response, item)."""
        response = self.response(seq, fact.response)
        item = fact.item.id or f"{response}/item@{seq}"
        self._items[response] = self.latest_item = item
        return response, item

    def response(self, seq: int, response: str) -> str:
        """The response that a message names, else the latest open one."""
        if response:
            return response
        if not self.open:
            self.open.append(f"response@{seq}")
        return self.open[-1]

    def of(self, seq: int, response: str, item: str) -> tuple[str, str]:
        """(response, item) of a delta or a part."""
        if not response:
            response = self.response(seq, response)
        if not item:
            item = self._items.setdefault(response, f"{response}/item@{seq}")
        return response, item


class StreamsPart(Part):
    """A part that asks its `_streams` which response and item a message is about."""

    def __init__(self) -> None:
        super().__init__()
        self._streams = Streams()

    @on(ResponseCreated)
    def _created(self, event: Event, fact: ResponseCreated) -> None:
        self._streams.created(event.seq, fact)

    @on(ResponseDone)
    def _done(self, event: Event, fact: ResponseDone) -> None:
        self._streams.done(event.seq, fact)

    @on(OutputItemAdded)
    def _item_added(self, event: Event, fact: OutputItemAdded) -> None:
        self._streams.item_added(event.seq, fact)

"""The items of a conversation, made anew only where an event touched them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..dialects import facts
from .base import Part, on

if TYPE_CHECKING:
    from ..events import Event
    from .board import Board
    from .entries import ItemState

_ABOUT_ITEMS = (
    facts.ItemAsked,
    facts.ItemAdded,
    facts.ItemDone,
    facts.ItemRetrieved,
    facts.ItemTruncated,
    facts.ItemDeleted,
    facts.TruncateAsked,
    facts.InputCommitted,
    facts.TranscriptionDelta,
    facts.TranscriptionCompleted,
    facts.TranscriptionFailed,
    facts.TranscriptionSegment,
    facts.OutputItemAdded,
    facts.OutputItemDone,
    facts.PartAdded,
    facts.PartDone,
    facts.TextDelta,
    facts.TextDone,
    facts.TranscriptDelta,
    facts.TranscriptDone,
    facts.ArgumentsDelta,
    facts.ArgumentsDone,
    facts.McpCallState,
)
_INVENTED = {facts.ItemAsked: "item@{}", facts.InputCommitted: "input@{}"}
"""What the board calls an item that came without an id."""


class _Told(Protocol):
    """What both forms have."""

    @property
    def spoken(self) -> bool: ...
    @property
    def response_id(self) -> str: ...


Form = TypeVar("Form", bound=_Told)


class ItemsMade(Part, ABC, Generic[Form]):
    """The items of a board; runs after the folds that fill it in."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self._made: dict[str, Form] = {}
        self._touched: dict[str, None] = {}
        self._all = True
        self._order = -1

    @on(*_ABOUT_ITEMS)
    def _about(self, event: Event, fact: Any) -> None:
        """Runs after the board took the event. Without an id it may be about any item."""
        item = fact.item if isinstance(fact.item, str) else fact.item.id
        item = item or _INVENTED.get(type(fact), "{}").format(event.seq)
        if item and item in self._board.items:
            self._touch(item)
        else:
            self._all = True

    def _touch(self, item: str) -> None:
        self._touched[item] = None
        self._touched.update(dict.fromkeys(self._board.calls.told_as(item)))

    @on(facts.AudioDelta)
    def _audio(self, event: Event, fact: facts.AudioDelta) -> None:
        """The first one makes the item spoken, and its response's; the others change nothing."""
        made = self._made.get(fact.item)
        if not fact.item:
            self._all = True
        elif made is None or not (made.spoken and made.response_id):
            self._touch(fact.item)

    @on(facts.ResponseCreated, facts.ResponseDone)
    def _ended(self, event: Event, fact: facts.ResponseCreated | facts.ResponseDone) -> None:
        """It fills in what its items lack."""
        owner = self._board.responses.get(fact.response.id)
        listed = [body.id for body in fact.response.output]
        self._all |= owner is None or not all(listed)
        for item in (*(owner.items if owner else ()), *listed):
            self._touch(item)

    @abstractmethod
    def _item(self, state: ItemState) -> Form:
        """An item as it stands."""

    def _freshen(self) -> bool:
        """Make those anew that were touched; whether anything can be another than before."""
        board = self._board
        if not self._all and not self._touched and self._order == board.order.changes:
            return False
        names = board.items if self._all else self._touched
        for name in names:
            if name in board.items:
                known, made = self._made.get(name), self._item(board.items[name])
                self._made[name] = made if known is None or known != made else known
        self._all, self._order = False, board.order.changes
        self._touched.clear()
        return True

"""What the folds of a conversation share: its items, responses and calls while they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calls import Calls
from .entries import ItemState, ResponseState
from .formats import FormatsInForce
from .inputs import Moment
from .order import Order
from .streams import Streams

if TYPE_CHECKING:
    from ..dialects.facts import ItemBody
    from ..events import Event


class Board:
    """The conversation as far as it is known; `items` and `responses` fill it in."""

    def __init__(self) -> None:
        self.items: dict[str, ItemState] = {}
        self.order = Order()
        self.responses: dict[str, ResponseState] = {}
        self.calls = Calls()
        self.streams = Streams()
        self.formats = FormatsInForce()
        self.asked: list[Moment] = []
        """Every `response.create` that no response answered (yet)."""

    def item(self, at: Moment, item: str) -> ItemState:
        """The item with this id, made if it is new."""
        state = self.items.get(item)
        if state is None:
            state = self.items[item] = ItemState(item, at)
        return state

    def response(self, at: Moment, response: str) -> ResponseState:
        """The response with this id, made if it is new: `done` may come without `created`."""
        state = self.responses.get(response)
        if state is None:
            state = self.responses[response] = ResponseState(response, at)
        return state

    def of_response(self, at: Moment, response: str, item: str) -> ItemState:
        """An item as a part of a response, placed at the end until a chain places it."""
        state = self.item(at, item)
        owner = self.response(at, response)
        if not state.response:
            state.response = response
            state.role = state.role or "assistant"
            state.out_of_band = owner.out_of_band
            owner.items.append(item)
        if not state.out_of_band and item not in self.order:
            self.order.put(item)
        return state

    def call_stated(self, at: Moment, response: str, body: ItemBody, *, done: bool) -> None:
        """An item object that may be a tool call."""
        key = self.calls.stated(at, response, body, done=done)
        owner = self.responses.get(response)
        if key is not None and owner is not None and key not in owner.calls:
            owner.calls.append(key)


def moment(event: Event) -> Moment:
    """The event's time and number."""
    return Moment(event.at_ns, event.seq)

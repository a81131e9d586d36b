"""One output item of a response that is being given: what messages and calls have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from recorder.sandbox.agenda import Steps
from recorder.sandbox.config import Config
from recorder.sandbox.conversation import Body, Item
from recorder.sandbox.state import State


@dataclass(slots=True, kw_only=True)
class Scene:
    """The response that an output belongs to."""

    state: State
    response_id: str
    config: Config
    """The session's, with what `response.create` overrode."""
    out_of_band: bool
    """Its items enter no conversation."""
    user_words: str = ""
    tool_output: str = ""
    budget: float = float("inf")
    """Output tokens that are left."""
    is_cut: bool = False
    """They ran out."""


class Output(ABC):
    """An item on its way. `perform` gives it in time; `finish` ends it, early or not."""

    def __init__(self, scene: Scene, index: int, body: Body) -> None:
        self.scene, self.index = scene, index
        shown = {"id": scene.state.ids.new("item"), **body}
        self.item = Item(shown, scene.config.output_format)
        self.is_begun = False
        self._previous_id: str | None = None

    @abstractmethod
    def perform(self) -> Steps:
        """Give it, and finish it."""

    @abstractmethod
    def finish(self, status: str) -> None:
        """Say that it is done, as far as it came."""

    def send(self, name: str, /, **members: Any) -> None:
        """Send an event about this item."""
        place = {"item_id": self.item.id, "output_index": self.index}
        line = self.scene.state.line
        line.send(name, response_id=self.scene.response_id, **place, **members)

    def begin(self) -> None:
        """Announce the item, still empty, and put it into the conversation."""
        self.is_begun = True
        state = self.scene.state
        shown = state.dialect.item(self.item.body)
        state.line.send(
            "response.output_item.added",
            response_id=self.scene.response_id,
            output_index=self.index,
            item=shown,
        )
        if not self.scene.out_of_band:
            self._previous_id = state.conversation.insert(self.item)
            state.line.send(
                "conversation.item.added", previous_item_id=self._previous_id, item=shown
            )

    def end(self, status: str) -> None:
        """Announce the item as it has become."""
        state = self.scene.state
        self.item.body["status"] = status
        shown = state.dialect.item(self.item.body)
        if state.dialect.item_done and not self.scene.out_of_band:
            state.line.send(
                "conversation.item.done", previous_item_id=self._previous_id, item=shown
            )
        state.line.send(
            "response.output_item.done",
            response_id=self.scene.response_id,
            output_index=self.index,
            item=shown,
        )

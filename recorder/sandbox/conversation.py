"""The items of the default conversation, in their order.

Laws:

1. An item's id is unique, and an item stands where its `previous_item_id` put it.
2. Bodies have GA names and hold no audio; audio lies beside them, by content part.
3. What cannot be done is refused as `Invalid` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from recorder.sandbox.checks import Invalid
from recorder.sandbox.formats import AudioFormat

Body = dict[str, Any]

ROOT = "root"
"""As a `previous_item_id`: the front of the conversation."""


@dataclass(slots=True)
class Item:
    """One item: its JSON body, and the audio of its parts."""

    body: Body
    audio_format: AudioFormat
    audio: dict[int, bytearray] = field(default_factory=dict)
    """By content index."""

    @property
    def id(self) -> str:
        """What the body says."""
        return str(self.body["id"])

    @property
    def is_answer(self) -> bool:
        """The assistant said it."""
        return self.body.get("role") == "assistant"

    def audio_ms(self, content_index: int) -> int:
        """How long that part is."""
        return self.audio_format.milliseconds(len(self.audio.get(content_index, b"")))

    @property
    def texts(self) -> list[str]:
        """The words that a model reads or wrote: of what the user said, it reads the audio."""
        names = ("text", "transcript") if self.is_answer else ("text",)
        own = [self.body.get(name) for name in ("arguments", "output")]
        parts = [part.get(name) for part in self.content for name in names]
        return [each for each in (*own, *parts) if isinstance(each, str)]

    @property
    def content(self) -> list[Body]:
        """Its parts; calls have none."""
        parts: list[Body] = self.body.get("content", [])
        return parts


class Conversation:
    """Ordered items by id."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def last_id(self) -> str | None:
        """After which a new item comes."""
        return self._items[-1].id if self._items else None

    def find(self, item_id: str) -> Item | None:
        """The item of that id."""
        return next((item for item in self._items if item.id == item_id), None)

    def get(self, item_id: str, act: str) -> Item:
        """The item of that id, for that act (`truncate`, …)."""
        item = self.find(item_id)
        if item is None:
            raise Invalid(
                f"Error {act[:-1] if act.endswith('e') else act}ing item: "
                f"the item with id '{item_id}' does not exist.",
                code=f"item_{act}_invalid_item_id",
                param="item_id",
            )
        return item

    def call_name(self, call_id: str) -> str | None:
        """The function that was called under that id."""
        for item in self._items:
            if item.body["type"] == "function_call" and item.body.get("call_id") == call_id:
                return str(item.body.get("name", ""))
        return None

    def insert(self, item: Item, previous_id: str | None = None) -> str | None:
        """Put an item in, at the end or after another; gives the id it now stands after."""
        if self.find(item.id) is not None:
            raise duplicate(item.id)
        at = self._place(previous_id)
        self._items.insert(at, item)
        return self._items[at - 1].id if at else None

    def delete(self, item_id: str) -> None:
        """Take an item out."""
        self._items.remove(self.get(item_id, "delete"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut the assistant's audio; its transcript goes, as nobody knows where to cut it."""
        item = self.get(item_id, "truncate")
        if not item.is_answer or content_index not in item.audio:
            raise Invalid(
                f"Only audio of model output messages can be truncated, and the item '{item_id}' "
                f"has none at content index {content_index}.",
                param="item_id" if not item.is_answer else "content_index",
            )
        length_ms = item.audio_ms(content_index)
        if audio_end_ms > length_ms:
            raise Invalid(
                f"Audio content of {length_ms}ms is already shorter than {audio_end_ms}ms",
                param="audio_end_ms",
            )
        del item.audio[content_index][item.audio_format.bytes_in(audio_end_ms) :]
        if content_index < len(item.content):
            item.content[content_index]["transcript"] = None

    def _place(self, previous_id: str | None) -> int:
        if previous_id is None:
            return len(self._items)
        if previous_id == ROOT:
            return 0
        for at, item in enumerate(self._items):
            if item.id == previous_id:
                return at + 1
        raise Invalid(
            f"Error adding item: the previous item with id '{previous_id}' does not exist.",
            code="item_create_invalid_previous_item_id",
            param="previous_item_id",
        )


def duplicate(item_id: str) -> Invalid:
    """The refusal of an id that is taken."""
    return Invalid(
        f"Error adding item: an item with id '{item_id}' already exists.",
        code="item_create_duplicate_item_id",
        param="item.id",
    )

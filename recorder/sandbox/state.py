"""What all parts of one session share."""

from __future__ import annotations

from dataclasses import dataclass, field

from recorder.sandbox.agenda import Agenda
from recorder.sandbox.config import Config
from recorder.sandbox.conversation import Conversation, Item
from recorder.sandbox.dialect import Dialect
from recorder.sandbox.ids import Ids
from recorder.sandbox.line import Line
from recorder.sandbox.script import Script
from recorder.sandbox.usage import NO_TOKENS, Tokens


@dataclass(slots=True, kw_only=True)
class State:
    """The session as it stands."""

    script: Script
    dialect: Dialect
    agenda: Agenda
    ids: Ids
    line: Line
    config: Config
    conversation_id: str
    conversation: Conversation = field(default_factory=Conversation)
    user_words: dict[str, str] = field(default_factory=dict)
    """What the user said, by item: the sandbox knows it at once, the client may learn it late."""
    has_spoken: bool = False
    """The assistant's voice was heard: it cannot change any more."""
    played_until_ns: int = 0
    """When a client that plays everything at once will have played what it was sent."""
    context: Tokens = NO_TOKENS
    """What the last response read: the next one has it cached."""
    responses: int = 0

    def show_item(self, item: Item, previous_id: str | None) -> None:
        """Announce an item that is complete."""
        shown = self.dialect.item(item.body)
        self.line.send("conversation.item.added", previous_item_id=previous_id, item=shown)
        if self.dialect.item_done:
            self.line.send("conversation.item.done", previous_item_id=previous_id, item=shown)

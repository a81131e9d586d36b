"""Every id that a server sent, so that a session can be found by any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..dialects.facts import Handshake
from ..events import BINARY, Origin
from ..wire import parse
from .base import Fold, on

if TYPE_CHECKING:
    from ..events import Event

ID_KEYS: Final = ("event_id", "response_id", "item_id", "call_id", "conversation_id")
ID_OBJECTS: Final = ("session", "conversation", "response", "item")
LONGEST: Final = 200
_HEADERS: Final = frozenset({"x-request-id", "apim-request-id", "x-ms-request-id"})


class ServerIds(Fold[tuple[str, ...]]):
    """Session, conversation, response, item, call and event ids, and those of the handshake.

    In the order in which they were first seen. Ids that the client chose come back from the
    server and are among them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ids: dict[str, None] = {}
        self.every = (self._message,)

    def _message(self, event: Event) -> None:
        """Every server message is looked into, known or not."""
        if event.origin == Origin.SERVER and event.opcode <= BINARY:
            self._look(parse(event))

    @on(Handshake)
    def _handshake(self, event: Event, fact: Handshake) -> None:
        for name, value in fact.headers:
            if name.lower() in _HEADERS:
                self._add(value)

    def _look(self, body: dict[str, Any]) -> None:
        for key in ID_KEYS:
            self._add(body.get(key))
        for key in ID_OBJECTS:
            self._look_into(body.get(key))

    def _look_into(self, value: object) -> None:
        if not isinstance(value, dict):
            return
        for key in ("id", "conversation_id", "call_id"):
            self._add(value.get(key))
        output = value.get("output")
        for item in output if isinstance(output, list) else ():
            self._look_into(item)

    def _add(self, value: object) -> None:
        if isinstance(value, str) and 0 < len(value) <= LONGEST:
            self._ids[value] = None

    def result(self) -> tuple[str, ...]:
        return tuple(self._ids)

"""What a client has asked for and the server has not answered yet.

Servers do not say what they answer, but for errors that name an event (protocol.md §11): each
kind of question is answered in the order in which it was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dialects.reading import mapping, text
from ..replaying import causes

if TYPE_CHECKING:
    from .nouns import JSON, Name


class Pending:
    """Questions by kind, the oldest first: what each is called, and what was sent."""

    def __init__(self) -> None:
        self.updates: list[tuple[Name, JSON]] = []
        self.commits: list[tuple[Name, JSON]] = []
        self.items: list[tuple[Name, JSON]] = []
        self.responses: list[tuple[Name, JSON]] = []
        self._kinds = {
            causes.UPDATE: self.updates,
            causes.COMMIT: self.commits,
            causes.RESPOND: self.responses,
            causes.CREATE_ITEM: self.items,
        }

    def ask(self, kind: str, name: Name, body: JSON) -> None:
        """The client sent this; kinds that nothing answers are not kept."""
        if (waiting := self._kinds.get(kind)) is not None:
            waiting.append((name, body))

    def refused(self, error: JSON) -> tuple[str, Name | None]:
        """What an error answers: what it names; else what its code or parameter speak of."""
        named = text(error, "event_id")
        for kind, waiting in self._kinds.items():
            for each in waiting:
                own = text(each[1], "event_id")
                if (named and own == named) or (not named and _speaks_of(kind, error)):
                    waiting.remove(each)
                    return kind, each[0]
        return "", None

    def made(self, item: JSON, *, known: bool) -> Name | None:
        """The client's item that this one of the server's confirms."""
        for each in self.items:
            if _confirms(mapping(each[1], "item"), item, known=known):
                self.items.remove(each)
                return each[0]
        return None

    def answered(self, response: JSON) -> Name | None:
        """What asked for this response; None: the server began it by itself."""
        echoed = mapping(response, "metadata")
        for each in self.responses:
            wanted = mapping(mapping(each[1], "response"), "metadata")
            if not wanted or not echoed or wanted == echoed:
                self.responses.remove(each)
                return each[0]
        return None


def _speaks_of(kind: str, error: JSON) -> bool:
    """Whether an error that names no event is about one of this kind."""
    code, param = text(error, "code"), text(error, "param")
    match kind:
        case causes.UPDATE:
            return param.startswith("session")
        case causes.COMMIT:
            return code == "input_audio_buffer_commit_empty"
        case causes.RESPOND:
            busy = code == "conversation_already_has_active_response"
            return busy or param.startswith("response")
    return param.startswith("item")


def _confirms(wanted: JSON, item: JSON, *, known: bool) -> bool:
    """Whether the server's item is the one that the client asked for."""
    if text(wanted, "id"):
        return text(wanted, "id") == text(item, "id")
    if known:
        return False
    if text(item, "type") == "function_call_output":
        return text(wanted, "call_id") == text(item, "call_id")
    same = all(text(wanted, name) in ("", text(item, name)) for name in ("type", "role"))
    return same and text(item, "status") != "in_progress"

"""What the recorded caller answered when the server asked for a tool or an approval.

Laws:

1. The same question, by name and arguments, gets the recorded answer; asked more often than it
   was recorded, the last one again.
2. What the recorded caller left unanswered stays unanswered.
3. A question that is not in the recording has no answer: none is made up.
4. The `response.create` that followed recorded answers follows theirs again, once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..dialects.reading import mapping, text
from .requests import ANSWERS

if TYPE_CHECKING:
    from ..events import Event
    from .nouns import JSON
    from .requests import Key, Request


@dataclass(slots=True)
class Follow:
    """What the caller sent once it had answered."""

    event: Event
    delay_ns: int
    """Since the last of the answers."""


@dataclass(slots=True)
class Answer:
    """One recorded answer."""

    event: Event
    delay_ns: int
    """Since the question was complete."""
    follow: Follow | None = None


@dataclass(slots=True)
class Book:
    """All recorded answers, by what was asked."""

    answers: dict[Key, deque[Answer]] = field(default_factory=dict)
    unanswered: set[Key] = field(default_factory=set)

    def take(self, key: Key) -> Answer | None:
        """The answer to this; the last one stays."""
        found = self.answers.get(key)
        if not found:
            return None
        return found.popleft() if len(found) > 1 else found[0]

    def knows(self, key: Key) -> bool:
        """Whether it was asked for in the recording."""
        return key in self.unanswered or key in self.answers

    def copy(self) -> Book:
        """One for another run."""
        return Book({key: deque(each) for key, each in self.answers.items()}, set(self.unanswered))

    def nearest(self, key: Key) -> str:
        """What the recording has instead, for people."""
        same = [str(each) for each in self.answers if each.name == key.name]
        others = same or [str(each) for each in self.answers]
        return "; ".join(others[:3]) or "none at all"


class Answering:
    """Picks the answers out of what the recorded client did, event by event, in order."""

    def __init__(self) -> None:
        self._group: list[Answer] = []
        self._last_ns = 0
        self._asked: dict[str, Request] = {}
        self._counted = 0
        self.book = Book()

    def asked(self, requests: list[Request]) -> None:
        """What the recorded server has asked for so far."""
        for request in requests[self._counted :]:
            self._asked[request.server_id] = request
            self.book.unanswered.add(request.key)
        self._counted = len(requests)

    def takes(self, event: Event, body: JSON) -> bool:
        """Whether this is an answer, and not something that the caller did by itself."""
        item = mapping(body, "item")
        request = self._asked.get(text(item, ANSWERS.get(text(item, "type"), "")))
        if request is None:
            return False
        answer = Answer(event, event.at_ns - request.at_ns)
        self.book.answers.setdefault(request.key, deque()).append(answer)
        self._group.append(answer)
        self._last_ns = event.at_ns
        return True

    def follows(self, event: Event) -> bool:
        """Whether this `response.create` belongs to the answers before it."""
        if not self._group:
            return False
        follow = Follow(event, event.at_ns - self._last_ns)
        for answer in self._group:
            answer.follow = follow
        self._group = []
        return True

    def interrupted(self) -> None:
        """The user said something: what is asked for from here on is about that."""
        self._group = []

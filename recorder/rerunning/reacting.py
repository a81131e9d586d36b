"""Answers on their way: what the server asked for, and what the caller says to it when.

Laws:

1. An answer comes as long after its question as it did in the recording.
2. What followed the answers of one response follows once, after all of them, and not while a
   response is in progress: whoever drives this sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .book import Answer, Book, Follow
    from .nouns import Name, Rules
    from .requests import Request


@dataclass(slots=True)
class Reaction:
    """An answer, or what follows answers."""

    due_ns: int
    response: Name
    answer: Answer | None = None
    request: Request | None = None
    follow: Follow | None = None


class Reactions:
    """Those of one run."""

    def __init__(self, book: Book, rules: Rules) -> None:
        self._book, self._rules = book.copy(), rules
        self.waiting: list[Reaction] = []
        self.count = 0
        """How many questions there were."""

    def asked(self, requests: list[Request]) -> str:
        """All that the server has asked for; why it cannot go on, where it cannot."""
        for request in requests[self.count :]:
            self.count += 1
            if not self._book.knows(request.key):
                return (
                    f"this run asks for {request.key}, of which the recording has no answer "
                    f"(it has {self._book.nearest(request.key)}): it cannot be made up"
                )
            if (answer := self._book.take(request.key)) is not None:
                self._react(request, answer)
        return ""

    def _react(self, request: Request, answer: Answer) -> None:
        due, follow = request.at_ns + self._rules.scaled(answer.delay_ns), answer.follow
        again = [each for each in self.waiting if follow is not None and each.follow is follow]
        for each in again:
            if each.response == request.response:
                self.waiting.remove(each)  # it comes after this answer too
        self.waiting.append(Reaction(due, request.response, answer, request))
        if follow is not None:
            last = max(each.due_ns for each in self.waiting if each.follow is None)
            at_ns = last + self._rules.scaled(follow.delay_ns)
            self.waiting.append(Reaction(at_ns, request.response, follow=follow))

    def ready(self) -> list[Reaction]:
        """Answers, and what follows those that were all given."""
        answering = {each.response for each in self.waiting if each.follow is None}
        return [
            each for each in self.waiting if each.follow is None or each.response not in answering
        ]

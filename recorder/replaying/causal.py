"""When recorded server events go out to a client that is to do what the recorded one did.

Laws:

1. In the order of the recording, but for answers on the side, which go out when they are asked for.
2. An event goes out its recorded delay after its cause, or after the event before it where it has
   none; delays are counted from when those were *due*, so that lateness never adds up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from .nouns import Position, Tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .axis import Axis
    from .nouns import Rules

NEAR: Final = 32
"""Server events that are always read ahead."""


class Causal:
    """Holds the server events that were read, and says which is due."""

    def __init__(self, rules: Rules, appended: Axis) -> None:
        """`appended` is how far this client's audio has got."""
        self._rules, self._appended = rules, appended
        self._main: deque[Tell] = deque()
        self._asides: list[Tell] = []
        self._anchor_rec = self._anchor_live = 0
        self._given_up: Tell | None = None
        self._blocked = False
        self.muted = False
        """The client sends no audio where the recorded one did."""
        self._excused_ns = self._shift_ns = 0
        self._begun = False
        self.held = 0
        """Bytes of what waits its turn."""

    def __len__(self) -> int:
        return len(self._main)

    def begin(self, *, recorded_ns: int | None = None, live_ns: int | None = None) -> None:
        """The connection stands: in the recording, or now."""
        if recorded_ns is not None and not self._begun:
            self._anchor_rec = recorded_ns
        if live_ns is not None:
            self._anchor_live = live_ns

    @property
    def hungry(self) -> bool:
        """Whether more should be read."""
        return len(self._main) < NEAR

    @property
    def idle(self) -> bool:
        """Whether nothing is held that could go out."""
        return not self._main

    def enter(self, tell: Tell) -> None:
        """Take in one more event of the recording."""
        if tell.aside:
            self._asides.append(tell)
        else:
            self._main.append(tell)
            self.held += tell.weight

    def next_due(self, now_ns: int | None) -> tuple[int, Tell] | None:
        """What goes out next, and when that is due; None where something is waited for."""
        best: tuple[int, Tell] | None = None
        if self._main:
            due = self._due(self._main[0], now_ns)
            self._blocked = due is None
            best = None if due is None else (due, self._main[0])
        for tell in self._asides if self._begun else ():  # nothing before the greeting
            due = self._after(tell)
            if due is None:
                continue
            if best is None or (due, tell.event.seq) < (best[0], best[1].event.seq):
                best = due, tell
        return best

    def passed(self, due: int, tell: Tell) -> None:
        """It goes out."""
        self._begun = True
        if tell.aside:
            self._asides.remove(tell)
            return
        self._main.popleft()
        self.held -= tell.weight
        self._anchor_rec, self._anchor_live = tell.event.at_ns, due
        if self.muted and isinstance(tell.cause, Position):
            self._excused_ns = max(self._excused_ns, tell.cause.axis_ns)

    def waiting(self) -> tuple[Tell, int] | None:
        """What waits for this client, and when it came in the recording, had all gone on so.

        As it was when `next_due` was asked last.
        """
        if not self._main or not self._blocked:
            return None
        first = self._main[0]
        waited = self._rules.scaled(first.event.at_ns - self._anchor_rec)
        return first, self._anchor_live + waited

    def give_up(self, tell: Tell) -> None:
        """Its cause does not come any more: it goes out without.

        A client whose audio does not come is muted: until it appends again, no audio is waited
        for, and what it appends then counts from there.
        """
        self._given_up = tell
        if isinstance(tell.cause, Position):
            self.muted, self._excused_ns = True, tell.cause.axis_ns

    def unmute(self, end_ns: int) -> None:
        """The client appends audio; so much had come before it."""
        self.muted = False
        self._shift_ns = self._excused_ns - end_ns

    def clear(self) -> Iterator[Tell]:
        """Give up everything that is held, and tell it."""
        held = [*self._main, *self._asides]
        self._main.clear()
        self._asides.clear()
        self.held = 0
        yield from held

    def _due(self, tell: Tell, now_ns: int | None) -> int | None:
        if tell is self._given_up:
            return self._anchor_live if now_ns is None else now_ns
        if tell.cause is None or (self.muted and isinstance(tell.cause, Position)):
            return self._anchor_live + self._rules.scaled(tell.event.at_ns - self._anchor_rec)
        after = self._after(tell)
        return None if after is None else max(after, self._anchor_live)

    def _after(self, tell: Tell) -> int | None:
        """Its recorded delay after its cause; None while that has not come."""
        cause = tell.cause
        if isinstance(cause, Position):
            came = self._appended.reached(cause.axis_ns - self._shift_ns)
        else:
            came = cause.live_at_ns if cause is not None else None
        if cause is None or came is None:
            return None
        return came + self._rules.scaled(tell.event.at_ns - cause.at_ns)

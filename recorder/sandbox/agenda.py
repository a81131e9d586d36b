"""What is still to be done, and when: a calendar of generators.

A task is a generator that yields how many nanoseconds it wants to wait and does something
between. Laws:

1. Time is passed in and never runs backwards.
2. A task runs at the very time it was due, however late the agenda is asked: no drift.
3. What is due at the same time runs in the order in which it was planned.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

Steps = Iterator[int]
"""A task: yields waits in nanoseconds."""

MS = 1_000_000
"""Nanoseconds in a millisecond."""


@dataclass(order=True, slots=True)
class Task:
    """One entry of the calendar. `cancelled` ones are skipped when their time comes."""

    due_ns: int
    order: int
    steps: Steps = field(compare=False)
    cancelled: bool = field(default=False, compare=False)


class Agenda:
    """Runs tasks when their time has come."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._calendar: list[Task] = []
        self._planned = 0

    def start(self, steps: Steps) -> Task:
        """Run a task up to its first wait, now."""
        task = Task(self.now_ns, 0, steps)
        self._advance(task)
        return task

    def cancel(self, task: Task) -> None:
        """The task does nothing any more; a task that has ended is left as it is."""
        task.cancelled = True

    def next_at(self) -> int | None:
        """When `run` should be called next."""
        while self._calendar and self._calendar[0].cancelled:
            heapq.heappop(self._calendar)
        return self._calendar[0].due_ns if self._calendar else None

    def run(self, until_ns: int) -> None:
        """Do everything that is due by then, each at its own time."""
        while (due := self.next_at()) is not None and due <= until_ns:
            self.now_ns = max(self.now_ns, due)
            self._advance(heapq.heappop(self._calendar))
        self.now_ns = max(self.now_ns, until_ns)

    def clear(self) -> None:
        """Nothing is to be done any more."""
        self._calendar.clear()

    def _advance(self, task: Task) -> None:
        wait_ns = next(task.steps, None)
        if wait_ns is not None and not task.cancelled:
            self._planned += 1
            task.due_ns, task.order = self.now_ns + max(wait_ns, 0), self._planned
            heapq.heappush(self._calendar, task)

"""The read models of one store, for a server that is asked again and again.

Laws:

1. Bringing them up to date costs a request `BUDGET` seconds and what `AT_ONCE` sessions take,
   however many are new; what is still to be read is said, and the newest come first.
2. It is looked whether anything is new at most once in `LOOK` seconds.
3. One thread at a time: whoever asks meanwhile waits.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from recorder.errors import UsageError
from recorder.selecting import (
    Ambiguous,
    Among,
    Directory,
    Moment,
    Named,
    Need,
    Selection,
    parse,
    resolved,
)
from recorder.sql.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recorder.sql.store import SqlStore

BUDGET: Final = 0.25
LOOK: Final = 1.0
AT_ONCE: Final = 20
"""Sessions that are folded before the clock is looked at: they are stored together."""


class Shelf:
    """`Views` that stay, brought up to date bit by bit. Safe to share between threads."""

    def __init__(self, store: SqlStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._views = Views(store, 0)
        self._lock, self._clock = threading.Lock(), clock
        self._next_look = 0.0
        self.unread = 0
        """Sessions that were not folded yet, as of the last look."""

    @contextmanager
    def opened(self, now_ns: int) -> Iterator[Views]:
        """The read models as of this moment of the wall clock, as far as there was time."""
        with self._lock:
            self._views.now_ns = now_ns
            self._freshen()
            yield self._views

    def changed(self) -> None:
        """Something was written by this very server: look at once."""
        self._next_look = 0.0

    def _freshen(self) -> None:
        if self._clock() < self._next_look:
            return
        views = self._views
        waiting = sorted(views.stale(), key=lambda entry: (entry.wall_ns, entry.number))
        end = self._clock() + BUDGET
        while waiting:
            some = [waiting.pop().id for _ in range(min(AT_ONCE, len(waiting)))]
            views.build(selection=Selection((Need((Among(frozenset(some)),)),)))
            if self._clock() >= end:
                break
        self.unread = len(waiting)
        self._next_look = 0.0 if waiting else self._clock() + LOOK


def chosen(views: Views, query: str, *, whole: bool = True) -> Selection:
    """What the words of a search box mean; nothing in it means all sessions.

    With `whole` a word may be an id that the server sent, which may take long to look for; a
    query that is still being typed is not worth that. Raises `UsageError`, `SessionNotFound`.
    """
    if not query.strip():
        return Selection()
    found = parse([query], Moment(views.now_ns))
    if not any(isinstance(test, Named) for need in found.needs for test in need.tests):
        return found
    find = views.find if whole else _nobody
    return resolved(found, Directory(views.known(), find))


def _nobody(_server_id: str) -> list[str]:
    return []


# ---- what was not understood


def told_of(error: UsageError, query: str) -> dict[str, Any]:
    """What was not understood; `from` and `to` say where in the query, as far as that is known."""
    words, begin, end = _place(str(error), query)
    told: dict[str, Any] = {"message": words, "from": begin, "to": end}
    if isinstance(error, Ambiguous):
        told["candidates"] = list(error.candidates[:10])
    if _could_be_said(query):
        told["instead"] = f'text:"{" ".join(query.split())}"'
    return told


def _place(told: str, query: str) -> tuple[str, int | None, int | None]:
    """The parser's message, without the copy of the query below it that it underlines."""
    lines = told.split("\n")
    if len(lines) >= 3 and lines[-2] == f"  {query}" and set(lines[-1]) <= {" ", "^"}:
        begin = lines[-1].index("^") - 2
        return "\n".join(lines[:-2]), begin, min(len(lines[-1]) - 2, max(len(query), begin + 1))
    return told, None, None


def _could_be_said(query: str) -> bool:
    """Whether the words name nothing, and may have been meant as what somebody said."""
    if any(sign in query for sign in '":<>='):
        return False
    try:
        tests = [test for need in parse([query], Moment(0)).needs for test in need.tests]
        parse([f'text:"{query.strip()}"'], Moment(0))
    except UsageError:
        return False
    return bool(tests) and all(isinstance(test, Named) for test in tests)

"""A recording as it is read: ahead of the playing, in a worker thread, a page at a time.

The event loop never waits for a database or a file; what is held is bounded in events and bytes,
however long the session is. A recording that cannot be read to its end ends there, and that is
known (`broken`); what was read before it is played.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import trio

from recorder.errors import RecorderError
from recorder.events import Event

PAGE: Final = 128
"""Events that are read in one go: the thread holds the interpreter for less than a millisecond."""
PAGE_BYTES: Final = 256 * 1024
AHEAD: Final = 512
"""Events that are kept ready; below it, the next page is read."""
AHEAD_BYTES: Final = 2 * 1024 * 1024


class Tape:
    """An iterator that never blocks: None where the next event has not been read yet."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._source = iter(events)
        self._ready: deque[Event] = deque()
        self._size = 0
        self._ended = self._direct = False
        self.broken = ""
        """Why it cannot be read on; else empty."""
        self._changed = trio.Event()

    def __iter__(self) -> Iterator[Event | None]:
        return self

    def __next__(self) -> Event | None:
        if self._ready:
            event = self._ready.popleft()
            self._size -= _weight(event)
            if not self._is_full:
                self._changed.set()
            return event
        if self._ended:
            raise StopIteration
        if not self._direct:
            return None
        page = self._page(1)
        if not page:
            self._ended = True
            raise StopIteration
        return page[0]

    async def run(self) -> None:
        """Keep it ahead until all was read."""
        while not self._ended:
            while self._is_full:
                self._changed = trio.Event()
                await self._changed.wait()
            page = await trio.to_thread.run_sync(self._page)
            self._ready.extend(page)
            self._size += sum(map(_weight, page))
            self._ended = not page or bool(self.broken)
            self._changed.set()

    async def more(self) -> None:
        """Wait until there is a next event, or the end is known."""
        while not (self._ready or self._ended or self._direct):
            self._changed = trio.Event()
            await self._changed.wait()

    def cut(self) -> None:
        """From now on each event is read when it is asked for; `run` must not run any more."""
        self._direct = True

    @property
    def held(self) -> int:
        """Events that are ready."""
        return len(self._ready)

    @property
    def _is_full(self) -> bool:
        return len(self._ready) >= AHEAD or self._size >= AHEAD_BYTES

    def _page(self, most: int = PAGE) -> list[Event]:
        page: list[Event] = []
        size = 0
        try:
            for event in self._source:
                page.append(event)
                size += _weight(event)
                if len(page) >= most or size >= PAGE_BYTES:
                    break
        except RecorderError as error:
            self.broken = str(error)
        return page


def _weight(event: Event) -> int:
    return len(event.head) + len(event.audio or b"")

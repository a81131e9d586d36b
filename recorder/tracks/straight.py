"""Sound straight into its channels: the layout knows what each event carries.

Laws:

1. No message is decoded a second time: the number of an event says whose sound it carries
   (`Layout.deltas`, and `Layout.clock` for the appends).
2. What the layout knows and the log has not any more, because it was erased meanwhile, is silence
   of the same length. What it does not know, because it was recorded since, is left out.
3. A page at a time is held.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .channels import AssistantChannel, UserChannel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..events import Event
    from ..store import Appends, Parted
    from .layout import Deltas, Layout

PIECES: Final = 200
"""Of sound, that are held where there are no pages of appends."""
MOST: Final = 1000
"""Pieces that are given at a time; a page of the log has fewer."""


class _Page(NamedTuple):
    """Audio by the numbers of the events that carried it, in order."""

    seqs: list[int]
    audio: list[bytes]


def feeding_straight(
    found: Parted, layout: Layout, deltas: Deltas, *channels: UserChannel | AssistantChannel
) -> Iterator[None]:
    """Read all sound into these channels, with a stop after every page."""
    others, appends = found.apart()
    sorting = _Sorting(layout, deltas, channels)
    for page in _pages(others, appends if sorting.user else iter(())):
        yield from sorting.take(page)
    yield from sorting.finish()


def _pages(others: Iterator[Event], appends: Iterator[Appends]) -> Iterator[_Page]:
    """Everything that has audio."""
    sounding = ((event.seq, event.audio) for event in others if event.audio is not None)
    following = next(sounding, None)
    for seqs, _, _, audio in appends:
        page, begin = _Page([], []), 0
        while following is not None and following[0] < seqs[-1]:
            row = bisect_left(seqs, following[0], begin)
            page.seqs.extend((*seqs[begin:row], following[0]))
            page.audio.extend((*audio[begin:row], following[1]))
            begin = row
            if len(page.seqs) >= PIECES and not row:  # nobody speaks, and much is answered
                yield page
                page = _Page([], [])
            following = next(sounding, None)
        page.seqs.extend(seqs[begin:])
        page.audio.extend(audio[begin:])
        yield page
    rest = chain(() if following is None else (following,), sounding)
    while some := list(islice(rest, PIECES)):
        yield _Page(*map(list, zip(*some, strict=True)))


class _Sorting:
    """Gives each piece of sound to its channel."""

    def __init__(
        self, layout: Layout, deltas: Deltas, channels: Sequence[UserChannel | AssistantChannel]
    ) -> None:
        self.user = next((c for c in channels if isinstance(c, UserChannel)), None)
        self._assistant = next((c for c in channels if isinstance(c, AssistantChannel)), None)
        said = layout.clock.seqs if self.user else np.zeros(0, np.int64)
        epochs = layout.epochs if self.user else ()
        sizes = [np.frombuffer(epoch.sizes, np.int64) for epoch in epochs]
        seqs = np.concatenate((said, np.array(deltas.seqs, np.int64)))
        order = np.argsort(seqs, kind="stable")
        self._seqs = seqs[order]
        self._sizes = np.concatenate((*sizes, np.array(deltas.sizes, np.int64)))[order]
        self._spoken = np.flatnonzero(order >= len(said)).tolist()
        """Where among all of them the deltas are."""
        self._items = deltas.items
        self._at = 0
        self._delta = 0

    def take(self, page: _Page) -> Iterator[None]:
        """All that is known up to the last piece of the page."""
        return self._up_to(int(np.searchsorted(self._seqs, page.seqs[-1], side="right")), page)

    def finish(self) -> Iterator[None]:
        """The log is at its end: what is still missing is silence."""
        return self._up_to(len(self._seqs), _Page([], []))

    def _up_to(self, end: int, page: _Page) -> Iterator[None]:
        """Stop after every `MOST`: much may be missing."""
        while self._at < end:
            rows = slice(self._at, min(self._at + MOST, end))
            wanted = self._seqs[rows].tolist()
            if wanted == page.seqs:
                self._give(page.audio)
            else:
                there = dict(zip(*page, strict=True))
                sizes = zip(wanted, self._sizes[rows].tolist(), strict=True)
                self._give([there.get(seq) or bytes(size) for seq, size in sizes])
            yield

    def _give(self, audio: list[bytes]) -> None:
        """The next so many pieces."""
        said: list[bytes] = []
        begin = 0
        end = self._at + len(audio)
        while self._delta < len(self._spoken) and (there := self._spoken[self._delta]) < end:
            row = there - self._at
            said += audio[begin:row]
            if self._assistant is not None:
                self._assistant.add(self._items[self._delta], audio[row])
            begin = row + 1
            self._delta += 1
        said += audio[begin:]
        self._at = end
        if self.user is not None:
            self.user.append(said)

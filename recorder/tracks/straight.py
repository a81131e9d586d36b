"""Sound straight into its channels: the layout knows what each event carries.

Laws:

1. No message is decoded a second time: the number of an event says whose sound it carries
   (`Layout.deltas`, and `Layout.clock` for the appends).
2. What the layout knows and the log has not any more, because it was erased meanwhile, is silence
   of the same length. What it does not know, because it was recorded since, is left out.
3. A page at a time is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..store import Sound
from .channels import AssistantChannel, UserChannel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..store import Parted
    from .layout import Deltas, Layout

MOST: Final = 1000
"""Pieces that are given at a time; a page of the log has fewer."""


def feeding_straight(
    found: Parted, layout: Layout, deltas: Deltas, *channels: UserChannel | AssistantChannel
) -> Iterator[None]:
    """Read all sound into these channels, with a stop after every page."""
    sorting = _Sorting(layout, deltas, channels)
    for page in found.sound():
        yield from sorting.take(page)
    yield from sorting.finish()


class _Sorting:
    """Gives each piece of sound to its channel."""

    def __init__(
        self, layout: Layout, deltas: Deltas, channels: Sequence[UserChannel | AssistantChannel]
    ) -> None:
        self._user = next((c for c in channels if isinstance(c, UserChannel)), None)
        self._assistant = next((c for c in channels if isinstance(c, AssistantChannel)), None)
        said = layout.clock.seqs
        sizes = [np.frombuffer(epoch.sizes, np.int64) for epoch in layout.epochs]
        seqs = np.concatenate((said, np.array(deltas.seqs, np.int64)))
        order = np.argsort(seqs, kind="stable")
        self._seqs = seqs[order]
        self._sizes = np.concatenate((*sizes, np.array(deltas.sizes, np.int64)))[order]
        self._spoken = np.flatnonzero(order >= len(said)).tolist()
        """Where among all of them the deltas are."""
        self._items = deltas.items
        self._at = 0
        self._delta = 0

    def take(self, page: Sound) -> Iterator[None]:
        """All that is known up to the last piece of the page."""
        return self._up_to(int(np.searchsorted(self._seqs, page.seqs[-1], side="right")), page)

    def finish(self) -> Iterator[None]:
        """The log is at its end: what is still missing is silence."""
        return self._up_to(len(self._seqs), Sound([], []))

    def _up_to(self, end: int, page: Sound) -> Iterator[None]:
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
        if self._user is not None:
            self._user.append(said)

"""How fast appended audio goes out: by its own clock.

A microphone brings a chunk when the chunk's last sample was spoken. Networks and schedulers only
ever make it later, never earlier, so the true clock is the lower envelope of arrival minus
position (metrics.md §1); what lies above it is jitter and is not repeated. Where the envelope
rises for good, the caller paused: that is repeated.

Laws:

1. Within a stretch each chunk comes its own length after the one before it, never sooner.
2. A stretch begins where the recording says it did: at a pause, or after a commit.
3. A file that was sent faster than it lasts is spoken at the speed of speech.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING, Final

from .nouns import MS, SECOND

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

HORIZON_NS: Final = SECOND
"""How long a chunk that is late may take to be caught up with before it counts as a pause."""

CLOSED_NS: Final = 40 * MS
"""The shortest pause that is one, and no drift between the clocks of sender and recorder."""


def starts_of(times: Sequence[int], ends: Sequence[int], breaks: Collection[int]) -> array[int]:
    """1 for each chunk with which a stretch begins: the first, after a break, after a pause."""
    found = array("b", bytes(len(times)))
    for row in range(len(times)):
        length = ends[row] - (ends[row - 1] if row else 0)
        paused = row and times[row] - times[row - 1] > HORIZON_NS + length
        found[row] = 1 if not row or row in breaks or paused else 0
    return found


def rests_of(times: Sequence[int], ends: Sequence[int], starts: Sequence[int]) -> array[int]:
    """When each chunk is due on the recording's clock, if the one before did not forbid it.

    For the first of a stretch its own time; for the others the lower envelope of what follows
    within `HORIZON_NS`, in the same stretch.
    """
    found = array("q", bytes(8 * len(times)))
    window: deque[int] = deque()
    ahead = 0
    for row in range(len(times)):
        if starts[row]:
            window.clear()
            ahead = row
        while ahead < len(times) and times[ahead] - times[row] <= HORIZON_NS:
            if starts[ahead] and ahead > row:
                break
            while window and times[window[-1]] - ends[window[-1]] >= times[ahead] - ends[ahead]:
                window.pop()
            window.append(ahead)
            ahead += 1
        while window and window[0] < row:
            window.popleft()
        low = window[0] if window else row
        found[row] = times[row] if starts[row] else times[low] - ends[low] + ends[row]
    return found


def pauses_of(times: Sequence[int], ends: Sequence[int], breaks: Collection[int]) -> array[int]:
    """1 for each chunk before which nothing was sent for a while, or what was said ended."""
    starts = starts_of(times, ends, breaks)
    rests = rests_of(times, ends, starts)
    found = array("b", starts)
    for row in range(1, len(times)):
        if rests[row] - rests[row - 1] > ends[row] - ends[row - 1] + CLOSED_NS:
            found[row] = 1
    return found

"""The tracks on the session's clock, as streams of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..audio.formats import SECOND
from ..projections.base import Together
from ..projections.model import reckoned
from ..store import Parted
from .channels import AssistantChannel, UserChannel
from .straight import feeding_straight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..audio.codecs import Samples
    from ..audio.placing import Placer
    from .layout import EventSource, Layout

AHEAD_NS: Final = 60 * SECOND
"""Sound that lies later than its arrival by more than this is not waited for in memory."""


def user(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """The user's whole input on the session's clock, in blocks of a second."""
    channel = UserChannel(layout, rate)
    return _one(channel, _feeding(events, layout, channel))


def assistant(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """The assistant on the session's clock, in blocks of a second."""
    channel = AssistantChannel(layout, rate)
    return _one(channel, _feeding(events, layout, channel))


def _feeding(
    events: EventSource, layout: Layout, *channels: UserChannel | AssistantChannel
) -> Iterator[None]:
    """Read the log with its audio into these channels, with a stop after every few events."""
    found = events(True)
    if layout.deltas is not None and isinstance(found, Parted):
        yield from feeding_straight(found, layout, layout.deltas, *channels)
    else:
        yield from Together(*channels).feeding(found)


def _one(channel: UserChannel | AssistantChannel, feeding: Iterator[None]) -> Iterator[Samples]:
    placer = channel.placer
    for _ in feeding:
        yield from _full(placer)
    channel.finish()
    yield from _full(placer)
    if placer.available:
        yield placer.take(placer.available)


def _full(placer: Placer) -> Iterator[Samples]:
    while placer.available >= placer.rate:
        yield placer.take(placer.rate)


def stereo(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """User left, assistant right, on one clock: blocks of shape (samples, 2)."""
    if ahead(layout) > AHEAD_NS:
        yield from _side_by_side(events, layout, rate)
        return
    left, right = UserChannel(layout, rate), AssistantChannel(layout, rate)
    for _ in _feeding(events, layout, left, right):
        while min(left.placer.available, right.placer.available) >= rate:
            yield _both(left.placer, right.placer, rate)
    left.finish()
    right.finish()
    while size := min(max(left.placer.available, right.placer.available), rate):
        yield _both(left.placer, right.placer, size)


def _both(left: Placer, right: Placer, size: int) -> Samples:
    block = np.empty((size, 2), np.int16)
    left.take_into(block[:, 0])
    right.take_into(block[:, 1])
    return block


def ahead(layout: Layout) -> int:
    """By how much sound lies later than its arrival: so much would have to be kept meanwhile.

    A file that is sent at once, a player that has an hour in its queue.
    """
    clock = layout.clock
    ahead = [
        anchor.end_ns + anchor.offset_ns - int(clock.times[anchor.last - 1])
        for anchor in clock.anchors
    ]
    ahead += [
        item.end_ns - reckoned(item.arrived_ns) for item in layout.playback.items if item.end_ns
    ]
    ahead += [
        found.start_ns + found.audio.form.ns(found.audio.samples) - found.audio.at.at_ns
        for found in layout.inside
        if found.start_ns is not None
    ]
    return max(ahead, default=0)


def _side_by_side(events: EventSource, layout: Layout, rate: int) -> Iterator[Samples]:
    """The same from two readers, each at its own place in the log, so that neither waits."""
    sides = (user(events, layout, rate), assistant(events, layout, rate))
    while True:
        pair = [next(side, None) for side in sides]
        size = max((len(block) for block in pair if block is not None), default=0)
        if not size:
            return
        both = np.zeros((size, 2), np.int16)
        for column, block in enumerate(pair):
            if block is not None:
                both[: len(block), column] = block
        yield both


TRACKS: Final = {"user": (user, 1), "assistant": (assistant, 1), "stereo": (stereo, 2)}
"""Tracks by name: what streams them, and how many channels they have."""


def clip(blocks: Iterable[Samples], rate: int, start_ns: int, end_ns: int) -> Iterator[Samples]:
    """The part of a track between two times."""
    first = max(0, start_ns) * rate // SECOND
    last = max(0, end_ns) * rate // SECOND
    position = 0
    for block in blocks:
        if position >= last:
            return
        piece = block[max(0, first - position) : max(0, last - position)]
        if len(piece):
            yield piece
        position += len(block)

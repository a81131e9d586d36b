"""The sound of several sessions of one call on the call's clock, streamed.

Laws:

1. Each session's track stands where `projections.joining` places the session; between them is
   silence. Positions are counted in samples from the call's start, so nothing adds up.
2. Where two sessions sound at the same time both are heard: samples are added, and held within 16
   bits.
3. One block of each session that sounds is held, whatever the length of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..audio.formats import SECOND
from .streaming import TRACKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..audio.codecs import Samples
    from .layout import EventSource, Layout

MOST_SILENCE_NS: Final = 24 * 3600 * SECOND
"""A pause between two sessions that is longer than this is not written out as silence."""


class Part(NamedTuple):
    """One session's share of a call."""

    events: EventSource
    layout: Layout
    start_ns: int
    """Its open on the call's clock."""


def call_track(name: str, parts: Sequence[Part], rate: int) -> Iterator[Samples]:
    """A track of `TRACKS` over all parts, in blocks of at most a second."""
    make, channels = TRACKS[name]
    tracks = [
        _Track(
            (2 * part.start_ns * rate + SECOND) // (2 * SECOND),
            make(part.events, part.layout, rate),
        )
        for part in sorted(parts, key=lambda part: part.start_ns)
    ]
    return _mixed(tracks, rate, () if channels == 1 else (channels,))


class _Track:
    """One session's track, to be taken in pieces of any length."""

    def __init__(self, start: int, blocks: Iterator[Samples]) -> None:
        self.start = start
        self._blocks = blocks
        self._left: Samples = np.empty(0, np.int16)

    def take(self, size: int) -> Samples | None:
        """At most so many of the next samples; None when there are no more."""
        while not len(self._left):
            block = next(self._blocks, None)
            if block is None:
                return None
            self._left = block
        piece, self._left = self._left[:size], self._left[size:]
        return piece


def _mixed(waiting: list[_Track], rate: int, columns: tuple[int, ...]) -> Iterator[Samples]:
    position, sounding = 0, list[_Track]()
    while waiting or sounding:
        while waiting and waiting[0].start <= position:
            sounding.append(waiting.pop(0))
        size = min(rate, waiting[0].start - position) if waiting else rate
        found = [_filled(track, size) for track in sounding]
        sounding = [track for track, pieces in zip(sounding, found, strict=True) if pieces]
        length = max((sum(map(len, pieces)) for pieces in found), default=0)
        length = size if waiting else length
        if length:
            yield _sum(found, (length, *columns))
        position += length


def _filled(track: _Track, size: int) -> list[Samples]:
    """So many samples of it, in pieces; fewer only at its end."""
    pieces: list[Samples] = []
    while size and (piece := track.take(size)) is not None:
        pieces.append(piece)
        size -= len(piece)
    return pieces


def _sum(found: list[list[Samples]], shape: tuple[int, ...]) -> Samples:
    if len(found) == 1 and len(found[0]) == 1 and len(found[0][0]) == shape[0]:
        return found[0][0]
    total = np.zeros(shape, np.int32)
    for pieces in found:
        begin = 0
        for piece in pieces:
            total[begin : begin + len(piece)] += piece
            begin += len(piece)
    return np.clip(total, -32768, 32767).astype(np.int16)

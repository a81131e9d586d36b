"""Stretches of time on the session's clock, and where they coincide."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model import Played, Speech


class Span(NamedTuple):
    """[start, end)."""

    start_ns: int
    end_ns: int

    @property
    def length(self) -> int:
        return self.end_ns - self.start_ns


class HeardSpan(NamedTuple):
    """A stretch in which an item of the assistant was heard."""

    start_ns: int
    end_ns: int
    item: Played


def heard_spans(items: Iterable[Played]) -> list[HeardSpan]:
    """All stretches of played audio, in order of time."""
    spans = [
        HeardSpan(run.start_ns, run.start_ns + item.format.ns(run.samples), item)
        for item in items
        for run in item.runs
    ]
    return sorted(spans, key=lambda span: span.start_ns)


def speech_spans(speech: Speech) -> list[Span]:
    """When the user spoke: the segments found in the audio, else what the server said."""
    if speech.detector is not None:
        return [Span(s.start_ns, s.end_ns) for s in speech.segments if s.realtime]
    return [
        Span(u.onset.ns, u.end.ns)
        for u in speech.utterances
        if u.onset.ns is not None and u.end.ns is not None and u.end.ns > u.onset.ns
    ]


def _later(first: HeardSpan, second: HeardSpan) -> HeardSpan:
    return second if second.end_ns > first.end_ns else first


class HeardIndex:
    """Finds the heard stretches that a span touches; spans must be asked for in any order."""

    def __init__(self, spans: list[HeardSpan]) -> None:
        self._spans = spans
        self._starts = [span.start_ns for span in spans]
        self._latest: list[HeardSpan] = list(accumulate(spans, _later))
        self._longest = max([span.end_ns - span.start_ns for span in spans], default=0)

    def touching(self, span: Span) -> Iterator[tuple[HeardSpan, int]]:
        """Each stretch that coincides with the span, and for how long."""
        row = bisect_right(self._starts, span.start_ns - self._longest) - 1
        for heard in self._spans[max(row, 0) :]:
            if heard.start_ns >= span.end_ns:
                return
            common = min(heard.end_ns, span.end_ns) - max(heard.start_ns, span.start_ns)
            if common > 0:
                yield heard, common

    def last_before(self, at_ns: int) -> HeardSpan | None:
        """What ended last of all that began before that moment."""
        row = bisect_right(self._starts, at_ns - 1)
        return self._latest[row - 1] if row else None

    def playing(self, at_ns: int) -> HeardSpan | None:
        """What was being heard at that moment."""
        found = self.touching(Span(at_ns, at_ns + 1))
        return next((heard for heard, _ in found), None)

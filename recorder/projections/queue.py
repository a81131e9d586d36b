"""One item's audio in the playback queue: when each sample plays, and where evidence cuts it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ..audio.codecs import Decoder
from ..audio.formats import MS
from ..audio.levels import FirstAudible
from .model import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..audio.formats import AudioFormat

TRUST: Final = {"marked": 0, "buffer": 1, "truncated": 2, "cancelled": 3, "assumed": 4}
"""Kinds of evidence, the most trusted first."""
TOLERANCE_NS: Final = 20 * MS
"""A claim may exceed the model by this much: clients and servers round."""


class Stop(NamedTuple):
    """One piece of evidence that an item's playback stopped."""

    how: str
    at_ns: int
    seq: int
    claim_ms: float | None
    """What the client says was played; None: the model's position at that time."""


@dataclass(slots=True)
class Queued:
    """One item's audio in the queue, as it would play if nothing stopped it."""

    item: str
    response: str
    form: AudioFormat
    size: int = 0
    samples: int = 0
    runs: list[Run] = field(default_factory=list)
    times: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    first_ns: int = 0
    """Arrival of its first audio."""
    first_seq: int = 0
    last_seq: int = 0
    stalls: int = 0
    stalled_ns: int = 0
    stops: list[Stop] = field(default_factory=list)
    told: Stop | None = None
    """What the application said last that it had played of it."""
    dropped: bool = False
    """What arrives now is not queued any more."""
    onset: FirstAudible | None = None
    decoder: Decoder | None = None
    whole: bool = True
    """All its audio could be looked at."""
    reported: bool = False

    def end_ns(self) -> int:
        """When its last sample would be played."""
        return run_end(self.runs[-1], self.form) if self.runs else 0

    def position(self, at_ns: int) -> int:
        """How many of its samples would have been played by then."""
        count = 0
        for run in self.runs:
            if run.start_ns < at_ns:
                passed = (at_ns - run.start_ns) * self.form.rate // 1_000_000_000
                count = run.first_sample + min(passed, run.samples)
        return count


def run_end(run: Run, form: AudioFormat) -> int:
    """When the run's last sample has been played."""
    return run.start_ns + form.ns(run.samples)


def heard_of(queued: Queued, stop: Stop | None) -> tuple[int, list[str]]:
    """Samples that were heard, and whether the claim can be true."""
    if stop is None:
        return sum(run.samples for run in queued.runs), []
    possible = queued.position(stop.at_ns)
    if stop.claim_ms is None:
        return possible, []
    claim = min(queued.form.samples_in(round(stop.claim_ms * MS)), queued.samples)
    beyond = round(stop.claim_ms * MS) - queued.form.ns(possible)
    if beyond > TOLERANCE_NS:
        return possible, ["inconsistent"]
    return claim, []


def cut_at(runs: list[Run], heard: int) -> Iterable[Run]:
    """The runs up to so many samples."""
    for run in runs:
        if run.first_sample < heard:
            samples = min(run.samples, heard - run.first_sample)
            yield Run(run.start_ns, run.first_sample, samples)


def leading_of(queued: Queued, runs: tuple[Run, ...], heard: int) -> tuple[int | None, int | None]:
    """(length of the leading silence, when the first audible sample was played)."""
    if queued.onset is None or not queued.whole:
        return None, None
    first = queued.onset.at_end()
    if first is None:
        return queued.form.ns(queued.samples), None
    leading = queued.form.ns(first)
    if first >= heard:
        return leading, None
    for run in runs:
        if run.first_sample <= first < run.first_sample + run.samples:
            return leading, run.start_ns + queued.form.ns(first - run.first_sample)
    return leading, None

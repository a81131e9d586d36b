"""The difference between two groups of turns, and how far chance alone may have made it.

The interval is a percentile bootstrap that resamples whole calls, not turns: the turns of a call
share a network, a voice and a configuration, so they are not independent of each other. A call
is a call label, or a session without one. The same seed gives the same interval.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .figures import measured, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .groups import Group

RANKS: Final = (50.0, 95.0)
"""The percentiles that are compared."""

LEVEL: Final = 0.95
"""Of the interval."""

MIN_CALLS: Final = 5
"""From fewer calls on either side there is no interval: resampling them says nothing."""

WORK: Final = 20_000_000
"""Turns drawn for one interval at most: many turns are resampled less often."""

FEW: Final = 500
"""Values of a side up to which counting through all of them is faster than looking them up."""

LEAST, MOST = 200, 2000
"""Resamples of an interval."""

CHUNK: Final = 2_000_000
"""Turns drawn at a time: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One percentile here and there. Lengths in milliseconds."""

    metric: str
    stat: str
    here: float | None
    there: float | None
    n_here: int
    n_there: int
    difference: float | None
    """Here minus there: positive is slower here."""
    low: float | None
    high: float | None
    """Of the interval; None where either side has fewer than `MIN_CALLS` calls."""
    resamples: int

    @property
    def clear(self) -> bool:
        """Whether the interval excludes that there is no difference."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Side(NamedTuple):
    """The sorted values of one side, each with the number of its call."""

    values: NDArray[np.float64]
    whole: NDArray[np.intp]
    calls: int


def differences(
    here: Group | None, there: Group | None, metric: str, seed: int
) -> list[Difference]:
    """The metric's percentiles in both groups, for each of `RANKS`."""
    mine, theirs = _side(here, metric), _side(there, metric)
    draws = _draws(mine, theirs)
    spread: NDArray[np.float64] | None = None
    if draws:
        first, second = (
            _resampled(side, draws, _generator(seed, f"{here}|{metric}|{which}"))
            for which, side in enumerate((mine, theirs))
        )
        edges = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
        spread = np.percentile(first - second, edges, axis=0)
    return [
        _difference(metric, rank, mine, theirs, None if spread is None else spread[:, place], draws)
        for place, rank in enumerate(RANKS)
    ]


def _difference(
    metric: str,
    rank: float,
    mine: Side,
    theirs: Side,
    edges: NDArray[np.float64] | None,
    draws: int,
) -> Difference:
    one = percentile(mine.values, rank)
    other = percentile(theirs.values, rank)
    return Difference(
        metric=metric,
        stat=f"p{rank:g}",
        here=one,
        there=other,
        n_here=len(mine.values),
        n_there=len(theirs.values),
        difference=None if one is None or other is None else one - other,
        low=None if edges is None else float(edges[0]),
        high=None if edges is None else float(edges[1]),
        resamples=draws,
    )


def _side(group: Group | None, metric: str) -> Side:
    if group is None:
        return Side(np.empty(0), np.empty(0, dtype=np.intp), 0)
    counted, turns = measured(group, metric), group.turns
    order = np.argsort(counted.values, kind="stable")
    calls = turns.calls[turns.source[group.index[counted.there][order]]]
    there, whole = np.unique(calls, return_inverse=True)
    return Side(counted.values[order], whole, len(there))


def _draws(mine: Side, theirs: Side) -> int:
    """How often to resample; 0 where that would say nothing."""
    if min(mine.calls, theirs.calls) < MIN_CALLS:
        return 0
    return max(LEAST, min(MOST, WORK // max(len(mine.values), len(theirs.values))))


def _generator(seed: int, what: str) -> np.random.Generator:
    """Of each comparison its own, so that it does not depend on what else is compared."""
    return np.random.default_rng([seed, zlib.crc32(what.encode("utf-8", "replace"))])


def _resampled(side: Side, draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """A row of percentiles for each resample."""
    return np.concatenate(list(_chunks(side, draws, generator)))


def _chunks(
    side: Side, draws: int, generator: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Each call counts as often as it was drawn: its turns' weights, and percentiles by weight."""
    shares = np.full(side.calls, 1 / side.calls)
    step = max(1, CHUNK // len(side.values))
    for start in range(0, draws, step):
        counts = generator.multinomial(side.calls, shares, size=min(step, draws - start))
        reached = np.cumsum(counts[:, side.whole], axis=1)
        yield np.stack([_weighted(side.values, reached, rank) for rank in RANKS], axis=1)


def _weighted(
    values: NDArray[np.float64], reached: NDArray[np.int64], rank: float
) -> NDArray[np.float64]:
    """numpy's percentile of the values, each repeated as often as its weight says.

    `reached` are the weights added up along each row.
    """
    place = (reached[:, -1] - 1) * (rank / 100)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, reached[:, -1] - 1)
    low, high = values[_nth(reached, below)], values[_nth(reached, above)]
    found: NDArray[np.float64] = low + (high - low) * (place - below)
    return found


def _nth(reached: NDArray[np.int64], nth: NDArray[np.int64]) -> NDArray[np.intp]:
    """Which value is the nth (from 0) of each row, where each stands there repeatedly."""
    if reached.shape[1] <= FEW:
        return np.asarray((reached <= nth[:, None]).sum(axis=1), dtype=np.intp)
    found = [np.searchsorted(row, n, side="right") for row, n in zip(reached, nth, strict=True)]
    return np.array(found, dtype=np.intp)

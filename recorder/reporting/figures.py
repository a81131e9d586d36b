"""One metric of one group of turns in a few numbers.

Laws:

1. Percentiles are by linear interpolation between closest ranks, numpy's default.
2. N/A is never 0: a figure without a value is None, and every turn that has no part in it is
   counted under the reason why. Turns are n plus what was left out.
3. Joins under 50 ms are left out and counted: they are nearly always joined to the wrong turn.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import UsageError
from ..projections.metrics import JOINED, METRICS, QUALITIES, SUSPECT_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .groups import Group

METHOD: Final = "linear interpolation between closest ranks"
HEADLINE: Final = "v2v_audible"
NAMES: Final = (*METRICS, *QUALITIES)
"""Every metric that can be asked for."""

USUAL: Final = (
    "v2v_audible", "v2v_wire", "time_to_answer", "commit_to_audio", "create_to_audio",
    "endpointing", "tool_exec", "overlap",
)  # fmt: skip
"""What a report shows where nobody names a metric; those without any value are not shown."""

SUSPECT_MS: Final = SUSPECT_NS / 1e6
UNDER: Final = f"under_{SUSPECT_MS:.0f}_ms"
"""The reason why a suspect value is left out."""


class Measured(NamedTuple):
    """The values of a metric that count, and which turns of the group have them."""

    values: NDArray[np.float64]
    there: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    """Which have none at all; the others are suspect."""


class Worst(NamedTuple):
    """The turn with the largest value: the evidence to look at first."""

    session: str
    turn: int
    ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One row of a report. Lengths in milliseconds."""

    metric: str
    turns: int
    calls: int
    """Calls, and sessions that belong to none."""
    n: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None
    left_out: Mapping[str, int]
    """How many turns by reason."""
    labels: Mapping[str, int]
    """How many values were `measured`, `estimated`, `reported`."""
    unanswered: int
    failed: int
    worst: Worst | None


def check_metric(name: str) -> str:
    """The name, if it is one. Raises `UsageError`."""
    if name not in NAMES:
        from difflib import get_close_matches

        near = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(NAMES)}"
        raise UsageError(f"{name!r} is no metric; {hint}")
    return name


def measured(group: Group, metric: str) -> Measured:
    """The values that percentiles are made of."""
    values = group.turns.values[metric][group.index]
    missing = np.isnan(values)
    there = values >= SUSPECT_MS if metric in JOINED else ~missing
    return Measured(values[there], there, missing)


def percentile(ordered: NDArray[np.float64], rank: float) -> float | None:
    """One percentile of sorted values; None of nothing.

    The same to the last bit as numpy's, which takes a hundred times as long to say it of few.
    """
    if not len(ordered):
        return None
    place = (len(ordered) - 1) * (rank / 100)
    below = min(int(place), len(ordered) - 1)
    part, low = place - below, float(ordered[below])
    high = float(ordered[min(below + 1, len(ordered) - 1)])
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)


def status_count(group: Group, status: str) -> int:
    """How many turns ended so."""
    numbers, words = group.turns.status
    return _counted(numbers[group.turns.told[group.index]], words)[status]


def calls_of(group: Group) -> int:
    """How many calls, or sessions of none, the turns come from."""
    calls = group.turns.calls[group.turns.source[group.index]]
    return int(np.count_nonzero(np.bincount(calls)))


def figures(group: Group, metrics: Sequence[str]) -> list[Figures]:
    """The row of each metric for this group."""
    whole = {
        "turns": len(group.index),
        "calls": calls_of(group),
        "unanswered": status_count(group, "unanswered"),
        "failed": status_count(group, "failed"),
    }
    told = group.turns.told[group.index]
    return [_figures(group, metric, told, whole) for metric in metrics]


def _figures(
    group: Group, metric: str, told: NDArray[np.intp], whole: Mapping[str, int]
) -> Figures:
    counted = measured(group, metric)
    values = counted.values
    ordered = np.sort(values)
    numbers, words = group.turns.said[metric]
    said = numbers[told]
    left_out = _counted(said[counted.missing], words)
    if suspect := len(told) - len(values) - left_out.total():
        left_out[UNDER] = suspect
    return Figures(
        metric=metric,
        n=len(values),
        mean=float(values.mean()) if len(values) else None,
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        max=float(ordered[-1]) if len(values) else None,
        left_out=dict(left_out.most_common()),
        labels=dict(_counted(said[counted.there], words).most_common()),
        worst=_worst(group, counted),
        **whole,
    )


def _counted(said: NDArray[np.intp], words: Sequence[str]) -> Counter[str]:
    """How often each word is said, where its number stands for it."""
    counts = np.bincount(said, minlength=len(words)).tolist()
    return Counter({word: count for word, count in zip(words, counts, strict=True) if count})


def _worst(group: Group, counted: Measured) -> Worst | None:
    if not len(counted.values):
        return None
    place, turns = int(counted.values.argmax()), group.turns
    turn = group.index[counted.there][place]
    session = turns.sources.ids[turns.source[turn]]
    return Worst(session, int(turns.turn[turn]), float(counted.values[place]))

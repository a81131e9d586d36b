"""Two groups of values by turn: medians, their difference, and whether chance could have made it.

The interval is that of `reporting.differences`: it resamples whole calls. Turns are paired by
taking from each value the middle of its turn, which lies half-way between the medians of both
groups: so what is left of a slow turn is only how much slower it was in one group than in the
other, however often either group has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..projections.metrics import JOINED, SUSPECT_NS
from ..reporting.differences import LEVEL, MIN_CALLS, differences
from ..reporting.gates import UNTOLD, shown
from ..reporting.groups import Group, Label
from ..reporting.turns import Sources, Told, Turns
from .nouns import GroupMeasure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..reporting.differences import Difference

MORE, NO_MORE = "more than chance", "no more than chance"

_PAIRED: Final = "paired"
"""The column of values less the middle of their turn."""


WHOLE: Final = 0
"""In place of a turn: the value is one of a whole session."""


class Sample(NamedTuple):
    """One value of one side."""

    call: str
    """What is resampled: values of one call go together."""
    turn: int
    value: float


def suspect(name: str, value: float) -> bool:
    """Whether a length is nearly always one that was joined to the wrong turn."""
    return name in JOINED and value < SUSPECT_NS / 1e6


def measured(
    name: str, unit: str, a: Sequence[Sample], b: Sequence[Sample], seed: int, where: str = ""
) -> GroupMeasure:
    """The number in both groups, of the turns that both have.

    `where` says which turn it is of; empty: of all, by turn. The turn of a value that is one of a
    whole session is `WHOLE`.
    """
    both = {each.turn for each in a} & {each.turn for each in b}
    one = [each for each in a if each.turn in both]
    two = [each for each in b if each.turn in both]
    middle = _middles(one, two)
    label = f"{name} {where}"
    groups = _group(two, middle, label), _group(one, middle, label)
    change = differences(*groups, _PAIRED, seed)[0]
    calls = len({each.call for each in one}), len({each.call for each in two})
    medians = _median(one), _median(two)
    verdict = UNTOLD if change.low is None else MORE if change.clear else NO_MORE
    found = GroupMeasure(
        name=name,
        unit=unit,
        a=medians[0],
        b=medians[1],
        n_a=len(one),
        n_b=len(two),
        calls_a=calls[0],
        calls_b=calls[1],
        difference=_rounded(change.difference),
        low=_rounded(change.low),
        high=_rounded(change.high),
        resamples=change.resamples,
        verdict=verdict,
        sentence=_sentence(name, unit, _by(both, where), calls, change),
    )
    return found


def _by(turns: set[int], where: str) -> str:
    if turns == {WHOLE}:
        return "by session"
    return f"in {where}" if where else "by turn"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _median(samples: Sequence[Sample]) -> float | None:
    return float(np.median([each.value for each in samples])) if samples else None


def _middles(a: Sequence[Sample], b: Sequence[Sample]) -> dict[int, float]:
    """Of each turn, half-way between the medians of both groups."""
    mine, yours = _medians(a), _medians(b)
    return {turn: (mine[turn] + yours[turn]) / 2 for turn in mine}


def _medians(samples: Sequence[Sample]) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for each in samples:
        values.setdefault(each.turn, []).append(each.value)
    return {turn: float(np.median(found)) for turn, found in values.items()}


def _group(samples: Sequence[Sample], middle: dict[int, float], label: str) -> Group:
    """The samples as a report's turns."""
    calls = list(dict.fromkeys(each.call for each in samples))
    place = {call: number for number, call in enumerate(calls)}
    empty = [""] * len(calls)
    values = np.array([each.value - middle[each.turn] for each in samples], dtype=np.float64)
    none = np.zeros(len(samples), dtype=np.intp)
    turns = Turns(
        sources=Sources(calls, [0] * len(calls), empty, empty, empty, [()] * len(calls)),
        source=np.array([place[each.call] for each in samples], dtype=np.intp),
        turn=np.array([each.turn for each in samples], dtype=np.float64),
        start_ns=np.zeros(len(samples)),
        values={_PAIRED: values},
        told=none,
        kinds=[Told("", "", {})],
    )
    return Group((Label("", label),), turns, np.arange(len(samples), dtype=np.intp))


def _sentence(
    name: str,
    unit: str,
    by: str,
    calls: tuple[int, int],
    change: Difference,
) -> str:
    if change.difference is None:
        return f"{name}: could not tell: there is no turn in which both have a value."
    counts = f"{calls[0]} and {calls[1]} calls"
    told = f"{name}: {_change(change.difference, unit)} {by}"
    if change.low is None or change.high is None:
        least = f"at least {MIN_CALLS} on each side are needed"
        return f"{told}; could not tell whether that is more than chance: {counts}, {least}."
    edges = f"{_signed(change.low, unit)} to {_signed(change.high, unit)}"
    how = f"{LEVEL * 100:g} % interval {edges}, {counts}"
    what = "this is more than chance" if change.clear else "chance alone may have made this"
    return f"{told}: {what} ({how})."


def _change(value: float, unit: str) -> str:
    if not value:
        return "no difference"
    longer, shorter = ("longer", "shorter") if unit else ("more", "fewer")
    return f"{shown(abs(value), unit)} {longer if value > 0 else shorter} in B"


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value >= 0 else chr(0x2212)}{shown(abs(round(value, 3)), unit)}"

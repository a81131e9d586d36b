"""Which turn of one session belongs to which of the other.

Turns of one kind (the user's, a greeting, an idle timeout) can be paired, and no others. The
pairing that says most is taken: turns in which the user said much the same weigh most, those of
which nothing tells less, and those in which the user said something else least; so a turn that
one side has more is left out, and what is reworded stays together by order.

Laws:

1. Pairs never cross: both sides keep their order.
2. Seen from the other side the pairs are the same.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .wording import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .nouns import SideTurn

    Pair: TypeAlias = tuple[int | None, int | None]

MOST: Final = 1_000_000
"""Turns of one side times turns of the other, beyond which turns are paired by order alone."""

ALIKE, UNTOLD, OTHER, TRIGGER = 1000, 600, 50, 20
"""What pairs weigh: the same words; nothing known on either side; other words; and what is added
where the trigger is the same."""
HALF_TOLD: Final = 200
"""Known on one side only."""


class Feature(NamedTuple):
    """What a turn is paired by."""

    kind: str
    trigger: str
    words: tuple[str, ...] | None


def aligned(a: Sequence[SideTurn], b: Sequence[SideTurn]) -> list[Pair]:
    """Places of turns that belong together, in order; None where a turn has no counterpart."""
    mine, yours = [_feature(turn) for turn in a], [_feature(turn) for turn in b]
    if _order(mine) > _order(yours):
        return _sorted([(one, two) for two, one in _aligned(yours, mine)])
    return _sorted(_aligned(mine, yours))


def _feature(turn: SideTurn) -> Feature:
    words = None if turn.user is None else tuple(word.key for word in words_of(turn.user))
    return Feature(turn.kind, turn.trigger, words)


def _order(features: Sequence[Feature]) -> list[tuple[str, str, bool, tuple[str, ...]]]:
    return [(each.kind, each.trigger, each.words is None, each.words or ()) for each in features]


def _sorted(pairs: list[tuple[int, int]] | list[Pair]) -> list[Pair]:
    """Between two pairs, what only a has before what only b has."""
    found: list[Pair] = []
    gap: list[Pair] = []
    for pair in pairs:
        if None in pair:
            gap.append(pair)
            continue
        found += [*sorted(gap, key=lambda each: each[0] is None), pair]
        gap = []
    return [*found, *sorted(gap, key=lambda each: each[0] is None)]


def _aligned(a: Sequence[Feature], b: Sequence[Feature]) -> list[Pair]:
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    ends = len(a) - tail, len(b) - tail
    between = _best(a[head : ends[0]], b[head : ends[1]])
    pairs: list[Pair] = [(place, place) for place in range(head)]
    pairs += [(None if i is None else head + i, None if j is None else head + j)
              for i, j in between]  # fmt: skip
    return pairs + [(ends[0] + place, ends[1] + place) for place in range(tail)]


def _common(a: Sequence[Feature], b: Sequence[Feature]) -> int:
    """How many turns both begin with."""
    count = 0
    for one, two in zip(a, b, strict=False):
        if one != two:
            break
        count += 1
    return count


def _best(a: Sequence[Feature], b: Sequence[Feature]) -> list[Pair]:
    """The heaviest pairing, by dynamic programming from the end."""
    if len(a) * len(b) > MOST:
        return _by_order(a, b)
    left = [Counter(each.words or ()) for each in a]
    right = [Counter(each.words or ()) for each in b]
    weights = [
        [_weight(one, two, left[i], right[j]) for j, two in enumerate(b)] for i, one in enumerate(a)
    ]
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        row, below = table[i], table[i + 1]
        for j in reversed(range(len(b))):
            paired = weights[i][j] + below[j + 1] if weights[i][j] else 0
            row[j] = max(paired, below[j], row[j + 1])
    return _traced(table, weights)


def _traced(table: list[list[int]], weights: list[list[int]]) -> list[Pair]:
    pairs: list[Pair] = []
    i = j = 0
    while i < len(table) - 1 and j < len(table[0]) - 1:
        if weights[i][j] and table[i][j] == weights[i][j] + table[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif table[i][j] == table[i + 1][j]:
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    pairs += [(place, None) for place in range(i, len(table) - 1)]
    return pairs + [(None, place) for place in range(j, len(table[0]) - 1)]


def _weight(a: Feature, b: Feature, left: Counter[str], right: Counter[str]) -> int:
    """How much speaks for the pair; 0: it cannot be one."""
    if a.kind != b.kind:
        return 0
    more = TRIGGER if a.trigger == b.trigger else 0
    if a.words is None or b.words is None:
        return more + (UNTOLD if a.words == b.words else HALF_TOLD)
    total = left.total() + right.total()
    if not total:
        return more + UNTOLD
    return more + max(OTHER, 2 * ALIKE * (left & right).total() // total)


def _by_order(a: Sequence[Feature], b: Sequence[Feature]) -> list[Pair]:
    """Of so many turns: each with the next of its kind."""
    pairs: list[Pair] = []
    j = 0
    for i, one in enumerate(a):
        k = next((k for k in range(j, len(b)) if b[k].kind == one.kind), None)
        if k is None:
            pairs.append((i, None))
            continue
        pairs += [(None, place) for place in range(j, k)]
        pairs.append((i, k))
        j = k + 1
    return pairs + [(None, place) for place in range(j, len(b))]

"""Turns put into groups: by model, day, tag, call, configuration, or several of these.

A session with several tags is in the group of each, so groups by tag may overlap. What has no
tag, call, model or configuration is in a group of its own, whose label is empty.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import UsageError
from ..selecting.times import local
from .turns import numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from numpy.typing import NDArray

    from .turns import Turns

    Index = NDArray[np.intp]

QUARTER_NS: Final = 900_000_000_000
"""Time zones differ by whole quarters of an hour: within one, every turn has the same date."""


class Label(NamedTuple):
    """What a group has in common."""

    by: str
    name: str
    """Empty: nothing was said."""
    beside: tuple[str, ...] = ()
    """The models that were asked for instead of it; what a fingerprint stands for."""

    def __str__(self) -> str:
        return f"{self.by} {self.name}" if self.name else f"no {self.by}"


@dataclass(frozen=True, slots=True)
class Group:
    """Some of the turns, and what they have in common."""

    labels: tuple[Label, ...]
    turns: Turns
    index: Index
    """Where they stand in the columns."""

    @property
    def key(self) -> tuple[str, ...]:
        """By which the same group of another selection is found."""
        return tuple(label.name for label in self.labels)

    def __str__(self) -> str:
        return ", ".join(map(str, self.labels)) or "all turns"


class Coded(NamedTuple):
    """One label for each of some turns. A turn may be among them several times."""

    places: Index
    codes: Index
    names: list[str]


def parse_by(words: str) -> tuple[str, ...]:
    """The dimensions in `model,day`. Raises `UsageError`."""
    found = tuple(word.strip() for word in words.split(",") if word.strip())
    for word in found:
        if word not in DIMENSIONS:
            raise UsageError(f"{word!r} is nothing to group by; one of {', '.join(DIMENSIONS)}")
    return tuple(dict.fromkeys(found))


def grouped(turns: Turns, by: Sequence[str], zone: tzinfo | None = None) -> list[Group]:
    """The groups, sorted by their labels; without dimensions one group of all turns.

    `zone` is that of the days; None is the machine's own.
    """
    index: Index = np.arange(len(turns), dtype=np.intp)
    if not by:
        return [Group((), turns, index)]
    if not len(turns):
        return []
    keys: Index = np.zeros(len(turns), dtype=np.intp)
    names: list[list[str]] = []
    for dimension in by:
        coded = DIMENSIONS[dimension](turns, index, zone)
        keys = keys[coded.places] * len(coded.names) + coded.codes
        index = index[coded.places]
        names.append(coded.names)
    return sorted(_split(turns, by, names, keys, index), key=lambda group: group.key)


def _split(
    turns: Turns, by: Sequence[str], names: list[list[str]], keys: Index, index: Index
) -> Iterator[Group]:
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, members in zip(found, np.split(index[order], starts[1:]), strict=True):
        labels, rest = [], int(key)
        for dimension, each in zip(reversed(by), reversed(names), strict=True):
            rest, place = divmod(rest, len(each))
            labels.append(Label(dimension, each[place], _beside(dimension, each[place], turns)))
        labels.reverse()
        yield Group(tuple(_with_asked(label, turns, members) for label in labels), turns, members)


def _beside(by: str, name: str, turns: Turns) -> tuple[str, ...]:
    says = turns.configurations.get(name) if by == "configuration" else None
    return (says,) if says else ()


def _with_asked(label: Label, turns: Turns, members: Index) -> Label:
    """The model with those that were asked for instead of it, the most frequent first."""
    if label.by != "model":
        return label
    there = np.flatnonzero(np.bincount(turns.source[members])).tolist()
    asked = Counter(turns.sources.asked[place] for place in there)
    others = tuple(name for name, _ in asked.most_common() if name not in ("", label.name))
    return label._replace(beside=others)


# ---- the dimensions


def _by_source(names_of: Callable[[Turns], Sequence[str]]) -> Callable[..., Coded]:
    """One label for all turns of a session."""

    def coded(turns: Turns, index: Index, _zone: tzinfo | None) -> Coded:
        codes, names = numbered(names_of(turns))
        return Coded(_all(index), codes[turns.source[index]], names)

    return coded


def _days(turns: Turns, index: Index, zone: tzinfo | None) -> Coded:
    """The day on which each turn began: a call may go past midnight."""
    opened = np.array(turns.sources.walls, dtype=np.int64)
    wall = opened[turns.source[index]] + turns.start_ns[index].astype(np.int64)
    quarters, where = np.unique(wall // QUARTER_NS, return_inverse=True)
    dates = [local(int(each) * QUARTER_NS, zone).date().isoformat() for each in quarters]
    codes, names = numbered(dates)
    return Coded(_all(index), codes[where], names)


def _configurations(turns: Turns, index: Index, _zone: tzinfo | None) -> Coded:
    codes, names = numbered([kind.configuration for kind in turns.kinds])
    return Coded(_all(index), codes[turns.told[index]], names)


def _tags(turns: Turns, index: Index, _zone: tzinfo | None) -> Coded:
    """Each turn once for each tag of its session."""
    tags = [each or ("",) for each in turns.sources.tags]
    codes, names = numbered([tag for each in tags for tag in each])
    counts = np.array([len(each) for each in tags], dtype=np.intp)
    firsts = np.cumsum(counts) - counts
    source = turns.source[index]
    again = np.repeat(_all(index), counts[source])
    begins = np.cumsum(counts[source]) - counts[source]
    nth = _all(again) - np.repeat(begins, counts[source])
    return Coded(again, codes[firsts[source[again]] + nth], names)


def _all(index: Index) -> Index:
    return np.arange(len(index), dtype=np.intp)


DIMENSIONS: Final[dict[str, Callable[[Turns, Index, tzinfo | None], Coded]]] = {
    "model": _by_source(lambda turns: turns.sources.models),
    "day": _days,
    "tag": _tags,
    "call": _by_source(lambda turns: turns.sources.calls),
    "configuration": _configurations,
}
"""What turns can be grouped by. To add one: a function, and a row."""

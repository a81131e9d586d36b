"""All turns of many sessions at once, as columns of numbers instead of objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Numbered: TypeAlias = tuple[NDArray[np.intp], list[str]]
    """Numbers that stand for words, and the words."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sources:
    """What a report knows of the sessions, in columns too."""

    ids: Sequence[str]
    walls: Sequence[int]
    """When each was opened: nanoseconds since 1970."""
    models: Sequence[str]
    """The effective one: as the server stated it, else as it was asked for."""
    asked: Sequence[str]
    calls: Sequence[str]
    tags: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)


class Told(NamedTuple):
    """What is said of a turn besides its numbers. Many turns share one."""

    status: str
    configuration: str
    """The fingerprint."""
    said: Mapping[str, str]
    """Of each metric: the label of its value, or the reason why there is none."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Turns in columns; the same place in each is the same turn."""

    sources: Sources
    source: NDArray[np.intp]
    """Which of the sources it is a turn of."""
    turn: NDArray[np.float64]
    """1, 2, 3 … in its session."""
    start_ns: NDArray[np.float64]
    """On its session's clock."""
    values: Mapping[str, NDArray[np.float64]]
    """By metric, in milliseconds; NaN where there is none."""
    told: NDArray[np.intp]
    """Which of the kinds it is."""
    kinds: Sequence[Told]
    configurations: Mapping[str, str] = field(default_factory=dict)
    """What each fingerprint stands for."""
    unread: Sequence[str] = ()
    """Sessions that could not be analysed: nothing of them is in the columns."""
    calls: NDArray[np.intp] = field(init=False)
    """The number of each source's call; a session without a call label is one by itself."""
    status: Numbered = field(init=False)
    """The status of each kind."""
    said: Mapping[str, Numbered] = field(init=False)
    """Of each metric: the label or reason of each kind."""

    def __post_init__(self) -> None:
        calls = [
            (call, "") if call else ("", name)
            for call, name in zip(self.sources.calls, self.sources.ids, strict=True)
        ]
        said = {
            name: numbered([kind.said.get(name, "unknown") for kind in self.kinds])
            for name in self.values
        }
        object.__setattr__(self, "calls", numbered(calls)[0])
        object.__setattr__(self, "status", numbered([kind.status for kind in self.kinds]))
        object.__setattr__(self, "said", said)

    def __len__(self) -> int:
        return len(self.source)


def numbered(names: Sequence[T]) -> tuple[NDArray[np.intp], list[T]]:
    """Each name's number, and the names by number, in the order in which they come first."""
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    numbers = np.fromiter(map(known.__getitem__, names), dtype=np.intp, count=len(names))
    return numbers, list(known)

"""A selection as data: what must hold of a session so that it is meant; and whether it does.

Laws:

1. A selection is a conjunction of needs. A need holds if any of its tests does; an unwanted one,
   if none does.
2. `matches` is what a selection means. `recorder.sql.selections` says the same in SQL; a test
   holds the two together.
3. What is unknown or N/A passes no comparison, in either direction.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

LIVE, INTERRUPTED, ENDED, REFUSED, IMPORTED = STATUSES = (
    "live", "interrupted", "ended", "refused", "imported",
)  # fmt: skip
"""What became of a session: still open; no close and its recorder is gone; closed; the upgrade
was refused or failed; brought in from elsewhere."""

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
"""How a figure can be compared; longer spellings first, so that `>=` is not read as `>`."""


# ---- tests


@dataclass(frozen=True, slots=True)
class Named:
    """The sessions that a reference means: a word that was not looked up yet."""

    word: str


@dataclass(frozen=True, slots=True)
class Among:
    """One of these sessions."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """Opened at `since_ns` or later, and before `until_ns`."""

    since_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """One of the session's labels of this kind fits the glob."""

    kind: str
    """`model`, `tag`, `call`, `error`."""
    glob: str
    """Folded. `*` is any text, `?` any one character; everything else is itself."""


@dataclass(frozen=True, slots=True)
class InState:
    """This is what became of it."""

    status: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the session compares so."""

    name: str
    sign: str
    value: int


@dataclass(frozen=True, slots=True)
class AnyTurn:
    """A metric of any of the session's turns compares so."""

    metric: str
    sign: str
    value_ms: float


@dataclass(frozen=True, slots=True)
class Said:
    """These words stand in its transcript, in this order, in one line."""

    words: tuple[str, ...]
    """As `searching.words_in` makes them."""
    begun: bool = False
    """The last of them is only the beginning of a word."""

    @property
    def needle(self) -> str:
        """What stands in the searchable text of a session in which it was said."""
        return f" {' '.join(self.words)}{'' if self.begun else ' '}"


Test: TypeAlias = Named | Among | Opened | Labelled | InState | Figure | AnyTurn | Said


# ---- what they make together


class Need(NamedTuple):
    """Any of the tests; or none of them."""

    tests: tuple[Test, ...]
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Selection:
    """Which sessions are meant: those of which all needs hold. Without any need: all of them."""

    needs: tuple[Need, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.needs)

    def matches(self, session: Facts) -> bool:
        """Whether the session is meant."""
        return all(
            any(holds(test, session) for test in need.tests) == need.wanted for need in self.needs
        )


class Facts(Protocol):
    """What a selection looks at."""

    @property
    def id(self) -> str: ...
    @property
    def wall_ns(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def text(self) -> str:
        """Everything that was said, made searchable by `searching.searchable`."""

    def labels(self, kind: str) -> Collection[str]:
        """The labels of this kind, folded."""

    def figure(self, name: str) -> int | None:
        """A figure of the session; None where it is unknown."""

    def turns(self, metric: str) -> Iterable[float | None]:
        """The metric of each turn in milliseconds; None where it is N/A."""


def holds(test: Test, session: Facts) -> bool:
    """Whether one test does. Raises `ValueError` for a reference that was not looked up."""
    match test:
        case Among(ids):
            return session.id in ids
        case Opened(since_ns, until_ns):
            early = since_ns is not None and session.wall_ns < since_ns
            return not early and (until_ns is None or session.wall_ns < until_ns)
        case Labelled(kind, glob):
            fits = _pattern(glob).fullmatch
            return any(fits(label) for label in session.labels(kind))
        case InState(status):
            return session.status == status
        case Figure(name, sign, value):
            found = session.figure(name)
            return found is not None and OPERATORS[sign](found, value)
        case AnyTurn(metric, sign, value_ms):
            compare = OPERATORS[sign]
            return any(each is not None and compare(each, value_ms)
                       for each in session.turns(metric))  # fmt: skip
        case Said():
            return test.needle in session.text
        case Named(word):
            raise ValueError(f"{word!r} was not looked up")


def folded(text: str) -> str:
    """So that case makes no difference."""
    return text.strip().casefold()


@lru_cache(maxsize=64)
def _pattern(glob: str) -> re.Pattern[str]:
    pieces = {"*": ".*", "?": "."}
    return re.compile("".join(pieces.get(c) or re.escape(c) for c in glob), re.DOTALL)

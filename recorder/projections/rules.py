"""The table of rules that findings come from: what each looks at, its owner, its threshold.

A rule is a function from a `Case` and its threshold to hits; it is entered by `@rule`. A rule
that needs no threshold states 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .capture import CaptureClock
    from .model import (
        Conversation,
        Latency,
        Playback,
        Quality,
        Speech,
        Summary,
        Turn,
        TurnLatency,
        TurnQuality,
    )

SEVERITIES: Final = ("error", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a rule may look at."""

    summary: Summary
    conversation: Conversation
    speech: Speech
    playback: Playback
    turns: tuple[Turn, ...]
    latency: Latency
    quality: Quality
    clock: CaptureClock | None = None
    asked: frozenset[int] = frozenset()
    """Events that asked for a response which never came."""

    def rows(self) -> Iterator[tuple[Turn, TurnLatency, TurnQuality]]:
        """Each turn with its latency and its quality."""
        yield from zip(self.turns, self.latency.turns, self.quality.turns, strict=True)


class Hit(NamedTuple):
    """Where a rule applies."""

    sentence: str
    at_ns: int
    evidence: tuple[int, ...]
    turn: int | None = None
    command: str = ""
    severity: str = ""
    owner: str = ""


Find: TypeAlias = "Callable[[Case, float], Iterable[Hit]]"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One row of the table."""

    name: str
    severity: str
    owner: str
    threshold: float
    unit: str
    find: Find
    meaning: str


RULES: dict[str, RuleRow] = {}
"""All rules, by name."""


def rule(
    name: str, severity: str, owner: str, threshold: float = 0, unit: str = ""
) -> Callable[[Find], Find]:
    """Enter a rule; a name that is taken is an error at import."""

    def enter(find: Find) -> Find:
        if name in RULES:
            raise RuntimeError(f"two rules named {name}")
        meaning = (find.__doc__ or "").strip().splitlines()[0]
        RULES[name] = RuleRow(name, severity, owner, threshold, unit, find, meaning)
        return find

    return enter


def seconds(ns: float) -> str:
    """A length of time in words: 1.2 s, or 340 ms."""
    return f"{ns / 1e9:.1f} s" if abs(ns) >= 1e9 else f"{ns / 1e6:.0f} ms"

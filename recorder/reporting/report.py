"""A report: figures by group, differences from other calls, and what became of the gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .differences import differences
from .figures import HEADLINE, USUAL, figures
from .gates import HELD, judged, verdict_of
from .groups import grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from .differences import Difference
    from .figures import Figures
    from .gates import Gate, Judgement
    from .groups import Group, Label
    from .turns import Turns


class Row(NamedTuple):
    """One metric of one group."""

    labels: tuple[Label, ...]
    figures: Figures


class Change(NamedTuple):
    """One percentile of one metric of one group, here and in the other calls."""

    labels: tuple[Label, ...]
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the turns."""

    by: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    """Empty: the usual ones, as far as there is any value."""
    zone: tzinfo | None = None
    """Of the days; None is the machine's own."""
    gates: tuple[Gate, ...] = ()
    min_n: int = 30
    seed: int = 0
    """Of the resampling."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Every metric that has to be read."""
        asked = [gate.metric for gate in self.gates]
        return tuple(dict.fromkeys([*(self.metrics or USUAL), *asked, HEADLINE]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer."""

    question: Question
    sessions: int
    turns: int
    rows: tuple[Row, ...]
    changes: tuple[Change, ...] = ()
    """In the order of the rows; then the groups that are only in the other calls."""
    judgements: tuple[Judgement, ...] = ()
    against: str = ""
    """What the other calls are; empty where nothing is compared."""
    sessions_against: int = 0
    unread: tuple[str, ...] = ()
    """Sessions that could not be analysed, in either selection."""

    @property
    def verdict(self) -> str:
        """What became of all gates together."""
        return verdict_of(self.judgements) if self.judgements else HELD


def make_report(
    turns: Turns,
    question: Question,
    other: Turns | None = None,
    against: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The report on these turns, compared with `other` where it is given."""
    groups = _some(grouped(turns, question.by, question.zone))
    metrics = question.metrics or _there(turns, other)
    rows = [Row(g.labels, each) for g in groups for each in figures(g, metrics)]
    changes: list[Change] = []
    if other is not None:
        theirs = _some(grouped(other, question.by, question.zone))
        changes = _changes(groups, theirs, metrics, question.seed, progress)
    return Report(
        question=question,
        sessions=len(turns.sources),
        turns=len(turns),
        rows=tuple(rows),
        changes=tuple(changes),
        judgements=tuple(judged(question.gates, groups, question.min_n)),
        against=against,
        sessions_against=len(other.sources) if other is not None else 0,
        unread=(*turns.unread, *(other.unread if other is not None else ())),
    )


def _some(groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if len(group.index)]


def _there(turns: Turns, other: Turns | None) -> tuple[str, ...]:
    """The usual metrics that have a value somewhere; the headline in any case."""
    sides = [turns] if other is None else [turns, other]
    found = [n for n in USUAL if any(not np.isnan(side.values[n]).all() for side in sides)]
    return tuple(dict.fromkeys([HEADLINE, *found]))


def _changes(
    groups: Sequence[Group],
    theirs: Sequence[Group],
    metrics: Sequence[str],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> list[Change]:
    there = {group.key: group for group in theirs}
    here = {group.key for group in groups}
    pairs: list[tuple[Group | None, Group | None]] = [(g, there.get(g.key)) for g in groups]
    pairs += [(None, group) for group in theirs if group.key not in here]
    found = []
    for done, (one, two) in enumerate(pairs, 1):
        labels = (one or two).labels  # type: ignore[union-attr] # one of them is a group
        for metric in metrics:
            found += [Change(labels, each) for each in differences(one, two, metric, seed)]
        if progress:
            progress(done, len(pairs))
    return found

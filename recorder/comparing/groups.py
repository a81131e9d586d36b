"""`compare_groups(a, b)`: two groups of sessions that went through the same turns.

Reruns of one call, best recorded A, B, A, B, so that what changes with the hour changes for both.
Every session is laid beside one reference, turn by turn; what is compared are its turns.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError
from ..projections.metrics import PARTS
from ..reporting.differences import MIN_CALLS
from ..reporting.figures import USUAL
from ..reporting.gates import BROKEN, HELD, UNTOLD
from .aligning import aligned
from .chance import MORE, WHOLE, Sample, measured, suspect
from .nouns import (
    CONFIGURATION,
    COUNTS,
    EVENTS,
    FACTS,
    KINDS,
    STATUS,
    TOOLS,
    TURNS,
    WORDS,
    GroupComparison,
    GroupMeasure,
    GroupTurn,
)
from .sides import only_turn
from .structure import canonical, change_of
from .tolerances import PART, SESSION, TURN_NAMES, Judgement
from .wording import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .nouns import Change, Figure, Side, SideTurn
    from .tolerances import Tolerance

HEADLINES: Final = ("v2v_audible", "commit_to_audio", "create_to_audio", "ttft")
"""The metric by turn is the first of these of which there are values."""


@dataclass(frozen=True, slots=True)
class Laid:
    """One session laid beside the reference."""

    side: Side
    place: dict[int, int]
    """Number of the reference's turn -> place of this session's."""
    extra: int
    """Turns that the reference does not have."""

    @property
    def call(self) -> str:
        """What is resampled."""
        return f"call {self.side.about.call}" if self.side.about.call else self.side.about.session

    def turn(self, number: int) -> SideTurn | None:
        """This session's turn for that of the reference."""
        return self.side.turns[self.place[number]] if number in self.place else None


def compare_groups(
    a: Sequence[Side],
    b: Sequence[Side],
    *,
    reference: Side | None = None,
    metrics: Sequence[str] = (),
    needed: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GroupComparison:
    """What is different in b, and whether chance could have made it.

    `reference` is the original where all are reruns of one; else the session with most turns.
    Without `metrics` the usual ones, as far as there are values; those that are `needed` in any
    case. Raises `UsageError`.
    """
    if not a or not b:
        raise UsageError("there is nothing to compare: one of the groups has no session")
    base = reference or min((*a, *b), key=lambda side: (-len(side.turns), side.about.session))
    mine, yours = [_laid(base, side) for side in a], [_laid(base, side) for side in b]
    headline = _headline(mine, yours)
    names = list(metrics) or [name for name in _usual() if _there(name, mine, yours)]
    names = [name for name in dict.fromkeys([*names, *needed]) if name in TURN_NAMES]
    work = len(names) + len(base.turns) + len(COUNTS)
    tell = _Progress(progress, work)
    found = [_measure(name, mine, yours, seed, tell) for name in names]
    turns = [_turn(turn, headline, mine, yours, seed, tell) for turn in base.turns]
    counts = [_count(name, mine, yours, seed, tell) for name in (*SESSION, *COUNTS)]
    whole = [kind for kind in (TURNS, CONFIGURATION, EVENTS) if _new_whole(kind, mine, yours)]
    new = {*whole, *(kind for turn in turns for kind in turn.new)}
    return GroupComparison(
        a=tuple(side.about for side in a),
        b=tuple(side.about for side in b),
        reference=base.about.session,
        headline=headline,
        turns=tuple(turns),
        measures=tuple(found),
        counts=tuple(each for each in counts if each is not None),
        settings=tuple(_settings(mine, yours)),
        extra_a=sum(each.extra for each in mine),
        extra_b=sum(each.extra for each in yours),
        new=tuple(kind for kind in KINDS if kind in new),
        min_calls=MIN_CALLS,
        seed=seed,
    )


def _headline(a: Sequence[Laid], b: Sequence[Laid]) -> str:
    """The first that both groups have; else the first that either has."""
    both = (name for name in HEADLINES if _there(name, a, []) and _there(name, b, []))
    either = (name for name in HEADLINES if _there(name, a, b))
    return next(both, None) or next(either, HEADLINES[0])


def _usual() -> list[str]:
    return [*USUAL, *(PART + name for name in PARTS)]


class _Progress:
    """Counts what is done."""

    def __init__(self, report: Callable[[int, int], None] | None, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._report is not None:
            self._report(min(self._done, self._total), self._total)


def _laid(base: Side, side: Side) -> Laid:
    only = side.about.turn_of
    scope = only_turn(base, only) if only is not None and base.about.turn_of is None else base
    pairs = aligned(scope.turns, side.turns)
    place = {
        scope.turns[one].index: two for one, two in pairs if one is not None and two is not None
    }
    return Laid(side, place, sum(1 for one, _ in pairs if one is None))


# ---- numbers


def _figure(turn: SideTurn, name: str) -> Figure | None:
    found = turn.parts if name.startswith(PART) else turn.latencies
    return found.get(name.removeprefix(PART))


def _samples(name: str, sides: Iterable[Laid], number: int | None = None) -> Iterator[Sample]:
    """The values that count, of all turns or of one."""
    for each in sides:
        for row in each.place if number is None else [number]:
            turn = each.turn(row)
            figure = _figure(turn, name) if turn else None
            if figure is None or figure.value is None or figure.suspect:
                continue
            if not suspect(name, figure.value):
                yield Sample(each.call, row, figure.value)


def _there(name: str, a: Sequence[Laid], b: Sequence[Laid]) -> bool:
    return any(True for _ in _samples(name, [*a, *b]))


def _measure(
    name: str, a: Sequence[Laid], b: Sequence[Laid], seed: int, tell: _Progress
) -> GroupMeasure:
    tell()
    return measured(name, "ms", list(_samples(name, a)), list(_samples(name, b)), seed)


def _count(
    name: str, a: Sequence[Laid], b: Sequence[Laid], seed: int, tell: _Progress
) -> GroupMeasure | None:
    tell()
    unit = "ms" if name in SESSION else ""
    one, two = ([*_of_sessions(name, each)] for each in (a, b))
    found = measured(name, unit, one, two, seed)
    return found if found.n_a and found.n_b else None


def _of_sessions(name: str, sides: Iterable[Laid]) -> Iterator[Sample]:
    """Of reruns of single turns each belongs to its turn, and not beside a whole session."""
    for each in sides:
        told = each.side.latencies if name in SESSION else each.side.about.counts
        value = told[name].value if name in told else None
        if value is not None:
            yield Sample(each.call, each.side.about.turn_of or WHOLE, value)


# ---- a turn


def _turn(
    turn: SideTurn,
    headline: str,
    a: Sequence[Laid],
    b: Sequence[Laid],
    seed: int,
    tell: _Progress,
) -> GroupTurn:
    tell()
    number = turn.index
    one, two = ([*_samples(headline, sides, number)] for sides in (a, b))
    mine, yours = ([t for s in sides if (t := s.turn(number))] for sides in (a, b))
    answers = [{_words(t.heard) for t in each if t.heard is not None} for each in (mine, yours)]
    return GroupTurn(
        number=number,
        kind=turn.kind,
        user=turn.user,
        n_a=len(mine),
        n_b=len(yours),
        measure=measured(headline, "ms", one, two, seed, f"turn {number}") if one or two else None,
        statuses_a=dict(Counter(map(_status, mine)).most_common()),
        statuses_b=dict(Counter(map(_status, yours)).most_common()),
        tools_a=dict(Counter(map(_tools, mine)).most_common()),
        tools_b=dict(Counter(map(_tools, yours)).most_common()),
        answers_a=len(answers[0]),
        answers_b=len(answers[1]),
        new=tuple(kind for kind in KINDS if kind in _BEHAVIOUR and _new(kind, mine, yours)),
    )


def _words(text: str | None) -> str | None:
    return None if text is None else " ".join(word.key for word in words_of(text))


def _status(turn: SideTurn) -> str:
    return f"{turn.status}, interrupted" if turn.interrupted else turn.status


def _tools(turn: SideTurn) -> str:
    return ", ".join(f"{use.name}({use.arguments})" for use in turn.tools)


_BEHAVIOUR: Final[dict[str, Callable[[SideTurn], object]]] = {
    WORDS: lambda turn: (_words(turn.user), _words(turn.heard)),
    TOOLS: lambda turn: tuple((use.name, use.arguments) for use in turn.tools),
    STATUS: lambda turn: (turn.status, turn.interrupted, turn.responses),
}
"""What of a turn is compared with what was there before, by kind of difference."""


def _new(kind: str, a: Sequence[SideTurn], b: Sequence[SideTurn]) -> bool:
    """Whether b has something that never was in a; nothing is new where there is nothing in a."""
    known = {_BEHAVIOUR[kind](turn) for turn in a}
    return bool(known) and not {_BEHAVIOUR[kind](turn) for turn in b} <= known


def _new_whole(kind: str, a: Sequence[Laid], b: Sequence[Laid]) -> bool:
    """Turns and events of a rerun of a single turn are nothing that a whole session can have."""
    if kind != CONFIGURATION:
        a, b = ([each for each in side if each.side.about.turn_of is None] for side in (a, b))
    known = {_whole(kind, each) for each in a}
    return bool(known) and not {_whole(kind, each) for each in b} <= known


def _whole(kind: str, laid: Laid) -> object:
    """What of a whole session is compared with what was there before."""
    side = laid.side
    if kind == TURNS:
        return tuple(laid.place), laid.extra
    if kind == CONFIGURATION:
        return canonical(_configured(side))
    return tuple(run.types for each in side.behind for lane in each.lanes.values() for run in lane)


def _configured(side: Side) -> dict[str, Any]:
    """Model and configuration by path."""
    facts = {n: value for n, value in side.about.facts.items() if FACTS[n] == CONFIGURATION}
    return {name: value for name, value in facts.items() if value is not None} | dict(
        side.before.settings
    )


def _settings(a: Sequence[Laid], b: Sequence[Laid]) -> Iterator[Change]:
    """Where the values of one group are not those of the other."""
    mine, yours = ([_configured(each.side) for each in sides] for sides in (a, b))
    for path in sorted({path for each in (*mine, *yours) for path in each}):
        one, two = _values(path, mine), _values(path, yours)
        if one.keys() != two.keys():
            change = change_of(path, _told(one), _told(two))
            if change is not None:
                yield change


def _values(path: str, sides: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The different values, by their text."""
    return {canonical(each.get(path)) or "": each.get(path) for each in sides}


def _told(values: dict[str, Any]) -> Any:
    found = [values[text] for text in sorted(values)]
    return found[0] if len(found) == 1 else found


# ---- judging


def judged_groups(
    comparison: GroupComparison, tolerances: Iterable[Tolerance], gates: Iterable[str] = ()
) -> tuple[Judgement, ...]:
    """What became of each: broken only by a difference that is more than chance."""
    found = {each.name: each for each in (*comparison.measures, *comparison.counts)}
    judged = [_judged(tolerance, found.get(tolerance.name)) for tolerance in tolerances]
    return (*judged, *(_gated(comparison, gate) for gate in gates))


def _judged(tolerance: Tolerance, each: GroupMeasure | None) -> Judgement:
    if each is None or each.difference is None or each.a is None:
        why = "there is nothing to compare: no value on both sides"
        return Judgement(tolerance.text, UNTOLD, why, 0, 0, ())
    n = min(each.n_a, each.n_b)
    if each.verdict == UNTOLD:
        return Judgement(tolerance.text, UNTOLD, each.sentence, n, 0, ())
    if tolerance.allows(each.a, each.difference):
        return Judgement(tolerance.text, HELD, each.sentence, n, 0, ())
    if each.verdict == MORE:
        return Judgement(tolerance.text, BROKEN, each.sentence, n, 0, ())
    why = f"over the tolerance, but {each.sentence} More calls would tell."
    return Judgement(tolerance.text, UNTOLD, why, n, 0, ())


def _gated(comparison: GroupComparison, gate: str) -> Judgement:
    turns = tuple(turn.number for turn in comparison.turns if gate in turn.new)
    where = f": turn {', '.join(map(str, turns))}" if turns else ""
    if gate in comparison.new:
        why = f"B has something that never was in A{where}"
        return Judgement(gate, BROKEN, why, len(comparison.b), 0, turns)
    return Judgement(gate, HELD, "nothing in B that never was in A", len(comparison.b), 0, ())

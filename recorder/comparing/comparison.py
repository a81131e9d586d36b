"""`compare(a, b)`: two sessions laid beside each other, turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..projections.metrics import METRICS, PARTS, QUALITIES
from .aligning import aligned
from .nouns import (
    CONFIGURATION,
    COUNTS,
    EVENTS,
    FACTS,
    KINDS,
    LANES,
    LATENCY,
    ONLY_A,
    ONLY_B,
    SAME,
    STATUS,
    TOKENS,
    TOOLS,
    TURNS,
    USAGE,
    WORDS,
    Change,
    Comparison,
    Figure,
    Grammar,
    Measure,
    Shift,
    TurnPair,
)
from .sides import only_turn, only_turns
from .structure import change_of, changes
from .toolcalls import tool_pairs
from .wording import blocks, wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .nouns import Behind, Run, Side, SideTurn, ToolPair, Wording
    from .wording import Block

NOT_THERE: Final = "not_there"
"""Why a part of a waterfall is N/A: the turn went another way."""

OTHER_MEASURE: Final = "parts_of_another_measure"
"""Why parts are not subtracted: one waterfall begins where the other does not."""

_NONE: Final = Figure(None, reason=NOT_THERE)


def compare(a: Side, b: Side) -> Comparison:
    """What is different in b. Where one is the rerun of a single turn, only that one counts."""
    a, b = _scoped(a, b)
    turns = tuple(
        _turn_pair(number, a, b, one, two)
        for number, (one, two) in enumerate(aligned(a.turns, b.turns), 1)
    )
    facts = tuple(_changed(a.about.facts, b.about.facts))
    settings = changes(a.before.settings, b.before.settings)
    counts = measures(COUNTS, a.about.counts, b.about.counts)
    latencies = measures({**a.latencies, **b.latencies}, a.latencies, b.latencies, "ms")
    grammar = _grammar(a.before, b.before)
    found = {kind for pair in turns for kind in pair.differs}
    found |= {FACTS[change.path] for change in facts}
    found |= set(_kinds(latencies, counts, grammar, settings))
    return Comparison(
        a=a.about,
        b=b.about,
        turns=turns,
        facts=facts,
        settings=settings,
        counts=counts,
        latencies=latencies,
        grammar=grammar,
        differs=tuple(kind for kind in KINDS if kind in found),
    )


def _scoped(a: Side, b: Side) -> tuple[Side, Side]:
    """The original reduced to the turn that was run again, where only one was."""
    one, two = a.about.turn_of, b.about.turn_of
    if one is None and two is None:
        return a, b
    return (
        only_turn(a, two) if one is None and two is not None else only_turns(a),
        only_turn(b, one) if two is None and one is not None else only_turns(b),
    )


def _changed(a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[Change]:
    for name in FACTS:
        change = change_of(name, a.get(name), b.get(name))
        if change is not None:
            yield change


def _kinds(
    latencies: Iterable[Measure],
    usage: Iterable[Measure],
    grammar: Iterable[Grammar],
    settings: Sequence[Change],
) -> Iterator[str]:
    """Which kinds of differences these are."""
    if any(each.differs for each in latencies):
        yield LATENCY
    if any(each.differs for each in usage if each.name in TOKENS):
        yield USAGE
    if not all(each.same for each in grammar):
        yield EVENTS
    if settings:
        yield CONFIGURATION


# ---- a turn


def _turn_pair(number: int, a: Side, b: Side, one: int | None, two: int | None) -> TurnPair:
    mine = None if one is None else a.turns[one]
    yours = None if two is None else b.turns[two]
    tools, reordered = tool_pairs(mine.tools if mine else (), yours.tools if yours else ())
    said, heard, generated = _wordings(mine, yours)
    status = tuple(_status(mine, yours)) if mine and yours else ()
    latencies = _of_turns("latencies", (*METRICS, *QUALITIES), mine, yours)
    parts = _parts(mine, yours)
    usage = _of_turns("usage", TOKENS, mine, yours, unit="")
    grammar: tuple[Grammar, ...] = ()
    settings: tuple[Change, ...] = ()
    differs: set[str] = {TURNS}
    if one is not None and two is not None:
        grammar = _grammar(a.behind[one], b.behind[two])
        settings = changes(a.behind[one].settings, b.behind[two].settings)
        differs = set(_kinds((*latencies, *parts), usage, grammar, settings))
        differs |= set(_said_and_done((said, heard, generated), tools, status, reordered))
    return TurnPair(
        number=number,
        a=mine,
        b=yours,
        user=said,
        heard=heard,
        generated=generated,
        tools=tools,
        reordered=reordered,
        status=status,
        latencies=latencies,
        parts=parts,
        usage=usage,
        grammar=grammar,
        settings=settings,
        differs=tuple(kind for kind in KINDS if kind in differs),
    )


def _wordings(a: SideTurn | None, b: SideTurn | None) -> tuple[Wording, Wording, Wording]:
    return (
        wording(a.user if a else None, b.user if b else None),
        wording(a.heard if a else None, b.heard if b else None),
        wording(a.generated if a else None, b.generated if b else None),
    )


def _said_and_done(
    wordings: Iterable[Wording],
    tools: Iterable[ToolPair],
    status: Sequence[Change],
    reordered: bool,
) -> Iterator[str]:
    if any(each.same is False for each in wordings):
        yield WORDS
    if reordered or any(each.kind != SAME for each in tools):
        yield TOOLS
    if status:
        yield STATUS


def _status(a: SideTurn, b: SideTurn) -> Iterator[Change]:
    for name in ("trigger", "status", "interrupted", "responses"):
        one, two = getattr(a, name), getattr(b, name)
        if isinstance(one, tuple):
            one, two = list(one), list(two)
        change = change_of(name, one, two)
        if change is not None:
            yield change


# ---- numbers


def measures(
    names: Iterable[str], a: Mapping[str, Figure], b: Mapping[str, Figure], unit: str = ""
) -> tuple[Measure, ...]:
    """The numbers that either side names, in this order."""
    return tuple(
        measure(name, a.get(name, _NONE), b.get(name, _NONE), unit)
        for name in names
        if name in a or name in b
    )


def measure(name: str, a: Figure, b: Figure, unit: str, why: str = "") -> Measure:
    """One number on both sides; `why` there can be no difference."""
    if a.value is None or b.value is None or why:
        return Measure(name, unit, a, b, None, why)
    return Measure(name, unit, a, b, round(b.value - a.value, 6))


def _of_turns(
    what: str, names: Iterable[str], a: SideTurn | None, b: SideTurn | None, unit: str = "ms"
) -> tuple[Measure, ...]:
    empty: dict[str, Figure] = {}
    mine = getattr(a, what) if a else empty
    return measures(names, mine, getattr(b, what) if b else empty, unit)


def _parts(a: SideTurn | None, b: SideTurn | None) -> tuple[Measure, ...]:
    """Where the time went; nothing is subtracted where the whole is another measure."""
    mine, yours = (a.parts if a else {}), (b.parts if b else {})
    why = ""
    if a and b and a.waterfall and b.waterfall and a.waterfall != b.waterfall:
        why = OTHER_MEASURE
    return tuple(
        measure(name, mine.get(name, _NONE), yours.get(name, _NONE), "ms", why)
        for name in PARTS
        if name in mine or name in yours
    )


# ---- events


def _grammar(a: Behind, b: Behind) -> tuple[Grammar, ...]:
    return tuple(_lane(lane, a.lanes[lane], b.lanes[lane]) for lane in LANES)


def _lane(lane: str, a: tuple[Run, ...], b: tuple[Run, ...]) -> Grammar:
    found = blocks([" ".join(run.types) for run in a], [" ".join(run.types) for run in b])
    return Grammar(lane, all(block.same for block in found), tuple(_shifts(a, b, found)))


def _shifts(a: Sequence[Run], b: Sequence[Run], found: Iterable[Block]) -> Iterator[Shift]:
    for same, one, two in found:
        if same:
            yield Shift(SAME, tuple(a[slice(*one)]))
            continue
        if one[0] < one[1]:
            yield Shift(ONLY_A, tuple(a[slice(*one)]))
        if two[0] < two[1]:
            yield Shift(ONLY_B, tuple(b[slice(*two)]))

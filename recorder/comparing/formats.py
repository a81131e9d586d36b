"""A comparison for machines: JSON in a stable order, and JUnit XML.

The JSON of two sessions, `as_json`:

    kind         "sessions"
    a, b         {session, turns, facts {…}, turn_of}
    differs      kinds of differences anywhere: turns, words, tools, status, latency, usage, events,
                 configuration
    verdict      held, broken, could not tell; null where nothing was asked to hold
    judgements   [{text, verdict, why, n, left_out, turns}]
    facts, configuration      [{path, kind, a, b}]: what is not the same of the whole sessions
    counts, latencies         measures of the whole sessions
    events       by lane, before the first turn
    turns        [{number, differs, a, b, user, assistant, generated, tools, reordered, status,
                 latencies, waterfall, usage, events, configuration}]

`a` and `b` of a turn are null where that side does not have it. A measure is {name, unit, a, b,
difference, why, label_a, label_b, reason_a, reason_b, suspect, evidence_a, evidence_b}; what there
is no value of is null, never 0. A wording is {a, b, same, only_a, only_b, words_a, words_b,
stretches [{kind, a, b}]}; `assistant` is what was heard, `generated` all that was made. Kinds are
`same`, `changed`, `only_a`, `only_b`.

That of two groups, `groups_as_json`, has `kind` "groups", and the members of `GroupComparison`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..reporting.formats import junit
from .tolerances import verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .nouns import (
        About,
        Comparison,
        Grammar,
        GroupComparison,
        Measure,
        SideTurn,
        TurnPair,
        Wording,
    )
    from .tolerances import Judgement


def as_json(comparison: Comparison, judgements: Sequence[Judgement] = ()) -> dict[str, Any]:
    """Two sessions."""
    return {
        "kind": "sessions",
        "a": _about(comparison.a),
        "b": _about(comparison.b),
        "differs": list(comparison.differs),
        **_verdict(judgements),
        "facts": [asdict(each) for each in comparison.facts],
        "configuration": [asdict(each) for each in comparison.settings],
        "counts": _measures(comparison.counts),
        "latencies": _measures(comparison.latencies),
        "events": [_grammar(each) for each in comparison.grammar],
        "turns": [_turn(pair) for pair in comparison.turns],
    }


def groups_as_json(
    comparison: GroupComparison, judgements: Sequence[Judgement] = ()
) -> dict[str, Any]:
    """Two groups of sessions."""
    found = asdict(comparison)
    sides = {name: [_about(each) for each in getattr(comparison, name)] for name in ("a", "b")}
    return {"kind": "groups", **sides, **_verdict(judgements)} | {
        name: value for name, value in found.items() if name not in sides
    }


def render_junit(judgements: Sequence[Judgement], name: str) -> str:
    """What became of tolerances and gates, as CI systems read it. `name` is what was compared."""
    cases = [(each.text, each.verdict, f"{each.text}: {each.why}") for each in judgements]
    return junit("recorder diff", name, cases)


def _verdict(judgements: Sequence[Judgement]) -> dict[str, Any]:
    return {
        "verdict": verdict_of(judgements) if judgements else None,
        "judgements": [each._asdict() for each in judgements],
    }


def _about(about: About) -> dict[str, Any]:
    return {
        "session": about.session,
        "turns": about.turns,
        "facts": about.facts,
        "turn_of": about.turn_of,
    }


def _turn(pair: TurnPair) -> dict[str, Any]:
    return {
        "number": pair.number,
        "differs": list(pair.differs),
        "a": _side(pair.a),
        "b": _side(pair.b),
        "user": _wording(pair.user),
        "assistant": _wording(pair.heard),
        "generated": _wording(pair.generated),
        "tools": [asdict(each) for each in pair.tools],
        "reordered": pair.reordered,
        "status": [asdict(each) for each in pair.status],
        "latencies": _measures(pair.latencies),
        "waterfall": _measures(pair.parts),
        "usage": _measures(pair.usage),
        "events": [_grammar(each) for each in pair.grammar],
        "configuration": [asdict(each) for each in pair.settings],
    }


def _side(turn: SideTurn | None) -> dict[str, Any] | None:
    if turn is None:
        return None
    return {
        "index": turn.index,
        "kind": turn.kind,
        "trigger": turn.trigger,
        "start_ms": _ms(turn.start_ns),
        "end_ms": _ms(turn.end_ns),
        "status": turn.status,
        "interrupted": turn.interrupted,
        "flags": list(turn.flags),
        "responses": list(turn.responses),
        "waterfall": turn.waterfall or None,
    }


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _measures(measures: Iterable[Measure]) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "unit": each.unit,
            "a": each.a.value,
            "b": each.b.value,
            "difference": each.difference,
            "why": each.why,
            "label_a": each.a.label,
            "label_b": each.b.label,
            "reason_a": each.a.reason,
            "reason_b": each.b.reason,
            "suspect": each.a.suspect or each.b.suspect,
            "evidence_a": list(each.a.evidence),
            "evidence_b": list(each.b.evidence),
        }
        for each in measures
    ]


def _wording(wording: Wording) -> dict[str, Any]:
    return {
        "a": wording.a,
        "b": wording.b,
        "same": wording.same,
        "only_a": wording.only_a,
        "only_b": wording.only_b,
        "words_a": wording.words_a,
        "words_b": wording.words_b,
        "stretches": [asdict(each) for each in wording.stretches],
    }


def _grammar(grammar: Grammar) -> dict[str, Any]:
    shifts = [
        {
            "kind": shift.kind,
            "runs": [{"types": list(run.types), "count": run.count} for run in shift.runs],
        }
        for shift in grammar.shifts
    ]
    return {"lane": grammar.lane, "same": grammar.same, "shifts": shifts}

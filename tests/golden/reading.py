"""How tests read an analysis: short words for what is compared with what was worked out by hand."""

from __future__ import annotations

from recorder.projections import Analysis
from recorder.projections.model import Line, Value


def ms(ns: int | None) -> float | None:
    """Nanoseconds as milliseconds."""
    return None if ns is None else ns / 1e6


def said(found: Analysis) -> list[tuple[str, float, float | None, str]]:
    """The transcript: (speaker, from, to, words)."""
    return [(x.speaker, x.start_ns / 1e6, ms(x.end_ns), words(x)) for x in found.transcript.lines]


def words(line: Line) -> str:
    """What was said; where less was heard, both; where nothing tells, the length of the speech."""
    text = line.text
    if not line.transcribed:
        text = f"({line.speech_ns / 1e6:g} ms of speech)" if line.speech_ns else "(speech)"
    return text if line.heard is None else f"{text} [heard: {line.heard}]"


def turns(found: Analysis) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """(trigger, status, number of responses, flags) of each turn."""
    return [(t.trigger, t.status, len(t.responses), t.flags) for t in found.turns]


def figures(found: Analysis, turn: int = 1) -> dict[str, float | None]:
    """All latencies of the turn that have a value, in ms."""
    return _there(found.latency.turns[turn - 1].values)


def qualities(found: Analysis, turn: int = 1) -> dict[str, float | None]:
    """All qualities of the turn that have a value, in ms."""
    return _there(found.quality.turns[turn - 1].values)


def flags(found: Analysis, turn: int = 1) -> set[str]:
    """What quality says of the turn."""
    return set(found.quality.turns[turn - 1].flags)


def why(found: Analysis, name: str, turn: int = 1) -> str:
    """The reason why a value is N/A."""
    row = turn - 1
    values = {**found.latency.turns[row].values, **found.quality.turns[row].values}
    assert values[name].ns is None
    return values[name].reason


def parts(found: Analysis, turn: int = 1) -> dict[str, float]:
    """The waterfall; that it adds up is checked on the way."""
    fall = found.latency.turns[turn - 1].waterfall
    assert fall is not None
    assert sum(part.ns for part in fall.parts) == fall.total_ns
    assert fall.total_ns == found.latency.turns[turn - 1].values[fall.of].ns
    return {part.name: part.value_ms for part in fall.parts}


def findings(found: Analysis) -> set[str]:
    """The rules that found something."""
    return {finding.rule for finding in found.findings}


def _there(values: dict[str, Value]) -> dict[str, float | None]:
    return {name: value.value_ms for name, value in values.items() if value.ns is not None}

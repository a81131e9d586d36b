"""Figures as CSV (RFC 4180): records end in CRLF, what there is none of is empty, never 0.

No text in a field becomes a formula: `projections.transcript_csv.harmless` sees to that.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from ..projections.metrics import METRICS, PARTS
from ..projections.transcript_csv import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..projections.model import TurnLatency


def cell(value: Any) -> str:
    """A number as it is, several texts with commas between them, nothing for None."""
    if isinstance(value, list | tuple):
        return harmless(", ".join(value))
    if isinstance(value, int | float):
        return str(value)
    return "" if value is None else harmless(value)


def record(fields: Sequence[Any]) -> str:
    """One record."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([cell(field) for field in fields])
    return buffer.getvalue()


TURN_COLUMNS: Final = (
    "session", "turn", "start_ms", "trigger", *METRICS, "waterfall_of", "waterfall",
    *(f"part_{name}" for name in PARTS),
)  # fmt: skip


def latency_records(session: str, turns: Sequence[TurnLatency]) -> Iterator[str]:
    """A record a turn: its metrics in milliseconds, and the parts of its waterfall."""
    yield record(TURN_COLUMNS)
    for turn in turns:
        fall = turn.waterfall
        parts = {part.name: part.value_ms for part in fall.parts} if fall else {}
        values = [turn.values[name].value_ms if name in turn.values else None for name in METRICS]
        total = (fall.of, fall.total_ns / 1e6) if fall else (None, None)
        at_ms = None if turn.at_ns is None else turn.at_ns / 1e6
        head = (session, turn.turn, at_ms, turn.trigger)
        yield record([*head, *values, *total, *(parts.get(name) for name in PARTS)])


VALUE_COLUMNS: Final = (
    "session", "turn", "metric", "ms", "label", "reason", "flags", "evidence",
)  # fmt: skip


def evidence_records(session: str, turns: Sequence[TurnLatency]) -> Iterator[str]:
    """A record a value: its label and the events it was computed from, or why there is none."""
    yield record(VALUE_COLUMNS)
    for turn in turns:
        for name, value in turn.values.items():
            evidence = " ".join(map(str, value.evidence))
            told = (value.label or None, value.reason or None, value.flags, evidence)
            yield record([session, turn.turn, name, value.value_ms, *told])

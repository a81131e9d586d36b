"""What was wrong in a call: one sentence each, worst first (metrics.md §6).

The rules stand in one table (`rules.RULES`), filled by the modules named in `RULE_MODULES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import rules_beyond, rules_of_turns, rules_of_wire
from .model import Finding
from .rules import RULES, SEVERITIES, Case, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Summary

RULE_MODULES = (rules_beyond, rules_of_turns, rules_of_wire)
"""The modules whose rules fill the table."""


def findings(case: Case) -> tuple[Finding, ...]:
    """What every rule found, worst first, then in order of time."""
    found = [
        Finding(
            row.name,
            hit.severity or row.severity,
            hit.sentence,
            hit.owner or row.owner,
            hit.at_ns,
            hit.turn,
            tuple(sorted(set(hit.evidence))),
            hit.command or (f"latency --turn {hit.turn}" if hit.turn else "events"),
        )
        for row in RULES.values()
        for hit in row.find(case, row.threshold)
    ]
    return _worst_first(found)


def with_interruption(found: Iterable[Finding], summary: Summary) -> tuple[Finding, ...]:
    """The findings of a session that nobody closed and that nobody records any more.

    That it is so does not stand in its events: who knows the recorder's lease says it.
    """
    last = summary.last_seq
    interrupted = Finding(
        "interrupted",
        "error",
        f"the recording stops at {seconds(summary.duration_ns)} without a close: its recorder "
        "ended or was killed; what came after is unknown",
        "recorder",
        summary.duration_ns,
        None,
        (last,) if last else (),
        f"events --seq {max(last - 9, 1)}-",
    )
    return _worst_first([*found, interrupted])


def _worst_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda f: (SEVERITIES.index(f.severity), f.at_ns)))

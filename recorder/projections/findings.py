"""What was wrong in a call: one sentence each, worst first (metrics.md §6).

The rules stand in one table (`rules.RULES`), filled by the modules named in `RULE_MODULES`.
"""

from __future__ import annotations

from . import rules_of_turns, rules_of_wire
from .model import Finding
from .rules import RULES, SEVERITIES, Case

RULE_MODULES = (rules_of_turns, rules_of_wire)
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
    return tuple(sorted(found, key=lambda f: (SEVERITIES.index(f.severity), f.at_ns)))

"""Choosing sessions: references that name one, the language that chooses many, words for times.

`parse` gives a `Selection`, which is data: `Selection.matches` says what it means, a database
translates it. `guide()` explains the language. Everything here is pure: the sessions that exist,
the time and the zone are values that are passed in.
"""

from __future__ import annotations

from .conditions import (
    ENDED,
    IMPORTED,
    INTERRUPTED,
    LIVE,
    REFUSED,
    STATUSES,
    Among,
    AnyTurn,
    Facts,
    Figure,
    InState,
    Labelled,
    Named,
    Need,
    Opened,
    Said,
    Selection,
)
from .language import is_exclusion, is_term, parse, resolved
from .references import TAIL, Ambiguous, Directory, Known, shortest_tails
from .terms import MEASURES, RULES, TERMS, TURN_METRICS, guide
from .times import SECOND, Moment, local, parse_offset, parse_span, parse_time

__all__ = [
    "ENDED",
    "IMPORTED",
    "INTERRUPTED",
    "LIVE",
    "MEASURES",
    "REFUSED",
    "RULES",
    "SECOND",
    "STATUSES",
    "TAIL",
    "TERMS",
    "TURN_METRICS",
    "Ambiguous",
    "Among",
    "AnyTurn",
    "Directory",
    "Facts",
    "Figure",
    "InState",
    "Known",
    "Labelled",
    "Moment",
    "Named",
    "Need",
    "Opened",
    "Said",
    "Selection",
    "guide",
    "is_exclusion",
    "is_term",
    "local",
    "parse",
    "parse_offset",
    "parse_span",
    "parse_time",
    "resolved",
    "shortest_tails",
]

"""The tables of the selection language: everything that sessions can be chosen by.

Help texts, options such as `--since` and the README come from here. To add a term: one row, and,
where it needs a new kind of test, a case in `conditions.holds` and in `recorder.sql.selections`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import UsageError
from ..projections.metrics import METRICS, QUALITIES
from .conditions import STATUSES, AnyTurn, Figure, InState, Labelled, Opened, Test, folded
from .searching import said
from .times import Moment, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Term(NamedTuple):
    """One `name:word`."""

    name: str
    metavar: str
    example: str
    help: str
    read: Callable[[str, Moment], Test]
    any_of: bool = False
    """Several of them mean any of them: a session has only one. Else all of them."""
    spaces: bool = False
    """The word may have spaces in it."""


def _since(word: str, moment: Moment) -> Test:
    return Opened(since_ns=parse_time(word, moment))


def _until(word: str, moment: Moment) -> Test:
    return Opened(until_ns=parse_time(word, moment, end=True))


def _status(word: str, _moment: Moment) -> Test:
    if word.lower() in STATUSES:
        return InState(word.lower())
    raise UsageError(
        f"{word!r} is no status; one of {', '.join(STATUSES)}{nearest(word, STATUSES)}"
    )


def _said(word: str, _moment: Moment) -> Test:
    return said(word)


def _labelled(kind: str) -> Callable[[str, Moment], Test]:
    return lambda word, _moment: Labelled(kind, folded(word))


TERMS: Final[Mapping[str, Term]] = {
    term.name: term
    for term in (
        Term("since", "TIME", "since:7d", "Opened at TIME or later: 7d, 2h, today, 2026-11-01, "
             "2026-11-01T09:30.", _since),
        Term("until", "TIME", "until:2026-11-30", "Opened before TIME; a bare day is included.",
             _until),
        Term("model", "GLOB", "model:gpt*", "Model asked for or used; any of several.",
             _labelled("model"), any_of=True),
        Term("tag", "GLOB", "tag:slow", "Tagged so; all of several.", _labelled("tag")),
        Term("call", "GLOB", "call:support-*", "Call label; any of several.", _labelled("call"),
             any_of=True, spaces=True),
        Term("status", "STATUS", "status:interrupted",
             f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}; any of several.", _status,
             any_of=True),
        Term("error", "GLOB", "error:rate_limit*",
             "Code or type of an error in it; all of several.", _labelled("error")),
        Term("text", "WORDS", 'text:"opening hours"',
             "These words stand together in its transcript; all of several.", _said,
             spaces=True),
    )
}  # fmt: skip
"""Everything that stands before a colon, in the order in which help shows it."""


# ---- figures


COUNT, LENGTH = "count", "length"


class Measure(NamedTuple):
    """One figure of a session that can be compared."""

    name: str
    unit: str
    help: str


MEASURES: Final[Mapping[str, Measure]] = {
    measure.name: measure
    for measure in (
        Measure("turns", COUNT, "turns"),
        Measure("errors", COUNT, "errors that were said on the wire"),
        Measure("findings", COUNT, "what `recorder show` finds wrong"),
        Measure("lost", COUNT, "events that passed and were not recorded"),
        Measure("events", COUNT, "events"),
        Measure("duration", LENGTH, "time of the last event"),
    )
}
"""Figures of a session."""

TURN_METRICS: Final[Mapping[str, str]] = METRICS | QUALITIES
"""Figures of a turn: a session is meant if any of its turns is."""

_COUNT: Final = re.compile(r"[0-9]{1,15}")
_LENGTH: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(ms|min|[wdhms])?")
_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000,
              "d": 86_400_000, "w": 604_800_000}  # fmt: skip


def is_figure(name: str) -> bool:
    """Whether sessions can be chosen by comparing this."""
    return name in MEASURES or name in TURN_METRICS


def comparison(name: str, sign: str, word: str) -> Test:
    """The test that compares a figure. Raises `UsageError` for a value that does not fit it."""
    measure = MEASURES.get(name)
    if measure is None:
        return AnyTurn(name, sign, _length_ms(name, word))
    if measure.unit == LENGTH:
        return Figure(name, sign, round(_length_ms(name, word) * 1_000_000))
    if not _COUNT.fullmatch(word):
        raise UsageError(f"{name} is a count: {word!r} is not; expected a whole number, as in 5")
    return Figure(name, sign, int(word))


def _length_ms(name: str, word: str) -> float:
    """Without a unit only nothing is clear: 0."""
    found = _LENGTH.fullmatch(word)
    number, unit = found.groups() if found else ("", None)
    if not number or (unit is None and float(number)):
        raise UsageError(
            f"{name} is a length of time: {word!r} is not; expected something like 800ms or 2.5s"
        )
    return float(number) * _MS[unit or "ms"]


# ---- what people are told


def nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean …?` where one of the names is near."""
    near = get_close_matches(word.lower(), list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""


class Line(NamedTuple):
    """One line of what explains the language."""

    example: str
    meaning: str


def guide() -> list[Line]:
    """The whole language, for help texts and the README."""
    return [
        *(Line(term.example, term.help) for term in TERMS.values()),
        Line("v2v_audible>2s", "Any turn in which it is so; every metric of `recorder latency` and "
             "overlap, leak, unheard \u2026 can be compared by >, >=, <, <= or =."),
        Line("turns>5", f"{', '.join(MEASURES)} of the session, as in errors>0 or duration>10m."),
        Line("-tag:test", "Not those: a minus excludes, before any word."),
        Line("latest, 4f09a2, support-17",
             "These sessions, by reference: part of an id, call label, or id of the server."),
    ]  # fmt: skip


RULES: Final = (
    "All that is named must hold. Case makes no difference, * stands for any text. Words may come "
    "one by one or together in quotes; > and < need quotes because of the shell, as in "
    "'overlap>500ms'."
)
"""What holds for all of it, in a paragraph."""

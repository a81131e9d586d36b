"""Gates: conditions under which a report fails, and what they say of each group.

    v2v_audible.p95 > 1200ms     a percentile, mean or max of any metric; lengths in ms or s
    unanswered.rate > 5%         also failed, excluded, overlap; rates in % or as a fraction
    n < 100                      measured turns

Laws:

1. A gate is broken only by a figure. What was computed from fewer than `min_n` turns is
   `untold`, whichever way it points; so is a figure that there is none of. `n` itself can always
   be told.
2. `unanswered`, `failed` and `excluded` are shares of all turns of the group, `overlap` of those
   in which the user's speech is known; `excluded` and `n` are those of the headline metric, unless
   a metric stands before them: `ttft.n`, `ttft.excluded.rate`.
3. A grouped gate is judged in each group. All groups that break it are named.
4. An error points at the word that was not understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import UsageError
from .figures import HEADLINE, NAMES, measured, percentile, status_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .groups import Group

HELD, BROKEN, UNTOLD = "held", "broken", "could not tell"

RATES: Final = ("unanswered", "failed", "excluded", "overlap")

_WORDS: Final = re.compile(r"[<>=!]+|[^\s<>=!]+")
_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(.*)", re.DOTALL)
_RANK: Final = re.compile(r"p([0-9]{1,2}(?:\.[0-9]+)?|100)")


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition under which the report fails."""

    text: str
    metric: str
    stat: str
    """`p95`, `mean`, `max`, `n`, or a rate: `unanswered`, `failed`, `excluded`, `overlap`."""
    sign: str
    limit: float
    """Milliseconds, a share of 1, or a count."""

    @property
    def unit(self) -> str:
        """`ms`, `%`, or nothing for a count."""
        return "" if self.stat == "n" else "%" if self.stat in RATES else "ms"

    def broken_by(self, value: float) -> bool:
        """Whether this is what must not be."""
        match self.sign:
            case ">":
                return value > self.limit
            case ">=":
                return value >= self.limit
            case "<":
                return value < self.limit
        return value <= self.limit


class Judgement(NamedTuple):
    """What became of a gate in one group."""

    gate: Gate
    group: str
    labels: dict[str, str]
    verdict: str
    value: float | None
    n: int
    """Turns that the value was computed from."""
    why: str
    """In a few words: the value, or why it could not be told."""


# ---- reading


def parse_gate(text: str) -> Gate:
    """The gate that these words say. Raises `UsageError`, pointing at the word."""
    words = [(word.group(), word.start()) for word in _WORDS.finditer(text)]
    metric, stat = _subject(text, *_word(text, words, 0, "what to look at"))
    sign, at = _word(text, words, 1, "one of > >= < <=")
    if sign not in (">", ">=", "<", "<="):
        raise _wrong(text, sign, at, "is none of > >= < <=")
    number, at = _word(text, words, 2, "a limit")
    unit = words.pop(3)[0] if len(words) > 3 and words[3][0] in (*_LENGTHS, *_SHARES) else ""
    limit = _limit(text, number + unit, at, stat)
    if len(words) > 3:
        raise _wrong(text, *words[3], "cannot follow the limit; each gate has a --fail-if")
    return Gate(text.strip(), metric, stat, sign, limit)


def _word(text: str, words: list[tuple[str, int]], place: int, wanted: str) -> tuple[str, int]:
    if place < len(words):
        return words[place]
    why = f"{wanted} is missing here, as in 'v2v_audible.p95 > 1200ms'"
    raise _wrong(text, "", len(text), why)


def _wrong(text: str, word: str, at: int, why: str) -> UsageError:
    shown = text.replace("\t", " ").replace("\n", " ")
    arrow = " " * at + "^" * max(1, len(word))
    lead = f"{word!r} " if word else ""
    return UsageError(f"{lead}{why}\n  {shown}\n  {arrow}")


def _subject(text: str, what: str, start: int) -> tuple[str, str]:
    """(metric, stat) of `v2v_audible.p95`, `unanswered.rate`, `n`."""
    head, _, tail = what.partition(".")
    if what == "n":
        return HEADLINE, "n"
    if head in RATES and tail == "rate":
        return ("overlap" if head == "overlap" else HEADLINE), head
    if head not in NAMES:
        raise _wrong(text, head, start, f"is nothing that is measured{_near(head)}")
    if tail == "excluded.rate":
        return head, "excluded"
    if tail in ("mean", "max", "n") or _RANK.fullmatch(tail):
        return head, tail
    at = start + len(head) + 1 if tail else start
    raise _wrong(
        text, tail or head, at, "needs p50, p95 or another percentile, mean, max, n, excluded.rate"
    )


def _near(word: str) -> str:
    from difflib import get_close_matches

    known = [*NAMES, *(f"{rate}.rate" for rate in RATES), "n"]
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; one of {', '.join(known)}"


def _limit(text: str, word: str, at: int, stat: str) -> float:
    found = _NUMBER.fullmatch(word)
    if found is None:
        raise _wrong(text, word, at, "is no limit; expected a number with its unit")
    number, unit = float(found.group(1)), found.group(2)
    scales = {"": 1.0} if stat == "n" else _SHARES if stat in RATES else _LENGTHS
    if unit not in scales:
        wanted = " or ".join(f"{found.group(1)}{each}" for each in scales)
        raise _wrong(text, word, at, f"cannot be the limit here; expected something like {wanted}")
    if stat in RATES and number * scales[unit] > 1:
        raise _wrong(
            text, word, at, f"is more than all of them; expected something like {number:g}%"
        )
    return number * scales[unit]


_LENGTHS: Final = {"ms": 1.0, "s": 1000.0}
_SHARES: Final = {"%": 0.01, "": 1.0}


# ---- judging


def judged(gates: Sequence[Gate], groups: Sequence[Group], min_n: int) -> list[Judgement]:
    """Every gate in every group."""
    if not groups:
        return [Judgement(gate, "", {}, UNTOLD, None, 0, "there are no turns") for gate in gates]
    return [_judged(gate, group, min_n) for gate in gates for group in groups]


def _judged(gate: Gate, group: Group, min_n: int) -> Judgement:
    value, n = _value(gate, group)
    labels = {label.by: label.name for label in group.labels}
    if gate.stat != "n" and n < min_n:
        verdict, why = UNTOLD, f"{n} turns, fewer than {min_n}"
    elif value is None:
        verdict, why = UNTOLD, "there is no value"
    else:
        verdict = BROKEN if gate.broken_by(value) else HELD
        why = f"{shown(value, gate.unit)}, {n} turns" if gate.unit else f"{n} turns"
    return Judgement(gate, str(group), labels, verdict, value, n, why)


def _value(gate: Gate, group: Group) -> tuple[float | None, int]:
    """The figure that the gate looks at, and of how many turns it is."""
    total = len(group.index)
    match gate.stat:
        case "unanswered" | "failed":
            return _share(status_count(group, gate.stat), total), total
        case "excluded":
            return _share(total - len(measured(group, gate.metric).values), total), total
    values = measured(group, gate.metric).values
    match gate.stat:
        case "overlap":
            return _share(int(np.count_nonzero(values > 0)), len(values)), len(values)
        case "n":
            return float(len(values)), len(values)
        case "mean":
            return (float(values.mean()) if len(values) else None), len(values)
        case "max":
            return (float(values.max()) if len(values) else None), len(values)
    return percentile(np.sort(values), float(gate.stat[1:])), len(values)


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def shown(value: float, unit: str) -> str:
    """A figure for people, exact enough to be held against its limit: `1,312.25 ms`, `4.2 %`."""
    number = f"{value * 100 if unit == '%' else value:,.3f}".rstrip("0").rstrip(".")
    return f"{number} {unit}".strip()


def verdict_of(judgements: Iterable[Judgement]) -> str:
    """Broken if any is; else it could not be told if any could not."""
    found = {each.verdict for each in judgements}
    return next((each for each in (BROKEN, UNTOLD) if each in found), HELD)

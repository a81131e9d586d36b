"""Tolerances and gates: how much may be different before a comparison fails.

    v2v_audible=+20%      may be at most a fifth longer, turn by turn
    endpointing=+200ms    at most 200 ms longer; also s
    waterfall.tool=50ms   at most 50 ms longer or shorter
    tool_calls=+1         of the whole session: a count; also in %
    output_tokens=-10%    may not fall by more than a tenth

Laws:

1. A tolerance is broken only by a difference of two values. A turn in which either side has none,
   or one that is suspect, is left out and counted; if none is left, it could not be told.
2. A share is one of a's value. Of 0 there is none: any difference in that direction is too much.
3. Differences that are not lengths or counts (wording, tools, status …) gate only if asked for.
4. A name that is none is an error that says the nearest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import UsageError
from ..projections.metrics import METRICS, PARTS, QUALITIES
from ..reporting.gates import BROKEN, HELD, UNTOLD, shown
from .nouns import COUNTS, KINDS, LATENCY, USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .nouns import Comparison, Measure

PART: Final = "waterfall."
"""What stands before the name of a part."""

SESSION: Final = {
    "connect": "from the dial to the answer to the upgrade",
    "ready": "from the upgrade to the first words of the server",
    "config_rtt": "a change of the configuration and its answer",
    "ping_rtt": "a ping and its pong, the shortest",
}
"""Latencies of a whole session, by name."""

TURN_NAMES: Final = (*METRICS, *QUALITIES, *(PART + name for name in PARTS))
NAMES: Final = (*TURN_NAMES, *SESSION, *COUNTS)
"""Everything there can be a tolerance for."""

GATES: Final = {name: told for name, told in KINDS.items() if name not in (LATENCY, USAGE)}
"""Kinds of differences that can be asked to fail. Lengths and tokens have tolerances."""

_TOLERANCE: Final = re.compile(r"([^=\s]+)\s*=\s*([+-]?)\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(\S*)")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far one number may be from a's."""

    text: str
    name: str
    sign: str
    """`+`: it may rise so much; `-`: fall so much; empty: either."""
    limit: float
    """Milliseconds, a count, or a share of 1."""
    share: bool

    @property
    def unit(self) -> str:
        """`ms`, or nothing for a count."""
        return "" if self.name in COUNTS else "ms"

    def allows(self, a: float, difference: float) -> bool:
        """Whether b may be so far from a. Sums of decimal fractions get a millionth of leeway."""
        most = abs(a) * self.limit if self.share else self.limit
        towards = {"+": difference, "-": -difference}.get(self.sign, abs(difference))
        return towards <= most + 1e-6


class Judgement(NamedTuple):
    """What became of a tolerance or a gate."""

    text: str
    verdict: str
    """`held`, `broken`, `could not tell`."""
    why: str
    n: int
    """Turns, sessions or places that were looked at."""
    left_out: int
    """Turns in which a side has no value."""
    turns: tuple[int, ...]
    """Numbers of the turns, in the comparison, that broke it."""


# ---- reading


def parse_tolerance(text: str) -> Tolerance:
    """The tolerance that these words say. Raises `UsageError`."""
    found = _TOLERANCE.fullmatch(text.strip())
    name = text.partition("=")[0].strip()
    check_name(name, NAMES)
    if found is None:
        raise UsageError(
            f"{text!r}: expected a name, =, and how far b may be from a, as in {name}=+20%"
        )
    _, sign, number, unit = found.groups()
    scales = {"%": 0.01, **({"": 1.0} if name in COUNTS else {"ms": 1.0, "s": 1000.0})}
    if unit not in scales:
        wanted = ", ".join(f"{sign}{number}{each}" for each in scales)
        raise UsageError(f"{text!r}: {number + unit!r} has no unit that fits; one of {wanted}")
    return Tolerance(text.strip(), name, sign, float(number) * scales[unit], unit == "%")


def check_name(name: str, names: Sequence[str] = TURN_NAMES) -> str:
    """The name, if it is one of these. Raises `UsageError` with the nearest."""
    if name not in names:
        raise UsageError(f"{name!r} is nothing that is measured; {_nearest(name, names)}")
    return name


def parse_gate(text: str) -> str:
    """The kind of difference that this names. Raises `UsageError`."""
    if text in GATES:
        return text
    if text in NAMES or text in (LATENCY, USAGE):
        name = text if text in NAMES else "output_tokens" if text == USAGE else "v2v_audible"
        raise UsageError(f"{text!r} is a number; give it a --tolerance, as in {name}=+20%")
    raise UsageError(f"{text!r} is no kind of difference; {_nearest(text, tuple(GATES))}")


def _nearest(word: str, names: Sequence[str]) -> str:
    bare = {name.removeprefix(PART): name for name in reversed(names)}
    near = [bare[each] for each in get_close_matches(word, bare, 3)]
    near += [each for each in get_close_matches(word, names, 3) if each not in near]
    return f"did you mean {', '.join(near[:3])}?" if near else f"one of {', '.join(names)}"


# ---- judging two sessions


def judged(
    comparison: Comparison, tolerances: Iterable[Tolerance], gates: Iterable[str] = ()
) -> tuple[Judgement, ...]:
    """What became of each, in the order in which they are given."""
    found = [_judged(comparison, tolerance) for tolerance in tolerances]
    return (*found, *(_gated(comparison, gate) for gate in gates))


def verdict_of(judgements: Iterable[Judgement]) -> str:
    """Broken if any is; else it could not be told if any could not."""
    found = {each.verdict for each in judgements}
    return next((each for each in (BROKEN, UNTOLD) if each in found), HELD)


def _judged(comparison: Comparison, tolerance: Tolerance) -> Judgement:
    if tolerance.name not in TURN_NAMES:
        return _of_session(comparison, tolerance)
    pairs = list(_of_turns(comparison, tolerance.name))
    counted = [(number, each) for number, each in pairs if _counts(each)]
    left_out = len(pairs) - len(counted)
    if not counted:
        why = _why_none(each for _, each in pairs)
        return Judgement(tolerance.text, UNTOLD, why, 0, left_out, ())
    over = [(number, each) for number, each in counted if not _allowed(tolerance, each)]
    told = [f"turn {number}: {_told(each)}" for number, each in over]
    more = f"; {left_out} left out, without a value on both sides" if left_out else ""
    held = f"{len(counted)} {'turn' if len(counted) == 1 else 'turns'}"
    verdict = BROKEN if over else HELD
    why = ("; ".join(told) or held) + more
    turns = tuple(number for number, _ in over)
    return Judgement(tolerance.text, verdict, why, len(counted), left_out, turns)


def _of_turns(comparison: Comparison, name: str) -> Iterator[tuple[int, Measure]]:
    """The measure of each pair of turns in which either side has it."""
    for pair in comparison.turns:
        found = pair.parts if name.startswith(PART) else pair.latencies
        for each in found:
            if each.name == name.removeprefix(PART) and _there(each):
                yield pair.number, each


def _there(each: Measure) -> bool:
    return each.a.value is not None or each.b.value is not None


def _counts(each: Measure) -> bool:
    return each.difference is not None and not (each.a.suspect or each.b.suspect)


def _allowed(tolerance: Tolerance, each: Measure) -> bool:
    a, difference = each.a.value, each.difference
    return a is None or difference is None or tolerance.allows(a, difference)


def _of_session(comparison: Comparison, tolerance: Tolerance) -> Judgement:
    measures = (*comparison.counts, *comparison.latencies)
    each = next((each for each in measures if each.name == tolerance.name), None)
    if each is None or not _counts(each):
        why = _why_none([] if each is None else [each])
        return Judgement(tolerance.text, UNTOLD, why, 0, 0, ())
    verdict = HELD if _allowed(tolerance, each) else BROKEN
    return Judgement(tolerance.text, verdict, _told(each), 1, 0, ())


def _told(each: Measure) -> str:
    """`512 ms, 700 ms: +188 ms`."""
    a, b, difference = each.a.value, each.b.value, each.difference
    sign = "+" if (difference or 0) >= 0 else "\u2212"
    change = f"{sign}{shown(abs(difference or 0), each.unit)}"
    return f"{shown(a or 0, each.unit)}, {shown(b or 0, each.unit)}: {change}"


def _why_none(measures: Iterable[Measure]) -> str:
    """Why no value could be held against another."""
    reasons: dict[str, None] = {}
    for each in measures:
        if each.a.suspect or each.b.suspect:
            reasons["under 50 ms"] = None
        for reason in (each.why, each.a.reason, each.b.reason):
            if reason:
                reasons[reason] = None
    told = f" ({', '.join(reasons)})" if reasons else ""
    return f"there is nothing to compare: no value on both sides{told}"


def _gated(comparison: Comparison, gate: str) -> Judgement:
    turns = tuple(pair.number for pair in comparison.turns if gate in pair.differs)
    broken = gate in comparison.differs
    beside = "in the session as a whole" if broken and not turns else ""
    where = f"turn {', '.join(map(str, turns))}" if turns else beside
    why = f"differs: {where}" if broken else "no difference"
    verdict = BROKEN if broken else HELD
    return Judgement(gate, verdict, why, len(comparison.turns), 0, turns)

"""Reports with charts as JSON: the figures of `recorder report`, and what can be drawn of them.

Laws:

1. `report` is what `recorder report --json` says of the same sessions, to the last bit: with what
   it is compared with, and what became of the gates, too.
2. Every chart says its n and what was left out of it, and why: turns are n plus what was left out.
3. Every bar and every point leads to its calls: `calls_at` goes the way back from the same
   numbers that the chart was drawn from, so the list that it opens has exactly those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recorder.errors import UsageError
from recorder.projections.metrics import METRICS, QUALITIES
from recorder.reporting.earlier import PREVIOUS, check_comparable, previous
from recorder.reporting.figures import HEADLINE, check_metric, figures, measured
from recorder.reporting.formats import as_json, compared, name_of
from recorder.reporting.gates import Gate, parse_gate
from recorder.reporting.groups import DIMENSIONS, QUARTER_NS, Group, grouped, parse_by
from recorder.reporting.report import Question, make_report
from recorder.reporting.turns import numbered
from recorder.selecting import local
from recorder.sql.reports import turns_of

from .asking import json_answer, whole
from .shelf import chosen, told_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from recorder.reporting.turns import Turns
    from recorder.selecting import Selection
    from recorder.sql.views import Views
    from recorder.transport.http import Response

    from .asking import Ask
    from .shelf import Shelf

    Floats = NDArray[np.float64]
    Index = NDArray[np.intp]

BINS: Final = 32
"""Bars of a histogram, about; what lies beyond the 99th percentile is one more."""

DRAWN: Final = 8
"""Groups that are drawn, those with the most values; the table has all."""

SECOND_NS: Final = 1_000_000_000
HOUR_NS: Final = 3600 * SECOND_NS


def _quarter(time: datetime) -> datetime:
    return time


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0)


def _day(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0)


def _week(time: datetime) -> datetime:
    return _day(time) - timedelta(days=time.weekday())


SPANS: Final[Mapping[str, Callable[[datetime], datetime]]] = {
    "quarter": _quarter,
    "hour": _hour,
    "day": _day,
    "week": _week,
}
"""What turns are put together by over time, and when each of those begins."""

_LONGEST: Final = {"quarter": 8 * HOUR_NS, "hour": 72 * HOUR_NS, "day": 120 * 24 * HOUR_NS}
"""Up to which length of the whole each of them is used where nobody says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A bar of a histogram, a point on a line, a group: some of the turns of a report."""

    metric: str
    low: float | None = None
    """Milliseconds: values from here on."""
    high: float | None = None
    """Values below."""
    by: str = ""
    name: str = ""
    """The group's label: empty for those of which nothing was said."""
    per: str = ""
    at: str = ""
    """Which of the spans in time, by its label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a report."""

    query: str = ""
    by: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    chart: str = HEADLINE
    """Which metric is drawn."""
    per: str = ""
    """Empty: what suits."""
    vs: str = ""
    """What is compared with: `previous`, or another selection; empty: nothing."""
    gates: tuple[Gate, ...] = ()
    min_n: int = Question().min_n


def point_of(given: Mapping[str, str]) -> Point | None:
    """The point that the parameters of an address name, if they do. Raises `UsageError`."""
    if not given.get("metric"):
        return None
    by, per = given.get("by", ""), given.get("per", "")
    if by:
        _one_of("by", by, DIMENSIONS)
    if per:
        _one_of("per", per, SPANS)
    return Point(
        metric=check_metric(given["metric"]),
        low=_number(given, "ge"),
        high=_number(given, "lt"),
        by=by,
        name=given.get("is", ""),
        per=per,
        at=given.get("at", ""),
    )


def wanted(given: Mapping[str, str]) -> Wanted:
    """What the parameters of an address ask for. Raises `UsageError`."""
    if per := given.get("per", ""):
        _one_of("per", per, SPANS)
    metrics = [word for word in given.get("metric", "").split(",") if word]
    return Wanted(
        query=given.get("q", ""),
        by=parse_by(given.get("by", "")),
        metrics=tuple(dict.fromkeys(map(check_metric, metrics))),
        chart=check_metric(given.get("chart") or (metrics[0] if metrics else HEADLINE)),
        per=per,
        vs=given.get("vs", "").strip(),
        gates=_gates(given.get("fail-if", "")),
        min_n=whole("min-n", given.get("min-n") or str(Wanted().min_n), 10**9),
    )


def _gates(text: str) -> tuple[Gate, ...]:
    """The conditions between semicolons. Raises `UsageError`."""
    try:
        return tuple(parse_gate(each.strip()) for each in text.split(";") if each.strip())
    except UsageError as error:
        raise UsageError(f"fail-if: {error}") from None


def _one_of(name: str, word: str, there: Mapping[str, object]) -> None:
    if word not in there:
        raise UsageError(f"{name}={word!r}: expected one of {', '.join(there)}")


def _number(given: Mapping[str, str], name: str) -> float | None:
    word = given.get(name, "")
    if not word:
        return None
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise UsageError(f"{name}={word!r}: expected milliseconds, as in 850")
    return value


def reported(shelf: Shelf, now_ns: int, want: Wanted, zone: tzinfo | None = None) -> dict[str, Any]:
    """The report and its charts, ready for JSON.

    There is none while sessions are still to be read, of which `unread` says how many; nor where
    the query was not understood, of which `error` says why: or what is compared with, `vs_error`.
    """
    question = Question(
        by=want.by, metrics=want.metrics, zone=zone, gates=want.gates, min_n=want.min_n
    )
    answer: dict[str, Any] = {
        "unread": 0, "error": None, "vs_error": None, "report": None, "compared": "",
        "chart": None, "metrics": _names(),
    }  # fmt: skip
    with shelf.opened(now_ns) as views:
        if shelf.unread:
            return answer | {"unread": shelf.unread}
        needed = dict.fromkeys([*question.needed, want.chart])
        try:
            selection = chosen(views, want.query)
        except UsageError as error:
            return answer | {"error": told_of(error, want.query)}
        try:
            other = _others(views, selection, want)
        except UsageError as error:
            return answer | {"vs_error": told_of(error, want.vs)}
        turns, _ = turns_of(views, selection, needed)
        theirs = None if other is None else turns_of(views, other, question.needed)[0]
    made = make_report(turns, question, theirs, want.vs)
    return answer | {
        "report": as_json(made),
        "compared": compared(made) if want.vs else "",
        "chart": _chart(turns, want, zone),
    }


def _others(views: Views, selection: Selection, want: Wanted) -> Selection | None:
    """What is compared with, if anything is. Raises `UsageError`, `SessionNotFound`."""
    check_comparable(want.by, want.vs or None)
    if want.vs == PREVIOUS:
        return previous(selection, views.now_ns)
    return chosen(views, want.vs) if want.vs else None


def _names() -> dict[str, str]:
    return METRICS | QUALITIES


# ---- charts


def _chart(turns: Turns, want: Wanted, zone: tzinfo | None) -> dict[str, Any]:
    groups = [group for group in grouped(turns, want.by[:1], zone) if len(group.index)]
    told = [figures(group, [want.chart])[0] for group in groups]
    ranked = sorted(range(len(groups)), key=lambda place: -told[place].n)[:DRAWN]
    drawn = [groups[place] for place in sorted(ranked) if told[place].n]
    whole = figures(Group((), turns, np.arange(len(turns), dtype=np.intp)), [want.chart])[0]
    spans = _spans(turns, want.per or _suiting(turns), zone)
    return {
        "metric": want.chart,
        "unit": "ms",
        "help": _names()[want.chart],
        "by": want.by[0] if want.by else "",
        "n": whole.n,
        "turns": whole.turns,
        "left_out": whole.left_out,
        "labels": whole.labels,
        "not_drawn": sum(1 for each in told if each.n) - len(drawn),
        "distribution": _distribution(drawn, want.chart),
        "over_time": {
            "per": spans.per,
            "groups": [_line(group, want.chart, spans) for group in drawn],
        },
    }


def _label(group: Group) -> dict[str, str]:
    """Of a group by one dimension, or of all turns."""
    if not group.labels:
        return {"name": "", "shown": "all turns"}
    return {"name": group.labels[0].name, "shown": name_of(group.labels[0])}


def _values(group: Group, metric: str) -> tuple[Floats, Index]:
    """The values that count, and where their turns stand in the columns."""
    counted = measured(group, metric)
    return counted.values, group.index[counted.there]


def _distribution(groups: Sequence[Group], metric: str) -> dict[str, Any]:
    """A histogram: the same bars for every group. The last is open where `open` says so."""
    each = [_values(group, metric) for group in groups]
    edges, is_open = bins(np.concatenate([values for values, _ in each] or [np.zeros(0)]))
    found = []
    for group, (values, places) in zip(groups, each, strict=True):
        inside = np.searchsorted(edges, values, side="right") - 1
        source = group.turns.source[places]
        found.append(
            _label(group)
            | {
                "n": len(values),
                "counts": np.bincount(inside, minlength=max(len(edges) - 1, 0)).tolist(),
                "sessions": _distinct(inside, source, max(len(edges) - 1, 0)),
            }
        )
    return {"edges": [*edges[:-1].tolist(), None] if is_open else edges.tolist(),
            "open": is_open, "groups": found}  # fmt: skip


def _distinct(inside: Index, source: Index, count: int) -> list[int]:
    """How many sessions are in each bar."""
    if not len(inside):
        return [0] * count
    pairs = np.unique(np.stack([inside, source]), axis=1)
    return list(map(int, np.bincount(pairs[0], minlength=count)))


def bins(values: Floats) -> tuple[Floats, bool]:
    """Edges at round numbers, each bar from its edge on to below the next; whether the last bar
    holds all that is larger. Few values far out do not press all others into one bar."""
    if not len(values):
        return np.zeros(0), False
    low, high, top = float(values.min()), float(np.percentile(values, 99)), float(values.max())
    if top <= high + (high - low) / 4:
        high = top
    step = nice((high - low) / BINS)
    first = np.floor(low / step)
    last = np.floor(high / step) + 1
    edges = np.arange(first, last + 1) * step
    if top >= edges[-1]:
        return np.append(edges, np.inf), True
    return edges, False


def nice(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … milliseconds that is no less."""
    if least <= 1:
        return 1.0
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= least * 0.999))


# ---- over time


@dataclass(frozen=True, slots=True)
class _Spans:
    """Which span each turn began in."""

    per: str
    codes: Index
    names: list[str]
    starts_ms: list[int]


def _suiting(turns: Turns) -> str:
    if not len(turns):
        return "day"
    wall = _walls(turns)
    length = int(wall.max() - wall.min())
    return next((per for per, longest in _LONGEST.items() if length <= longest), "week")


def _walls(turns: Turns) -> NDArray[np.int64]:
    """When each turn began: nanoseconds since 1970."""
    opened = np.array(turns.sources.walls, dtype=np.int64)
    return opened[turns.source] + turns.start_ns.astype(np.int64)


def _spans(turns: Turns, per: str, zone: tzinfo | None) -> _Spans:
    if not len(turns):
        return _Spans(per, np.zeros(0, dtype=np.intp), [], [])
    quarters, where = np.unique(_walls(turns) // QUARTER_NS, return_inverse=True)
    begin = SPANS[per]
    starts = [begin(local(int(each) * QUARTER_NS, zone)) for each in quarters]
    codes, names = numbered([_named(start, per) for start in starts])
    firsts = dict(zip(map(_namer(per), starts), starts, strict=True))
    stamps = [round(firsts[name].timestamp() * 1000) for name in names]
    return _Spans(per, codes[where], names, stamps)


def _namer(per: str) -> Callable[[datetime], str]:
    return lambda start: _named(start, per)


def _named(start: datetime, per: str) -> str:
    """A day by its date, as `recorder report --by day` has it; shorter spans with their offset:
    where a clock is put back, an hour comes twice."""
    if per in ("day", "week"):
        return start.date().isoformat()
    return start.isoformat(timespec="minutes")


def _line(group: Group, metric: str, spans: _Spans) -> dict[str, Any]:
    """The figures of the group, span by span; spans without turns are left out, not 0."""
    codes = spans.codes[group.index]
    points = []
    for code in np.unique(codes).tolist():
        part = replace(group, index=group.index[codes == code])
        told = figures(part, [metric])[0]
        points.append(
            {
                "at": spans.names[code],
                "start_ms": spans.starts_ms[code],
                **{name: getattr(told, name) for name in _TOLD},
            }
        )
    points.sort(key=lambda point: point["start_ms"])
    return _label(group) | {"points": points}


_TOLD: Final = ("turns", "calls", "n", "mean", "p50", "p90", "p95", "p99", "max", "left_out")


# ---- the way back


def calls_at(
    views: Views, selection: Selection, point: Point, zone: tzinfo | None = None
) -> frozenset[str]:
    """The ids of the sessions that the point is made of."""
    turns, _ = turns_of(views, selection, [point.metric])
    by = (point.by,) if point.by else ()
    found: set[str] = set()
    spans = _spans(turns, point.per, zone) if point.per else None
    for group in grouped(turns, by, zone):
        if group.labels and group.labels[0].name != point.name:
            continue
        values, places = _values(group, point.metric)
        held = np.ones(len(values), dtype=np.bool_)
        if point.low is not None:
            held &= values >= point.low
        if point.high is not None:
            held &= values < point.high
        if spans is not None:
            code = spans.names.index(point.at) if point.at in spans.names else -1
            held &= spans.codes[places] == code
        found.update(turns.sources.ids[each] for each in np.unique(turns.source[places[held]]))
    return frozenset(found)


# ---- handlers


async def report_page(ask: Ask) -> Response:
    """A report and its chart."""
    want = wanted(ask.given)
    return json_answer(await ask.work(reported, ask.desk.shelf, ask.desk.now_ns(), want))

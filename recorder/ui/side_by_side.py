"""Two sessions side by side as JSON: what differs, and the lanes of both on one axis.

Laws:

1. What differs is what `recorder.comparing.compare` says; nothing is compared here.
2. On the axis, turns that belong together begin at the same place. Time is shifted, never
   stretched: a second is as wide in both. All of a session's clock is on it, except of a session
   of which one turn was run again: of that the one turn.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from recorder.comparing import compare, side_of
from recorder.comparing.nouns import COUNTS, KINDS, LANES, Measure
from recorder.errors import UsageError
from recorder.library import RecordedSession
from recorder.projections.metrics import METRICS, PARTS, QUALITIES
from recorder.rerunning.origin import original_of
from recorder.selecting import Directory
from recorder.sql.views import Views

from .asking import json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorder.comparing import Comparison, Side
    from recorder.projections import Analysis
    from recorder.projections.model import Played
    from recorder.sql.store import SqlStore
    from recorder.transport.http import Response

    from .asking import Ask


KEPT: Final = 4
"""Sessions whose analysis is kept: whoever compares goes back and forth."""

MS: Final = 1_000_000

Span: TypeAlias = tuple[float, float]
"""From when until when."""


class Looked(NamedTuple):
    """One session, as far as it is laid beside another."""

    side: Side
    lanes: dict[str, Any]


class Beside:
    """Compares sessions of one store. Safe to share between threads."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self._known: OrderedDict[tuple[str, int], Looked] = OrderedDict()
        self._lock = Lock()

    def compared(self, a: str, b: str, now_ns: int) -> dict[str, Any]:
        """The comparison of two sessions, named as everywhere. Raises `SessionNotFound`,
        `UsageError` where one is not named."""
        for name, word in (("a", a), ("b", b)):
            if not word.strip():
                raise UsageError(f"{name}: say which session, by any part of its id")
        views = Views(self.store, now_ns)
        directory = Directory(views.known(), views.find)
        one, two = (self._looked(directory.one(word)) for word in (a, b))
        found = compare(one.side, two.side)
        return {
            "comparison": _plain(found),
            "a": one.lanes,
            "b": two.lanes,
            "axis": [each._asdict() for each in axis(found, one.lanes, two.lanes)],
            "words": WORDS,
        }

    def _looked(self, name: str) -> Looked:
        session = self.store.session(name)
        key = session.id, self.store.last_seq(session.id)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        recorded = RecordedSession(self.store, session)
        origin = original_of(session)
        side = side_of(
            session.id,
            recorded.analysis,
            recorded.events.read(audio=False),
            turn_of=origin.turn if origin else None,
            call="" if origin else session.call,
        )
        looked = Looked(side, lanes_of(recorded))
        with self._lock:
            self._known[key] = looked
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return looked


def _plain(value: Any) -> Any:
    """Ready for JSON. Without the evidence of every figure, which the page of each session has,
    and without the figures that neither side has: both are most of it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value if not _empty(each)]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if not is_dataclass(value):
        return value
    names = (field.name for field in fields(value))
    return {name: _plain(getattr(value, name)) for name in names if name != "evidence"}


def _empty(value: Any) -> bool:
    return isinstance(value, Measure) and value.a.value is None and value.b.value is None


WORDS: Final = {
    "kinds": KINDS,
    "counts": COUNTS,
    "lanes": LANES,
    "metrics": METRICS | QUALITIES,
    "parts": {name: {"owner": owner, "help": help} for name, (owner, help) in PARTS.items()},
}
"""What the names in a comparison mean."""


# ---- lanes


def lanes_of(recorded: RecordedSession) -> dict[str, Any]:
    """What is drawn of one session. Times are milliseconds on its own clock."""
    analysis, session = recorded.analysis, recorded.session
    summary, played = analysis.summary, analysis.playback.items
    ends = [summary.duration_ns or 0, *(item.end_ns or 0 for item in played)]
    return {
        "session": session.id,
        "opened_ns": session.wall_ns,
        "call": session.call,
        "model": summary.model or session.model,
        "status": recorded.status,
        "tags": summary.tags,
        "timed": summary.timed,
        "end_ms": max(ends) / MS,
        "turns": [[turn.index, _ms(turn.start_ns), _ms(turn.end_ns)] for turn in analysis.turns],
        "speech": [[_ms(each.start_ns), _ms(each.end_ns)] for each in analysis.speech.utterances],
        "responses": _responses(analysis),
        "tools": [[_ms(each.at_ns), _ms(each.output_ns), each.name]
                  for each in analysis.conversation.calls],
        "played": [[_ms(run.start_ns), _ms(run.start_ns + item.format.ns(run.samples))]
                   for item in played for run in item.runs],
        "unheard": _unheard(played),
        "cuts": [_ms(item.end_ns if item.end_ns is not None else item.stop_ns)
                 for item in played if item.stopped_by],
        "findings": [[_ms(each.at_ns), each.severity, each.sentence]
                     for each in recorded.findings if each.at_ns is not None],
    }  # fmt: skip


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / MS


def _responses(analysis: Analysis) -> list[list[object]]:
    return [
        [_ms(each.created_ns), _ms(each.done_ns), each.status]
        for each in analysis.conversation.responses
        if each.created_ns is not None
    ]


def _unheard(items: Sequence[Played]) -> list[list[float]]:
    """What was generated and never played, as the time that it would have taken."""
    found = []
    for item in items:
        begin = item.end_ns if item.end_ns is not None else item.stop_ns
        if begin is not None and item.heard_ns < item.received_ns:
            found.append([begin / MS, (begin + item.received_ns - item.heard_ns) / MS])
    return found


# ---- the axis that both are drawn on


class Stretch(NamedTuple):
    """A piece of the common axis. Milliseconds."""

    pair: int
    """Which pair of turns of the comparison; 0 is what comes before the first."""
    at_ms: float
    """Where on the axis it begins."""
    length_ms: float
    a: Span | None
    """From when until when a is drawn in it, on its own clock; None: it has no such turn."""
    b: Span | None


def axis(found: Comparison, a: dict[str, Any], b: dict[str, Any]) -> list[Stretch]:
    """The stretches of the common axis. A turn reaches to the beginning of the next one, so that
    what happens between turns is seen."""
    begun_a, begun_b = _begun(a), _begun(b)
    sides: list[tuple[int, Span | None, Span | None]] = [(0, begun_a[0], begun_b[0])]
    for pair in found.turns:
        one = begun_a.get(pair.a.index) if pair.a else None
        two = begun_b.get(pair.b.index) if pair.b else None
        sides.append((pair.number, one, two))
    at, stretches = 0.0, []
    for number, one, two in sides:
        length = max((end - begin for begin, end in filter(None, (one, two))), default=0.0)
        stretches.append(Stretch(number, at, length, one, two))
        at += length
    return stretches


def _begun(lanes: dict[str, Any]) -> dict[int, Span]:
    """By turn: from when until when it is drawn; 0 is what comes before the first."""
    starts = [(index, start) for index, start, _ in lanes["turns"] if start is not None]
    ends = [start for _, start in starts[1:]] + [lanes["end_ms"]]
    found = {0: (0.0, starts[0][1] if starts else lanes["end_ms"])}
    for (index, start), end in zip(starts, ends, strict=False):
        found[index] = (start, max(end, start))
    return found


# ---- handlers


async def comparison_page(ask: Ask) -> Response:
    """Two sessions side by side."""
    a, b = ask.given.get("a", ""), ask.given.get("b", "")
    return json_answer(await ask.work(ask.desk.beside.compared, a, b, ask.desk.now_ns()))

"""Several sessions of one call as one conversation, on one clock.

    transcript = joined([Leg(session, boot_id, analysis), …])

Laws:

1. The call's clock starts with its first connection. Sessions whose monotonic clock was the same
   (one machine since its start, or one recording process) lie exactly where they were; all others
   by the wall clock, and then the gap says that it is not exact.
2. History that a client sends again is shown once: items of its own, sent before anything else
   happened in the new connection, that say the same as earlier ones in the same order. A single
   message of the user is that only where the earlier one was never answered: anybody may say
   "yes" twice.
3. A second connection to the same call (a sideband) tells of the same items: those stand once.
4. Nothing else is left out, and no line changes but for its clock and the number of its turn.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from .model import Connection, Line, Transcript
from .transcript_text import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..events import Session
    from .analysis import Analysis
    from .model import Closing, Item, ToolCall


class Recorded(Protocol):
    """One session of a call, as far as its place on the call's clock needs it."""

    @property
    def session(self) -> Session:
        """What was entered of it."""

    @property
    def clock(self) -> str:
        """Sessions with the same one share a monotonic clock; empty: it shares it with none."""


AnyLeg = TypeVar("AnyLeg", bound=Recorded)


class Leg(NamedTuple):
    """One session of a call, and what it amounts to."""

    session: Session
    boot: str
    """Boot id of the machine that recorded it; empty where it is not known."""
    analysis: Analysis

    @property
    def clock(self) -> str:
        """Sessions with the same one share a monotonic clock; empty: it shares it with none."""
        return self.boot or self.session.recorder

    @property
    def length_ns(self) -> int:
        """From its open to its last event."""
        return self.analysis.summary.duration_ns


def joined(legs: Iterable[Leg]) -> Transcript:
    """The transcript of the whole call. One leg is a call too."""
    lines: list[Line] = []
    connections: list[Connection] = []
    said, turns, ends = _Said(), 0, 0
    for leg, start, exact in placed(legs):
        gap = start - ends if connections else None
        beside = gap is not None and gap < 0
        again = said.again(leg, overlapping=beside)
        connection = _connection(leg, start, gap, exact, 0 if beside else again.total)
        connection = replace(connection, turns_before=turns)
        if connections:
            lines.append(_reconnect(connections[-1], connection))
        shown = [line for line in leg.analysis.transcript.lines if not again.holds(line)]
        lines += [_moved(line, leg.session.id, start, turns) for line in shown]
        said.add(leg, again)
        connections.append(connection)
        turns += len(leg.analysis.turns) if any(line.turn for line in shown) or not beside else 0
        ends = max(ends, start + leg.length_ns)
    if len(connections) > 1:
        lines.sort(key=_place(connections))
    return Transcript(tuple(lines), tuple(connections), turns)


def _place(connections: Iterable[Connection]) -> Callable[[Line], int]:
    """By time; lines of a session without times stand where it begins, in their order."""
    begins = {connection.session: connection.start_ns for connection in connections}
    return lambda line: begins[line.session] if line.start_ns is None else line.start_ns


def placed(legs: Iterable[AnyLeg]) -> list[tuple[AnyLeg, int, bool]]:
    """(leg, its open on the call's clock, whether that is exact), in order of time."""
    known: dict[str, tuple[AnyLeg, int]] = {}
    found: list[tuple[AnyLeg, int, bool]] = []
    ordered = sorted(legs, key=lambda leg: (leg.session.wall_ns, leg.session.id))
    for leg in ordered:
        exact = not found or bool(leg.clock and leg.clock in known)
        if leg.clock in known and leg.clock:
            other, at = known[leg.clock]
            start = at + leg.session.mono_ns - other.session.mono_ns
        else:
            start = leg.session.wall_ns - ordered[0].session.wall_ns
        known.setdefault(leg.clock, (leg, start))
        found.append((leg, start, exact))
    found.sort(key=lambda entry: entry[1])
    first = found[0][1] if found else 0
    return [(leg, start - first, exact) for leg, start, exact in found]


def _moved(line: Line, session: str, start: int, turns: int) -> Line:
    return replace(
        line,
        session=session,
        start_ns=None if line.start_ns is None else line.start_ns + start,
        end_ns=None if line.end_ns is None else line.end_ns + start,
        turn=None if line.turn is None else line.turn + turns,
    )


# Connections.


def _connection(leg: Leg, start: int, gap: int | None, exact: bool, resent: int) -> Connection:
    summary = leg.analysis.summary
    return Connection(
        session=leg.session.id,
        wall_ns=leg.session.wall_ns,
        start_ns=start,
        end_ns=start + leg.length_ns,
        gap_ns=gap,
        exact=exact,
        model=summary.model or leg.session.model,
        ended=_ended(summary.closed),
        resent=resent,
    )


def _ended(closing: Closing | None) -> str:
    if closing is None:
        return ""
    words = [f"closed by the {closing.initiator}" if closing.initiator else "closed"]
    words += [f"code {closing.code}"] if closing.code is not None else []
    words += [closing.reason or closing.error] if closing.reason or closing.error else []
    return ", ".join(words)


def _reconnect(before: Connection, after: Connection) -> Line:
    """The mark between two connections."""
    gap = after.gap_ns or 0
    if gap < 0:
        text = f"a second connection, opened {seconds(-gap)} before the end of the one before it"
    else:
        about = "" if after.exact else "about "
        text = f"no connection for {about}{seconds(gap)}"
    notes = [before.ended] if before.ended and gap >= 0 else []
    notes += [] if after.exact else ["by the wall clock"]
    if after.resent:
        notes.append(f"history sent again: {after.resent} item{'s' * (after.resent != 1)}")
    return Line(
        kind="reconnect",
        speaker="recorder",
        start_ns=min(after.start_ns - gap, after.start_ns),
        end_ns=after.start_ns,
        text=f"{text} ({'; '.join(notes)})" if notes else text,
        session=after.session,
        detail={"gap_ms": gap / 1e6, "exact": after.exact, "resent": after.resent},
    )


# What was said before.


class _Again(NamedTuple):
    """What of a leg was shown already."""

    items: frozenset[str]
    calls: frozenset[str]
    """Item ids of tool calls."""

    @property
    def total(self) -> int:
        return len(self.items | self.calls)

    def holds(self, line: Line) -> bool:
        return line.item_id in (self.calls if line.kind == "tool" else self.items)


class _Known(NamedTuple):
    role: str
    answered: bool
    """Something of the assistant's follows it."""


class _Said:
    """The conversation so far, by what was said."""

    def __init__(self) -> None:
        self._entries: list[_Known] = []
        self._where: dict[tuple[str, str], list[int]] = {}
        self._calls: set[tuple[str, str]] = set()
        self._ids: set[str] = set()
        self._call_ids: set[str] = set()

    def again(self, leg: Leg, *, overlapping: bool) -> _Again:
        """What of this leg was said before it."""
        conversation, live = leg.analysis.conversation, _live_seq(leg)
        early = [i for i in conversation.items if i.by == "client" and i.seq < live]
        items = set(self._matching([item for item in early if item.type == "message"]))
        names = {item.id for item in early}
        calls = {
            call.item_id
            for call in conversation.calls
            if call.item_id in names and _key_of(call) in self._calls
        }
        if overlapping:
            items |= {item.id for item in conversation.items if item.id in self._ids}
            calls |= {c.item_id for c in conversation.calls if c.call_id in self._call_ids}
        return _Again(frozenset(items), frozenset(calls))

    def _matching(self, early: Sequence[Item]) -> list[str]:
        """Those that repeat what was said, in the order in which it was said."""
        found: list[tuple[str, int]] = []
        after = 0
        for item in early:
            rows = self._where.get((item.role, _words(item.text)), [])
            place = bisect_left(rows, after)
            if item.text and place < len(rows):
                found.append((item.id, rows[place]))
                after = rows[place] + 1
        if len(found) == 1:
            known = self._entries[found[0][1]]
            if known.role == "user" and known.answered:
                return []
        return [item for item, _ in found]

    def add(self, leg: Leg, again: _Again) -> None:
        """Remember what this leg brought."""
        conversation = leg.analysis.conversation
        heard = {line.item_id: line.heard for line in leg.analysis.transcript.lines if line.heard}
        for item in conversation.items:
            if item.type == "message" and item.id not in again.items:
                self._enter(item, heard.get(item.id))
        self._calls |= {_key_of(call) for call in conversation.calls}
        self._ids |= {item.id for item in conversation.items if "@" not in item.id}
        self._call_ids |= {call.call_id for call in conversation.calls}

    def _enter(self, item: Item, heard: str | None) -> None:
        if item.role == "assistant":
            for row in range(len(self._entries) - 1, -1, -1):
                if self._entries[row].answered:
                    break
                self._entries[row] = self._entries[row]._replace(answered=True)
        row = len(self._entries)
        self._entries.append(_Known(item.role, answered=False))
        for words in {_words(text) for text in (item.text, item.truncated_text, heard) if text}:
            self._where.setdefault((item.role, words), []).append(row)


def _live_seq(leg: Leg) -> int:
    """The first event of the session that was more than seeding it."""
    asked = [each.asked_seq or each.seq for each in leg.analysis.conversation.responses]
    return min(
        [*asked, *(commit.at.seq for commit in leg.analysis.inputs.commits)], default=1 << 62
    )


def _words(text: str) -> str:
    """What makes two texts the same: not white space, not capitals."""
    return " ".join(text.split()).casefold()


def _key_of(call: ToolCall) -> tuple[str, str]:
    return call.name, call.arguments.strip()

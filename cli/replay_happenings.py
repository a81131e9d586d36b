"""What a view tells of a session while it is played: words as they are heard, interruptions, tool
calls, latencies, findings; each a cue like an event, with the moment at which it happens.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from recorder.projections.transcript import first_words
from recorder.projections.transcript_text import name_of, untranscribed, words_of

from .text import length, milliseconds, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recorder.projections import Analysis
    from recorder.projections.model import Finding, Line, Played, TurnLatency, Value


class View(Enum):
    """The origin of what is no event."""

    CONVERSATION = 0


CONVERSATION: Final = View.CONVERSATION.name.lower()

HEADLINES: Final = ("v2v_wire", "ttfa_trigger", "ttft", "response_duration")
"""What stands for a turn's latency where it has no waterfall: the first that has a value."""
MOST_PARTS: Final = 3
"""Of a waterfall; `recorder latency` shows all."""
_SUSPECT: Final = ", suspect: nearly always joined to the wrong turn"


class Happening(NamedTuple):
    """Something that a person would notice in the call."""

    at_ns: int
    type: str
    """`user`, `assistant`, `system`, `tool`, `result`, `interruption`, `latency`, `finding`,
    `note`, `error`, `gap`."""
    words: str
    seq: int
    """The event that shows it; 0 where none does."""
    style: str = ""
    line: Line | None = None
    """Of speech: what grows while it is spoken."""
    origin: View = View.CONVERSATION

    def so_far(self, now_ns: int) -> tuple[str, str]:
        """(what was heard by then, what of it never was and is known not to be)."""
        line = self.line
        if line is None or line.start_ns is None:
            return self.words, ""
        heard = line.text if line.heard is None else line.heard
        end = line.start_ns if line.end_ns is None else line.end_ns
        if now_ns < end:
            part = first_words(heard, now_ns - line.start_ns, end - line.start_ns)
            return one_line(part) + "\u2026", ""
        return one_line(heard), one_line(line.text[len(heard) :]) if line.heard is not None else ""


def happenings(analysis: Analysis, times: Sequence[int]) -> list[Happening]:
    """All of them, in order of time; `times` are those of the events, by number less 1."""
    found = [told for line in analysis.transcript.lines for told in _of_line(line)]
    found += [_interruption(item) for item in analysis.playback.items if _was_cut(item)]
    for turn in analysis.latency.turns:
        found += _of_turn(turn, times)
    for turn_quality in analysis.quality.turns:
        value = turn_quality.values.get("barge_in_stop")
        if value is not None and value.ns is not None:
            found.append(_latency(turn_quality.turn, "barge_in_stop", value, times))
    found += [_finding(each, times) for each in analysis.findings]
    timed = analysis.summary.timed
    return sorted(found, key=lambda happening: happening.at_ns if timed else happening.seq)


# ---- what was said and done

STYLES: Final = {
    "user": "cyan", "assistant": "green", "tool": "magenta", "result": "magenta",
    "interruption": "yellow", "latency": "blue", "note": "yellow", "error": "red", "gap": "red",
}  # fmt: skip


def _of_line(line: Line) -> Iterator[Happening]:
    kind, at_ns = name_of(line), line.start_ns or 0
    style = STYLES.get(kind, "")
    if line.kind == "tool":
        yield Happening(at_ns, kind, one_line(line.text), line.seq, style)
        if line.end_ns is not None:
            yield Happening(line.end_ns, "result", _result(line), line.seq, style)
        return
    grows = line.kind == "speech" and bool(line.text)
    words = untranscribed(line) if line.kind == "speech" and not line.text else words_of(line)
    yield Happening(at_ns, kind, words, line.seq, style, line if grows else None)


def _result(line: Line) -> str:
    detail = line.detail or {}
    took = detail.get("exec_ms")
    after = "" if took is None else f" after {took:.0f} ms"
    name = one_line(str(detail.get("name") or "")) or "the tool"
    if detail.get("error"):
        return f"{name} failed{after}: {quoted(str(detail['error']))}"
    return f"{name} gave {quoted(str(detail.get('output') or ''))}{after}"


def _was_cut(item: Played) -> bool:
    return item.heard_samples < item.received_samples and bool(item.stopped_by)


_EVIDENCE: Final = {
    "marked": "the application said so",
    "buffer": "the server cleared its buffer",
    "truncated": "the client truncated it",
    "cancelled": "its response was cancelled",
    "assumed": "assumed, because the user spoke",
}


def _interruption(item: Played) -> Happening:
    why = _EVIDENCE.get(item.stopped_by, item.stopped_by)
    words = f"playback cut after {length(item.heard_ns)} of {length(item.received_ns)}: {why}"
    at_ns = item.stop_ns if item.stop_ns is not None else item.end_ns or item.arrived_ns or 0
    seq = item.evidence[-1] if item.evidence else 0
    return Happening(at_ns, "interruption", words, seq, STYLES["interruption"])


# ---- what was measured and found


def _of_turn(turn: TurnLatency, times: Sequence[int]) -> Iterator[Happening]:
    fall = turn.waterfall
    if fall is not None:
        value = turn.values[fall.of]
        most = sorted(fall.parts, key=lambda part: -part.ns)[:MOST_PARTS]
        parts = ", ".join(f"{part.name} {milliseconds(part.ns)}" for part in most)
        told = _latency(turn.turn, fall.of, value, times)
        at_ns = max(fall.start_ns + fall.total_ns, 0)
        yield told._replace(at_ns=at_ns, words=f"{told.words} ({parts})")
        return
    for name in HEADLINES:
        value = turn.values[name]
        if value.ns is not None:
            yield _latency(turn.turn, name, value, times)
            return


def _latency(turn: int, name: str, value: Value, times: Sequence[int]) -> Happening:
    """At the last event that it was computed from: nobody could have known it before."""
    seq = max(value.evidence, default=0)
    suspect = _SUSPECT if "suspect" in value.flags else ""
    modelled = ", by a model of playback" if value.label == "estimated" else ""
    words = f"turn {turn}: {name} {milliseconds(value.ns)} ms{modelled}{suspect}"
    return Happening(times[seq - 1] if seq else 0, "latency", words, seq, STYLES["latency"])


_SEVERE: Final = {"error": "red", "warning": "yellow"}


def _finding(found: Finding, times: Sequence[int]) -> Happening:
    """When the last event that shows it has passed: before, nobody could have known it."""
    last = max(found.evidence, default=0)
    at_ns = times[last - 1] if last else times[-1]
    words = f"{found.severity}: {one_line(found.sentence)}"
    style = _SEVERE.get(found.severity, "")
    return Happening(max(at_ns, found.at_ns or 0), "finding", words, last, style)

"""The call as a trace: Chrome's Trace Event Format in JSON, for ui.perfetto.dev.

A session is a process, and each kind of thing a thread of it: turns, the parts of their latency,
the user's speech, what was played, responses, tool calls, audio as it was sent and as it came,
the other messages, findings. Arrows lead from what the user said to the response, and from there
to its playback. Every slice names its evidence: the sequence numbers of events.

Laws:

1. Slices of one thread never overlap: what does (responses out of band, parallel calls) goes to
   a further thread of the same name.
2. Times are microseconds since the first session was opened, exact to the nanosecond; sessions
   of one call lie where they were.
3. Nothing lies before the first session was opened: what began earlier is cut there.
4. A session that was imported without times has no place here.
5. Runs of appended audio are one slice each; every other event stands by itself.

Trace Event Format: Google, "Trace Event Format", as Perfetto's JSON importer reads it.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ..dialects import decode
from ..dialects.facts import AudioDelta, InputAppended
from ..errors import UsageError
from ..events import Origin
from .base import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..events import Event
    from ..projections.model import Played, Response, Turn
    from .base import Source

_PAUSE_NS: Final = 1_000_000_000
"""So long without an append ends a run of them."""

(TURNS, LATENCY, USER, ASSISTANT, RESPONSES, TOOLS, SENT, RECEIVED, CLIENT, SERVER, RECORDER,
 FINDINGS) = range(12)  # fmt: skip

NAMES: Final = (
    "turns", "latency", "user speech", "assistant heard", "responses", "tools",
    "user audio sent", "assistant audio received", "client events", "server events",
    "recorder events", "findings",
)  # fmt: skip
"""Of the threads, in the order in which they are shown."""

_LANES: Final = 100
"""Room for further threads of the same name."""
_THREADS: Final = 10_000
"""Room for the threads of a session: importers want numbers that no other process uses."""


class Slice(NamedTuple):
    """Something that lasted."""

    track: int
    name: str
    start_ns: int
    end_ns: int
    args: dict[str, Any]


def trace(sources: Iterable[Source]) -> Iterator[bytes]:
    """The whole file. Raises `UsageError` for a session without times."""
    yield b'{"displayTimeUnit":"ms","otherData":{"made_by":"realtime-recorder"},"traceEvents":[\n'
    begun, comma, flows = None, b"", count(1)
    for pid, source in enumerate(sources, 1):
        if not source.told("summary").timed:
            raise UsageError("a trace needs times, and this session was imported without any")
        begun = source.session.wall_ns if begun is None else begun
        for line in _Trace(source, pid, source.session.wall_ns - begun, flows).lines():
            yield comma + orjson.dumps(line)
            comma = b",\n"
    yield b"\n]}\n"


write = pieces(trace)


class _Trace:
    """One session's part of the file."""

    def __init__(self, source: Source, pid: int, offset_ns: int, flows: Iterator[int]) -> None:
        self._source, self._pid, self._offset = source, pid, offset_ns
        self._flows, self._first_tid = flows, pid * _THREADS + 1
        self._named: set[int] = set()
        self._ends: dict[int, list[int]] = {}

    def lines(self) -> Iterator[dict[str, Any]]:
        """Everything, thread by thread; events as they passed come last."""
        session = self._source.session
        name = f"session {session.id[-6:]} {session.model}".strip()
        yield self._meta("process_name", 0, name=name)
        yield self._meta("process_sort_index", 0, sort_index=self._pid)
        yield from self._slices(self._turns())
        yield from self._slices(self._latency())
        yield from self._answers()
        yield from self._slices(self._tools())
        yield from self._findings()
        yield from self._events()

    # ---- what was understood

    def _turns(self) -> Iterator[Slice]:
        values = {each.turn: each.values for each in self._source.told("latency").turns}
        for turn in self._source.told("turns"):
            figures = {
                f"{name}_ms": value.value_ms
                for name, value in values.get(turn.index, {}).items()
                if value.value_ms is not None
            }
            told = {"trigger": turn.trigger, "status": turn.status, "flags": list(turn.flags)}
            args = told | figures | {"evidence": [turn.trigger_seq]}
            yield Slice(TURNS, f"turn {turn.index}", turn.start_ns, turn.end_ns, args)

    def _latency(self) -> Iterator[Slice]:
        """The waterfalls. A part that is negative has no place on a clock; it is in the turn."""
        for turn in self._source.told("latency").turns:
            if turn.waterfall is None:
                continue
            at_ns = turn.waterfall.start_ns
            for part in turn.waterfall.parts:
                args = {"owner": part.owner, "ms": part.value_ms, "turn": turn.turn,
                        "of": turn.waterfall.of, "evidence": list(part.evidence)}  # fmt: skip
                if part.ns > 0:
                    yield Slice(LATENCY, part.name, at_ns, at_ns + part.ns, args)
                at_ns += part.ns

    def _answers(self) -> Iterator[dict[str, Any]]:
        """Speech, responses and playback, with the arrows between them."""
        source = self._source
        told: dict[str, dict[str, Any]] = {}
        for slices in (self._speech(), self._responses(), self._playback()):
            for key, made in slices:
                line = self._slice(made)
                yield from self._naming(line)
                yield line
                told.setdefault(key, line)
        for turn in source.told("turns"):
            yield from self._arrows(turn, told)

    def _arrows(self, turn: Turn, told: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        heard = [told[f"user {item}"] for item in turn.user_items if f"user {item}" in told]
        for number, response in enumerate(turn.responses):
            asked = told.get(f"response {response}")
            if asked is None:
                continue
            if heard and number == 0:
                yield from self._arrow("answered by", heard[-1], asked)
            if played := told.get(f"played {response}"):
                yield from self._arrow("played", asked, played)

    def _speech(self) -> Iterator[tuple[str, Slice]]:
        texts = self._texts()
        for said in self._source.told("speech").utterances:
            if said.end_ns <= said.start_ns:
                continue
            seqs = dict.fromkeys((*said.onset.evidence, *said.end.evidence))
            args = {"item": said.item_id, "anchor": said.anchor, "flags": list(said.flags),
                    "evidence": list(seqs)}  # fmt: skip
            text = texts.get(said.item_id, "")
            made = Slice(USER, text or "speech", said.start_ns, said.end_ns, args)
            yield f"user {said.item_id}", made

    def _responses(self) -> Iterator[tuple[str, Slice]]:
        for response in self._source.told("conversation").responses:
            if response.created_ns is None:
                continue
            end = response.created_ns if response.done_ns is None else response.done_ns
            name = f"response {response.status}"
            made = Slice(RESPONSES, name, response.created_ns, end, _about(response))
            yield f"response {response.id}", made

    def _playback(self) -> Iterator[tuple[str, Slice]]:
        texts = self._texts()
        for item in self._source.told("playback").items:
            name = texts.get(item.item_id) or "audio"
            for run in item.runs:
                end = run.start_ns + item.format.ns(run.samples)
                yield (
                    f"played {item.response_id}",
                    Slice(ASSISTANT, name, run.start_ns, end, _about_playback(item)),
                )

    def _texts(self) -> dict[str, str]:
        """The words of each item, short."""
        lines = self._source.told("transcript").lines
        return {line.item_id: _short(line.text) for line in lines if line.text and line.item_id}

    def _tools(self) -> Iterator[Slice]:
        for call in self._source.told("conversation").calls:
            end = call.at_ns if call.output_ns is None else call.output_ns
            evidence = [seq for seq in (call.seq, call.output_seq) if seq is not None]
            args = {"call_id": call.call_id, "arguments": call.arguments, "output": call.output,
                    "error": call.error, "response": call.response_id,
                    "evidence": evidence}  # fmt: skip
            yield Slice(TOOLS, call.name or "tool", call.at_ns, end, args)

    def _findings(self) -> Iterator[dict[str, Any]]:
        for found in self._source.told("findings"):
            args = {"sentence": found.sentence, "owner": found.owner, "turn": found.turn,
                    "severity": found.severity, "evidence": list(found.evidence)}  # fmt: skip
            yield from self._instant(FINDINGS, found.rule, found.at_ns, args)

    # ---- what passed

    def _events(self) -> Iterator[dict[str, Any]]:
        run: list[Event] = []
        size = 0
        for event in self._source.events(False):
            fact = decode(event)
            if isinstance(fact, InputAppended):
                if run and event.at_ns - run[-1].at_ns > _PAUSE_NS:
                    yield from self._sent(run, size)
                    run, size = [], 0
                run, size = [run[0] if run else event, event], size + fact.size
                continue
            if isinstance(fact, AudioDelta):
                args = {"seq": event.seq, "bytes": fact.size, "item": fact.item}
                yield from self._instant(RECEIVED, "audio", event.at_ns, args)
                continue
            yield from self._instant(_SIDES[event.origin], event.type or "frame", event.at_ns,
                                     {"seq": event.seq})  # fmt: skip
        if run:
            yield from self._sent(run, size)

    def _sent(self, run: list[Event], size: int) -> Iterator[dict[str, Any]]:
        first, last = run
        args = {"first_seq": first.seq, "last_seq": last.seq, "bytes": size,
                "evidence": [first.seq, last.seq]}  # fmt: skip
        yield from self._slices([Slice(SENT, "appended", first.at_ns, last.at_ns, args)])

    # ---- the format

    def _slices(self, slices: Iterable[Slice]) -> Iterator[dict[str, Any]]:
        for made in slices:
            line = self._slice(made)
            yield from self._naming(line)
            yield line

    def _slice(self, made: Slice) -> dict[str, Any]:
        start = max(made.start_ns, -self._offset)
        end = max(made.end_ns, start)
        return {
            "ph": "X", "name": made.name, "cat": NAMES[made.track], "pid": self._pid,
            "tid": self._lane(made.track, start, end), "ts": self._us(start),
            "dur": _microseconds(end - start), "args": made.args,
        }  # fmt: skip

    def _lane(self, track: int, start_ns: int, end_ns: int) -> int:
        """The thread of this kind that is free at that time."""
        ends = self._ends.setdefault(track, [])
        for lane, busy_until in enumerate(ends):
            if busy_until <= start_ns:
                ends[lane] = end_ns
                return self._first_tid + track * _LANES + lane
        ends.append(end_ns)
        return self._first_tid + track * _LANES + min(len(ends), _LANES) - 1

    def _instant(
        self, track: int, name: str, at_ns: int, args: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        line = {
            "ph": "i", "s": "t", "name": name, "cat": NAMES[track], "pid": self._pid,
            "tid": self._first_tid + track * _LANES, "ts": self._us(at_ns), "args": args,
        }  # fmt: skip
        yield from self._naming(line)
        yield line

    def _arrow(
        self, name: str, start: dict[str, Any], end: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """From the beginning of one slice to that of another; it binds to what encloses it."""
        number = next(self._flows)
        for phase, at in (("s", start), ("f", end)):
            line = {"ph": phase, "id": number, "name": name, "cat": "flow", "pid": self._pid,
                    "tid": at["tid"], "ts": at["ts"]}  # fmt: skip
            yield line | ({"bp": "e"} if phase == "f" else {})

    def _naming(self, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A thread is named before its first slice."""
        tid = line["tid"]
        if tid not in self._named:
            self._named.add(tid)
            track, lane = divmod(tid - self._first_tid, _LANES)
            name = NAMES[track] + (f" ({lane + 1})" if lane else "")
            yield self._meta("thread_name", tid, name=name)
            yield self._meta("thread_sort_index", tid, sort_index=tid)

    def _meta(self, kind: str, tid: int, **args: Any) -> dict[str, Any]:
        return {"ph": "M", "name": kind, "pid": self._pid, "tid": tid, "args": args}

    def _us(self, at_ns: int) -> float:
        return _microseconds(max(at_ns + self._offset, 0))


_SIDES: Final = {Origin.CLIENT: CLIENT, Origin.SERVER: SERVER, Origin.RECORDER: RECORDER}


def _microseconds(ns: int) -> float:
    return ns // 1000 if ns % 1000 == 0 else ns / 1000


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79].rstrip() + "…"


def _about(response: Response) -> dict[str, Any]:
    seqs = (response.asked_seq, response.seq, response.first_audio_seq, response.done_seq)
    return {
        "id": response.id,
        "status": response.status,
        "reason": response.reason,
        "out_of_band": response.out_of_band,
        "audio_ms": response.audio_ns / 1e6,
        "evidence": [seq for seq in seqs if seq is not None],
    }


def _about_playback(item: Played) -> dict[str, Any]:
    return {
        "item": item.item_id,
        "label": item.label,
        "received_ms": item.received_ns / 1e6,
        "heard_ms": item.heard_ns / 1e6,
        "stopped_by": item.stopped_by,
        "stalls": item.stalls,
        "flags": list(item.flags),
        "evidence": list(item.evidence),
    }

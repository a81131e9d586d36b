"""Where the time of a turn went: parts in order, each with an owner, adding up exactly.

The parts are the stretches between checkpoints on the way from the end of the user's speech to
the first audible sample. Checkpoints are events, so a part is negative where they passed the
other way round; none is clamped. Stretches of one name are one part, at its first place.

A stretch from a message of the client to one of the server holds one round trip. Where pings and
pongs passed, the shortest of theirs is taken out of it as `network` and the rest is the server's;
else network and server stay one part, and `round_trip_ns` says so by being None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .metrics import PARTS
from .model import Waterfall, WaterfallPart, reckoned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .facets import Facet
    from .model import Played, Response, Utterance, Value

CLIENT: Final = "client"
SERVER: Final = "server"
NOBODY: Final = ""


class Checkpoint(NamedTuple):
    """Where a part ends."""

    part: str
    at_ns: int
    seq: int | None
    by: str = SERVER
    """Whose message it is; NOBODY: no message, so the way is still under way."""


def waterfall(
    facet: Facet, start_ns: int, of: str, round_trip: Value | None = None
) -> Waterfall | None:
    """The way to the first audible sample of the answer; None where there is none."""
    answer = facet.answer
    if answer is None or answer.start_ns is None:
        return None
    points = [*_from_speech(facet, of), *_responses(facet, answer), *_played(answer)]
    parts = _Parts(round_trip, start_ns, _side(facet, of))
    for point in points:
        parts.reach(point)
    found = tuple(parts.found())
    trip_ns = round_trip.ns if round_trip is not None else None
    return Waterfall(of, start_ns, parts.at_ns - start_ns, found, trip_ns)


def _side(facet: Facet, of: str) -> str:
    """Where the first part begins: with the caller, but for an end of speech that was reckoned
    back from a message of the server, because the input is not on this wire."""
    said = facet.utterance
    return SERVER if of == "v2v_audible" and said and said.arrival_ns is None else CLIENT


class _Parts:
    """Adds up stretches by name, round trips taken out of them."""

    def __init__(self, round_trip: Value | None, start_ns: int, side: str) -> None:
        self._trip = round_trip if round_trip is not None and round_trip.ns is not None else None
        self._parts: dict[str, tuple[int, list[int]]] = {}
        self._by = side
        self.at_ns = start_ns

    def reach(self, point: Checkpoint) -> None:
        """The next checkpoint, on whichever side of the one before it."""
        length = point.at_ns - self.at_ns
        crossed = self._by == CLIENT and point.by == SERVER
        if crossed and self._trip is not None:
            length -= self._trip.ns or 0
        self._add(point.part, length, [] if point.seq is None else [point.seq])
        if crossed and self._trip is not None:
            self._add("network", self._trip.ns or 0, list(self._trip.evidence))
        self.at_ns, self._by = point.at_ns, point.by or self._by

    def _add(self, name: str, length: int, seqs: list[int]) -> None:
        before, evidence = self._parts.get(name, (0, []))
        self._parts[name] = (before + length, [*evidence, *seqs])

    def found(self) -> Iterator[WaterfallPart]:
        """The parts, in order of their first stretch."""
        for name, (length, seqs) in self._parts.items():
            owner = PARTS[name][0]
            if self._trip is not None and owner == "network and server":
                owner = "provider"
            yield WaterfallPart(name, owner, length, length / 1e6, tuple(dict.fromkeys(seqs)))


def _from_speech(facet: Facet, of: str) -> Iterator[Checkpoint]:
    """From the end of speech to what begins the response."""
    utterance, commit = facet.utterance, facet.commit
    if of != "v2v_audible" or utterance is None or commit is None:
        return
    if utterance.arrival_ns is not None:
        at_ns, seq = utterance.arrival_ns, utterance.arrival_seq
        yield Checkpoint("input_backlog", at_ns, seq, CLIENT)
    if commit.asked is not None:
        yield Checkpoint("app_wait", commit.asked.at_ns, commit.asked.seq, CLIENT)
    elif utterance.stopped_ns is not None:
        yield from _endpointing(utterance, utterance.stopped_ns)
    else:
        yield Checkpoint("endpointing", commit.at.at_ns, commit.at.seq)


def _endpointing(utterance: Utterance, stopped_ns: int) -> Iterator[Checkpoint]:
    arrived = utterance.arrival_ns
    if utterance.silence_ns is None or arrived is None:
        yield Checkpoint("endpointing", stopped_ns, utterance.stopped_seq)
        return
    window_end = arrived + utterance.silence_ns
    yield Checkpoint("endpointing_window", window_end, utterance.stopped_seq, NOBODY)
    yield Checkpoint("endpointing_rest", stopped_ns, utterance.stopped_seq)


def _responses(facet: Facet, answer: Played) -> Iterator[Checkpoint]:
    """From the trigger through tool calls and failures to the first audio."""
    after_tools = False
    for row, response in enumerate(facet.responses):
        if row == 0:
            yield from _begun(facet, response)
        else:
            yield from _again(facet, facet.responses[row - 1], response, after_tools=after_tools)
        if response.id == answer.response_id:
            inside = list(_tools(facet, response, answer.arrived_ns))  # MCP: within one response
            yield from inside
            name = "tool_resume" if after_tools or inside else "model_first_audio"
            yield Checkpoint(name, reckoned(answer.arrived_ns), answer.evidence[0])
            return
        tools = list(_tools(facet, response))
        after_tools = after_tools or bool(tools)
        yield from tools
        if not tools and response.done_ns is not None:
            yield Checkpoint("failed_response", response.done_ns, response.done_seq)


def _begun(facet: Facet, response: Response) -> Iterator[Checkpoint]:
    """The first response: asked for by the application, or begun by the server."""
    commit = facet.commit
    if response.asked_ns is not None:
        by_server = commit is not None and commit.asked is None
        if by_server and commit is not None and commit.at.at_ns < response.asked_ns:
            yield Checkpoint("response_start", commit.at.at_ns, commit.at.seq)
        yield Checkpoint("app_wait", response.asked_ns, response.asked_seq, CLIENT)
    if response.created_ns is not None:
        yield Checkpoint("response_start", response.created_ns, response.seq)


def _again(
    facet: Facet, before: Response, response: Response, *, after_tools: bool
) -> Iterator[Checkpoint]:
    """A later response: after tools the model resumes, after a failure it starts again.

    An application that sends an output before `response.done` must wait for that to ask on.
    """
    name = "tool_resume" if after_tools else "response_start"
    if response.asked_ns is not None:
        outputs = [c.output_ns or 0 for c in facet.calls if c.response_id == before.id]
        if after_tools and max(outputs, default=0) < (before.done_ns or 0) < response.asked_ns:
            # Sent while the server still spoke: what it says next answers no message of ours.
            yield Checkpoint(name, before.done_ns or 0, before.done_seq, NOBODY)
        yield Checkpoint("app_wait", response.asked_ns, response.asked_seq, CLIENT)
    if response.created_ns is not None:
        yield Checkpoint(name, response.created_ns, response.seq)


def _tools(facet: Facet, response: Response, until_ns: int | None = None) -> Iterator[Checkpoint]:
    """The response's calls; with `until_ns` those of them that were answered by then."""
    calls = [call for call in facet.calls if call.response_id == response.id]
    if until_ns is not None:
        calls = [c for c in calls if c.output_ns is not None and c.output_ns <= until_ns]
    if not calls:
        return
    last = max(calls, key=lambda call: reckoned(call.at_ns))
    yield Checkpoint("tool_call", reckoned(last.at_ns), last.seq)
    outputs = [call for call in calls if call.output_ns is not None]
    if outputs:
        answered = max(outputs, key=lambda call: call.output_ns or 0)
        by = CLIENT if answered.kind == "function" else SERVER
        yield Checkpoint("tool", answered.output_ns or 0, answered.output_seq, by)


def _played(answer: Played) -> Iterator[Checkpoint]:
    """From the arrival of the first audio to the first audible sample."""
    if answer.start_ns is not None:
        yield Checkpoint("queue", answer.start_ns, None, NOBODY)
    if answer.audible_ns is not None:
        yield Checkpoint("leading_silence", answer.audible_ns, None, NOBODY)

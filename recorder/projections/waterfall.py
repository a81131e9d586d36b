"""Where the time of a turn went: parts in order, each with an owner, adding up exactly.

The parts are the stretches between checkpoints on the way from the end of the user's speech to
the first audible sample. Checkpoints are events, so a part is negative where they passed the
other way round; none is clamped. Stretches of one name are one part, at its first place.
Network and server stay one part: pings say how long the way is, not which message took it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .metrics import PARTS
from .model import Waterfall, WaterfallPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .facets import Facet
    from .model import Played, Response, Utterance


class Checkpoint(NamedTuple):
    """Where a part ends."""

    part: str
    at_ns: int
    seq: int | None


def waterfall(facet: Facet, start_ns: int, of: str) -> Waterfall | None:
    """The way to the first audible sample of the answer; None where there is none."""
    answer = facet.answer
    if answer is None or answer.start_ns is None:
        return None
    points = [*_from_speech(facet, of), *_responses(facet, answer), *_played(answer)]
    parts: dict[str, tuple[int, list[int]]] = {}
    before = start_ns
    for name, at_ns, seq in points:
        length, evidence = parts.get(name, (0, []))
        parts[name] = (length + at_ns - before, [*evidence, *([seq] if seq else [])])
        before = at_ns
    return Waterfall(of, start_ns, before - start_ns, tuple(_parts(parts)))


def _parts(parts: dict[str, tuple[int, list[int]]]) -> Iterator[WaterfallPart]:
    for name, (length, seqs) in parts.items():
        owner = PARTS[name][0]
        yield WaterfallPart(name, owner, length, length / 1e6, tuple(dict.fromkeys(seqs)))


def _from_speech(facet: Facet, of: str) -> Iterator[Checkpoint]:
    """From the end of speech to what begins the response."""
    utterance, commit = facet.utterance, facet.commit
    if of != "v2v_audible" or utterance is None or commit is None:
        return
    if utterance.arrival_ns is not None:
        yield Checkpoint("input_backlog", utterance.arrival_ns, utterance.arrival_seq)
    if commit.asked is not None:
        yield Checkpoint("app_wait", commit.asked.at_ns, commit.asked.seq)
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
    yield Checkpoint("endpointing_window", window_end, utterance.stopped_seq)
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
            name = "tool_resume" if after_tools else "model_first_audio"
            yield Checkpoint(name, answer.arrived_ns, answer.evidence[0])
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
        yield Checkpoint("app_wait", response.asked_ns, response.asked_seq)
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
            yield Checkpoint(name, before.done_ns or 0, before.done_seq)
        yield Checkpoint("app_wait", response.asked_ns, response.asked_seq)
    if response.created_ns is not None:
        yield Checkpoint(name, response.created_ns, response.seq)


def _tools(facet: Facet, response: Response) -> Iterator[Checkpoint]:
    calls = [call for call in facet.calls if call.response_id == response.id]
    if not calls:
        return
    last = max(calls, key=lambda call: call.at_ns)
    yield Checkpoint("tool_call", last.at_ns, last.seq)
    outputs = [call for call in calls if call.output_ns is not None]
    if outputs:
        answered = max(outputs, key=lambda call: call.output_ns or 0)
        yield Checkpoint("tool", answered.output_ns or 0, answered.output_seq)


def _played(answer: Played) -> Iterator[Checkpoint]:
    """From the arrival of the first audio to the first audible sample."""
    if answer.start_ns is not None:
        yield Checkpoint("queue", answer.start_ns, None)
    if answer.audible_ns is not None:
        yield Checkpoint("leading_silence", answer.audible_ns, None)

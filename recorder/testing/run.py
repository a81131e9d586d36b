"""What an application did this time, as projections to assert on.

    run.turns[0].user, run.turns[0].assistant     the words of a turn
    run.turns[0].tool_calls[0].arguments["city"]  what was called, with what, and what came of it
    run.transcript, run.overlap_ms, run.findings  of the whole call

Times are those of this run. A cassette that is played without waiting has hardly any: what was
interrupted in the call may then count as never heard, and its turn as one with the next.
Everything else that can be said of a call is in `run.analysis` (`recorder.projections`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from recorder.projections import model
from recorder.projections.analysis import analyse
from recorder.projections.transcript_text import plain

if TYPE_CHECKING:
    from recorder.events import Event, Session
    from recorder.projections.analysis import Analysis
    from recorder.projections.model import Finding, Turn


class ToolCall(NamedTuple):
    """One call of a tool."""

    name: str
    arguments: Any
    """Parsed; the text itself where it is no JSON."""
    output: str | None
    """What the application sent back; None: nothing."""
    call_id: str


class RunTurn:
    """One turn: what set it off, and everything that answered it."""

    def __init__(self, turn: Turn, analysis: Analysis) -> None:
        self.turn = turn
        """As the projections have it."""
        self._analysis = analysis

    def __repr__(self) -> str:
        return f"<turn {self.turn.index} {self.status}: {self.user!r} -> {self.assistant!r}>"

    @property
    def status(self) -> str:
        """`answered`, `unanswered`, `failed`, `cancelled`, `unheard`, `open`."""
        return self.turn.status

    @property
    def interrupted(self) -> bool:
        """Whether the user cut the answer off."""
        return "interrupted" in self.turn.flags

    @property
    def user(self) -> str:
        """What the user said or wrote."""
        return self._words(lambda item: item.id in self.turn.user_items)

    @property
    def assistant(self) -> str:
        """What the assistant said or wrote, whether all of it was heard or not."""
        return self._words(
            lambda item: item.type == "message" and item.response_id in self.turn.responses
        )

    @property
    def tool_calls(self) -> list[ToolCall]:
        """In the order in which they were made."""
        calls = self._analysis.conversation.calls
        return [_tool_call(call) for call in calls if call.call_id in self.turn.calls]

    @property
    def latency_ms(self) -> dict[str, float]:
        """By the names of the metric table; only those that could be measured."""
        found = self._analysis.latency.turns[self.turn.index - 1].values
        return {name: each.value_ms for name, each in found.items() if each.value_ms is not None}

    def _words(self, fits: Callable[[model.Item], bool]) -> str:
        items = self._analysis.conversation.items
        return " ".join(item.text for item in items if item.text and fits(item))


class Run:
    """One connection of the application, from its first event to its last."""

    def __init__(
        self, session: Session, source: Callable[[bool], Iterable[Event]], label: str = ""
    ) -> None:
        self.session = session
        self._source, self._label = source, label

    def __repr__(self) -> str:
        return f"<run {self._label or self.session.id}: {len(self.turns)} turns>"

    @cached_property
    def events(self) -> list[Event]:
        """What passed, both ways, in order."""
        return list(self._source(True))

    @cached_property
    def analysis(self) -> Analysis:
        """Everything that can be said of it."""
        return analyse(lambda audio: self.events)

    @cached_property
    def turns(self) -> list[RunTurn]:
        """The first is `turns[0]`."""
        return [RunTurn(turn, self.analysis) for turn in self.analysis.turns]

    @property
    def tool_calls(self) -> list[ToolCall]:
        """All of them, in order."""
        return [_tool_call(call) for call in self.analysis.conversation.calls]

    @property
    def transcript(self) -> list[str]:
        """What was said and called, a line each, in the order of the conversation:
        `user: What are your hours?`, `tool: hours({"day": "Sunday"}) -> closed`."""
        conversation = self.analysis.conversation
        calls = {call.item_id: call for call in conversation.calls}
        lines = (_line(item, calls.get(item.id)) for item in conversation.items)
        return [line for line in lines if line]

    @property
    def overlap_ms(self) -> float | None:
        """How long both spoke at once; None where the run has no times."""
        overlap = self.analysis.quality.overlap_ns
        return None if overlap is None else overlap / 1e6

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was wrong, worst first."""
        return self.analysis.findings

    @property
    def client_types(self) -> list[str]:
        """The types of what the application sent, in order, without appended audio."""
        return [
            event.type
            for event in self.events
            if event.origin.name == "CLIENT"
            and event.type != "input_audio_buffer.append"
            and event.opcode in (1, 2)
        ]


def _line(item: model.Item, call: model.ToolCall | None) -> str:
    if call is not None:
        output = "" if call.output is None else f" -> {plain(call.output)}"
        return f"tool: {plain(call.name)}({plain(call.arguments)}){output}"
    if item.type != "message":
        return ""
    return f"{item.role}: {plain(item.text)}"


def _tool_call(call: model.ToolCall) -> ToolCall:
    try:
        arguments = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        arguments = call.arguments
    return ToolCall(call.name, arguments, call.output, call.call_id)

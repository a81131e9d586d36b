"""One session as it is compared: what was said and done in each turn, and in which order.

    side_of(session_id, analysis, events)

`events` are all events of the session, with or without audio; they are gone through once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..projections.metrics import METRICS, PARTS, QUALITIES
from ..projections.usage import tokens_of
from .nouns import LANES, TOKENS, About, Behind, Figure, Side, SideTurn, ToolUse
from .structure import canonical, parsed
from .trail import BEFORE, Trail
from .wording import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..audio.formats import AudioFormat
    from ..events import Event
    from ..projections import Analysis
    from ..projections.model import Line, Response, ToolCall, Turn, Value, Waterfall

SINGLE: Final = "single_turn"
"""Why a figure of the whole session is N/A where only one turn of it is compared."""


def side_of(
    session: str,
    analysis: Analysis,
    events: Iterable[Event],
    *,
    turn_of: int | None = None,
    call: str = "",
) -> Side:
    """The session, ready to be compared. `turn_of`: of a rerun of a single turn, which; `call`:
    what it shares with others that are not independent of it."""
    trail = Trail(analysis)
    trail.follow(events)
    maker = _Maker(analysis)
    turns = tuple(maker.turn(turn) for turn in analysis.turns)
    facts, counts = _facts(analysis), _counts(analysis, turns)
    return Side(
        about=About(session, len(turns), facts, counts, turn_of, call),
        turns=turns,
        behind=tuple(trail.behind(place) for place in range(len(turns))),
        before=trail.behind(BEFORE),
        latencies={name: figure_of(each) for name, each in analysis.latency.session.items()},
    )


def only_turn(side: Side, index: int) -> Side:
    """The session as if there were only this turn, to be compared with a rerun of it alone."""
    kept = [place for place, turn in enumerate(side.turns) if turn.index == index]
    return _reduced(side, kept)


def only_turns(side: Side) -> Side:
    """A rerun of a single turn without what is around its turn: the history that it began with."""
    return _reduced(side, list(range(len(side.turns))))


def _reduced(side: Side, kept: Sequence[int]) -> Side:
    """These turns, and nothing that is told of the session as a whole but its facts."""
    turns = tuple(side.turns[place] for place in kept)
    behind = tuple(side.behind[place] for place in kept)
    missing = {name: Figure(None, reason=SINGLE) for name in side.about.counts}
    return replace(
        side,
        about=replace(side.about, turns=len(turns), counts=missing | _turn_counts(turns)),
        turns=turns,
        behind=behind,
        before=Behind(dict.fromkeys(LANES, ()), (behind[-1] if behind else side.before).settings),
        latencies={},
    )


def figure_of(value: Value) -> Figure:
    """A length of time in milliseconds."""
    suspect = "suspect" in value.flags
    return Figure(value.value_ms, value.label, value.reason, suspect, value.evidence)


# ---- of the whole session


def _facts(analysis: Analysis) -> dict[str, Any]:
    summary = analysis.summary
    closed, shake = summary.closed, summary.handshake
    return {
        "model": summary.model or None,
        "model_asked": summary.model_asked or None,
        "dialect": summary.dialect or None,
        "voice": summary.voice or None,
        "turn_detection": summary.vad or None,
        "modalities": sorted(summary.modalities) or None,
        "transcription": summary.transcription or None,
        "input_format": _format(summary.input_format),
        "output_format": _format(summary.output_format),
        "handshake": shake.status if shake else None,
        "ended": f"{closed.code or 'no code'} by {closed.initiator}" if closed else None,
        "errors": [error.code or error.type or "error" for error in summary.errors] or None,
        "gaps": len(summary.gaps) or None,
    }


def _format(audio: AudioFormat) -> str:
    return f"{audio.encoding} {audio.rate} Hz"


def _counts(analysis: Analysis, turns: Sequence[SideTurn]) -> dict[str, Figure]:
    tokens = analysis.summary.tokens
    if not tokens.responses:
        cost = {name: Figure(None, reason="not_reported") for name in TOKENS}
    elif tokens.unknown:
        cost = {name: Figure(None, reason="usage_unknown") for name in TOKENS}
    else:
        cost = _cost(tokens.input, tokens.output)
    errors = Figure(len(analysis.summary.errors))
    return {**_turn_counts(turns), "errors": errors, **cost}


def _turn_counts(turns: Sequence[SideTurn]) -> dict[str, Figure]:
    """What can be counted of some of the turns."""
    return {
        "turns": Figure(len(turns)),
        "responses": Figure(sum(len(turn.responses) for turn in turns)),
        "tool_calls": Figure(sum(len(turn.tools) for turn in turns)),
        "interruptions": Figure(sum(turn.interrupted for turn in turns)),
        "user_words": _words([turn.user for turn in turns]),
        "assistant_words": _words([turn.heard for turn in turns]),
    }


def _words(texts: Sequence[str | None]) -> Figure:
    if any(text is None for text in texts):
        return Figure(None, reason="not_transcribed")
    return Figure(sum(len(words_of(text or "")) for text in texts))


def _cost(given: Mapping[str, int], made: Mapping[str, int]) -> dict[str, Figure]:
    """Tokens by name; what is not told of is not 0."""
    told = {
        "input_tokens": given.get("total"),
        "input_text_tokens": given.get("text"),
        "input_audio_tokens": given.get("audio"),
        "cached_tokens": given.get("cached"),
        "output_tokens": made.get("total"),
        "output_text_tokens": made.get("text"),
        "output_audio_tokens": made.get("audio"),
    }
    return {
        name: Figure(None, reason="not_reported") if count is None else Figure(count, "reported")
        for name, count in told.items()
    }


# ---- of a turn


class _Maker:
    """Looks up what belongs to each turn."""

    def __init__(self, analysis: Analysis) -> None:
        self._timed = analysis.summary.timed
        self._latency = {each.turn: each for each in analysis.latency.turns}
        self._quality = {each.turn: each for each in analysis.quality.turns}
        self._responses = {each.id: each for each in analysis.conversation.responses}
        self._calls = {each.call_id: each for each in analysis.conversation.calls}
        self._lines: dict[tuple[int, str], list[Line]] = {}
        for line in analysis.transcript.lines:
            if line.turn is not None and not line.out_of_band and line.kind in ("speech", "text"):
                self._lines.setdefault((line.turn, line.speaker), []).append(line)

    def turn(self, turn: Turn) -> SideTurn:
        """Everything of this turn."""
        responses = [self._responses[name] for name in turn.responses if name in self._responses]
        timing, good = self._latency[turn.index], self._quality.get(turn.index)
        values = {**timing.values, **(good.values if good else {})}
        spoken = self._lines.get((turn.index, "assistant"), [])
        return SideTurn(
            index=turn.index,
            kind=_kind(turn),
            trigger=turn.trigger,
            start_ns=turn.start_ns if self._timed else None,
            end_ns=turn.end_ns if self._timed else None,
            user=_said(self._lines.get((turn.index, "user"), []), spoken=bool(turn.user_items)),
            heard=_heard(spoken),
            generated=_said(spoken),
            tools=tuple(_tool(self._calls[name]) for name in turn.calls if name in self._calls),
            status=turn.status,
            interrupted="interrupted" in turn.flags,
            flags=turn.flags,
            responses=tuple(map(_ended, responses)),
            latencies={name: figure_of(values[name]) for name in _TIMED if name in values},
            waterfall=timing.waterfall.of if timing.waterfall else "",
            parts=_parts(timing.waterfall),
            usage=_usage(responses),
        )


_TIMED: Final = (*METRICS, *QUALITIES)


def _kind(turn: Turn) -> str:
    if turn.trigger == "idle_timeout":
        return "idle_timeout"
    if turn.user_items:
        return "user"
    return "greeting" if turn.greeting else "asked"


def _said(lines: Sequence[Line], *, spoken: bool = False) -> str | None:
    """The words of these lines; None where there was speech and nothing tells the words.

    `spoken`: there was something, so that no line at all does not mean that nothing was said.
    """
    told = [line.text for line in lines if line.text or (line.transcribed and _is_user(line))]
    if not told:
        return None if lines or spoken else ""
    return " ".join(filter(None, told))


def _heard(lines: Sequence[Line]) -> str | None:
    told = [line.text if line.heard is None else line.heard for line in lines if line.text]
    if not told:
        return None if lines else ""
    return " ".join(filter(None, told))


def _is_user(line: Line) -> bool:
    """Of a user's empty transcript we know that nothing was understood."""
    return line.speaker == "user" and line.kind == "speech"


def _tool(call: ToolCall) -> ToolUse:
    value, is_json = parsed(call.arguments) if call.arguments.strip() else ({}, True)
    told = canonical(value) if is_json else None
    arguments = call.arguments.strip() if told is None else told
    return ToolUse(call.name, arguments, told is not None, call.output, call.error, call.seq)


def _ended(response: Response) -> str:
    return f"{response.status} ({response.reason})" if response.reason else response.status


def _parts(fall: Waterfall | None) -> dict[str, Figure]:
    if fall is None:
        return {}
    there = {part.name: part for part in fall.parts}
    return {
        name: Figure(there[name].value_ms, "measured", evidence=there[name].evidence)
        for name in PARTS
        if name in there
    }


def _usage(responses: Sequence[Response]) -> dict[str, Figure]:
    """What the turn cost; N/A if one of its responses does not say."""
    told = [response.usage for response in responses if response.usage is not None]
    if not responses:
        return {}
    if len(told) < len(responses):
        return {name: Figure(None, reason="usage_unknown") for name in TOKENS}
    return _cost(*tokens_of(told))

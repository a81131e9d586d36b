"""A session without times (imported, only the order is known): what needs a time is N/A.

Its events all stand at 0, and its `recorder.opened` says `"times": "none"`. What counts samples,
words or order is as exact as ever: transcripts, turns, tool calls, lengths of audio. Whatever is
a moment or an interval becomes None, or a `Value` with the reason `no_times`; never 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .model import (
    ESTIMATED,
    Conversation,
    Latency,
    Playback,
    Played,
    Quality,
    Speech,
    Summary,
    Transcript,
    Turn,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .model import Cadence, ErrorNote, Finding, Generation, Item, Line, Response, ToolCall
    from .model_state import State
    from .playback import PlaybackFold
    from .queue import Queued, Stop

NO_TIMES: Final = "no_times"
"""Why a value is N/A."""

_MISSING: Final = Value.missing(NO_TIMES)


def _value(value: Value) -> Value:
    """N/A; the reason that it had, where it would be N/A with times too."""
    return _MISSING if value.ns is not None or value.reason == "non_realtime_input" else value


def _values(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: _value(value) for name, value in values.items()}


def speech(speech: Speech) -> Speech:
    """What was said, where in the user's audio, but not when."""
    utterances = tuple(
        replace(
            said,
            onset=_value(said.onset),
            end=_value(said.end),
            server_onset=_value(said.server_onset),
            server_end=_value(said.server_end),
            flags=tuple(flag for flag in said.flags if flag != "non_realtime_input"),
        )
        for said in speech.utterances
    )
    return replace(speech, utterances=utterances, realtime=None)


def parted(speech: Speech) -> Speech:
    """The same, without when the server told of it; for the end, when all is reckoned."""
    utterances = (replace(said, started_ns=None, stopped_ns=None) for said in speech.utterances)
    return replace(speech, utterances=tuple(utterances))


def turns(found: Sequence[Turn]) -> tuple[Turn, ...]:
    """What belonged together, but not when."""
    return tuple(replace(turn, trigger_ns=None, start_ns=None, end_ns=None) for turn in found)


def conversation(found: Conversation) -> Conversation:
    """What was said and done, in its order, but not when."""
    return replace(
        found,
        items=tuple(map(_item, found.items)),
        out_of_band=tuple(map(_item, found.out_of_band)),
        responses=tuple(map(_response, found.responses)),
        calls=tuple(map(_call, found.calls)),
        configs=tuple(replace(config, at_ns=None) for config in found.configs),
        errors=errors(found.errors),
        rate_limits=tuple({**told, "at_ns": None} for told in found.rate_limits),
    )


def errors(found: Sequence[ErrorNote]) -> tuple[ErrorNote, ...]:
    """What went wrong, but not when."""
    return tuple(replace(error, at_ns=None) for error in found)


def _item(item: Item) -> Item:
    return replace(
        item, at_ns=None, done_ns=None, transcript_ns=None, committed_ns=None, deleted_ns=None
    )


def _call(call: ToolCall) -> ToolCall:
    return replace(call, at_ns=None, output_ns=None)


def _response(response: Response) -> Response:
    return replace(
        response,
        created_ns=None,
        done_ns=None,
        asked_ns=None,
        cancel_ns=None,
        first_delta_ns=None,
        first_audio_ns=None,
        last_audio_ns=None,
    )


def playback(fold: PlaybackFold) -> Playback:
    """What arrived, less what was certainly not heard: cut by a claim, or come after a cancel."""
    items = tuple(_played(queued) for queued in fold.items.values())
    reported = tuple(
        {**record, "start_ns": None, "end_ns": None} for record in fold.result().reported
    )
    heard = sum(item.heard_ns for item in items)
    unheard = sum(item.received_ns - item.heard_ns for item in items)
    return Playback(items, reported, heard, unheard, fold.prebuffer_ms, fold.assume)


def _played(queued: Queued) -> Played:
    queue = sum(run.samples for run in queued.runs)
    claims = [stop for stop in queued.stops if stop.claim_ms is not None]
    heard, stop = queue, (queued.stops[0] if queued.stops and queue < queued.samples else None)
    if claims:
        stop = claims[-1]
        claim_ms = stop.claim_ms or 0
        heard = min(queued.form.samples_in(round(claim_ms * 1_000_000)), queued.samples)
    if heard >= queued.samples:
        stop = None
    return _as_played(queued, heard, stop)


def _as_played(queued: Queued, heard: int, stop: Stop | None) -> Played:
    first = queued.onset.at_end() if queued.onset is not None and queued.whole else None
    silent = queued.samples if queued.onset is not None and queued.whole else None
    leading = silent if first is None else first
    claim = stop.claim_ms if stop else None
    return Played(
        item_id=queued.item,
        response_id=queued.response,
        format=queued.form,
        received_samples=queued.samples,
        heard_samples=heard,
        received_ns=queued.form.ns(queued.samples),
        heard_ns=queued.form.ns(heard),
        arrived_ns=None,
        start_ns=None,
        end_ns=None,
        audible_ns=None,
        leading_ns=None if leading is None else queued.form.ns(leading),
        runs=(),
        stalls=0,
        stalled_ns=0,
        label=ESTIMATED,
        stopped_by=stop.how if stop else "",
        stop_ns=None,
        claimed_ms=None if claim is None else round(claim),
        evidence=(queued.first_seq, queued.last_seq, *([stop.seq] if stop else [])),
        flags=(),
    )


def summary(found: Summary) -> Summary:
    """What the session was."""
    return replace(found, errors=errors(found.errors))


def state(found: State) -> State:
    """What was in force and in flight after an event; of playback nothing is known."""
    speaking, buffer = found.speaking, replace(found.buffer, since_ns=None)
    return replace(
        found,
        timed=False,
        at_ns=None,
        config=tuple(replace(setting, at_ns=None) for setting in found.config),
        asked=tuple(replace(setting, at_ns=None) for setting in found.asked),
        items=tuple(replace(item, at_ns=None) for item in found.items),
        out_of_band=tuple(replace(item, at_ns=None) for item in found.out_of_band),
        buffer=buffer,
        responses=tuple(replace(response, created_ns=None) for response in found.responses),
        requests=tuple(replace(asked, at_ns=None) for asked in found.requests),
        calls=tuple(map(_call, found.calls)),
        playing=None,
        queue=(),
        speaking=None if speaking is None else replace(speaking, since_ns=None),
        rate_limits=tuple(replace(limit, at_ns=None) for limit in found.rate_limits),
        errors=errors(found.errors),
    )


def latency(timing: Latency) -> Latency:
    """No latencies, each with the reason."""
    turns = (
        replace(turn, at_ns=None, values=_values(turn.values), waterfall=None)
        for turn in timing.turns
    )
    return Latency(tuple(turns), _values(timing.session))


def quality(good: Quality) -> Quality:
    """How the call went as far as no clock is needed."""
    return replace(
        good,
        turns=tuple(replace(turn, values=_values(turn.values)) for turn in good.turns),
        cadence=tuple(map(_cadence, good.cadence)),
        input=None if good.input is None else replace(good.input, gap_max_ms=None),
        overlap_ns=None,
        unheard_ns=None,
        generation=tuple(map(_generation, good.generation)),
    )


def _cadence(cadence: Cadence) -> Cadence:
    return replace(
        cadence,
        gap_p50_ms=None,
        gap_p95_ms=None,
        gap_max_ms=None,
        speed=None,
        underruns={},
        window_ms=None,
        jitter_ms=None,
    )


def findings(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What was wrong, but not when."""
    return tuple(replace(each, at_ns=None) for each in found)


def _generation(made: Generation) -> Generation:
    return replace(made, duration_ms=None, tokens_per_s=None)


def transcript(lines: Sequence[Line], order: Sequence[int], turns: int) -> Transcript:
    """The lines by `order`, the place of each in the log, without times."""
    rows = sorted(range(len(order)), key=lambda row: (order[row], row))
    return Transcript(tuple(_line(lines[row]) for row in rows), turns=turns)


def _line(line: Line) -> Line:
    detail = line.detail and {**line.detail, "exec_ms": None}
    length = line.speech_ns or None  # of audio that was not on this wire only times could tell
    return replace(line, start_ns=None, end_ns=None, speech_ns=length, detail=detail)

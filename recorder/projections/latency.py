"""Latencies by turn, each with its evidence, or N/A with the reason (metrics.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .metrics import JOINED, METRICS, SUSPECT_NS
from .model import ESTIMATED, MEASURED, REPORTED, Latency, TurnLatency, Value, reckoned
from .speech import DISAGREEMENT_NS, PADDING_UNKNOWN
from .waterfall import waterfall

if TYPE_CHECKING:
    from collections.abc import Callable

    from .facets import Facet
    from .inputs import Moment
    from .memory import Memory
    from .model import Played, Waterfall

Seqs = tuple[int | None, ...]


def turn_latency(facet: Facet, round_trip: Value | None = None) -> TurnLatency:
    """All metrics of the table for one turn."""
    values = {name: _flagged(name, _MEASURES[name](facet)) for name in METRICS}
    turn, fall = facet.turn, _waterfall(facet, round_trip)
    return TurnLatency(turn.index, turn.trigger, turn.start_ns, values, fall)


def latency(facets: list[Facet], session: dict[str, Value], memory: Memory) -> Latency:
    """All turns, and what was measured of the session itself."""
    trip = session.get("ping_rtt")
    known: list[tuple[Facet, Value | None, TurnLatency]] = memory.kept("latency", list)
    for row, facet in enumerate(facets):
        if row < len(known) and known[row][0] is facet and known[row][1] == trip:
            continue
        known[row : row + 1] = [(facet, trip, turn_latency(facet, trip))]
    del known[len(facets) :]
    return Latency(tuple([found for _, _, found in known]), session)


def _between(start: int | None, end: int | None, seqs: Seqs, reason: str) -> Value:
    """From one event to another; N/A with the reason where either is missing."""
    if start is None or end is None:
        return Value.missing(reason)
    return Value(end - start, MEASURED, tuple(dict.fromkeys(seq for seq in seqs if seq)))


def _flagged(name: str, value: Value) -> Value:
    if name in JOINED and value.ns is not None and value.ns < SUSPECT_NS:
        return Value(value.ns, value.label, value.evidence, "", (*value.flags, "suspect"))
    return value


def _why_no_speech(facet: Facet) -> str:
    """Why nothing can be measured from the end of the user's speech."""
    turn = facet.turn
    if turn.greeting:
        return "greeting"
    if turn.trigger == "idle_timeout":
        return "idle_timeout"
    if facet.utterance is None:
        return "text_input" if facet.user_items else "no_user_input"
    return facet.utterance.end.reason


def _why_no_audio(facet: Facet) -> str:
    """Why the answer has no first audio."""
    if not facet.turn.responses:
        return "unanswered"
    if not facet.responses:
        return "cancelled_before_audio"
    last = facet.responses[-1]
    if last.status in ("failed", "in_progress"):
        return {"failed": "failed", "in_progress": "open"}[last.status]
    if last.status == "cancelled":
        return "cancelled_before_audio"
    if facet.elsewhere:
        return "audio_not_on_this_wire"
    return "function_only" if last.calls else "text_only"


def _why_not_heard(facet: Facet) -> str:
    if facet.spoken is None:
        return _why_no_audio(facet)
    silent = all(item.audible_ns is None and item.leading_ns for item in facet.played)
    return "silent" if facet.played and silent else "not_heard"


def _end_of_speech(facet: Facet) -> Value:
    return facet.utterance.end if facet.utterance else Value.missing(_why_no_speech(facet))


def _audible(item: Played) -> tuple[int | None, tuple[str, ...]]:
    """When the item's first audible sample was played; its first sample where it was not kept."""
    if item.audible_ns is None and item.leading_ns is None:
        return item.start_ns, ("leading_silence_unknown",)
    return item.audible_ns, ()


def _to_audible(facet: Facet, start: Value, item: Played | None) -> Value:
    """From a moment to the first audible sample of an item: by the playback model."""
    if start.ns is None:
        return Value.missing(start.reason or _why_no_speech(facet))
    at_ns, flags = _audible(item) if item else (None, ())
    if item is None and facet.reported is not None:
        began, seq = facet.reported
        return Value(began - start.ns, REPORTED, (*start.evidence, seq), "", start.flags)
    if item is None or at_ns is None:
        return Value.missing(_why_not_heard(facet))
    exact = start.label == MEASURED and not flags and item.start_ns == item.arrived_ns
    label = MEASURED if exact else item.label if start.label == MEASURED else start.label
    evidence = (*start.evidence, item.evidence[0])
    return Value(at_ns - start.ns, label, evidence, "", (*start.flags, *flags))


def _v2v_audible(facet: Facet) -> Value:
    return _to_audible(facet, _end_of_speech(facet), facet.answer)


def _v2v_heard(facet: Facet) -> Value:
    """By the application's own word, or that of the buffer events; never by the model."""
    end = _end_of_speech(facet)
    if end.ns is None:
        return Value.missing(end.reason or _why_no_speech(facet))
    if facet.reported is not None:
        began, seq = facet.reported
        return Value(began - end.ns, REPORTED, (*end.evidence, seq), "", end.flags)
    told = next((item for item in facet.played if item.label == REPORTED and item.runs), None)
    if told is None or told.start_ns is None:
        return Value.missing("playback_not_reported" if facet.spoken else _why_no_audio(facet))
    return Value(told.start_ns - end.ns, REPORTED, (*end.evidence, *told.evidence), "", end.flags)


def _time_to_answer(facet: Facet) -> Value:
    heard = [item for item in facet.played if item.runs and _audible(item)[0] is not None]
    return _to_audible(facet, _end_of_speech(facet), heard[-1] if heard else None)


def _v2v_wire(facet: Facet) -> Value:
    end, spoken = _end_of_speech(facet), facet.spoken
    if end.ns is None:
        return Value.missing(end.reason or _why_no_speech(facet))
    if spoken is None or spoken.first_audio_ns is None:
        return Value.missing(_why_no_audio(facet))
    evidence = (*end.evidence, spoken.first_audio_seq or 0)
    return Value(spoken.first_audio_ns - end.ns, end.label, evidence, "", end.flags)


def _dead_air(facet: Facet) -> Value:
    """The longest stretch without assistant audio from the end of speech to the last of it."""
    end = _end_of_speech(facet)
    heard = [item for item in facet.played if item.runs]
    if end.ns is None or not heard:
        return Value.missing(end.reason or _why_not_heard(facet))
    longest, seqs, silent_since = 0, end.evidence, end.ns
    last_seq = end.evidence
    for item in heard:
        for row, run in enumerate(item.runs):
            begin = _audible(item)[0] if row == 0 else run.start_ns
            begin = run.start_ns if begin is None else max(begin, run.start_ns)
            if begin - silent_since > longest:
                longest, seqs = begin - silent_since, (*last_seq, item.evidence[0])
            silent_since = max(silent_since, run.start_ns + item.format.ns(run.samples))
            last_seq = (item.evidence[1],)
    return Value(longest, ESTIMATED, seqs)


def _ttfa_stop(facet: Facet) -> Value:
    said, spoken = facet.utterance, facet.spoken
    if said is None or said.stopped_ns is None:
        return Value.missing(_why_no_speech(facet) or "no_server_vad")
    if spoken is None:
        return Value.missing(_why_no_audio(facet))
    seqs = (said.stopped_seq, spoken.first_audio_seq)
    return _between(said.stopped_ns, spoken.first_audio_ns, seqs, "no_audio")


def _ttfa_created(facet: Facet) -> Value:
    spoken = facet.spoken
    if spoken is None:
        return Value.missing(_why_no_audio(facet))
    seqs = (spoken.seq, spoken.first_audio_seq)
    return _between(spoken.created_ns, spoken.first_audio_ns, seqs, "no_created")


def _trigger(facet: Facet) -> tuple[int | None, int | None]:
    """What the first response answers: the client's request, else the commit."""
    first = facet.first_response
    if first is not None and first.asked_ns is not None:
        return first.asked_ns, first.asked_seq
    if facet.commit is not None:
        return facet.commit.at.at_ns, facet.commit.at.seq
    return (facet.turn.trigger_ns, facet.turn.trigger_seq) if first else (None, None)


def _ttfa_trigger(facet: Facet) -> Value:
    spoken, (at_ns, seq) = facet.spoken, _trigger(facet)
    if spoken is None:
        return Value.missing(_why_no_audio(facet))
    return _between(at_ns, spoken.first_audio_ns, (seq, spoken.first_audio_seq), "no_trigger")


def _commit_asked(facet: Facet) -> Moment | None:
    return facet.commit.asked if facet.commit else None


def _commit_to_audio(facet: Facet) -> Value:
    asked = _commit_asked(facet)
    if asked is None:
        return Value.missing("no_client_commit")
    return _to_audible(facet, Value(asked.at_ns, MEASURED, (asked.seq,)), facet.answer)


def _create_to_audio(facet: Facet) -> Value:
    first = facet.first_response
    if first is None or first.asked_ns is None:
        return Value.missing("no_client_create" if first else _why_no_audio(facet))
    start = Value(first.asked_ns, MEASURED, (first.asked_seq or 0,))
    return _to_audible(facet, start, facet.answer)


def _ttft(facet: Facet) -> Value:
    first = next((r for r in facet.responses if r.first_delta_ns is not None), None)
    if first is None:
        return Value.missing(_why_no_audio(facet))
    return _between(
        first.created_ns, first.first_delta_ns, (first.seq, first.first_delta_seq), "no_created"
    )


def _endpointing(facet: Facet) -> Value:
    said = facet.utterance
    if said is None or said.stopped_ns is None:
        return Value.missing(_why_no_speech(facet) or "no_server_vad")
    if said.end.ns is None:
        return Value.missing(said.end.reason)
    seqs = (*said.end.evidence, said.stopped_seq or 0)
    return Value(said.stopped_ns - said.end.ns, said.end.label, seqs, "", said.end.flags)


def _input_backlog(facet: Facet) -> Value:
    said = facet.utterance
    if said is None or said.end.ns is None or said.arrival_ns is None:
        return Value.missing(_why_no_speech(facet) or "no_input_on_this_wire")
    return Value(said.arrival_ns - said.end.ns, said.end.label, (said.arrival_seq or 0,))


def _transcription_delay(facet: Facet) -> Value:
    """Never an anchor: transcription runs beside the answer."""
    item = facet.user_items[-1] if facet.user_items else None
    if item is None or facet.commit is None:
        return Value.missing(_why_no_speech(facet) or "no_user_input")
    if item.transcript != "completed" or item.transcript_ns is None:
        return Value.missing(
            f"transcript_{item.transcript}" if item.transcript else "no_transcript"
        )
    end = _end_of_speech(facet)
    if end.ns is not None:
        seqs = (*end.evidence, item.transcript_seq or 0)
        return Value(item.transcript_ns - end.ns, end.label, seqs, "", end.flags)
    delay = item.transcript_ns - facet.commit.at.at_ns
    seqs = (facet.commit.at.seq, item.transcript_seq or 0)
    return Value(delay, MEASURED, seqs, "", ("from_commit",))


def _transcription_commit(facet: Facet) -> Value:
    item = facet.user_items[-1] if facet.user_items else None
    if item is None or facet.commit is None or item.transcript != "completed":
        return Value.missing(_transcription_delay(facet).reason or "no_transcript")
    at = facet.commit.at
    return _between(at.at_ns, item.transcript_ns, (at.seq, item.transcript_seq), "no_transcript")


def _first_words(facet: Facet) -> Value:
    """Models that transcribe while the user speaks show here how fast."""
    said, first = facet.utterance, facet.first_words
    if said is None or said.onset.ns is None:
        return Value.missing(said.onset.reason if said else _why_no_speech(facet))
    if first is None:
        return Value.missing("no_transcript")
    seqs = (*said.onset.evidence, first.seq)
    return Value(first.at_ns - said.onset.ns, said.onset.label, seqs, "", said.onset.flags)


def _onset_difference(facet: Facet) -> Value:
    said = facet.utterance
    return _difference(facet, (said.onset, said.server_onset) if said else None)


def _end_difference(facet: Facet) -> Value:
    said = facet.utterance
    return _difference(facet, (said.end, said.server_end) if said else None)


def _difference(facet: Facet, pair: tuple[Value, Value] | None) -> Value:
    """The cross-check of metrics.md §1: over 100 ms it is flagged."""
    if pair is None or facet.utterance is None:
        return Value.missing(_why_no_speech(facet))
    found, server = pair
    if facet.utterance.anchor != "audio" or found.ns is None:
        return Value.missing(found.reason or "speech_not_found_in_audio")
    if server.ns is None or PADDING_UNKNOWN in server.flags:
        return Value.missing(server.reason or PADDING_UNKNOWN)
    apart = server.ns - found.ns
    flags = ("disagreement",) if abs(apart) > DISAGREEMENT_NS else ()
    return Value(apart, ESTIMATED, (*found.evidence, *server.evidence), "", flags)


def _commit_ack(facet: Facet) -> Value:
    asked = _commit_asked(facet)
    if asked is None or facet.commit is None:
        return Value.missing("no_client_commit")
    at = facet.commit.at
    return _between(asked.at_ns, at.at_ns, (asked.seq, at.seq), "")


def _response_start(facet: Facet) -> Value:
    first, (at_ns, seq) = facet.first_response, _trigger(facet)
    if first is None:
        return Value.missing(_why_no_audio(facet))
    return _between(at_ns, first.created_ns, (seq, first.seq), "no_created")


def _response_duration(facet: Facet) -> Value:
    first = facet.first_response
    if first is None:
        return Value.missing(_why_no_audio(facet))
    return _between(first.created_ns, first.done_ns, (first.seq, first.done_seq), "open")


def _tool_exec(facet: Facet) -> Value:
    """Time in which at least one tool was at work."""
    if not facet.calls:
        return Value.missing("no_tools")
    spans = sorted((reckoned(c.at_ns), c.output_ns) for c in facet.calls if c.output_ns is not None)
    if not spans:
        return Value.missing("no_output")
    total, until = 0, spans[0][0]
    for begin, end in spans:
        total += max(0, (end or 0) - max(begin, until))
        until = max(until, end or 0)
    seqs = tuple(s for c in facet.calls for s in (c.seq, c.output_seq) if s is not None)
    return Value(total, MEASURED, seqs)


def _tool_resume(facet: Facet) -> Value:
    outputs = [c for c in facet.calls if c.output_ns is not None and c.output_seq is not None]
    if not outputs:
        return Value.missing("no_output" if facet.calls else "no_tools")
    last = max(outputs, key=lambda call: call.output_seq or 0)
    for response in facet.responses:
        later = (response.asked_seq or response.seq) > (last.output_seq or 0)
        inside = response.id == last.response_id and last.kind == "mcp"
        if later or (inside and (response.first_audio_seq or 0) > (last.output_seq or 0)):
            seqs = (last.output_seq, response.first_audio_seq)
            return _between(last.output_ns, response.first_audio_ns, seqs, "text_only")
    return Value.missing("no_continuation")


def _waterfall(facet: Facet, round_trip: Value | None) -> Waterfall | None:
    """Of the headline where it can be measured, else of what stands in for it."""
    starts = {
        "v2v_audible": _end_of_speech(facet).ns,
        "commit_to_audio": asked.at_ns if (asked := _commit_asked(facet)) else None,
        "create_to_audio": facet.first_response.asked_ns if facet.first_response else None,
    }
    for of, start in starts.items():
        if start is not None:
            return waterfall(facet, start, of, round_trip)
    return None


_MEASURES: dict[str, Callable[[Facet], Value]] = {
    "v2v_audible": _v2v_audible,
    "v2v_wire": _v2v_wire,
    "v2v_heard": _v2v_heard,
    "time_to_answer": _time_to_answer,
    "dead_air": _dead_air,
    "ttfa_stop": _ttfa_stop,
    "ttfa_created": _ttfa_created,
    "ttfa_trigger": _ttfa_trigger,
    "commit_to_audio": _commit_to_audio,
    "create_to_audio": _create_to_audio,
    "ttft": _ttft,
    "endpointing": _endpointing,
    "input_backlog": _input_backlog,
    "onset_difference": _onset_difference,
    "end_difference": _end_difference,
    "transcription_delay": _transcription_delay,
    "transcription_commit": _transcription_commit,
    "first_words": _first_words,
    "commit_ack": _commit_ack,
    "response_start": _response_start,
    "response_duration": _response_duration,
    "tool_exec": _tool_exec,
    "tool_resume": _tool_resume,
}

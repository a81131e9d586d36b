"""Sessions without times: what counts samples and order is exact, what needs a clock is N/A."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

from recorder.errors import UsageError
from recorder.events import Event
from recorder.projections import RENDERERS, Analysis, analyse
from recorder.projections.base import scan
from recorder.projections.state import StateProjection, state_at
from recorder.projections.untimed import NO_TIMES
from recorder.tracks import lay_out
from tests.building import Talk


def source(talk: Talk, **opened: object):
    """The talk with every event at 0, and a first one that says so."""
    first = Talk().note(0, "opened", times="none", **opened).events
    events = [*first, *talk.events]
    flat = [event._replace(seq=seq, at_ns=0) for seq, event in enumerate(events, 1)]

    def read(audio: bool) -> list[Event]:
        return flat if audio else [event._replace(audio=None) for event in flat]

    return read


def spoken() -> Talk:
    talk = Talk().open(0).mic(0, 3000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200)
    talk.answer(2300, "R", "A", [(2600, 1000), (2700, 1000)], text="One two three four.")
    return talk


def analysed(talk: Talk) -> Analysis:
    return analyse(source(talk))


def test_every_latency_is_missing_with_a_reason() -> None:
    """And no waterfall, no moment of the turn, nothing of the session."""
    latency = analysed(spoken()).latency
    (turn,) = latency.turns
    assert {value.ns for value in turn.values.values()} == {None}
    assert turn.values["v2v_audible"].reason == NO_TIMES
    assert turn.values["tool_exec"].reason == "no_tools"
    assert (turn.waterfall, turn.at_ns) == (None, None)
    assert latency.session == {}


def test_quality_and_cadence_are_missing() -> None:
    """Sizes of chunks and lengths of audio are not."""
    good = analysed(spoken()).quality
    assert (good.overlap_ns, good.unheard_ns) == (None, None)
    assert {value.ns for value in good.turns[0].values.values()} == {None}
    (cadence,) = good.cadence
    assert (cadence.deltas, cadence.gap_p50_ms, cadence.speed, cadence.underruns) == (
        2,
        None,
        None,
        {},
    )
    assert good.input is not None
    assert (good.input.chunks, good.input.chunk_p50_ms, good.input.gap_max_ms) == (150, 20.0, None)


def test_lengths_are_counted_from_samples() -> None:
    """1.5 s of user speech, 2 s of the assistant's."""
    analysis = analysed(spoken())
    (item,) = analysis.playback.items
    assert (item.received_ns, item.heard_ns) == (2_000_000_000, 2_000_000_000)
    assert (item.start_ns, item.end_ns, item.audible_ns, item.runs) == (None, None, None, ())
    (said,) = analysis.speech.utterances
    assert said.anchor == "audio"
    assert said.end_ns - said.start_ns == 1_500_000_000
    assert (said.onset.reason, said.end.reason) == (NO_TIMES, NO_TIMES)
    assert analysis.speech.realtime is None


def test_the_transcript_is_in_order() -> None:
    """Items in that of the conversation, tools and notes where they stand in the log."""
    talk = Talk().open(0).mic(0, 1000, speech=[(200, 800)])
    talk.heard(1000, "U", start=0, end=900)
    talk.calls(1400, "R1", "F", "call_1").created(1100, "R1").done(1410, "R1")
    talk.output(1500, "call_1").note(1550, "note", text="so be it")
    talk.answer(1600, "R2", "A", [(1700, 500)], text="Forty-two.")
    transcript = analysed(talk).transcript
    assert [line.kind for line in transcript.lines] == ["speech", "tool", "note", "speech"]
    assert {line.start_ns for line in transcript.lines} == {None}
    assert transcript.lines[1].detail is not None
    assert transcript.lines[1].detail["exec_ms"] is None


@pytest.mark.parametrize("name", ["txt", "md", "csv", "json"])
def test_transcripts_are_written_without_times(name: str) -> None:
    """A dash or nothing, never 0."""
    text = "".join(RENDERERS[name](analysed(spoken()).transcript))
    assert "One two three four." in text
    assert "00:00" not in text


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles_are_refused(name: str) -> None:
    """They are nothing but times."""
    with pytest.raises(UsageError, match="without any"):
        list(RENDERERS[name](analysed(spoken()).transcript))


def test_a_truncation_still_cuts() -> None:
    """It says itself how much was heard; a cancel does not, so it cuts only what came after it."""
    talk = spoken().client(3000, "conversation.item.truncate", item_id="A", audio_end_ms=500)
    analysis = analysed(talk)
    (item,) = analysis.playback.items
    assert (item.heard_ns, item.stopped_by, item.claimed_ms) == (500_000_000, "truncated", 500)
    assert analysis.transcript.lines[-1].heard == "One"
    analysis = analysed(spoken().client(3000, "response.cancel"))
    assert analysis.playback.items[0].heard_ns == 2_000_000_000
    analysis = analysed(spoken().client(2650, "response.cancel"))
    assert analysis.playback.items[0].heard_ns == 1_000_000_000


def test_turns_and_their_status() -> None:
    """By order: spoken, answered."""
    (turn,) = analysed(spoken()).turns
    assert (turn.trigger, turn.status, turn.user_items) == ("vad_commit", "answered", ("U",))


def test_it_is_said() -> None:
    """As a finding without a time; rules that need one are silent."""
    analysis = analysed(spoken())
    assert not analysis.summary.timed
    assert [(found.rule, found.at_ns) for found in analysis.findings] == [("no_times", None)]


def test_the_users_track_is_whole_and_the_call_is_not_laid_out() -> None:
    """There is no clock that both sides could share."""
    layout = lay_out(source(spoken()))
    assert layout.end_ns == 3_000_000_000
    assert not layout.has_assistant


def test_with_times_all_is_as_ever() -> None:
    """Other sessions are not touched."""
    analysis = analyse(spoken().note(0, "opened", url="x").source)
    assert analysis.summary.timed
    assert analysis.latency.turns[0].values["v2v_audible"].ns is not None


def moments(found: object, name: str = "") -> list[str]:
    """Where a moment stands in a result, by the names of its fields."""
    moment = name.endswith("_ns") and name.removesuffix("_ns") in {
        "at", "start", "end", "trigger", "done", "created", "asked", "cancel", "first_delta",
        "first_audio", "last_audio", "output", "committed", "transcript", "deleted", "arrived",
        "stop", "started", "stopped", "since",
    }  # fmt: skip
    if moment and found is not None:
        return [name]
    if is_dataclass(found):
        parts = {each.name: getattr(found, each.name) for each in fields(found)}
    elif isinstance(found, dict):
        parts = found
    elif isinstance(found, list | tuple):
        return [each for one in found for each in moments(one)]
    else:
        return []
    return [each for key, value in parts.items() for each in moments(value, str(key))]


def eventful() -> Talk:
    """Something of everything that has a moment."""
    talk = spoken().client(5000, "conversation.item.truncate", item_id="A", content_index=0,
                           audio_end_ms=700)  # fmt: skip
    talk.calls(5200, "R", "F", "c").client(5300, "conversation.item.create", item={
        "type": "function_call_output", "call_id": "c", "output": "42"})  # fmt: skip
    talk.client(5400, "response.create").created(5500, "R2").client(5600, "response.cancel")
    talk.server(5700, "rate_limits.updated", rate_limits=[{"name": "requests", "limit": 9}])
    talk.server(5800, "conversation.item.deleted", item_id="U")
    return talk.server(5900, "error", error={"type": "x", "message": "no"})


def test_no_moment_is_left_in_any_result() -> None:
    """None, not 0, wherever with times a moment stands: and there it does stand."""
    analysis = analysed(eventful())
    named = ("conversation", "turns", "playback", "transcript", "latency", "findings")
    assert moments([getattr(analysis, name) for name in named]) == []
    assert moments(analysis.summary.errors) == []
    timed = analyse(lambda audio: eventful().events)
    assert set(moments([getattr(timed, name) for name in named])) >= {
        "at_ns", "start_ns", "end_ns", "trigger_ns", "created_ns", "done_ns", "asked_ns",
        "cancel_ns", "committed_ns", "deleted_ns", "output_ns", "first_audio_ns", "arrived_ns",
    }  # fmt: skip


def test_a_turn_says_what_belongs_together() -> None:
    """Its items and its responses, and no more."""
    (turn, *_) = analysed(spoken()).turns
    assert (turn.user_items, turn.responses, turn.status) == (("U",), ("R",), "answered")
    assert (turn.trigger_ns, turn.start_ns, turn.end_ns) == (None, None, None)


def test_a_deleted_item_is_still_known_as_one() -> None:
    """By the event that deleted it."""
    (item,) = [item for item in analysed(eventful()).conversation.items if item.id == "U"]
    assert item.deleted_ns is None
    assert item.deleted_seq is not None


def test_the_state_has_no_moments_and_no_playback() -> None:
    """After every event; a time is no way to name one."""
    events = source(eventful())(True)
    for _, found in scan(StateProjection(), events):
        assert moments(found) == []
        assert (found.timed, found.playing, found.queue) == (False, None, ())
    assert found.errors[0].at_ns is None
    assert [call.at_ns for call in found.calls] == []
    with pytest.raises(UsageError, match="name an event"):
        state_at(events, at_ns=0)

"""Rules for readers of odd servers, and hazards of order: one by one.

What a server leaves out altogether is covered by the golden call `missing_ids`.
"""

from __future__ import annotations

import base64
from itertools import permutations
from typing import Any

import pytest

from recorder import wire
from recorder.events import Origin
from recorder.projections import analyse
from recorder.sandbox.script import Script
from tests.building import Talk
from tests.golden.kit import Line, answer, says


def heard(**voice: Any) -> Talk:
    talk = Talk().open().mic(0, 3000, speech=[(500, 2000)])
    talk.server(600, "input_audio_buffer.speech_started", item_id="U", **voice.get("started", {}))
    talk.server(2250, "input_audio_buffer.speech_stopped", item_id="U", **voice.get("stopped", {}))
    return talk.committed(2251, "U")


def test_numbers_may_be_strings() -> None:
    """`"200"` is 200."""
    talk = heard(started={"audio_start_ms": "200"}, stopped={"audio_end_ms": "2200.0"})
    (said,) = analyse(talk.source).speech.utterances
    assert (said.server_onset.value_ms, said.server_end.value_ms) == (500, 2000)


@pytest.mark.parametrize(
    ("details", "reason"),
    [("turn_detected", "turn_detected"), ({"reason": "turn_detected"}, "turn_detected"),
     ("unimplemented", ""), (None, ""), ([], "")],
)  # fmt: skip
def test_status_details_may_be_anything(details: object, reason: str) -> None:
    """A string, an object, xAI's word for nothing, or nothing."""
    talk = Talk().open().created(10, "R")
    body = {"id": "R", "status": "cancelled", "status_details": details, "output": []}
    (response,) = analyse(
        talk.server(20, "response.done", response=body).source
    ).conversation.responses
    assert (response.status, response.reason) == ("cancelled", reason)


USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


@pytest.mark.parametrize("place", ["response", "top"])
def test_usage_in_either_place_is_counted_once(place: str) -> None:
    """And once only where the event itself comes twice."""
    talk = Talk().open().created(10, "R")
    body: dict[str, Any] = {"id": "R", "status": "completed", "output": []}
    given = {"response": body | {"usage": USAGE}} if place == "response" else {
        "response": body, "usage": USAGE}  # fmt: skip
    for ms in (20, 21):
        talk.server(ms, "response.done", **given)
    tokens = analyse(talk.source).summary.tokens
    assert (tokens.input["total"], tokens.output["total"]) == (5, 7)
    assert (tokens.responses, tokens.unknown) == (1, 0)


# Hazards of order.


def test_what_comes_twice_counts_once() -> None:
    """Each server event but the deltas of sound, sent twice: the same turns, words and figures."""
    once = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    once.heard(2250, "U", start=200, end=2200).transcript(2900, "U", "Well?")
    once.created(2300, "R1").calls(2400, "R1", "F", "c").done(2410, "R1").output(2500, "c")
    once.answer(2510, "R2", "A", [(2600, 500)], text="Fine.")
    twice = Talk()
    for event in once.events:
        copies = 1 if event.origin == Origin.CLIENT or event.type.endswith("audio.delta") else 2
        for _ in range(copies):
            twice.raw(event.origin, event.at_ns / 1e6, wire.join(event))

    plain, doubled = analyse(once.source), analyse(twice.source)
    lines = [
        [(x.kind, x.start_ns, x.end_ns, x.text, x.heard) for x in found.transcript.lines]
        for found in (plain, doubled)
    ]
    assert lines[0] == lines[1]
    assert len(doubled.turns) == len(plain.turns) == 1
    assert doubled.summary.user_turns == plain.summary.user_turns == 1
    assert len(doubled.conversation.calls) == 1
    for name, value in plain.latency.turns[0].values.items():
        assert doubled.latency.turns[0].values[name].ns == value.ns, name


@pytest.mark.parametrize("late", [True, False])
def test_done_without_created(late: bool) -> None:
    """It never came, or comes after: the response is there, over, and in its turn."""
    talk = Talk().open().mic(0, 4000, speech=[(500, 2000)]).heard(2250, "U", start=200, end=2200)
    talk.part_of(2300, "R", "A").done(2500, "R", "cancelled", "turn_detected")
    if late:
        talk.created(2510, "R")
    found = analyse(talk.source)
    (response,) = found.conversation.responses
    assert (response.status, response.reason) == ("cancelled", "turn_detected")
    assert found.summary.responses == {"cancelled": 1}
    assert [turn.responses for turn in found.turns] == [("R",)]


def test_deltas_after_done_belong_to_their_response() -> None:
    """Late sound is played, late words are known; the response stays over."""
    talk = Talk().open().write(10, "Hi").answer(20, "R", "A", [(30, 100)], done=40)
    ids = {"response_id": "R", "item_id": "A", "output_index": 0, "content_index": 0}
    sound = base64.b64encode(bytes(4800)).decode()
    talk.server(50, "response.output_audio.delta", **ids, delta=sound)
    found = analyse(talk.source)
    (item,) = found.playback.items
    assert (item.received_ns, item.response_id) == (200_000_000, "R")
    assert found.conversation.responses[0].status == "completed"


def test_speech_that_is_told_of_late_and_at_once() -> None:
    """`speech_started` together with `speech_stopped`: the onset is that of the sound."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200, began=2249).answer(2300, "R", "A", [(2600, 500)])
    found = analyse(talk.source)
    assert found.turns[0].start_ns == 500_000_000
    assert found.latency.turns[0].values["v2v_audible"].value_ms == 600


def test_the_last_speech_stopped_counts() -> None:
    """Some servers say it several times for one item."""
    talk = heard(started={"audio_start_ms": 200}, stopped={"audio_end_ms": 1500})
    talk.server(2250.5, "input_audio_buffer.speech_stopped", item_id="U", audio_end_ms=2200)
    (said,) = analyse(talk.source).speech.utterances
    assert (said.server_end.value_ms, said.stopped_ns) == (2000, 2_250_500_000)


def test_text_beside_sound_is_shown_once() -> None:
    """One response with deltas of text and of sound, each with the words."""
    line = Line(script=Script(), name="both", number=9)
    line.answers(answer(says("Nine in the morning.", 500, both=True))).dial()
    line.say("When do you open?")
    line.wait(2000)
    line.hang_up()
    found = analyse(lambda audio: line.log)
    spoken = [x.text for x in found.transcript.lines if x.speaker == "assistant"]
    assert spoken == ["Nine in the morning."]


def test_the_order_of_the_two_added_events_does_not_matter() -> None:
    """`conversation.item.added` before or after `response.output_item.added`, or `part.added`."""
    ids = {"response_id": "R", "item_id": "A", "output_index": 0, "content_index": 0}
    body = {
        "id": "A",
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    told = [
        ("response.output_item.added", {"response_id": "R", "output_index": 0, "item": body}),
        ("conversation.item.added", {"previous_item_id": None, "item": body}),
        ("response.content_part.added", {**ids, "part": {"type": "audio", "transcript": ""}}),
    ]
    results = set()
    for order in permutations(told):
        talk = Talk().open().write(1, "Hi").created(10, "R")
        for row, (kind, fields) in enumerate(order):
            talk.server(20 + row / 10, kind, **fields)
        talk.server(30, "response.output_audio_transcript.done", **ids, transcript="Hello.")
        lines = analyse(talk.done(40, "R").source).transcript.lines
        results.add(tuple((x.speaker, x.text, x.response_id) for x in lines))
    assert results == {(("user", "Hi", ""), ("assistant", "Hello.", "R"))}


def test_a_request_before_the_commit_answers_without_that_audio() -> None:
    """`response.create` at 2100, `committed` at 2200: what was said stays without an answer."""
    talk = Talk().open(vad=None).mic(0, 2200, speech=[(500, 2000)]).client(2100, "response.create")
    talk.client(2150, "input_audio_buffer.commit").committed(2200, "U")
    talk.answer(2160, "R", "A", [(2400, 500)])
    found = analyse(talk.source)
    assert [(t.greeting, t.status, t.user_items) for t in found.turns] == [
        (True, "answered", ()),
        (False, "unanswered", ("U",)),
    ]


def test_sound_after_the_commit_belongs_to_the_next_turn() -> None:
    """Appended between `committed` and `response.created`: in the second item's slice."""
    talk = Talk().open(vad=None).mic(0, 5000, speech=[(500, 2000), (3200, 4000)])
    talk.client(2400, "input_audio_buffer.commit").committed(2600, "U1")
    talk.answer(2700, "R1", "A1", [(2800, 200)])
    talk.client(4400, "input_audio_buffer.commit").committed(4420, "U2")
    slices = [(u.start_offset_ns, u.end_offset_ns) for u in analyse(talk.source).speech.utterances]
    assert slices == [(0, 2_400_000_000), (2_400_000_000, 4_400_000_000)]


def test_errors_name_what_caused_them_and_what_followed() -> None:
    """By the client's event id where the error has one; survived, fatal, or the log ends there."""
    talk = Talk().open().client(10, "conversation.item.truncate", event_id="mine", item_id="X",
                                audio_end_ms=5)  # fmt: skip
    wrong = {"code": "item_truncate_invalid_item_id", "message": "No.", "event_id": "mine"}
    talk.server(30, "error", error=wrong).write(100, "Hi").answer(120, "R", "A", [(200, 300)])
    talk.server(900, "error", error={"code": "session_expired", "message": "Over."})
    first, last = analyse(talk.close(1000, 1001, "server").source).conversation.errors

    assert (first.about_seq, first.fatal) == (talk.seq("conversation.item.truncate"), False)
    assert (last.about_seq, last.fatal) == (None, True)

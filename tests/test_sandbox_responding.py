"""Responses: their grammar, their times, their ends."""

from __future__ import annotations

import json

import numpy as np
import pybase64
import pytest

from recorder.sandbox.dialect import BETA, GA, MIXED
from recorder.sandbox.formats import ULAW, decode
from recorder.sandbox.script import Answer, Call, Failure, McpCall, Say, Script, When
from recorder.sandbox.signals import Silence, Tone
from tests.sandbox_driver import Talk, audio_of, of, one, silence, tone, types


def answering(*items, **more):
    """A script with that one answer."""
    return Script(answers=(Answer(items=items, created_ms=0, **more),))


SPOKEN = Say("One two three four.", (Tone(440, 2000),), first_delta_ms=200, first_audio_ms=300)
SLOW = Say("One two three four.", (Tone(440, 4000),), speed=1.0, chunks_ms=(100,))


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (
            GA,
            [
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.content_part.added",
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
                "conversation.item.done",
                "response.output_item.done",
                "response.done",
                "rate_limits.updated",
            ],
        ),
        (
            BETA,
            [
                "response.created",
                "rate_limits.updated",
                "response.output_item.added",
                "conversation.item.created",
                "response.content_part.added",
                "response.audio.done",
                "response.audio_transcript.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.done",
            ],
        ),
        (
            MIXED,
            [
                "response.created",
                "rate_limits.updated",
                "response.output_item.added",
                "conversation.item.created",
                "response.content_part.added",
                "response.audio.done",
                "response.audio_transcript.done",
                "response.content_part.done",
                "conversation.item.done",
                "response.output_item.done",
                "response.done",
            ],
        ),
    ],
)
def test_a_spoken_answer_goes_as_the_protocol_says(dialect, names):
    """The order of events in each dialect."""
    talk = Talk(answering(SPOKEN), dialect)

    came = talk.say("hi") + talk.wait(3000)

    assert types(came[2 if dialect.item_done and dialect is GA else 1 :])[-len(names) :] == names


def test_audio_comes_faster_than_it_plays_in_growing_pieces():
    """At four times real time: each delta when what was sent before it has been made."""
    talk = Talk(answering(SPOKEN))

    came = talk.say("hi") + talk.wait(3000)

    deltas = of(came, "response.output_audio.delta")
    lengths = [len(pybase64.b64decode(each["delta"])) // 48 for each in deltas]
    assert lengths == [100, 200, 400, 600, 700]
    assert [each.at_ms for each in deltas] == [300, 325, 375, 475, 625]
    assert audio_of(came) == SPOKEN.sound[0].samples().tobytes()


def test_words_lead_the_sound():
    """The transcript begins before the audio and is spread over its window."""
    talk = Talk(answering(SPOKEN))

    came = talk.say("hi") + talk.wait(3000)

    deltas = of(came, "response.output_audio_transcript.delta")
    assert [each["delta"] for each in deltas] == ["One", " two", " three", " four."]
    assert [each.at_ms for each in deltas] == [200, 306.25, 412.5, 518.75]
    assert one(came, "response.output_audio_transcript.done")["transcript"] == SPOKEN.say


@pytest.mark.parametrize("dialect", [GA, BETA])
def test_every_delta_says_where_it_belongs(dialect):
    """Response, item, output index and content index are on all of them."""
    talk = Talk(answering(SPOKEN), dialect)

    came = talk.say("hi") + talk.wait(3000)

    response = one(came, "response.created")["response"]
    item = one(came, "response.output_item.added")["item"]
    deltas = [event for event in came if event["type"].endswith(".delta")]
    places = {
        (e["response_id"], e["item_id"], e["output_index"], e["content_index"]) for e in deltas
    }
    assert places == {(response["id"], item["id"], 0, 0)}


def test_a_text_answer_has_text_only():
    """With the text modality there is no audio, and the parts say `output_text`."""
    talk = Talk(answering(SPOKEN))
    talk.update(output_modalities=["text"])

    came = talk.say("hi") + talk.wait(3000)

    deltas = of(came, "response.output_text.delta")
    assert "".join(each["delta"] for each in deltas) == SPOKEN.say
    assert [each.at_ms for each in deltas] == [200, 215, 230, 245]
    assert not [each for each in types(came, without=()) if "audio" in each]
    done = one(came, "response.done")["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": SPOKEN.say}]
    assert done["usage"]["output_token_details"] == {"text_tokens": 5, "audio_tokens": 0}


def test_an_answer_can_be_text_and_audio():
    """One response with both kinds of delta, in two parts of one item."""
    both = Say("One two.", (Tone(440, 500),), both=True)
    talk = Talk(answering(both))

    came = talk.say("hi") + talk.wait(3000)

    assert {e["content_index"] for e in of(came, "response.output_text.delta")} == {0}
    assert {e["content_index"] for e in of(came, "response.output_audio.delta")} == {1}
    assert one(came, "response.output_item.done")["item"]["content"] == [
        {"type": "output_text", "text": "One two."},
        {"type": "output_audio", "transcript": "One two."},
    ]


def test_audio_can_come_without_a_transcript():
    """As some gateways send it: text deltas and audio deltas, nothing else."""
    bare = Say("One two.", (Tone(440, 500),), both=True, transcript=False)
    talk = Talk(answering(bare), BETA)

    came = talk.say("hi") + talk.wait(3000)

    assert of(came, "response.audio_transcript.delta") == []
    assert "".join(e["delta"] for e in of(came, "response.text.delta")) == "One two."


def test_leading_silence_lies_in_the_audio():
    """The first delta comes when it comes; the sound begins later within it."""
    talk = Talk(answering(Say("x", (Tone(440, 500),), lead_silence_ms=250)))

    came = talk.say("hi") + talk.wait(3000)

    samples = np.frombuffer(audio_of(came), dtype="<i2")
    assert np.flatnonzero(samples)[0] == 6000
    assert len(samples) == 18_000


def test_slow_audio_comes_slower_than_it_plays():
    """A speed below 1 lets the listener wait."""
    talk = Talk(answering(Say("x", (Tone(440, 400),), speed=0.5, chunks_ms=(100,))))

    came = talk.say("hi") + talk.wait(3000)

    assert [e.at_ms for e in of(came, "response.output_audio.delta")] == [300, 500, 700, 900]


def test_an_answer_can_have_several_items():
    """Two messages, chained by `previous_item_id`, with output indexes of their own."""
    talk = Talk(answering(Say("One.", (Tone(440, 500),)), Say("Two.", (Tone(660, 500),))))

    came = talk.say("hi") + talk.wait(3000)

    added = of(came, "conversation.item.added")[1:]
    outputs = of(came, "response.output_item.done")
    assert [each["output_index"] for each in outputs] == [0, 1]
    assert added[1]["previous_item_id"] == added[0]["item"]["id"]
    assert [each["item"] for each in outputs] == one(came, "response.done")["response"]["output"]


@pytest.mark.parametrize("dialect", [GA, BETA])
def test_a_response_can_override_the_session(dialect):
    """Format and voice of the answer are the response's own, and shown."""
    talk = Talk(answering(SPOKEN), dialect)
    ga = {"audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "cedar"}}}
    beta = {"output_audio_format": "g711_ulaw", "voice": "cedar"}

    came = talk.say("hi", **(ga if dialect is GA else beta)) + talk.wait(3000)

    done = one(came, "response.done")["response"]
    shown = {name: done[name] for name in (ga if dialect is GA else beta)}
    assert shown == (ga if dialect is GA else beta)
    samples = decode(audio_of(came), ULAW).astype(float)
    assert len(samples) == 16_000
    assert np.argmax(np.abs(np.fft.rfft(samples))) / 2 == 440


def test_output_at_another_rate_is_resampled():
    """A PCM rate that was asked for is the rate of the audio."""
    talk = Talk(answering(SPOKEN))
    talk.update(audio={"output": {"format": {"type": "audio/pcm", "rate": 16_000}}})

    came = talk.say("hi") + talk.wait(3000)

    samples = np.frombuffer(audio_of(came), dtype="<i2").astype(float)
    assert len(samples) == 32_000
    assert np.argmax(np.abs(np.fft.rfft(samples))) / 2 == 440


def test_metadata_is_echoed():
    """On created and on done."""
    talk = Talk(answering(SPOKEN))

    came = talk.say("hi", metadata={"client_event_id": "x1"}) + talk.wait(3000)

    for name in ("response.created", "response.done"):
        assert one(came, name)["response"]["metadata"] == {"client_event_id": "x1"}


def test_usage_counts_by_modality_and_caches_what_was_read_before():
    """User audio is one token for 100 ms, the assistant's for 50; blocks of 64 are cached."""
    talk = Talk()
    talk.update(instructions="word " * 100)
    first = one(talk.say("hi") + talk.wait(3000), "response.done")["response"]["usage"]

    second = one(talk.say("again") + talk.wait(3000), "response.done")["response"]["usage"]

    assert first["input_token_details"]["cached_tokens"] == 0
    assert first["input_token_details"]["text_tokens"] == 126  # 500 characters, and "hi"
    assert first["output_token_details"] == {"text_tokens": 4, "audio_tokens": 20}
    details = second["input_token_details"]
    assert details["cached_tokens"] == 64 == details["cached_tokens_details"]["text_tokens"]
    assert details["audio_tokens"] == 20
    assert second["total_tokens"] == second["input_tokens"] + second["output_tokens"]


def test_usage_of_speech_is_in_audio_tokens():
    """1152 ms that were committed are twelve tokens."""
    talk = Talk()

    came = talk.speak(np.concatenate([silence(640), tone(640), silence(1640)]))

    usage = one(came, "response.done")["response"]["usage"]
    assert usage["input_token_details"]["audio_tokens"] == 12


@pytest.mark.parametrize(("place", "within"), [("response", True), ("top", False), ("none", False)])
def test_usage_can_stand_elsewhere(place, within):
    """xAI has it at the top level; some have none."""
    talk = Talk(Script(usage=place))

    done = one(talk.say("hi") + talk.wait(3000), "response.done")

    assert (done["response"]["usage"] is not None) == within
    assert ("usage" in done) == (place == "top")


def test_too_many_tokens_cut_the_answer():
    """Status incomplete, reason, item incomplete; never more than was allowed."""
    talk = Talk(answering(SPOKEN))

    came = talk.say("hi", max_output_tokens=16) + talk.wait(3000)

    done = one(came, "response.done")["response"]
    assert (done["status"], done["status_details"]) == (
        "incomplete",
        {"type": "incomplete", "reason": "max_output_tokens"},
    )
    assert done["output"][0]["status"] == "incomplete"
    assert 0 < done["usage"]["output_tokens"] <= 16


@pytest.mark.parametrize(
    ("more", "status", "details"),
    [
        (
            {"fail": Failure(type="tokens", code="insufficient_quota", message="No credit.")},
            "failed",
            {
                "type": "failed",
                "error": {"type": "tokens", "code": "insufficient_quota", "message": "No credit."},
            },
        ),
        (
            {"content_filter": True},
            "incomplete",
            {"type": "incomplete", "reason": "content_filter"},
        ),
    ],
)
def test_an_answer_can_end_badly(more, status, details):
    """Failed or filtered; the session goes on."""
    talk = Talk(answering(**more))

    done = one(talk.say("hi") + talk.wait(3000), "response.done")["response"]

    assert (done["status"], done["status_details"], done["output"]) == (status, details, [])
    assert (
        one(talk.say("hi") + talk.wait(3000), "response.done")["response"]["status"] == "completed"
    )


def test_a_second_response_is_refused_while_one_is_active():
    """With the code that clients know; the first goes on."""
    talk = Talk(answering(SPOKEN))
    talk.say("hi")
    talk.wait(400)

    refused = talk.send("response.create", event_id="r2")
    rest = talk.wait(3000)

    error = one(refused, "error")["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "r2"
    assert one(rest, "response.done")["response"]["status"] == "completed"


def test_cancel_closes_what_was_open():
    """The item is incomplete and holds what was said so far."""
    talk = Talk(answering(SLOW))
    created = one(talk.say("hi"), "response.created")["response"]
    talk.wait(2350)

    came = talk.send("response.cancel", response_id=created["id"])
    after = talk.wait(5000)

    assert types(came) == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    done = one(came, "response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["output"][0]["status"] == "incomplete"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "One two three"}]
    assert after == []


def test_a_cancel_before_anything_was_said_leaves_no_output():
    """Created all the same, then done, with nothing in it."""
    talk = Talk(Script(answers=(Answer(items=(SLOW,), created_ms=500),)))
    talk.say("hi")
    talk.wait(100)

    came = talk.send("response.cancel")

    assert types(came) == ["response.created", "response.done", "rate_limits.updated"]
    assert one(came, "response.done")["response"]["output"] == []


@pytest.mark.parametrize("more", [{}, {"response_id": "resp_x"}])
def test_cancelling_nothing_is_a_harmless_error(more):
    """The words begin as LiveKit expects them."""
    error = one(Talk().send("response.cancel", event_id="c", **more), "error")["error"]

    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")
    assert error["event_id"] == "c"


def test_speech_cancels_an_answer_that_is_being_given():
    """`speech_started`, then `response.done` cancelled by the turn, then the new turn."""
    talk = Talk(answering(SLOW))
    talk.say("hi")
    talk.wait(1000)

    came = talk.speak(np.concatenate([tone(640), silence(640)]))

    assert types(came)[:7] == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    started, done = came[0], one(came[:7], "response.done")
    assert done.at_ms == started.at_ms
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert len(of(came, "response.created")) == 1


def test_speech_after_an_answer_was_made_cancels_nothing():
    """It may still be playing; that is for the client to stop, and to say with `truncate`."""
    talk = Talk(answering(SPOKEN))
    item_id = one(talk.say("hi") + talk.wait(700), "response.output_item.done")["item"]["id"]

    came = talk.speak(tone(320))
    cut = talk.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=350
    )

    assert types(came) == ["input_audio_buffer.speech_started"]
    assert types(cut) == ["conversation.item.truncated"]


def test_an_answer_beside_the_conversation():
    """Out of band: in parallel, without a conversation id, its items in no conversation."""
    talk = Talk(
        Script(
            answers=(
                Answer(items=(Say("category: order"),), when=When(out_of_band=True), created_ms=0),
                Answer(items=(SLOW,), created_ms=0),
            )
        )
    )
    talk.say("hi")
    talk.wait(500)
    question = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Classify."}],
    }
    beside = talk.send(
        "response.create",
        response={
            "conversation": "none",
            "metadata": {"topic": "x"},
            "output_modalities": ["text"],
            "input": [{"type": "item_reference", "id": "item_0001"}, question],
        },
    )
    came = beside + talk.wait(1000)

    created = one(beside, "response.created")["response"]
    done = one(came, "response.done")["response"]
    assert created["conversation_id"] is None
    assert (done["id"], done["status"], done["metadata"]) == (
        created["id"],
        "completed",
        {"topic": "x"},
    )
    assert not [e for e in came if e["type"].startswith("conversation.item")]
    first = talk.send("response.cancel")
    assert one(first, "response.done")["response"]["conversation_id"] is not None
    missing = talk.send("conversation.item.delete", item_id=done["output"][0]["id"])
    assert types(missing) == ["error"]


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ([], "invalid_type", "response"),
        ({"modalities": ["text"]}, "unknown_parameter", "response.modalities"),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "response.output_modalities"),
        ({"audio": {"input": {}}}, "unknown_parameter", "response.audio.input"),
        ({"conversation": "conv_x"}, "invalid_value", "response.conversation"),
        ({"metadata": {"a": 1}}, "invalid_type", "response.metadata.a"),
        ({"metadata": {str(i): "" for i in range(17)}}, "invalid_value", "response.metadata"),
        ({"metadata": {"a": "x" * 513}}, "invalid_value", "response.metadata.a"),
        (
            {"input": [{"type": "item_reference", "id": "x"}]},
            "invalid_value",
            "response.input[0].id",
        ),
        ({"input": [{"type": "message"}]}, "missing_required_parameter", "response.input[0].role"),
        ({"max_output_tokens": 5000}, "integer_above_max_value", "response.max_output_tokens"),
    ],
)
def test_a_bad_request_begins_nothing(response, code, param):
    """An error with code and parameter; a good one afterwards is answered."""
    talk = Talk()

    error = one(talk.send("response.create", response=response), "error")["error"]

    assert (error["code"], error["param"]) == (code, param)
    assert types(talk.send("response.create")) == ["response.created"]


@pytest.mark.parametrize("dialect", [GA, BETA])
def test_a_function_call_and_what_comes_after(dialect):
    """Deltas, done, item; then the output, and the answer that goes on from it."""
    script = Script(
        answers=(
            Answer(items=(SPOKEN, Call("get_weather", {"city": "New York"}))),
            Answer(items=(Say("It is {output}, you asked {user}"),), when=When(after_tool="*")),
        )
    )
    talk = Talk(script, dialect)

    came = talk.say("hi") + talk.wait(5000)
    call = of(came, "response.output_item.done")[1]["item"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "foggy"}
    talk.send("conversation.item.create", item=output)
    then = talk.send("response.create") + talk.wait(5000)

    deltas = of(came, "response.function_call_arguments.delta")
    done = one(came, "response.function_call_arguments.done")
    assert "".join(each["delta"] for each in deltas) == done["arguments"] == call["arguments"]
    assert json.loads(call["arguments"]) == {"city": "New York"}
    assert (done["name"], done["call_id"]) == ("get_weather", call["call_id"])
    assert (call["type"], call["status"]) == ("function_call", "completed")
    name = f"response.{'output_' if dialect is GA else ''}audio_transcript.done"
    assert one(then, name)["transcript"] == "It is foggy, you asked hi"


def test_calls_can_be_parallel():
    """Several calls in one response, each with an id of its own."""
    talk = Talk(answering(Call("f", '{"a": 1}'), Call("g", {})))

    done = one(talk.say("hi") + talk.wait(3000), "response.done")["response"]

    assert [item["name"] for item in done["output"]] == ["f", "g"]
    assert len({item["call_id"] for item in done["output"]}) == 2
    assert done["output"][0]["arguments"] == '{"a": 1}'


def test_a_call_can_be_interrupted():
    """Its arguments stay as far as they came."""
    talk = Talk(answering(Call("f", {"a": "b c d e f"}, gap_ms=100)))
    talk.say("hi")
    talk.wait(400)

    done = one(talk.send("response.cancel"), "response.done")["response"]

    (call,) = done["output"]
    assert call["status"] == "incomplete"
    assert '{"a":"b c d e f"}'.startswith(call["arguments"])
    assert call["arguments"]


@pytest.mark.parametrize(
    ("error", "phase", "result"),
    [("", "completed", "output"), ("No such file.", "failed", "error")],
)
def test_an_mcp_call_is_carried_out_by_the_server(error, phase, result):
    """Arguments, progress without a response id, and the result in the item."""
    talk = Talk(answering(McpCall("read", "files", {"path": "x"}, output="text", error=error)))

    came = talk.say("hi") + talk.wait(3000)

    progress = [e for e in came if e["type"].startswith("response.mcp_call.")]
    assert [e["type"].rpartition(".")[2] for e in progress] == ["in_progress", phase]
    assert all("response_id" not in e for e in progress)
    item = one(came, "response.output_item.done")["item"]
    assert (item["type"], item["server_label"], item["arguments"]) == (
        "mcp_call",
        "files",
        '{"path":"x"}',
    )
    assert result in item
    assert one(came, "response.done")["response"]["status"] == "completed"


def test_silence_can_be_said():
    """A message of silence is as long as it says, and has a transcript of its own."""
    talk = Talk(answering(Say("…", (Silence(300),))))

    assert audio_of(talk.say("hi") + talk.wait(3000)) == b"\0\0" * 7200

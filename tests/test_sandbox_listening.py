"""The input audio buffer: committing, clearing, turns that the VAD finds, idling, transcription."""

from __future__ import annotations

import numpy as np
import pybase64
import pytest

from recorder.sandbox.dialect import BETA, GA
from recorder.sandbox.formats import ALAW, PCM24, ULAW, AudioFormat, encode
from recorder.sandbox.script import Answer, Failure, Heard, Say, Script
from tests.sandbox_driver import QUICK, Talk, of, one, silence, tone, types

MANUAL = {"input": {"turn_detection": None}}
TURN = np.concatenate([silence(640), tone(640), silence(640)])


def transcribing(model="gpt-4o-transcribe", **more):
    """The `audio` of a session that transcribes."""
    return {"input": {"transcription": {"model": model}, **more}}


def test_a_spoken_turn_goes_as_the_protocol_says():
    """Found, committed, added, answered: in order, with one item id, at the right times."""
    talk = Talk()

    came = talk.speak(TURN[: 24 * 1520])

    assert types(came) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    started, stopped, committed, added, done, _ = came
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (352, 1504)
    assert started["item_id"] == stopped["item_id"] == committed["item_id"] == added["item"]["id"]
    assert committed["previous_item_id"] is None
    assert added["item"] == done["item"]
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    # Known with the 20 ms chunk that completes the step.
    assert (started.at_ms, stopped.at_ms) == (720, 1520)


def test_beta_announces_the_item_once():
    """`conversation.item.created` and no `done`."""
    talk = Talk(dialect=BETA)

    came = talk.speak(np.concatenate([TURN, silence(320)]))

    assert types(came)[2:5] == [
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
    ]


@pytest.mark.parametrize(
    "audio", [PCM24, ULAW, ALAW, AudioFormat("pcm16", 16_000), AudioFormat("pcm16", 8_000)]
)
def test_the_turn_is_what_lies_between_the_offsets(audio):
    """`retrieve` gives back exactly the samples from `audio_start_ms` to `audio_end_ms`."""
    rate = audio.rate
    samples = np.concatenate([silence(640, rate), tone(640, rate=rate), silence(640, rate)])
    talk = Talk()
    name = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
    kind = {"type": name[audio.encoding], **({"rate": rate} if audio.width == 2 else {})}
    talk.update(audio={"input": {"format": kind}})

    came = talk.speak(samples, audio=audio)
    item_id = one(came, "input_audio_buffer.committed")["item_id"]
    item = one(
        talk.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved"
    )

    sent = pybase64.b64decode(item["item"]["content"][0]["audio"])
    assert sent == encode(
        np.ascontiguousarray(samples[352 * rate // 1000 : 1504 * rate // 1000]), audio
    )


def test_a_burst_is_found_at_once():
    """A file sent in one message gives the whole turn, on the same axis."""
    talk = Talk()

    came = talk.append(encode(np.concatenate([TURN, TURN]), PCM24))

    assert [e["audio_start_ms"] for e in of(came, "input_audio_buffer.speech_started")] == [
        352,
        2272,
    ]
    assert [e["audio_end_ms"] for e in of(came, "input_audio_buffer.speech_stopped")] == [
        1504,
        3424,
    ]
    assert {event.at_ms for event in came} == {0}


def test_the_axis_counts_audio_not_time():
    """A pause in sending moves no offset."""
    talk = Talk()

    came = talk.speak(TURN[:24_000]) + talk.wait(5000) + talk.speak(TURN[24_000:])

    assert one(came, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 1504


def test_half_samples_are_carried_over():
    """Audio cut at odd bytes is the same audio."""
    talk, data = Talk(), encode(TURN, PCM24)

    came = [event for at in range(0, len(data), 777) for event in talk.append(data[at : at + 777])]

    assert one(came, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 1504


def test_without_a_vad_the_client_commits():
    """No speech events; all that was appended since the last commit becomes the item."""
    talk = Talk()
    talk.update(audio=MANUAL)

    came = talk.append(encode(tone(300), PCM24))
    committed = talk.send("input_audio_buffer.commit")
    item_id = one(committed, "input_audio_buffer.committed")["item_id"]
    item = one(
        talk.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved"
    )

    assert came == []
    assert types(committed) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert pybase64.b64decode(item["item"]["content"][0]["audio"]) == encode(tone(300), PCM24)


@pytest.mark.parametrize(("ms", "is_enough"), [(0, False), (99, False), (100, True)])
def test_a_commit_needs_100_ms_since_the_last_one(ms, is_enough):
    """What was committed before does not count."""
    talk = Talk()
    talk.update(audio=MANUAL)
    talk.append(encode(tone(500), PCM24))
    talk.send("input_audio_buffer.commit")

    talk.append(encode(tone(ms), PCM24))
    came = talk.send("input_audio_buffer.commit", event_id="c2")

    if is_enough:
        assert types(came)[0] == "input_audio_buffer.committed"
    else:
        error = one(came, "error")["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "c2")
        assert f"{ms:.2f}ms" in error["message"]


def test_a_client_may_commit_while_the_vad_hears_speech():
    """The announced id is used, no `speech_stopped` comes, the axis goes on."""
    talk = Talk()
    started = one(talk.speak(tone(640)), "input_audio_buffer.speech_started")

    committed = one(talk.send("input_audio_buffer.commit"), "input_audio_buffer.committed")
    later = talk.speak(np.concatenate([silence(640), tone(640)]))

    assert committed["item_id"] == started["item_id"]
    assert types(later) == ["input_audio_buffer.speech_started"]
    assert later[0]["audio_start_ms"] == 1280 - 288


def test_clearing_empties_the_buffer_and_keeps_the_axis():
    """What was cleared cannot be committed; offsets go on from there."""
    talk = Talk()
    talk.speak(tone(640))

    cleared = talk.send("input_audio_buffer.clear")
    refused = talk.send("input_audio_buffer.commit")
    later = talk.speak(np.concatenate([silence(640), tone(640)]))

    assert types(cleared) == ["input_audio_buffer.cleared"]
    assert one(refused, "error")["error"]["code"] == "input_audio_buffer_commit_empty"
    assert one(later, "input_audio_buffer.speech_started")["audio_start_ms"] == 992


def test_the_format_may_change_between_two_appends():
    """What was appended before is kept, in the new format; the axis goes on."""
    talk = Talk()
    talk.update(audio=MANUAL)
    talk.append(encode(tone(200), PCM24))

    talk.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
    talk.append(encode(tone(200, rate=8000), ULAW))
    item_id = one(talk.send("input_audio_buffer.commit"), "input_audio_buffer.committed")["item_id"]
    item = one(
        talk.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved"
    )

    assert len(pybase64.b64decode(item["item"]["content"][0]["audio"])) == 3200


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        ("???", "invalid_value"),
        ("AAA", "invalid_value"),
        (7, "invalid_type"),
        (None, "invalid_type"),
        ("A" * (21 * 2**20), "string_above_max_length"),
    ],
)
def test_bad_audio_is_refused(audio, code):
    """Not base64, not a string, more than 15 MiB: an error, and the buffer as before."""
    talk = Talk()

    error = one(talk.send("input_audio_buffer.append", audio=audio), "error")["error"]

    assert (error["code"], error["param"]) == (code, "audio")


def test_create_response_and_interrupt_response_can_be_switched_off():
    """VAD events still flow; the server neither answers nor cancels."""
    talk = Talk()
    detection = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    talk.update(audio={"input": {"turn_detection": detection}})
    talk.say("hello")

    came = talk.speak(TURN)

    assert "input_audio_buffer.committed" in types(came)
    assert [e["response"]["status"] for e in of(came, "response.done")] == ["completed"]
    assert of(came, "response.created") == []


def test_a_turn_waits_for_an_answer_that_must_not_be_interrupted():
    """With `interrupt_response` off, its answer begins when the one before has ended."""
    slow = Answer(items=(Say("Long.", first_audio_ms=5000, first_delta_ms=5000),), created_ms=0)
    talk = Talk(Script(answers=(slow,), otherwise=(QUICK,)))
    detection = {"type": "server_vad", "interrupt_response": False}
    talk.update(audio={"input": {"turn_detection": detection}})
    talk.say("hello")

    came = talk.speak(TURN) + talk.wait(10_000)

    wanted = ["input_audio_buffer.committed", "response.done", "response.created", "response.done"]
    assert [each for each in types(came) if each in wanted] == wanted


def test_transcription_may_come_after_the_answer():
    """Deltas and the whole, with usage, at the scripted time; the item itself shows null."""
    script = Script(
        otherwise=(QUICK,), heard=(Heard(text="good day to you", delay_ms=3000, spread_ms=400),)
    )
    talk = Talk(script)
    talk.update(audio=transcribing())

    came = talk.speak(TURN) + talk.wait(5000)

    name = "conversation.item.input_audio_transcription"
    committed = one(came, "input_audio_buffer.committed")
    deltas, completed = of(came, f"{name}.delta"), one(came, f"{name}.completed")
    assert one(came, "response.done").at_ms < deltas[0].at_ms == committed.at_ms + 3000
    assert completed.at_ms == committed.at_ms + 3400
    assert "".join(each["delta"] for each in deltas) == completed["transcript"] == "good day to you"
    assert {each["item_id"] for each in (committed, completed, *deltas)} == {committed["item_id"]}
    assert completed["usage"]["type"] == "tokens"
    assert completed["usage"]["input_tokens"] == 12  # 1152 ms at one for 100 ms


def test_whisper_sends_one_delta_and_counts_seconds():
    """One delta with everything, usage by duration, rounded up."""
    talk = Talk(Script(heard=(Heard(text="one two three"),)))
    talk.update(audio=transcribing("whisper-1"))

    came = talk.speak(TURN) + talk.wait(2000)

    name = "conversation.item.input_audio_transcription"
    assert [each["delta"] for each in of(came, f"{name}.delta")] == ["one two three"]
    assert one(came, f"{name}.completed")["usage"] == {"type": "duration", "seconds": 2}


def test_transcription_can_fail():
    """`failed` with the error, and no `completed`."""
    talk = Talk(
        Script(
            heard=(
                Heard(
                    fail=Failure(code="audio_unintelligible", message="Noise."),
                ),
            )
        )
    )
    talk.update(audio=transcribing())

    came = talk.speak(TURN) + talk.wait(2000)

    name = "conversation.item.input_audio_transcription"
    assert one(came, f"{name}.failed")["error"]["code"] == "audio_unintelligible"
    assert of(came, f"{name}.completed") == []


def test_without_transcription_the_transcript_stays_null():
    """No transcription events, and `retrieve` shows null."""
    talk = Talk(Script(heard=(Heard(text="secret"),)))

    came = talk.speak(TURN) + talk.wait(2000)

    assert not [each for each in types(came, without=()) if "transcription" in each]


def test_an_idle_user_is_asked_again():
    """The silence after the answer's playback is committed, named and answered."""
    talk = Talk()
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    talk.update(audio={"input": {"turn_detection": detection}})
    talk.say("hello")

    came = talk.speak(silence(7000)) + talk.wait(1000)

    triggered = one(came, "input_audio_buffer.timeout_triggered")
    # One second of audio from 100 ms on, then five seconds; the appended audio is 20 ms behind.
    assert triggered.at_ms == 100 + 1000 + 5000
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (1080, 6080)
    at = types(came).index("input_audio_buffer.timeout_triggered")
    assert types(came)[at + 1 : at + 5] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert one(came, "input_audio_buffer.committed")["item_id"] == triggered["item_id"]


def test_a_user_who_speaks_is_not_idle():
    """Speech stops the clock."""
    talk = Talk()
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    talk.update(audio={"input": {"turn_detection": detection}})
    talk.say("hello")

    came = talk.speak(np.concatenate([silence(4000), tone(3000)]))

    assert of(came, "input_audio_buffer.timeout_triggered") == []


@pytest.mark.parametrize("dialect", [GA, BETA])
def test_previous_item_ids_chain_the_turns(dialect):
    """User and assistant items name the one before them, in the order of the conversation."""
    talk = Talk(dialect=dialect)

    came = talk.speak(np.concatenate([TURN, silence(1000), TURN, silence(1000)])) + talk.wait(2000)

    name = dialect.type("conversation.item.added")
    chain = [(event["previous_item_id"], event["item"]["id"]) for event in of(came, name)]
    assert len(chain) == 4
    assert [before for before, _ in chain] == [None, *(item_id for _, item_id in chain[:-1])]

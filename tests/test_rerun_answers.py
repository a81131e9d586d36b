"""What the caller answers to tools, and what becomes of ids, barge-in and unknown messages."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from recorder.errors import UsageError
from recorder.events import BINARY, Origin
from recorder.rerunning import End
from tests.building import Talk, tone
from tests.rerun_kit import Answer, Scripted, run
from tests.test_replaying import item
from tests.test_rerunning import chat

CREATE = "conversation.item.create"
RESPOND = "response.create"


def asked_for_tool(*, arguments: str = '{"a":1}') -> Talk:
    """A question that calls `look_up`, whose output comes 300 ms later."""
    talk = Talk().open(0, vad=None)
    talk.write(1000, "weather?")
    talk.created(1100, "R1").calls(1300, "R1", "I1", "call_1").done(1310, "R1")
    talk.output(1600, "call_1", "sunny", ask=1610)
    return talk.answer(1700, "R2", "A2", [], text="Sunny.", done=1900).close(2000)


# ---- tools


def test_tools_get_the_recorded_output_by_name_and_arguments() -> None:
    """Arguments in another order of white space are the same; the call id is this run's."""
    call = Answer(text="", calls=(("look_up", '{ "a" : 1 }'),))
    again = run(asked_for_tool().events, Scripted(call))
    output = again.bodies(CREATE)[1]["item"]
    assert (output["type"], output["output"]) == ("function_call_output", "sunny")
    assert output["call_id"].startswith("live_call")
    # called at 1000 + 100 + 399, answered 300 later, and asked for the rest 10 after that
    assert again.times(CREATE)[1] == 1799
    assert again.times(RESPOND) == [1000, 1809]
    assert again.end == End()


def test_two_calls_at_once_are_answered_and_then_asked_for_once() -> None:
    """One `response.create` followed both outputs in the recording: so it does now."""
    talk = Talk().open(0, vad=None).write(1000, "both?")
    talk.created(1100, "R1").calls(1200, "R1", "I1", "c1", "one").calls(
        1210, "R1", "I2", "c2", "two"
    )
    talk.done(1220, "R1")
    for ms, call in ((1300, "c1"), (1310, "c2")):
        body = {"type": "function_call_output", "call_id": call, "output": call}
        talk.client(ms, CREATE, item=body)
    talk.client(1320, RESPOND).answer(1400, "R2", "A", [], text="x", done=1500).close(1600)
    both = Answer(text="", calls=(("two", '{"a":1}'), ("one", '{"a":1}')))
    again = run(talk.events, Scripted(both))
    assert again.kinds() == [CREATE, RESPOND, CREATE, CREATE, RESPOND]
    assert {each["item"]["output"] for each in again.bodies(CREATE)[1:]} == {"c1", "c2"}


def test_a_call_that_was_never_recorded_stops_it() -> None:
    """It says what was asked for and what the recording has instead."""
    call = Answer(text="", calls=(("look_up", '{"a":2}'),))
    again = run(asked_for_tool().events, Scripted(call))
    assert again.end is not None
    assert 'look_up({"a":2})' in again.end.why
    assert 'look_up({"a":1})' in again.end.why
    assert again.remarks == [f"stopped: {again.end.why}"]
    assert again.kinds() == [CREATE, RESPOND]


def test_a_call_that_does_not_come_is_not_answered() -> None:
    """The new run answers without the tool: nothing of its output is sent, and it goes on."""
    talk = asked_for_tool().write(3000, "thanks").answer(3100, "R3", "A3", [], text="!", done=3200)
    again = run(talk.events, Scripted(Answer(), Answer()))
    assert again.kinds() == [CREATE, RESPOND, CREATE, RESPOND]
    assert again.end == End()


def test_a_call_that_was_left_unanswered_stays_so() -> None:
    """What the recorded client ignored is ignored again, and no reason to stop."""
    talk = Talk().open(0, vad=None).write(1000, "weather?")
    talk.created(1100, "R1").calls(1300, "R1", "I1", "call_1").done(1310, "R1").close(1400)
    again = run(talk.events, Scripted(Answer(text="", calls=(("look_up", '{"a":1}'),))))
    assert again.kinds() == [CREATE, RESPOND]
    assert again.end == End()


def test_an_approval_gets_the_recorded_word_and_this_runs_id() -> None:
    """`approval_request_id` is that of the request in this run."""

    def request(own: str) -> dict[str, Any]:
        return {"id": own, "type": "mcp_approval_request", "server_label": "s", "name": "buy",
                "arguments": "{}"}  # fmt: skip

    talk = Talk().open(0, vad=None).write(1000, "buy")
    talk.created(1100, "R1").server(1150, "conversation.item.added", item=request("apr_then"))
    talk.done(1200, "R1")
    answer = {"type": "mcp_approval_response", "approval_request_id": "apr_then", "approve": True}
    talk.client(1500, CREATE, item=answer).close(1600)
    server = Scripted()
    server.say(0, 1150, "conversation.item.added", item=request("apr_now"))
    given = run(talk.events, server).bodies(CREATE)[1]["item"]
    assert given == answer | {"approval_request_id": "apr_now"}


# ---- ids and barge-in


def interrupted() -> Talk:
    """The client cancels 600 ms after the first audio, and says that 550 ms were heard."""
    talk = Talk().open(0, vad=None).write(1000, "tell me")
    talk.created(1100, "R1").part_of(1110, "R1", "A1")
    ids = {"response_id": "R1", "item_id": "A1", "output_index": 0, "content_index": 0}
    delta = base64.b64encode(tone(1000)).decode()
    for at in (1200, 1300, 1400):
        talk.server(at, "response.output_audio.delta", **ids, delta=delta)
    talk.client(1800, "response.cancel", response_id="R1")
    talk.client(1801, "conversation.item.truncate", item_id="A1", content_index=0, audio_end_ms=550)
    talk.done(1850, "R1", "cancelled", "client_cancelled")
    return talk.client(2500, "conversation.item.delete", item_id="A1").close(2600)


def test_barge_in_names_this_runs_items_and_what_was_heard_of_them() -> None:
    """600 ms after the first audio of this run; the claim moves with the moment it is made."""
    again = run(interrupted().events, Scripted(Answer(audio_ms=900, lasts_ms=3000, begins_ms=700)))
    (cancel,) = again.bodies("response.cancel")
    (cut,) = again.bodies("conversation.item.truncate")
    assert cancel["response_id"].startswith("live_resp")
    assert cut["item_id"].startswith("live_item")
    # asked at 1000, the first audio 700 + 20 later, which stood last 400 ms before the cancel
    assert again.times("response.cancel") == [1720 + 600]
    assert cut["audio_end_ms"] == 550
    assert again.bodies("conversation.item.delete")[0]["item_id"] == cut["item_id"]


def test_a_truncation_claims_no_more_than_arrived() -> None:
    """Only 300 ms came in this run."""
    again = run(interrupted().events, Scripted(Answer(audio_ms=300, lasts_ms=3000)))
    assert again.bodies("conversation.item.truncate")[0]["audio_end_ms"] == 300


def test_what_is_over_cannot_be_interrupted() -> None:
    """The answer was short and in writing: neither cancel nor truncation is sent, and both said."""
    talk = interrupted()
    again = run(talk.events, Scripted(Answer(lasts_ms=50)))
    assert again.bodies("response.cancel") == []
    assert again.bodies("conversation.item.truncate") == []
    told = f"response.cancel (event {talk.seq('response.cancel')}) is not sent"
    assert f"{told}: nothing is in progress" in again.remarks
    assert any("nothing of that item was said in this run" in each for each in again.remarks)


def test_previous_item_ids_are_this_runs() -> None:
    """An id of the server's is rewritten, one of the client's own is not, `root` stays."""
    talk = chat()
    talk.client(2450, CREATE, previous_item_id="A1", item=item("behind", id="mine"))
    talk.client(2451, CREATE, previous_item_id="mine", item=item("last"))
    talk.client(2452, CREATE, previous_item_id="root", item=item("first"))
    talk.client(2453, CREATE, previous_item_id="A1", item=item("x"), event_id="e")
    bodies = run(talk.events, Scripted()).bodies(CREATE)[2:]
    assert bodies[0]["previous_item_id"].startswith("live_item")
    assert bodies[0]["item"]["id"] == "mine"
    assert [each["previous_item_id"] for each in bodies[1:3]] == ["mine", "root"]
    assert bodies[3] == {"type": CREATE, "event_id": "e", "item": item("x"),
                         "previous_item_id": bodies[0]["previous_item_id"]}  # fmt: skip


def test_unknown_messages_pass_as_they_are() -> None:
    """Types that nobody knows, what is no JSON, binary frames."""
    talk = Talk().open(0, vad=None)
    talk.raw(Origin.CLIENT, 100, b'{"type": "x.custom",  "n": 1}')
    talk.raw(Origin.CLIENT, 200, b'{"type":"x.binary"}', BINARY).close(300)
    again = run(talk.events, Scripted())
    assert again.raw == [(b'{"type": "x.custom",  "n": 1}', False), (b'{"type":"x.binary"}', True)]
    assert [at for at, _ in again.sent] == [100, 200]


# ---- dialects


def in_beta() -> Talk:
    """A recording in the beta's dialect: a configuration, a question in writing, its answer."""
    talk = Talk(beta=True).open(0, vad=None)
    session = {"modalities": ["text"], "voice": "echo", "temperature": 0.7}
    talk.client(100, "session.update", session=session)
    talk.server(120, "session.updated", session=session)
    talk.write(1000, "one").answer(1100, "R1", "A1", [], text="Un.", done=1400)
    content = [{"type": "text", "text": "put into its mouth"}]
    body = {"type": "message", "role": "assistant", "content": content}
    return talk.client(2000, CREATE, item=body).close(2100)


def test_a_beta_recording_is_translated_for_a_ga_endpoint() -> None:
    """What GA has no word for is said once; all else goes out as it was."""
    again = run(in_beta().events, Scripted())
    assert again.bodies("session.update")[0]["session"] == {
        "type": "realtime",
        "output_modalities": ["text"],
        "audio": {"output": {"voice": "echo"}},
    }
    kinds = [each["item"]["content"][0]["type"] for each in again.bodies(CREATE)]
    assert kinds == ["input_text", "output_text"]
    assert again.remarks == ["GA has no word for temperature: it is left out"]


def test_a_beta_recording_before_a_beta_endpoint_is_not_touched() -> None:
    """Byte for byte."""
    talk = in_beta()
    again = run(talk.events, Scripted(beta=True))
    sent = [each.head for each in talk.events if each.origin == Origin.CLIENT]
    assert [message for message, _ in again.raw] == sent


def test_a_ga_recording_is_never_translated_back() -> None:
    """A beta endpoint is told nothing that it would misunderstand."""
    talk = Talk().open(0, vad=None)
    talk.client(100, "session.update", session={"type": "realtime", "output_modalities": ["text"]})
    with pytest.raises(UsageError, match="not translated backwards"):
        run(talk.events, Scripted(beta=True))
    again = run(chat().events, Scripted(beta=True))  # what both have in one shape is no obstacle
    assert again.kinds() == [CREATE, RESPOND, CREATE, RESPOND]


# ---- what servers that listen do otherwise


def test_speech_that_the_server_hears_as_two() -> None:
    """A pause that the recorded server bridged: the second commit belongs to the same turn."""
    talk = Talk().open(0)
    talk.mic(0, 5000, speech=[(500, 1000), (1300, 1800), (4000, 4500)])
    talk.heard(2300, "U1", start=200, end=2200).answer(2400, "R1", "A1", [(2500, 500)], text="a")
    talk.heard(5000, "U2", start=3700, end=4900).answer(5100, "R2", "A2", [(5200, 100)], text="b")
    again = run(talk.close(6000).events, Scripted(Answer(lasts_ms=50), Answer(), vad=True))
    committed = [at for at, body in again.told if body["type"] == "input_audio_buffer.committed"]
    assert len(committed) == 3
    assert again.remarks == []
    assert again.end == End()


def test_speech_that_the_server_never_hears() -> None:
    """The caller waits for its patience, sending silence, says so, and goes on."""
    talk = Talk().open(0)
    talk.mic(0, 5000, speech=[(500, 1500), (4000, 4500)])
    talk.heard(1750, "U1", start=200, end=1700).answer(1800, "R1", "A1", [(1900, 100)], text="a")
    talk.heard(4750, "U2", start=3700, end=4700).answer(4800, "R2", "A2", [(4900, 100)], text="b")
    again = run(talk.close(5100).events, Scripted(vad=True, deaf=True))
    assert again.remarks == [
        "waited 30 s in vain for the answer having been played: went on without it",
        "waited 30 s in vain for the end of the answer: went on without it",
    ]
    assert again.end == End()
    appended = len(again.audio) / 48
    assert 60_000 < appended < 70_000

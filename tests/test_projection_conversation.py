"""The conversation: words by authority, items in order, responses, tool calls, errors."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import Event
from recorder.projections import PROJECTIONS, RENDERERS, analyse, fold, scan
from recorder.projections.conversation import ConversationProjection
from recorder.projections.model import Conversation, Item
from recorder.projections.words import once
from recorder.secrets import redact_text
from tests.building import Talk
from tests.captured import captured

IDS = {"response_id": "R", "item_id": "A", "output_index": 0, "content_index": 0}
TRANSCRIPT = "response.output_audio_transcript"
TEXT = "response.output_text"


def conversation(talk: Talk) -> Conversation:
    return fold(ConversationProjection(), talk.events)


def item(talk: Talk, name: str = "A") -> Item:
    return next(i for i in conversation(talk).items if i.id == name)


def begun(*, beta: bool = False) -> Talk:
    """A response R whose item A has begun."""
    return Talk(beta=beta).open().created(10, "R").part_of(11, "R", "A")


# Words.


@pytest.mark.parametrize("beta", [False, True])
def test_done_wins_over_the_deltas(beta: bool) -> None:
    """In both dialects."""
    talk = begun(beta=beta).server(12, f"{TRANSCRIPT}.delta", **IDS, delta="Helo")
    talk.server(13, f"{TRANSCRIPT}.done", **IDS, transcript="Hello.").done(14, "R")

    assert (item(talk).text, item(talk).parts[0].source) == ("Hello.", "done")


def test_deltas_stand_in_where_no_done_came() -> None:
    """And the item says that it is cut."""
    talk = begun().server(12, f"{TRANSCRIPT}.delta", **IDS, delta="Hel")
    talk.server(13, f"{TRANSCRIPT}.delta", **IDS, delta="lo")

    assert (item(talk).text, item(talk).cut) == ("Hello", True)


def test_a_key_in_two_deltas_is_not_put_together() -> None:
    """No piece is one, so each was stored as it came; no word or argument shows the whole."""
    pieces = ("Your key is sk-", "proj-Ab12", "Cd34Ef56Gh78", ", keep it.")
    assert not any(redact_text(piece)[1] for piece in pieces)
    words = "Your key is [redacted:key], keep it."
    talk = begun()
    for ms, piece in enumerate(pieces, 12):
        talk.server(ms, f"{TRANSCRIPT}.delta", **IDS, delta=piece)
        talk.server(ms, "conversation.item.input_audio_transcription.delta", item_id="U",
                    content_index=0, delta=piece)  # fmt: skip
        talk.server(ms, "response.function_call_arguments.delta", response_id="R", item_id="F",
                    output_index=1, call_id="c", delta=piece)  # fmt: skip
    for _, told in scan(ConversationProjection(), talk.events):  # asked on the way, too
        assert "Gh78" not in repr(told)
    assert [item(talk, name).text for name in "AU"] == [words, words]
    assert [call.arguments for call in conversation(talk).calls] == [words]
    text = "".join(RENDERERS["txt"](analyse(talk.source).transcript))
    assert words in text
    assert "Gh78" not in text


def test_words_that_only_look_like_a_key_stay() -> None:
    """A library whose name begins as keys do."""
    talk = begun().server(12, f"{TRANSCRIPT}.delta", **IDS, delta="Use sk-")
    talk.server(13, f"{TRANSCRIPT}.delta", **IDS, delta="learn, the library")
    assert item(talk).text == "Use sk-learn, the library"


def test_an_empty_done_takes_nothing_away() -> None:
    """Voice Live sends an empty `content_part.done` after the text."""
    talk = begun().server(12, f"{TEXT}.delta", **IDS, delta="Hello")
    talk.server(13, "response.content_part.done", **IDS, part={"type": "text", "text": ""})

    assert item(talk).text == "Hello"


def test_response_done_fills_in_what_is_missing() -> None:
    """Here no delta was recorded at all."""
    content = [{"type": "output_audio", "transcript": "All of it."}]
    output = [{"id": "A", "type": "message", "role": "assistant", "content": content}]
    talk = begun().done(14, "R", output=output)

    assert (item(talk).text, item(talk).parts[0].source) == ("All of it.", "response.done")


def test_text_and_transcript_of_one_part_are_told_once() -> None:
    """One response with both kinds of delta says its words once."""
    talk = begun().server(12, f"{TEXT}.delta", **IDS, delta="Hello there")
    talk.server(13, f"{TRANSCRIPT}.delta", **IDS, delta="Hello there.")
    talk.server(14, "response.output_audio.delta", **IDS, delta="AAAA")

    assert item(talk).text == "Hello there."


def test_text_and_audio_in_two_parts_are_told_once() -> None:
    """The same when they are two content parts."""
    talk = begun().server(12, f"{TEXT}.done", **IDS, text="Hello there.")
    talk.server(13, f"{TRANSCRIPT}.done", **{**IDS, "content_index": 1}, transcript="Hello there.")

    assert item(talk).text == "Hello there."


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("a b", "a b", "a b"),
        ("a", "a b", "a b"),
        ("a b", "a", "a b"),
        ("a", "", "a"),
        ("", "b", "b"),
        ("a", "b", "a\nb"),
        ("a  b\n", "a b c", "a b c"),
    ],
)
def test_the_same_words_count_once(first: str, second: str, both: str) -> None:
    """A beginning is the same words too."""
    assert once(first, second) == both


def test_users_words_that_come_late_stand_in_their_place() -> None:
    """The transcript arrives after the answer; the item stays before it."""
    talk = Talk().open().committed(10, "U")
    talk.answer(20, "R", "A", [(30, 100)], text="Yes.", previous="U")
    talk.transcript(400, "U", "Is it?\n")

    assert [(i.id, i.text) for i in conversation(talk).items] == [("U", "Is it?\n"), ("A", "Yes.")]


def test_the_last_of_several_transcripts_counts() -> None:
    """Each longer than the one before."""
    talk = Talk().open().committed(10, "U")
    talk.transcript(20, "U", "Is").transcript(30, "U", "Is it?")
    assert item(talk, "U").text == "Is it?"


def test_an_empty_transcript_is_a_result() -> None:
    """Silence: completed, with nothing in it."""
    talk = Talk().open().committed(10, "U").transcript(20, "U", "")
    assert (item(talk, "U").transcript, item(talk, "U").text) == ("completed", "")


def test_a_failed_transcription_says_so() -> None:
    """The speech stays, without words."""
    name = "conversation.item.input_audio_transcription.failed"
    talk = Talk().open().committed(10, "U")
    talk.server(20, name, item_id="U", content_index=0, error={"message": "no"})
    assert item(talk, "U").transcript == "failed"


# Order and identity.


def test_a_client_item_takes_the_servers_id_and_place() -> None:
    """It is there from when it was sent; the server's confirmation completes it."""
    talk = Talk().open().write(10, "One", ask=False).write(20, "Two")
    found = conversation(talk).items

    assert [(i.id, i.text, i.by, i.at_ns) for i in found] == [
        ("item_w10", "One", "client", 10_000_000),
        ("item_w20", "Two", "client", 20_000_000),
    ]


def test_a_gateway_that_confirms_nothing_leaves_the_clients_item_standing() -> None:
    """It is shown in its place, as not acknowledged."""
    content = [{"type": "input_text", "text": "Hi"}]
    body = {"type": "message", "role": "user", "content": content}
    talk = Talk().open().client(5, "conversation.item.create", item=body)
    talk.answer(10, "R", "A", [(20, 50)], text="Hello.")

    assert [(i.text, i.acknowledged) for i in conversation(talk).items] == [
        ("Hi", False),
        ("Hello.", True),
    ]


def test_deltas_without_any_ids_belong_to_the_open_response() -> None:
    """Some servers leave all of them out."""
    talk = Talk().open().server(10, "response.created", response={})
    talk.server(11, "response.audio.delta", delta="AAAA")
    talk.server(12, "response.audio_transcript.delta", delta="Hello")
    talk.server(13, "response.done", response={"status": "completed"})

    found = conversation(talk)
    assert [(i.text, i.spoken, i.role) for i in found.items] == [("Hello", True, "assistant")]
    assert [(r.status, len(r.items)) for r in found.responses] == [("completed", 1)]


def test_a_done_without_created_is_a_response() -> None:
    """As in the races of an interruption."""
    talk = Talk().open().done(10, "R", "cancelled", "turn_detected")
    (response,) = conversation(talk).responses
    assert (response.id, response.status, response.reason) == ("R", "cancelled", "turn_detected")
    assert response.created_ns is None


def test_deleted_items_say_so() -> None:
    """They stay, with the time at which they went."""
    talk = Talk().open().write(10, "Oops", "U").server(30, "conversation.item.deleted", item_id="U")
    assert item(talk, "U").deleted_ns == 30_000_000


def test_a_truncation_is_kept_with_what_xai_says_is_left() -> None:
    """`audio_end_ms` is the client's; the text the server's."""
    talk = begun().client(20, "conversation.item.truncate", item_id="A", audio_end_ms=340)
    talk.server(21, "conversation.item.truncated", item_id="A", audio_end_ms=340, transcript="He")
    found = item(talk)
    assert (found.truncated_ms, found.truncated_seq, found.truncated_text) == (340, 5, "He")


# Responses.


def test_requests_and_responses_are_matched_in_order() -> None:
    """Responses echo no event id."""
    talk = Talk().open().client(10, "response.create").created(20, "R1").done(30, "R1")
    talk.created(40, "R2").done(50, "R2").client(60, "response.create").created(70, "R3")
    asked = [(r.id, r.asked_ns and r.asked_ns // 10**6) for r in conversation(talk).responses]
    assert asked == [("R1", 10), ("R2", None), ("R3", 60)]


def test_metadata_matches_before_order_does() -> None:
    """Clients that label their requests are answered by label."""
    talk = Talk().open()
    talk.client(10, "response.create", response={"metadata": {"n": "1"}})
    talk.client(11, "response.create", response={"metadata": {"n": "2"}})
    talk.created(20, "R2", metadata={"n": "2"}).created(21, "R1", metadata={"n": "1"})
    assert [r.asked_ns for r in conversation(talk).responses] == [11_000_000, 10_000_000]


@pytest.mark.parametrize("named", [True, False])
def test_a_refused_request_is_forgotten(named: bool) -> None:
    """By its event id, or where there is none by the code of the refusal."""
    talk = Talk().open().client(10, "response.create", event_id="e1")
    error = {
        "code": "conversation_already_has_active_response",
        "event_id": "e1" if named else None,
    }
    talk.server(15, "error", error=error).created(20, "R")
    assert conversation(talk).responses[0].asked_seq is None


def test_out_of_band_responses_and_their_items_are_kept_apart() -> None:
    """They write to no conversation."""
    talk = Talk().open().client(5, "response.create", response={"conversation": "none"})
    talk.created(10, "R", conversation_id=None).server(11, f"{TEXT}.done", **IDS, text="Angry.")

    found = conversation(talk)

    assert [i.text for i in found.out_of_band] == ["Angry."]
    assert found.items == ()
    assert found.responses[0].out_of_band


def test_a_server_that_never_names_a_conversation_is_not_out_of_band() -> None:
    """A null means something only where something else bears it out."""
    talk = Talk().open().committed(5, "U")
    talk.created(10, "R", conversation_id=None).part_of(11, "R", "A")
    assert [i.id for i in conversation(talk).items] == ["U", "A"]


# Tools.


def test_a_call_is_counted_once_and_joined_with_its_output() -> None:
    """Three events tell of it; the output is the client's, when it sent it."""
    talk = Talk().open().created(10, "R").calls(100, "R", "F", "call_1").output(350, "call_1")
    (call,) = conversation(talk).calls

    assert (call.name, call.arguments, call.call_id) == ("look_up", '{"a":1}', "call_1")
    assert (call.at_ns, call.output_ns, call.output) == (100_000_000, 350_000_000, "42")
    assert conversation(talk).responses[0].calls == ("call_1",)


def test_a_call_whose_done_never_came_has_the_arguments_of_its_deltas() -> None:
    """Cut in the middle."""
    name = "response.function_call_arguments.delta"
    ids = {"response_id": "R", "item_id": "F", "call_id": "c"}
    talk = Talk().open().created(10, "R").server(11, name, **ids, delta='{"a"')
    (call,) = conversation(talk).calls
    assert (call.arguments, call.output) == ('{"a"', None)


def test_an_mcp_call_is_answered_by_the_server() -> None:
    """Its item carries the output."""
    body = {"id": "M", "type": "mcp_call", "name": "find", "arguments": "{}", "output": "yes"}
    talk = Talk().open().created(10, "R")
    talk.server(
        11, "response.mcp_call_arguments.done", response_id="R", item_id="M", arguments="{}"
    )
    talk.server(30, "response.mcp_call.completed", item_id="M")
    talk.server(31, "response.output_item.done", response_id="R", item=body)
    (call,) = conversation(talk).calls
    assert (call.kind, call.name, call.output, call.output_ns) == ("mcp", "find", "yes", 30_000_000)


# Configuration and errors.


def test_the_configuration_is_kept_over_time() -> None:
    """What was asked for stands until the server states what holds."""
    talk = Talk().open(0)
    talk.client(10, "session.update", session={"instructions": "Be brief.", "tools": []})
    talk.server(20, "session.updated", session={"instructions": "Be brief.", "voice": "ash"})
    found = conversation(talk).configs

    assert [(c.by, c.config.voice, c.config.instructions) for c in found] == [
        ("server", "marin", None),
        ("client", "marin", "Be brief."),
        ("server", "ash", "Be brief."),
    ]
    assert found[-1].config.silence_ms == 200


def test_an_error_refers_back_and_is_labelled_by_what_followed() -> None:
    """The session went on after the first and ended with the second."""
    talk = Talk().open().client(5, "input_audio_buffer.commit", event_id="e7")
    talk.server(10, "error", error={"code": "input_audio_buffer_commit_empty", "event_id": "e7"})
    talk.created(20, "R").done(30, "R")
    talk.server(40, "error", error={"code": "session_expired", "message": "Over."})
    talk.close(50, 1001, "server")

    first, second = conversation(talk).errors
    assert (first.fatal, first.about_seq) == (False, talk.seq("input_audio_buffer.commit"))
    assert (second.fatal, second.about_seq) == (True, None)


def test_a_log_that_ends_with_an_error_does_not_know() -> None:
    """No close, nothing after it."""
    talk = Talk().open().server(10, "error", error={"code": "x"})
    assert conversation(talk).errors[0].fatal is None


# Laws, and real traffic.

WHOLE = Talk().open().mic(0, 400, speech=[(100, 300)]).heard(500, "U", start=0, end=400)
WHOLE.answer(510, "R", "A", [(520, 100)], text="Yes.").calls(530, "R", "F", "c").output(540, "c")


@given(st.lists(st.integers(0, len(WHOLE.events) - 1), max_size=30), st.data())
def test_no_fold_raises_on_damaged_logs(rows: list[int], data: st.DataObject) -> None:
    """Any events in any order, some of them with bytes changed: every projection has a result."""
    events = []
    for seq, row in enumerate(rows, 1):
        event = WHOLE.events[row]._replace(seq=seq, at_ns=seq * 1000)
        if event.head and data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(event.head) - 1))
            byte = data.draw(st.binary(min_size=1, max_size=1))
            event = event._replace(head=event.head[:at] + byte + event.head[at + 1 :])
        events.append(event)
    for make in PROJECTIONS.values():
        orjson.dumps(fold(make(), events))


SPOKEN = {
    "openai-ga-one-spoken-turn.jsonl": [
        ("user", "Hello, my name is Marcelo."),
        ("assistant", "Hello, Marcelo! Great to meet you. How can I help you today?"),
    ],
    "azure-ga-spoken-turn-calls-tool.jsonl": [
        ("user", "Hello, my name is Marcelo."),
        ("assistant", "Hello Marcelo, it's great to meet you! How can I help you today?"),
    ],
    "azure-mixed-names-spoken-turn.jsonl": [
        ("user", "Cześć, nazywam się Marcelo."),
        ("assistant", "Hi Marcelo, nice to meet you! How can I help you today?"),
    ],
    "openai-ga-history-seeding.jsonl": [
        ("user", "My name is Alice and my favorite color is teal."),
        ("assistant", "Nice to meet you, Alice!"),
        ("user", "What is my name and favorite color?"),
        ("assistant", "Your name is Alice, and your favorite color is teal!"),
    ],
    "openai-ga-text-in-audio-out.jsonl": [
        ("user", "Say a short greeting."),
        ("assistant", "Hi there!"),
    ],
    "xai-text-tool-round.jsonl": [
        ("user", "What is the weather in London?"),
        ("assistant", "I'll check the weather for London."),
        (
            "assistant",
            "It is foggy and 12 degrees in London. The weather is foggy with a temperature of "
            "12 degrees.",
        ),
    ],
    "voice-live-tool-call-round.jsonl": [
        ("user", "What is the weather in London?"),
        ("assistant", "It's foggy and 12 degrees in London right now."),
    ],
}


FOG = "It is foggy and 12 degrees in London."


@pytest.mark.parametrize("name", SPOKEN)
def test_real_conversations_read_as_they_were(name: str) -> None:
    """Every dialect, every provider: the words, in order, once."""
    found: list[Event] = captured(name)
    items = fold(ConversationProjection(), found).items
    assert [(i.role, i.text) for i in items if i.type == "message"] == SPOKEN[name]


@pytest.mark.parametrize(
    ("name", "call", "output"),
    [
        ("openai-ga-tool-call-round.jsonl", "get_weather", FOG),
        ("xai-text-tool-round.jsonl", "get_weather", FOG),
        (
            "voice-live-tool-call-round.jsonl",
            "get_weather",
            "It is foggy and 12 degrees in London.",
        ),
        ("azure-ga-spoken-turn-calls-tool.jsonl", "remember_name", "Stored Marcelo."),
    ],
)
def test_real_tool_calls_are_counted_once(name: str, call: str, output: str) -> None:
    """With the output that the application sent, in two cases before `response.done`."""
    (found,) = fold(ConversationProjection(), captured(name)).calls
    assert (found.name, found.output) == (call, output)


def test_a_real_cancelled_response_is_told_from_the_others() -> None:
    """The beta WebRTC session: four responses, the third cancelled by the user's speech."""
    found = fold(ConversationProjection(), captured("openai-beta-webrtc-four-responses.jsonl"))
    assert [(r.status, r.reason) for r in found.responses] == [
        ("completed", ""),
        ("completed", ""),
        ("cancelled", "turn_detected"),
        ("completed", ""),
    ]


# What came late, twice, or was refused.


def test_a_refused_item_was_never_a_part_of_the_conversation() -> None:
    """The error names the client's event; the item that was not refused stays."""
    talk = Talk().open()
    for row, name in enumerate(("good", "bad")):
        content = [{"type": "input_text", "text": name}]
        body = {"id": name, "type": "message", "role": "user", "content": content}
        talk.client(10 + row, "conversation.item.create", event_id=f"e_{name}", item=body)
    talk.server(20, "error", error={"code": "invalid_value", "event_id": "e_bad"})
    found = conversation(talk)

    assert [(one.id, one.text) for one in found.items] == [("good", "good")]
    assert found.errors[0].about_seq == talk.seq("conversation.item.create", 2)


def test_an_id_that_is_taken_leaves_the_first_item_as_it_was() -> None:
    """`item_create_duplicate_item_id`: what was said before does not change."""
    talk = Talk().open().write(10, "First", "m", ask=False)
    talk.write(20, "Second", "m", ask=False)
    assert item(talk, "m").seq == talk.seq("conversation.item.create")
    lone = Talk().open().write(10, "First", "m", ask=False)
    content = [{"type": "input_text", "text": "Second"}]
    body = {"id": "m", "type": "message", "role": "user", "content": content}
    lone.client(20, "conversation.item.create", item=body)
    assert item(lone, "m").text == "First"


def test_an_item_that_was_deleted_may_be_put_back() -> None:
    """Under the same id."""
    talk = Talk().open().write(10, "First", "m", ask=False)
    talk.server(20, "conversation.item.deleted", item_id="m")
    talk.server(30, "conversation.item.added", item={"id": "m", "type": "message", "role": "user"})
    assert item(talk, "m").deleted_ns is None


def test_a_created_that_comes_late_changes_nothing() -> None:
    """The response is over, and stays over."""
    talk = begun().done(20, "R", "cancelled", "turn_detected").created(30, "R")
    (response,) = conversation(talk).responses
    assert (response.status, response.reason) == ("cancelled", "turn_detected")
    assert response.done_ns == 20_000_000
    again = begun().created(12, "R")
    assert conversation(again).responses[0].created_ns == 10_000_000


def test_a_done_without_created_answers_its_request() -> None:
    """So that the next response is not taken for the answer to it."""
    talk = Talk().open().client(10, "response.create").done(20, "R1", "cancelled")
    talk.client(30, "response.create").created(40, "R2").done(50, "R2")
    asked = [response.asked_ns for response in conversation(talk).responses]
    assert asked == [10_000_000, 30_000_000]


def test_diarised_segments_stand_in_for_a_transcript() -> None:
    """Until `completed` says all of it."""
    name = "conversation.item.input_audio_transcription"
    talk = Talk().open().committed(10, "U")
    for ms, words in ((20, "Hello."), (30, " Who is it?")):
        talk.server(ms, f"{name}.segment", item_id="U", content_index=0, text=words, speaker="A")
    assert (item(talk, "U").text, item(talk, "U").transcript) == ("Hello. Who is it?", "partial")
    talk.transcript(40, "U", "Hello, who is it?")
    assert (item(talk, "U").text, item(talk, "U").transcript) == ("Hello, who is it?", "completed")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("response.cancel", {}),
        ("conversation.item.truncate", {"item_id": "A", "audio_end_ms": 5}),
        ("conversation.item.delete", {"item_id": "A"}),
        ("conversation.item.retrieve", {"item_id": "A"}),
    ],
)
def test_an_error_refers_back_to_every_kind_of_request(kind: str, fields: dict[str, str]) -> None:
    """By the client's event id."""
    talk = Talk().open().client(10, kind, event_id="mine", **fields)
    talk.server(20, "error", error={"code": "no", "event_id": "mine"})
    assert conversation(talk).errors[0].about_seq == 2


def test_rate_limits_are_kept_over_time() -> None:
    """Each update as it came; an empty one says nothing."""
    limit = {"name": "tokens", "limit": 10, "remaining": 5, "reset_seconds": 1.5}
    talk = Talk().open().server(10, "rate_limits.updated", rate_limits=[limit])
    talk.server(20, "rate_limits.updated", rate_limits=[])
    talk.server(30, "rate_limits.updated", rate_limits=[limit | {"remaining": 4}])
    limits = conversation(talk).rate_limits
    assert [(one["seq"], one["limits"][0]["remaining"]) for one in limits] == [(2, 5), (4, 4)]


def test_items_stand_where_they_were_put() -> None:
    """At the front, behind another, and behind one that comes later."""
    talk = Talk().open()
    for ms, name, previous in ((10, "b", None), (20, "a", "root"), (30, "d", "c"), (40, "c", "b")):
        body = {"id": name, "type": "message", "role": "user", "content": []}
        talk.server(ms, "conversation.item.added", previous_item_id=previous, item=body)
    assert [one.id for one in conversation(talk).items] == ["a", "b", "c", "d"]

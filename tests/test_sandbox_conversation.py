"""Items: creating, retrieving, truncating, deleting, and their order."""

from __future__ import annotations

import pybase64
import pytest

from recorder.sandbox.dialect import BETA, GA
from recorder.sandbox.formats import PCM24, encode
from recorder.sandbox.script import Answer, Say, Script
from recorder.sandbox.signals import Tone
from tests.sandbox_driver import Talk, audio_of, of, one, tone, types


def message(text="hi", **more):
    """A user's message."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def create(talk, item, **more):
    """Create an item; gives what came."""
    return talk.send("conversation.item.create", item=item, **more)


@pytest.mark.parametrize(
    ("dialect", "names", "head"),
    [
        (GA, ["conversation.item.added", "conversation.item.done"], {}),
        (BETA, ["conversation.item.created"], {"object": "realtime.item"}),
    ],
)
def test_an_item_is_announced_with_the_clients_id(dialect, names, head):
    """GA says added and done, beta created; the client's own id is kept."""
    talk = Talk(dialect=dialect)

    came = create(talk, message(id="mine"))

    assert types(came) == names
    assert came[0]["previous_item_id"] is None
    assert came[0]["item"] == {
        "id": "mine",
        **head,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "hi"}],
    }


def test_previous_item_id_says_where():
    """After an item, at the front, or at the end; each answer names what it now stands after."""
    talk = Talk()

    def place(item_id, **more):
        return of(create(talk, message(id=item_id), **more), "conversation.item.added")[0][
            "previous_item_id"
        ]

    assert place("a") is None
    assert place("b") == "a"
    assert place("c", previous_item_id="a") == "a"
    assert place("d", previous_item_id="root") is None
    assert place("e", previous_item_id="c") == "c"
    assert place("f") == "b"  # d a c e b


@pytest.mark.parametrize(
    ("item", "more", "code", "param"),
    [
        (message(id="a"), {}, "item_create_duplicate_item_id", "item.id"),
        (
            message(),
            {"previous_item_id": "x"},
            "item_create_invalid_previous_item_id",
            "previous_item_id",
        ),
        (message(), {"previous_item_id": 1}, "invalid_type", "previous_item_id"),
        ("x", {}, "invalid_type", "item"),
        ({}, {}, "missing_required_parameter", "item.type"),
        ({"type": "song"}, {}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, {}, "missing_required_parameter", "item.role"),
        (message(role="cat"), {}, "invalid_value", "item.role"),
        (message(mood="good"), {}, "unknown_parameter", "item.mood"),
        (
            message(content=[{"type": "output_text", "text": "x"}]),
            {},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            message(content=[{"type": "input_text"}]),
            {},
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            message(content=[{"type": "input_audio", "audio": "!"}]),
            {},
            "invalid_value",
            "item.content[0].audio",
        ),
        (
            {"type": "function_call_output", "call_id": "x", "output": "y"},
            {},
            "invalid_tool_call_id",
            "item.call_id",
        ),
    ],
)
def test_what_is_no_item_is_refused(item, more, code, param):
    """With code and parameter, and without a trace."""
    talk = Talk()
    create(talk, message(id="a"))

    error = one(create(talk, item, event_id="e", **more), "error")["error"]

    assert (error["code"], error["param"], error["event_id"]) == (code, param, "e")
    assert of(create(talk, message()), "conversation.item.added")[0]["previous_item_id"] == "a"


def test_history_can_be_seeded():
    """Answers, calls and outputs of an earlier session, with the client's ids."""
    talk = Talk()
    answer = {"type": "output_text", "text": "Good day."}
    items = [
        message(id="a"),
        {"id": "b", "type": "message", "role": "assistant", "content": [answer]},
        {"id": "c", "type": "function_call", "name": "f", "call_id": "k", "arguments": "{}"},
        {"id": "d", "type": "function_call_output", "call_id": "k", "output": "fine"},
    ]

    came = [event for item in items for event in create(talk, item)]

    assert types(came) == ["conversation.item.added", "conversation.item.done"] * 4
    assert of(came, "conversation.item.added")[3]["item"] == items[3]


def test_a_beta_client_says_text_where_ga_says_output_text():
    """Each dialect takes its own names for the assistant's parts, and shows them again."""
    talk = Talk(dialect=BETA)
    part = {"type": "text", "text": "Good day."}
    item = {"id": "b", "type": "message", "role": "assistant", "content": [part]}

    assert create(talk, item)[0]["item"]["content"] == [part]
    assert types(create(Talk(), item)) == ["error"]


def test_audio_within_an_item_is_given_back_by_retrieve_only():
    """Announcing it leaves the bytes out."""
    talk, data = Talk(), encode(tone(250), PCM24)
    part = {"type": "input_audio", "audio": pybase64.b64encode(data).decode()}

    announced = create(talk, message(id="a", content=[part]))
    retrieved = one(
        talk.send("conversation.item.retrieve", item_id="a"), "conversation.item.retrieved"
    )

    assert announced[0]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert retrieved["item"]["content"] == [{**part, "transcript": None}]


def test_items_can_be_deleted_and_made_again():
    """The id is free again, and the order closes up."""
    talk = Talk()
    for item_id in "abc":
        create(talk, message(id=item_id))

    assert types(talk.send("conversation.item.delete", item_id="b")) == [
        "conversation.item.deleted"
    ]
    again = create(talk, message(id="b"))

    assert again[0]["previous_item_id"] == "c"


@pytest.mark.parametrize("act", ["retrieve", "delete", "truncate"])
def test_an_item_that_is_not_there_is_refused_by_name(act):
    """Each act has its own code."""
    talk = Talk()
    more = {"content_index": 0, "audio_end_ms": 0} if act == "truncate" else {}

    error = one(talk.send(f"conversation.item.{act}", item_id="x", **more), "error")["error"]

    assert error["code"] == f"item_{act}_invalid_item_id"
    assert f"Error {act.removesuffix('e')}" in error["message"]


LONG = Script(otherwise=(Answer(items=(Say("One two three.", (Tone(440, 3200),)),), times=None),))


def answered(script=LONG):
    """A talk in which the assistant said something; with the item's id."""
    talk = Talk(script)
    talk.say("hello")
    came = talk.wait(5000)
    return talk, one(came, "response.output_item.done")["item"]["id"], audio_of(came)


def test_truncate_cuts_the_audio_and_forgets_the_transcript():
    """The answer repeats what was asked; `retrieve` shows the rest."""
    talk, item_id, audio = answered()

    came = talk.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1500
    )
    (part,) = one(
        talk.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved"
    )["item"]["content"]

    truncated = one(came, "conversation.item.truncated")
    assert {**truncated, "event_id": ""} == {
        "type": "conversation.item.truncated",
        "event_id": "",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": 1500,
    }
    assert part["transcript"] is None
    assert pybase64.b64decode(part["audio"]) == audio[: 1500 * 48]


@pytest.mark.parametrize("end_ms", [0, 3200])
def test_truncate_takes_the_whole_length_and_nothing(end_ms):
    """0 and the full duration are both legal."""
    talk, item_id, _ = answered()

    came = talk.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=end_ms
    )

    assert types(came) == ["conversation.item.truncated"]


def test_truncating_beyond_the_end_is_refused():
    """In the words that clients know."""
    talk, item_id, _ = answered()

    error = one(
        talk.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=3201
        ),
        "error",
    )["error"]

    assert error["message"] == "Audio content of 3200ms is already shorter than 3201ms"
    assert (error["code"], error["param"]) == ("invalid_value", "audio_end_ms")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"content_index": 1, "audio_end_ms": 0}, "content_index"),
        ({"content_index": 0, "audio_end_ms": -1}, "audio_end_ms"),
        ({"content_index": 0, "audio_end_ms": 1.5}, "audio_end_ms"),
        ({"content_index": 0}, "audio_end_ms"),
        ({"audio_end_ms": 0}, "content_index"),
    ],
)
def test_a_truncate_that_says_nothing_sensible_is_refused(more, param):
    """The error names the member."""
    talk, item_id, _ = answered()

    error = one(talk.send("conversation.item.truncate", item_id=item_id, **more), "error")["error"]

    assert error["param"] == param


def test_only_the_assistants_audio_can_be_truncated():
    """A user's message cannot."""
    talk = Talk()
    create(talk, message(id="a"))

    came = talk.send("conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=0)

    assert one(came, "error")["error"]["param"] == "item_id"


def test_a_client_cannot_take_an_id_that_the_server_has_given():
    """Not even one that is announced and not yet used; and the server steps over the client's."""
    talk = Talk()
    create(talk, message(id="item_0003"))
    started = one(talk.speak(tone(320)), "input_audio_buffer.speech_started")

    refused = create(talk, message(id=started["item_id"]))

    assert started["item_id"] != "item_0003"
    assert one(refused, "error")["error"]["code"] == "item_create_duplicate_item_id"

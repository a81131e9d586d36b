"""Faults: each kind, on an event and at a time."""

from __future__ import annotations

import pytest

from recorder.sandbox.actions import Abort, Close, Ping, Send, SendBinary, Stall
from recorder.sandbox.agenda import MS
from recorder.sandbox.dialect import BETA
from recorder.sandbox.script import Fault, Script
from tests.sandbox_driver import QUICK, Talk, of, one, types

TEXT = {"output_modalities": ["text"]}


def talk_with(*faults, **more):
    """A talk in which these things go wrong."""
    return Talk(Script(otherwise=(QUICK,), faults=faults, session=TEXT), **more)


def after(talk, kind):
    """The actions after the first event of that type."""
    actions = [action for _, action in talk.actions]
    begins = [isinstance(a, Send) and a.text.startswith(f'{{"type":"{kind}"') for a in actions]
    return actions[begins.index(True) + 1 :]


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        ({"do": "close", "code": 1011, "reason": "oops"}, Close(1011, "oops")),
        ({"do": "abort"}, Abort()),
        ({"do": "text", "text": "{not json"}, Send("{not json")),
        ({"do": "binary", "text": "\0bytes"}, SendBinary(b"\0bytes")),
        ({"do": "ping", "text": "p"}, Ping(b"p")),
        ({"do": "stall"}, Stall(None)),
    ],
)
def test_what_follows_an_event(fault, action):
    """The event goes out; then it happens."""
    talk = talk_with(Fault(on="response.created", **fault))

    talk.say("hi")

    assert after(talk, "response.created")[0] == action


def test_an_event_of_the_scripts_own():
    """Any JSON, with an id of the server's unless it brings one."""
    weird = {"type": "response.mood", "mood": {"level": 3}}
    talk = talk_with(
        Fault(do="event", on="response.created", event=weird),
        Fault(do="event", on="response.done", event={"type": "error", "event_id": "mine"}),
    )

    came = talk.say("hi") + talk.wait(1000)

    assert one(came, "response.mood") == {**weird, "event_id": came[3]["event_id"]}
    assert one(came, "error") == {"type": "error", "event_id": "mine"}


def test_nothing_comes_after_a_close():
    """No event, no timer."""
    talk = talk_with(Fault(do="close", on="response.created"))

    talk.say("hi")
    rest = talk.wait(5000)

    assert rest == []
    assert talk.session.closed
    assert talk.session.next_at() is None
    assert talk.send("response.cancel") == []


def test_a_fault_at_a_time():
    """It comes then, whatever else happens."""
    talk = talk_with(Fault(do="close", at_ms=1500, code=4321))

    talk.wait(3000)

    assert talk.actions[-1] == (1500, Close(4321, ""))


def test_the_nth_event_and_each():
    """`nth` counts the events that match; null means all of them."""
    talk = talk_with(
        Fault(do="drop", on="response.output_text.delta", nth=2),
        Fault(do="drop", on="conversation.item.*", nth=None),
    )

    came = talk.say("hi") + talk.wait(1000)

    deltas = of(came, "response.output_text.delta")
    assert [each["delta"] for each in deltas] == ["Good", " to", " you."]
    assert not [each for each in types(came) if each.startswith("conversation")]


def test_a_fault_may_name_an_event_in_either_dialect():
    """The GA name works for a beta client, and so does its own."""
    for name in ("response.output_text.delta", "response.text.delta"):
        talk = talk_with(Fault(do="drop", on=name, nth=None), dialect=BETA)
        came = talk.say("hi") + talk.wait(1000)
        assert of(came, "response.text.delta") == []
        assert len(of(came, "response.text.done")) == 1


def test_a_delayed_event_is_overtaken():
    """It comes that much later, after what was sent after it."""
    talk = talk_with(Fault(do="delay", on="response.output_text.done", ms=700))

    came = talk.say("hi") + talk.wait(2000)

    done = one(came, "response.done")
    late = one(came, "response.output_text.done")
    assert late.at_ms == done.at_ms + 700
    assert came[-1] is late


def test_an_event_can_come_twice():
    """The same text, the same id."""
    talk = talk_with(Fault(do="duplicate", on="response.done"))

    came = talk.say("hi") + talk.wait(1000)

    first, second = of(came, "response.done")
    assert first == second


def test_members_can_be_missing_and_changed():
    """At any depth; objects within are filled up."""
    talk = talk_with(
        Fault(do="without", on="*", nth=None, keys=("event_id", "response_id", "item_id")),
        Fault(do="with", on="response.done", event={"response": {"conversation_id": ""}, "x": 1}),
    )

    came = talk.say("hi") + talk.wait(1000)

    assert not [e for e in came if {"event_id", "response_id", "item_id"} & e.keys()]
    done = one(came, "response.done")
    assert (done["x"], done["response"]["conversation_id"]) == (1, "")
    assert done["response"]["status"] == "completed"


def test_a_stall_holds_everything_back_and_loses_nothing():
    """After it, what was held comes at once, in order."""
    talk = talk_with(Fault(do="stall", on="response.created", ms=800))

    now, later = talk.say("hi"), talk.wait(3000)

    assert types(now)[-1] == "response.created"
    assert {event.at_ms for event in later} == {800}
    assert (
        "".join(e["delta"] for e in of(later, "response.output_text.delta")) == "Good day to you."
    )
    assert talk.actions[4][1] == Stall(800 * MS)


def test_a_stall_for_ever_says_nothing_more():
    """Nor does the session ask to be polled."""
    talk = talk_with(Fault(do="stall", at_ms=0))

    assert talk.say("hi") + talk.wait(60_000) == []


def test_a_client_event_can_be_overlooked():
    """Dropped on the way in, it never happened; what follows it does."""
    talk = talk_with(
        Fault(do="drop", on="response.create"),
        Fault(do="event", on="response.cancel", event={"type": "note"}),
    )

    came = talk.say("hi")
    again = talk.send("response.create")
    noted = talk.send("response.cancel")

    assert "response.created" not in types(came)
    assert types(again) == ["response.created"]
    assert types(noted)[0] == "note"


def test_an_error_can_be_late():
    """The answer to an empty commit after that to a later one, as it was seen to happen."""
    talk = talk_with(Fault(do="delay", on="error", ms=900))
    talk.update(audio={"input": {"turn_detection": None}})
    talk.send("input_audio_buffer.commit", event_id="first")
    talk.append(b"\0" * 9600)

    committed = talk.send("input_audio_buffer.commit", event_id="second")
    late = talk.wait(1000)

    assert types(committed)[0] == "input_audio_buffer.committed"
    assert one(late, "error")["error"]["event_id"] == "first"

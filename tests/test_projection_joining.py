"""Several sessions of one call: one clock, gaps that are marked, history shown once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recorder.events import Session
from recorder.projections import analyse
from recorder.projections.joining import Leg, joined, placed
from recorder.projections.model import Line, Transcript
from recorder.projections.transcript_text import text_line
from tests.building import Talk

WALL = 1_795_000_000_000_000_000
SECOND = 1_000_000_000


def leg(talk: Talk, name: str, wall: float, mono: float | None = None, boot: str = "") -> Leg:
    """A session that was opened so many seconds after the first, by the wall and by its machine."""
    opened = round(wall * SECOND)
    session = Session(
        id=name,
        wall_ns=WALL + opened,
        mono_ns=7_000_000_000 + (opened if mono is None else round(mono * SECOND)),
        call="call-1",
    )
    return Leg(session, boot, analyse(talk.source))


def told(transcript: Transcript) -> list[str]:
    return [text_line(line) for line in transcript.lines]


def say(talk: Talk, ms: float, text: str, answer: str, name: str) -> Talk:
    """A typed turn and its answer."""
    talk.write(ms, text, f"u_{name}").created(ms + 100, f"R{name}")
    ids = {"response_id": f"R{name}", "item_id": f"a_{name}", "content_index": 0}
    talk.server(ms + 200, "response.output_text.done", **ids, text=answer)
    return talk.done(ms + 300, f"R{name}")


def resend(talk: Talk, ms: float, role: str, text: str, item: str | None = None) -> Talk:
    """The client puts an item into the conversation by itself, and the server takes it."""
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    body: dict[str, Any] = {"type": "message", "role": role, "content": content}
    body["id"] = item or f"again_{ms:.0f}"
    talk.client(ms, "conversation.item.create", item=body)
    return talk.server(ms, "conversation.item.added", item=body, previous_item_id=None)


def first() -> Talk:
    return say(Talk().open(), 1000, "Hello", "Hi there", "1").close(5000, 1006, "network")


def test_the_second_session_goes_on_where_the_first_stopped() -> None:
    """Opened 8 s after it on the same machine, whose wall clock was put back by an hour."""
    second = say(Talk().open(), 500, "Are you there?", "Yes", "2").close(2000)
    legs = [leg(first(), "one", 0, 0, "boot"), leg(second, "two", 0.001, 8, "boot")]
    found = joined(legs)
    assert told(found) == [
        "00:01.000  user: Hello",
        "00:01.200  assistant: Hi there",
        "00:05.000  reconnect: no connection for 3.0 s (closed by the network, code 1006)",
        "00:08.500  user: Are you there?",
        "00:08.700  assistant: Yes",
    ]
    assert [(c.start_ns, c.end_ns, c.gap_ns, c.exact) for c in found.connections] == [
        (0, 5 * SECOND, None, True),
        (8 * SECOND, 10 * SECOND, 3 * SECOND, True),
    ]
    assert [line.turn for line in found.lines] == [1, 1, None, 2, 2]
    assert [line.session for line in found.lines] == ["one", "one", "two", "two", "two"]
    assert found.turns == 2


def test_between_machines_the_wall_clock_says_when_and_that_it_is_not_exact() -> None:
    """Their monotonic clocks have nothing to do with each other."""
    second = say(Talk().open(), 500, "Are you there?", "Yes", "2")
    found = joined([leg(first(), "one", 0, 0, "here"), leg(second, "two", 9, 1, "there")])
    assert found.lines[2].text == (
        "no connection for about 4.0 s (closed by the network, code 1006; by the wall clock)"
    )
    assert found.lines[2].detail == {"gap_ms": 4000.0, "exact": False, "resent": 0}


def test_one_recording_process_has_one_clock() -> None:
    """Also where nobody knows its machine."""
    one, two = (leg(Talk().open(), name, wall, 5 * wall) for name, wall in (("a", 0), ("b", 2)))
    known = [x._replace(session=_by(x.session, "p1")) for x in (one, two)]
    assert [(start, exact) for _, start, exact in placed(known)] == [(0, True), (10 * SECOND, True)]
    assert [(start, exact) for _, start, exact in placed([one, two])] == [
        (0, True),
        (2 * SECOND, False),
    ]


def _by(session: Session, recorder: str) -> Session:
    return replace(session, recorder=recorder)


def test_one_session_is_a_call_too() -> None:
    """Nothing is marked."""
    found = joined([leg(first(), "one", 0)])
    assert told(found) == ["00:01.000  user: Hello", "00:01.200  assistant: Hi there"]
    assert [(c.session, c.ended) for c in found.connections] == [
        ("one", "closed by the network, code 1006")
    ]


def after(second: Talk) -> list[str]:
    """What the second session adds to the first."""
    legs = [leg(first(), "one", 0, 0, "boot"), leg(second, "two", 8, 8, "boot")]
    return [f"{x.speaker}: {x.text}" for x in joined(legs).lines if x.session == "two"][1:]


def test_history_that_is_sent_again_is_shown_once() -> None:
    """With other white space, and then the conversation goes on."""
    second = resend(Talk().open(), 10, "user", " hello ")
    resend(second, 20, "assistant", "Hi  there")
    say(second, 500, "Where were we?", "At hello.", "2")
    assert after(second) == ["user: Where were we?", "assistant: At hello."]
    marked = joined([leg(first(), "one", 0, 0, "b"), leg(second, "two", 8, 8, "b")])
    assert marked.lines[2].text.endswith("; history sent again: 2 items)")
    assert marked.connections[1].resent == 2


def test_what_the_client_adds_to_the_history_is_shown() -> None:
    """A summary was never said before."""
    second = resend(Talk().open(), 10, "system", "Earlier they said hello")
    resend(second, 20, "user", "Hello")
    resend(second, 30, "assistant", "Hi there")
    assert after(say(second, 500, "Go on", "Yes", "2"))[0] == "system: Earlier they said hello"


def test_saying_the_same_once_more_is_not_history() -> None:
    """One answered message, typed again, is another one; so is one after the conversation began."""
    assert after(say(Talk().open(), 500, "Hello", "Hello again", "2")) == [
        "user: Hello",
        "assistant: Hello again",
    ]
    late = say(say(Talk().open(), 500, "Go on", "Yes", "2"), 1500, "Hello", "Again?", "3")
    assert "user: Hello" in after(late)


def test_a_question_that_was_never_answered_is_asked_once() -> None:
    """The connection broke before the answer, so the client asks again."""
    broken = Talk().open().write(1000, "What is it?", "q").close(1500, 1006, "network")
    second = say(Talk().open(), 500, "What is it?", "A recorder.", "2")
    found = joined([leg(broken, "one", 0, 0, "b"), leg(second, "two", 3, 3, "b")])
    assert [line.text for line in found.lines if line.kind == "text"] == [
        "What is it?",
        "A recorder.",
    ]


def test_of_an_answer_that_was_cut_the_heard_part_may_come_again() -> None:
    """Careful clients put back only what was heard."""
    words = "One two three four five six seven eight nine ten"
    one = Talk().open().client(100, "response.create")
    one.answer(900, "R", "A", [(1000, 3000)], text=words)
    one.client(2500, "conversation.item.truncate", item_id="A", audio_end_ms=1450)
    one.write(3000, "Wait", "w", ask=False)
    second = resend(Talk().open(), 10, "assistant", "One two three four five")
    resend(second, 20, "user", "Wait")
    found = joined([leg(one, "one", 0, 0, "b"), leg(second, "two", 5, 5, "b")])
    assert [line.kind for line in found.lines] == ["speech", "text", "reconnect"]


def test_tool_calls_in_the_history_are_not_called_again() -> None:
    """Their outputs neither."""
    one = Talk().open().write(100, "Weather?", "q").created(200, "R1").calls(300, "R1", "F", "c1")
    one.done(310, "R1").output(550, "c1", "Foggy.")
    second = resend(Talk().open(), 10, "user", "Weather?")
    body = {"type": "function_call", "call_id": "c9", "name": "look_up", "arguments": '{"a":1}'}
    second.client(20, "conversation.item.create", item=body | {"id": "F9"})
    second.server(21, "conversation.item.added", item=body | {"id": "F9"})
    second.server(21, "conversation.item.done", item=body | {"id": "F9"})
    found = joined([leg(one, "one", 0, 0, "b"), leg(second, "two", 5, 5, "b")])
    assert [line.kind for line in found.lines] == ["text", "tool", "reconnect"]


def test_a_sideband_connection_tells_nothing_twice() -> None:
    """It was opened while the call went on, and sees the same items."""
    talk = say(Talk().open(), 3000, "Hello", "Hi there", "1").close(5000)
    beside = say(Talk().open(), 1000, "Hello", "Hi there", "1").close(2500)
    found = joined([leg(talk, "one", 0, 0, "b"), leg(beside, "two", 2, 2, "b")])
    assert [line.text for line in found.lines] == [
        "a second connection, opened 3.0 s before the end of the one before it",
        "Hello",
        "Hi there",
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_sessions_are_given_in_any_order(order: tuple[int, ...]) -> None:
    """Their times decide; each re-sends all that came before it."""
    one, two, three = first(), Talk().open(), Talk().open()
    for talk in (two, three):
        resend(resend(talk, 10, "user", "Hello"), 20, "assistant", "Hi there")
    say(two, 100, "Second", "Two", "2").close(900)
    say(resend(resend(three, 30, "user", "Second"), 40, "assistant", "Two"), 100, "Third", "3", "3")
    talks = (one, two, three)
    legs = [leg(talk, f"s{row}", 10 * row, 10 * row, "b") for row, talk in enumerate(talks)]
    lines: list[Line] = list(joined([legs[row] for row in order]).lines)
    texts = [line.text for line in lines if line.kind == "text"]
    assert texts == ["Hello", "Hi there", "Second", "Two", "Third", "3"]

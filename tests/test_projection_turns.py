"""Turns: what begins one, what belongs to it, what merges, what went unanswered."""

from __future__ import annotations

from recorder.projections import analyse, fold
from recorder.projections.model import Turn
from recorder.projections.table import PROJECTIONS
from tests.building import Talk
from tests.captured import captured


def turns(talk: Talk) -> list[Turn]:
    return list(analyse(talk.source).turns)


def shape(talk: Talk) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return [(t.trigger, t.status, t.user_items, t.responses) for t in turns(talk)]


def spoken() -> Talk:
    """A turn by voice: speech from 500 to 2000, answered at 2600 for a second."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 2000)])
    talk.heard(2250, "U1", start=200, end=2200)
    return talk.answer(2300, "R1", "A1", [(2600, 1000)], text="Fine.")


def test_speech_that_the_vad_commits_begins_a_turn() -> None:
    """It starts with the onset of the speech."""
    (turn,) = turns(spoken())
    assert (turn.trigger, turn.status, turn.user_items) == ("vad_commit", "answered", ("U1",))
    assert (turn.start_ns, turn.trigger_ns) == (500_000_000, 2_251_000_000)


def test_a_clients_commit_and_request_begin_a_turn() -> None:
    """The trigger is the request."""
    talk = Talk().open(vad=None).mic(0, 2000, speech=[(500, 1500)])
    talk.client(2000, "input_audio_buffer.commit").client(2001, "response.create")
    talk.committed(2040, "U").answer(2100, "R", "A", [(2200, 500)])
    (turn,) = turns(talk)
    assert (turn.trigger, turn.trigger_ns, turn.responses) == (
        "client_create",
        2_001_000_000,
        ("R",),
    )


def test_a_text_and_its_request_begin_a_turn() -> None:
    """Written, answered in writing."""
    talk = Talk().open().write(100, "Hello?", "U").answer(200, "R", "A", [], text="Hello.")
    assert shape(talk) == [("client_create", "answered", ("U",), ("R",))]


def test_a_response_before_any_user_item_is_a_greeting() -> None:
    """It never enters voice to voice."""
    talk = Talk().open().client(100, "response.create").answer(200, "R", "A", [(300, 500)])
    (turn,) = turns(talk)
    assert (turn.trigger, turn.greeting, turn.user_items) == ("client_create", True, ())


def test_an_idle_timeout_begins_a_turn() -> None:
    """The empty item that the server commits is nobody's words."""
    talk = spoken()
    talk.server(8000, "input_audio_buffer.timeout_triggered", item_id="T", audio_start_ms=3000)
    talk.committed(8001, "T").answer(8010, "R2", "A2", [(8100, 500)], text="Still there?")
    assert shape(talk)[1] == ("idle_timeout", "answered", (), ("R2",))


def test_tools_belong_to_the_turn_that_called_them() -> None:
    """Call, output, continuation: one turn, two responses."""
    talk = Talk().open().write(100, "Weather?", "U").created(200, "R1").calls(300, "R1", "F", "c1")
    talk.done(310, "R1").output(500, "c1").answer(600, "R2", "A", [(700, 500)], text="Foggy.")
    (turn,) = turns(talk)
    assert (turn.responses, turn.calls, turn.flags) == (("R1", "R2"), ("c1",), ("tools",))


def test_a_continuation_that_nobody_asked_for_belongs_to_the_turn_too() -> None:
    """Some servers answer a tool's output by themselves."""
    talk = Talk().open().write(100, "Weather?", "U").created(200, "R1").calls(300, "R1", "F", "c1")
    body = {"type": "function_call_output", "call_id": "c1", "output": "fog"}
    talk.done(310, "R1").client(500, "conversation.item.create", item=body)
    talk.answer(600, "R2", "A", [(700, 500)])
    assert shape(talk) == [("client_create", "answered", ("U",), ("R1", "R2"))]


def test_out_of_band_responses_belong_to_no_turn() -> None:
    """They run beside the conversation."""
    talk = spoken().client(2700, "response.create", response={"conversation": "none"})
    talk.created(2750, "X", conversation_id=None).done(2900, "X")
    assert shape(talk) == [("vad_commit", "answered", ("U1",), ("R1",))]


def test_commits_whose_answer_was_never_heard_merge() -> None:
    """The user went on before anything was played."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 1500), (2000, 3000)])
    talk.heard(1750, "U1", start=200, end=1700)
    talk.created(1760, "R1").done(2110, "R1", "cancelled", "turn_detected")
    talk.heard(3250, "U2", start=1700, end=3200, began=2100)
    talk.answer(3300, "R2", "A2", [(3600, 500)])
    (turn,) = turns(talk)
    assert (turn.user_items, turn.responses) == (("U1", "U2"), ("R1", "R2"))
    assert turn.flags == ("merged", "interrupted")


def test_an_answer_that_was_heard_in_part_does_not_merge() -> None:
    """It was interrupted; the next speech is a turn of its own."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 1500), (2500, 3500)])
    talk.heard(1750, "U1", start=200, end=1700)
    talk.answer(1760, "R1", "A1", [(2000, 3000)], status="cancelled", reason="turn_detected")
    talk.heard(3750, "U2", start=2200, end=3700, began=2600)
    talk.answer(3800, "R2", "A2", [(4000, 500)])
    assert [turn.user_items for turn in turns(talk)] == [("U1",), ("U2",)]


def test_speech_without_an_answer_is_unanswered() -> None:
    """It is never left out silently, in the middle or at the end."""
    talk = Talk().open().mic(0, 20_000, speech=[(500, 1500), (9000, 10_000), (15_000, 16_000)])
    talk.heard(1750, "U1", start=200, end=1700)
    talk.heard(10_250, "U2", start=8700, end=10_200)
    talk.answer(10_300, "R", "A", [(10_500, 500)])
    talk.heard(16_250, "U3", start=14_700, end=16_200)
    assert [(t.user_items, t.status) for t in turns(talk)] == [
        (("U1",), "unanswered"),
        (("U2",), "answered"),
        (("U3",), "unanswered"),
    ]


def test_speech_that_goes_on_soon_is_answered_together() -> None:
    """Two commits within two seconds, one response for both."""
    talk = Talk().open(create_response=False).mic(0, 9000, speech=[(500, 1500), (2500, 3500)])
    talk.heard(1750, "U1", start=200, end=1700).heard(3750, "U2", start=2200, end=3700)
    talk.client(3800, "response.create").answer(3900, "R", "A", [(4000, 500)])
    assert shape(talk) == [("vad_commit", "answered", ("U1", "U2"), ("R",))]


def test_a_request_that_nothing_answers_leaves_its_turn_unanswered() -> None:
    """The user wrote, the application asked, nobody spoke."""
    assert shape(Talk().open().write(100, "Hello?", "U")) == [
        ("client_create", "unanswered", ("U",), ())
    ]


def test_a_failed_response_is_no_answer() -> None:
    """The turn says what became of it."""
    talk = Talk().open().write(100, "Hello?", "U").created(200, "R").done(300, "R", "failed")
    assert shape(talk) == [("client_create", "failed", ("U",), ("R",))]


def test_a_log_that_ends_within_the_answer_leaves_the_turn_open() -> None:
    """Nothing was heard yet."""
    talk = Talk().open().write(100, "Hello?", "U").created(200, "R")
    assert shape(talk) == [("client_create", "open", ("U",), ("R",))]


def test_history_that_a_client_seeds_is_no_turn() -> None:
    """Question and answer of an earlier call; only the new question counts."""
    talk = Talk().open().write(100, "Who am I?", "U1", ask=False)
    content = [{"type": "output_text", "text": "Alice."}]
    body = {"type": "message", "role": "assistant", "content": content}
    talk.client(110, "conversation.item.create", item=body)
    talk.write(120, "Really?", "U2").answer(200, "R", "A", [], text="Yes.")
    assert shape(talk) == [("client_create", "answered", ("U2",), ("R",))]


def test_each_turn_ends_where_the_next_begins() -> None:
    """And the last one with the log."""
    talk = spoken().write(5000, "And now?", "U2").answer(5100, "R2", "A2", [(5200, 500)])
    talk.close(9500)
    first, second = turns(talk)
    assert (first.end_ns, second.start_ns, second.end_ns) == (
        5_000_000_000,
        5_000_000_000,
        9_500_000_000,
    )


def test_an_empty_session_has_no_turns() -> None:
    """Nor does one that never got beyond its opening."""
    assert turns(Talk()) == turns(Talk().open()) == []


def test_real_turns_are_told_apart() -> None:
    """The beta WebRTC session: a greeting, a turn, and one that an interruption merged."""
    found = fold(PROJECTIONS["turns"](), captured("openai-beta-webrtc-four-responses.jsonl"))
    assert [(t.greeting, len(t.user_items), len(t.responses), t.status) for t in found] == [
        (True, 0, 1, "answered"),
        (False, 1, 1, "answered"),
        (False, 2, 2, "answered"),
    ]

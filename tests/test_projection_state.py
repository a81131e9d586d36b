"""The state at an instant: each part by hand, and the law that a prefix tells everything."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.events import Event
from recorder.projections import PROJECTIONS, fold, scan
from recorder.projections.model_state import Setting, State
from recorder.projections.state import StateProjection, state_at, states
from tests.building import MS, Talk


def at(talk: Talk, ms: float) -> State:
    return state_at(talk.source(False), at_ns=round(ms * MS))


def setting(state: State, path: str) -> Setting:
    return next(one for one in state.config if one.path == path)


# Configuration.


def test_a_value_belongs_to_the_event_that_asked_for_it() -> None:
    """Asked at 50, stated at 90: the client's event set it, the server's confirmed it."""
    talk = Talk().open().client(50, "session.update", session={"instructions": "Be brief"})
    talk.server(90, "session.updated", session={"instructions": "Be brief", "speed": 1})
    before, after = at(talk, 60), at(talk, 90)
    assert [(one.path, one.value, one.stated_seq) for one in before.asked] == [
        ("instructions", "Be brief", None)
    ]
    assert after.asked == ()
    assert setting(after, "instructions") == Setting(
        "instructions", "Be brief", 2, 50 * MS, "client", 3
    )
    assert setting(after, "speed") == Setting("speed", 1, 3, 90 * MS, "server", 3)


def test_a_value_that_is_stated_again_keeps_the_event_that_set_it() -> None:
    """`session.updated` repeats the whole configuration each time."""
    talk = Talk().open()
    for ms in (10, 20):
        talk.server(ms, "session.updated", session={"model": "gpt-realtime"})
    assert setting(at(talk, 20), "model").seq == 1


def test_what_a_statement_leaves_out_inside_an_object_is_gone() -> None:
    """Voice detection is switched off: its details do not stand beside the null."""
    talk = Talk().open()
    talk.server(10, "session.updated", session={"audio": {"input": {"turn_detection": None}}})
    paths = {one.path: one.value for one in at(talk, 10).config if one.path.startswith("audio")}
    assert paths == {"audio.input.turn_detection": None}
    assert setting(at(talk, 10), "model").value == "gpt-realtime"


def test_a_refused_update_is_taken_back() -> None:
    """The error names the client's event."""
    talk = Talk().open().client(5, "session.update", event_id="mine", session={"speed": 9})
    talk.server(9, "error", error={"type": "invalid", "message": "no", "event_id": "mine"})
    assert len(at(talk, 6).asked) == 1
    assert at(talk, 9).asked == ()


# Items.


def test_items_stand_in_conversation_order_with_their_status() -> None:
    """Asked for, confirmed before another, streamed, deleted."""
    talk = Talk().open().write(10, "First", "one", ask=False)
    body = {"id": "zero", "type": "message", "role": "system", "content": []}
    talk.client(20, "conversation.item.create", previous_item_id="root", item=body)
    talk.server(30, "conversation.item.added", previous_item_id=None, item=body)
    talk.server(40, "conversation.item.deleted", item_id="one")
    shown = [[(i.id, i.status) for i in at(talk, ms).items] for ms in (10, 20, 30, 40)]
    assert shown == [
        [("one", "asked")],
        [("zero", "asked"), ("one", "completed")],
        [("zero", ""), ("one", "completed")],
        [("zero", "")],
    ]
    assert at(talk, 40).deleted == ("one",)


def test_words_are_those_that_had_come() -> None:
    """A delta at a time; the transcript of the user later."""
    talk = Talk().open().committed(10, "U").created(20, "R").part_of(20, "R", "A")
    ids = {"response_id": "R", "item_id": "A", "content_index": 0}
    for ms, delta in ((30, "Good "), (40, "day")):
        talk.server(ms, "response.output_audio_transcript.delta", **ids, delta=delta)
    talk.transcript(50, "U", "Hello")
    words = [[item.text for item in at(talk, ms).items] for ms in (20, 30, 40, 50)]
    assert words == [["", ""], ["", "Good "], ["", "Good day"], ["Hello", "Good day"]]


def test_an_item_is_over_when_its_response_is() -> None:
    """Some servers never say that an item is done."""
    talk = Talk().open().created(20, "R").part_of(20, "R", "A").done(50, "R", "cancelled")
    assert [at(talk, ms).items[0].status for ms in (20, 50)] == ["in_progress", "incomplete"]


def test_tool_calls_wait_until_their_output_is_there() -> None:
    """As an item it shows what was called."""
    talk = Talk().open().created(100, "R").calls(200, "R", "F", "c1").done(210, "R")
    talk.output(300, "c1", "Foggy.")
    assert [call.call_id for call in at(talk, 250).calls] == ["c1"]
    assert at(talk, 300).calls == ()
    assert [item.text for item in at(talk, 300).items] == ['look_up({"a":1})', "Foggy."]


# Input.


def test_the_buffer_holds_what_was_appended_since_the_commit() -> None:
    """2,200 ms became the item; of what follows 100 ms have come, the first in chunk 111."""
    talk = Talk().open().mic(0, 3000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200, began=700)
    early, late = at(talk, 1000).buffer, at(talk, 2300).buffer
    assert (early.audio_ns, early.bytes, early.since_seq) == (1000 * MS, 48_000, 2)
    assert (late.audio_ns, late.bytes, late.since_ns) == (100 * MS, 4_800, 2220 * MS)
    assert (late.format.encoding, late.format.rate) == ("pcm16", 24_000)


def test_a_commit_that_was_not_answered_is_named() -> None:
    """Until then the audio is still in the buffer."""
    talk = Talk().open(vad=None).mic(0, 200).client(210, "input_audio_buffer.commit")
    talk.committed(300, "U")
    before, after = at(talk, 250).buffer, at(talk, 300).buffer
    assert (before.audio_ns, before.commit_seq) == (200 * MS, 12)
    assert (after.audio_ns, after.commit_seq, after.since_seq) == (0, None, None)


def test_the_user_speaks_from_started_to_stopped() -> None:
    """By the server's word."""
    talk = Talk().open().heard(2250, "U", start=200, end=2200, began=700)
    spoken = [at(talk, ms).speaking for ms in (600, 700, 2250)]
    assert [one and (one.item_id, one.since_ns) for one in spoken] == [
        None,
        ("U", 700 * MS),
        None,
    ]


# Output.


def test_what_plays_moves_between_events() -> None:
    """Two seconds arrive at 100: at 600 half a second was played, at 2,200 the next one plays."""
    talk = Talk().open().answer(50, "R", "A", [(100, 2000)], text="x", done=110)
    talk.answer(120, "S", "B", [(130, 500)], text="y", done=140)
    playing, queue = at(talk, 600).playing, at(talk, 600).queue
    assert playing is not None
    assert (playing.item_id, playing.position_ns, playing.received_ns) == ("A", 500 * MS, 2000 * MS)
    assert [(one.item_id, one.position_ns, one.since_ns) for one in queue] == [("B", 0, None)]
    assert (at(talk, 2200).playing or queue[0]).item_id == "B"
    assert at(talk, 2700).playing is None


def test_a_truncation_ends_what_plays() -> None:
    """And throws away what waited behind it."""
    talk = Talk().open().answer(50, "R", "A", [(100, 2000)], text="x", done=110)
    talk.client(600, "conversation.item.truncate", item_id="A", audio_end_ms=400)
    assert at(talk, 599).playing is not None
    assert at(talk, 601).playing is None
    assert at(talk, 601).items[0].truncated_ms == 400


def test_responses_are_in_flight_from_created_to_done() -> None:
    """A request is one until it is answered."""
    talk = Talk().open().client(10, "response.create").created(20, "R").part_of(21, "R", "A")
    talk.client(30, "response.cancel").done(40, "R", "cancelled")
    asked, begun, cancelled, over = (at(talk, ms) for ms in (10, 25, 30, 40))
    assert ([one.seq for one in asked.requests], asked.responses) == ([2], ())
    assert begun.requests == ()
    assert [(one.id, one.asked_seq, one.items) for one in begun.responses] == [("R", 2, ("A",))]
    assert (begun.responses[0].cancel_seq, cancelled.responses[0].cancel_seq) == (None, 6)
    assert over.responses == ()


# Everything else.


def test_limits_errors_tokens_and_phase_are_those_so_far() -> None:
    """The last word of each limit; an error that nothing followed yet is undecided."""
    talk = Talk().note(0, "opened", url="wss://x").note(5, "handshake", status=101).open(10)
    limit = {"name": "tokens", "limit": 10, "remaining": 5, "reset_seconds": 1.5}
    talk.server(20, "rate_limits.updated", rate_limits=[limit])
    talk.server(30, "rate_limits.updated", rate_limits=[limit | {"remaining": 1}])
    talk.server(40, "error", error={"message": "No."}).close(50)
    assert [at(talk, ms).phase for ms in (0, 5, 40, 50)] == ["dialing", "open", "open", "closed"]
    assert [one.remaining for one in at(talk, 25).rate_limits] == [5]
    assert [(one.remaining, one.seq) for one in at(talk, 30).rate_limits] == [(1, 5)]
    assert [error.fatal for error in at(talk, 40).errors] == [None]


def test_a_state_is_ready_for_json_and_before_the_first_event_empty() -> None:
    """Nothing had happened yet."""
    empty = state_at([])
    assert (empty.seq, empty.items, empty.phase) == (0, (), "dialing")
    assert orjson.loads(orjson.dumps(at(Talk().open(), 0)))["config"][0]["path"] == (
        "audio.input.format.rate"
    )


def test_by_number_or_by_time_or_at_the_end() -> None:
    """Event 3 passed at 20."""
    talk = Talk().open().write(10, "Hi", "m", ask=False).server(20, "input_audio_buffer.cleared")
    events = talk.source(False)
    assert state_at(events, seq=2).items[0].status == "asked"
    assert state_at(events).seq == 4
    assert PROJECTIONS["state"]().result().seq == 0


# The law.

ITEMS = st.sampled_from(["A", "B", "C", ""])
RESPONSES = st.sampled_from(["R", "S", ""])


def _message(role: str) -> st.SearchStrategy[dict[str, Any]]:
    kind = {"assistant": "output_audio", "user": "input_audio"}[role]
    return st.fixed_dictionaries(
        {
            "id": ITEMS,
            "type": st.sampled_from(["message", "function_call", "function_call_output"]),
            "role": st.just(role),
            "call_id": st.sampled_from(["c1", ""]),
            "status": st.sampled_from(["in_progress", "completed", ""]),
            "content": st.just([{"type": kind, "transcript": "words"}]),
        }
    )


def _kind(origin: str, name: str, /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(origin), st.just(name), st.fixed_dictionaries(fields))


STREAMED = {"response_id": RESPONSES, "item_id": ITEMS, "content_index": st.just(0)}
SOUND = st.sampled_from(["AAAA" * 400, "AAAA" * 4000, ""])
SHAPE = st.sampled_from(
    [{"speed": 1}, {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, {"instructions": "x"}]
)
RESPONSE = st.fixed_dictionaries(
    {"id": RESPONSES, "status": st.sampled_from(["completed", "cancelled", "in_progress"])}
)
OUTPUT = st.fixed_dictionaries(
    {"id": RESPONSES, "status": st.just("completed"), "output": st.lists(_message("assistant"))}
)
ANSWER = _message("assistant")
NAME = "conversation.item"
WORDS = f"{NAME}.input_audio_transcription"
HAPPENINGS = st.one_of(
    _kind("client", "session.update", session=SHAPE, event_id=st.sampled_from(["e1", "e2"])),
    _kind("server", "session.updated", session=SHAPE),
    _kind("server", "error", error=st.fixed_dictionaries({"event_id": st.just("e1")})),
    _kind("client", "input_audio_buffer.append", audio=SOUND),
    _kind("client", "input_audio_buffer.commit"),
    _kind("client", "input_audio_buffer.clear"),
    _kind("server", "input_audio_buffer.cleared"),
    _kind("server", "input_audio_buffer.committed", item_id=ITEMS, previous_item_id=ITEMS),
    _kind("server", "input_audio_buffer.speech_started", item_id=ITEMS, audio_start_ms=st.just(5)),
    _kind("server", "input_audio_buffer.speech_stopped", item_id=ITEMS, audio_end_ms=st.just(50)),
    _kind("client", f"{NAME}.create", item=_message("user"), previous_item_id=ITEMS),
    _kind("server", f"{NAME}.added", item=_message("user"), previous_item_id=ITEMS),
    _kind("server", f"{NAME}.done", item=_message("assistant"), previous_item_id=ITEMS),
    _kind("server", f"{NAME}.deleted", item_id=ITEMS),
    _kind("client", f"{NAME}.truncate", item_id=ITEMS, audio_end_ms=st.integers(0, 200)),
    _kind("server", f"{NAME}.truncated", item_id=ITEMS, audio_end_ms=st.integers(0, 200)),
    _kind("server", f"{WORDS}.delta", item_id=ITEMS, delta=st.just("so ")),
    _kind("server", f"{WORDS}.completed", item_id=ITEMS, transcript=st.just("so it is")),
    _kind("server", f"{WORDS}.segment", item_id=ITEMS, text=st.just("so")),
    _kind("client", "response.create"),
    _kind("client", "response.cancel"),
    _kind("server", "response.created", response=RESPONSE),
    _kind("server", "response.done", response=OUTPUT),
    _kind("server", "response.output_item.added", item=ANSWER, response_id=RESPONSES),
    _kind("server", "response.output_item.done", item=ANSWER, response_id=RESPONSES),
    _kind("server", "response.output_audio.delta", delta=SOUND, **STREAMED),
    _kind("server", "response.output_audio_transcript.delta", delta=st.just("la "), **STREAMED),
    _kind("server", "response.output_text.done", text=st.just("la la"), **STREAMED),
    _kind("server", "response.function_call_arguments.done", arguments=st.just("{}"),
          call_id=st.just("c1"), name=st.just("f"), **STREAMED),
    _kind("server", "output_audio_buffer.started", response_id=RESPONSES),
    _kind("server", "output_audio_buffer.cleared", response_id=RESPONSES),
    _kind("note", "playback", item_id=ITEMS, played_ms=st.integers(0, 90),
          state=st.sampled_from(["", "playing", "stopped"])),
)  # fmt: skip


@st.composite
def sessions(draw: st.DrawFn) -> list[Event]:
    """Whatever may pass, in any order, with ids and without."""
    talk, ms = Talk().open(), 0
    for origin, name, fields in draw(st.lists(HAPPENINGS, max_size=18)):
        ms += draw(st.sampled_from([0, 1, 30]))
        getattr(talk, origin)(ms, name, **fields)
    return talk.source(False)


@settings(max_examples=60, deadline=None)
@given(sessions())
def test_scanning_gives_the_same_as_folding_a_prefix(events: list[Event]) -> None:
    """Asking after every event changes nothing, and nothing is remembered that should not be."""
    for count, (_, state) in enumerate(scan(StateProjection(), events), 1):
        assert state == fold(StateProjection(), events[:count])


@settings(max_examples=25, deadline=None)
@given(sessions(), st.lists(st.integers(0, 500), max_size=5))
def test_many_instants_in_one_pass_are_each_as_alone(events: list[Event], at_ms: list[int]) -> None:
    """Also between events, and after the last."""
    instants = [ms * MS for ms in sorted(at_ms)]
    assert list(states(events, instants)) == [state_at(events, at_ns=t) for t in instants]

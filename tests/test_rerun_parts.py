"""Parts of a rerun by themselves: pacing, translation, overrides, what cannot be run, origin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.audio.formats import ULAW, AudioFormat
from recorder.errors import UsageError
from recorder.events import Event
from recorder.rerunning.checking import (
    check_events,
    check_secrets,
    check_session,
    configured_before,
    offered,
    whole,
)
from recorder.rerunning.nouns import Options, Rules
from recorder.rerunning.origin import Origin, labels_of, original_of, reruns_of
from recorder.rerunning.overriding import later, merged
from recorder.rerunning.pacing import pauses_of, rests_of, starts_of
from recorder.rerunning.requests import request_in
from recorder.rerunning.translating import only_ga, to_ga
from tests import log_kit
from tests.building import MS, Talk, tone
from tests.rerun_kit import reading

# ---- pacing


def rests(times: list[int], lengths: list[int], breaks: set[int] | None = None) -> list[int]:
    """When chunks that arrived at these ms, each so long, are due on the recording's clock."""
    ends = [sum(lengths[: row + 1]) for row in range(len(lengths))]
    scaled = [[value * MS for value in each] for each in (times, ends)]
    starts = starts_of(*scaled, breaks or set())
    return [round(value / MS) for value in rests_of(*scaled, starts)]


def test_jitter_is_not_repeated() -> None:
    """A chunk that came late and was caught up with is due when it was spoken."""
    assert rests([20, 40, 95, 96, 100], [20] * 5) == [20, 40, 60, 80, 100]


def test_a_pause_is_repeated() -> None:
    """The envelope rises for good after 300 ms in which nothing was spoken."""
    assert rests([20, 40, 360, 380], [20] * 4) == [20, 40, 360, 380]


def test_a_long_pause_begins_a_new_stretch() -> None:
    """What comes at once after it does not pull it forward."""
    assert rests([20, 5000, 5001, 5002], [20, 500, 500, 500])[:2] == [20, 5000]


def test_a_commit_begins_a_new_stretch() -> None:
    """A burst after it is timed from its own first chunk."""
    assert rests([100, 200, 900, 901], [100, 100, 100, 100], {2})[2] == 900


def test_where_the_microphone_was_closed() -> None:
    """After a pause and after a commit, not where the network stuttered."""
    times = [value * MS for value in (20, 40, 95, 96, 400, 420)]
    ends = [value * MS for value in (20, 40, 60, 80, 100, 120)]
    assert list(pauses_of(times, ends, {5})) == [1, 0, 0, 0, 1, 1]


@given(
    st.lists(st.tuples(st.integers(0, 2500), st.integers(1, 400)), min_size=1, max_size=40),
    st.sets(st.integers(0, 40)),
)
def test_nothing_is_due_after_it_came_and_a_stretch_begins_when_it_did(
    chunks: list[tuple[int, int]], breaks: set[int]
) -> None:
    """For any arrivals and lengths: due at the latest when it arrived, in order of the axis."""
    times, ends, now, axis = [], [], 0, 0
    for gap, length in chunks:
        now, axis = now + gap, axis + length
        times.append(now)
        ends.append(axis)
    starts = starts_of(times, ends, breaks)
    found = rests_of(times, ends, starts)
    assert all(due <= came for due, came in zip(found, times, strict=True))
    assert all(found[row] == times[row] for row in range(len(times)) if starts[row])
    assert starts[0] == 1


def test_rules_say_what_is_no_speed() -> None:
    """Zero, less, and for ever are refused."""
    for speed in (0.0, -1.0, float("inf")):
        with pytest.raises(UsageError, match="speed"):
            Rules(speed=speed)
    with pytest.raises(UsageError, match="patience"):
        Rules(patience_ns=0)


# ---- beta to GA

BETA_SESSION: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "instructions": "be kind",
    "voice": "echo",
    "speed": 1.2,
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.4},
    "max_response_output_tokens": "inf",
    "temperature": 0.8,
    "tools": [{"type": "function", "name": "f"}],
}
GA_SESSION: dict[str, Any] = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "be kind",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {"type": "server_vad", "threshold": 0.4},
        },
        "output": {
            "voice": "echo",
            "speed": 1.2,
            "format": {"type": "audio/pcm", "rate": 24000},
        },
    },
    "max_output_tokens": "inf",
    "tools": [{"type": "function", "name": "f"}],
}


def test_a_beta_configuration_as_ga_has_it() -> None:
    """Every member in its place; what GA has no word for is left out, and said."""
    asked = {"type": "session.update", "event_id": "e", "session": BETA_SESSION}
    told, lost = to_ga("session.update", asked)
    assert told == {"type": "session.update", "event_id": "e", "session": GA_SESSION}
    assert lost == ["temperature"]
    assert to_ga("session.update", told) == (told, [])


def test_turn_detection_that_is_off() -> None:
    """By null, and by an older `none`."""
    for off in (None, {"type": "none"}):
        told, _ = to_ga("session.update", {"session": {"turn_detection": off}})
        assert told["session"]["audio"] == {"input": {"turn_detection": None}}


def test_beta_responses_items_and_transcription_sessions() -> None:
    """Text alone stays text; an assistant's words are called otherwise, a user's are not."""
    told, lost = to_ga(
        "response.create",
        {"response": {"modalities": ["text"], "voice": "ash", "temperature": 1,
                      "max_response_output_tokens": 5}},
    )  # fmt: skip
    assert told["response"] == {
        "output_modalities": ["text"], "audio": {"output": {"voice": "ash"}},
        "max_output_tokens": 5,
    }  # fmt: skip
    assert lost == ["temperature"]
    for role, kind in (("assistant", "output_text"), ("user", "text")):
        item = {"role": role, "content": [{"type": "text", "text": "x"}]}
        told, _ = to_ga("conversation.item.create", {"item": item})
        assert told["item"]["content"] == [{"type": kind, "text": "x"}]
    told, _ = to_ga("transcription_session.update", {"session": {"input_audio_format": "pcm16"}})
    assert told["type"] == "session.update"
    assert told["session"]["type"] == "transcription"


@given(st.sampled_from(list(BETA_SESSION)), st.sampled_from(list(BETA_SESSION)))
def test_translating_twice_changes_nothing(one: str, other: str) -> None:
    """Of any two members together."""
    session = {name: BETA_SESSION[name] for name in (one, other)}
    once, _ = to_ga("session.update", {"session": session})
    assert to_ga("session.update", once) == (once, [])


def test_what_a_beta_endpoint_cannot_take() -> None:
    """The members and content that only GA has; what both have is no obstacle."""
    assert only_ga("session.update", {"session": GA_SESSION}) == "session.audio"
    assert only_ga("session.update", {"session": {"instructions": "x"}}) == ""
    assert only_ga("response.create", {"response": {"audio": {}}}) == "response.audio"
    item = {"content": [{"type": "output_text"}]}
    assert "output_text" in only_ga("conversation.item.create", {"item": item})
    assert (
        only_ga("conversation.item.create", {"item": {"content": [{"type": "input_text"}]}}) == ""
    )


# ---- overrides


def test_later_events_are_overridden_only_in_what_they_state() -> None:
    """Nothing is added; the voice of a single response counts too."""
    over = {"instructions": "new", "audio": {"output": {"voice": "cedar"}}}
    body = {"session": {"audio": {"output": {"voice": "marin"}, "input": {}}}}
    told = later("session.update", body, over)
    assert told["session"] == {"audio": {"output": {"voice": "cedar"}, "input": {}}}
    asked = {"response": {"audio": {"output": {"voice": "ash"}}, "instructions": "once"}}
    told = later("response.create", asked, over)
    assert told["response"] == {"audio": {"output": {"voice": "cedar"}}, "instructions": "once"}
    assert later("response.create", {"type": "response.create"}, over) == {
        "type": "response.create"
    }


def test_merging_fills_up_objects_and_replaces_the_rest() -> None:
    """Lists are replaced, null too."""
    assert merged({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2], "e": None}) == {
        "a": {"b": 1, "d": 2}, "c": [2], "e": None,
    }  # fmt: skip


def test_options_in_words() -> None:
    """What the label of a rerun says."""
    assert str(Options()) == ""
    told = str(Options(voice="cedar", vad="none", session={"tools": []}, silence=True))
    assert told == "voice cedar; vad none; session tools; silence for missing audio"


# ---- what cannot be run


def test_sessions_that_cannot_be_run_again() -> None:
    """Side calls, and sessions without content."""
    with pytest.raises(UsageError, match="side call"):
        check_session(log_kit.session(1, kind="http"))
    with pytest.raises(UsageError, match="without content"):
        check_session(log_kit.session(1, capture="metadata"))
    check_session(log_kit.session(1, capture="no-audio"))


def erased(talk: Talk) -> list[Event]:
    """The same events with their audio gone."""
    events = []
    for event in talk.events:
        part = wire.Split(event.type, event.head, event.meta, event.audio)
        if event.audio:
            part = wire.without_audio(part, "erased")
        events.append(event._replace(meta=part.meta, audio=part.audio))
    return events


def test_audio_that_is_gone_is_refused_unless_silence_is_asked_for() -> None:
    """It says which event, why, and what to add."""
    events = erased(Talk().open(0).append(20, tone(20)))
    with pytest.raises(UsageError, match=r"event 2 .*is gone \(erased\); add --silence"):
        check_events(reading(events), "s", silence=False)
    (note,) = check_events(reading(events), "s", silence=True)
    assert "1 events" in note
    assert whole(events[1], AudioFormat()) == wire.join(events[1], silence=True)
    ulaw = wire.split(whole(events[1], AudioFormat(ULAW, 8000))).audio
    assert ulaw == b"\xff" * 960


def test_nothing_to_run_and_what_was_lost() -> None:
    """A client that sent nothing is refused; gaps are told."""
    with pytest.raises(UsageError, match="sent nothing"):
        check_events(reading(Talk().open(0).events), "s", silence=False)
    talk = Talk().open(0).client(10, "ping").note(20, "gap", count=3)
    assert check_events(reading(talk.events), "s", silence=False) == [
        "messages are missing in the recording (gaps): so they are in the rerun"
    ]


def test_a_session_that_was_configured_before_it_began() -> None:
    """Tools that the client never asked for are told of; such as it asked for itself are not."""
    tool = {"type": "function", "name": "look_up"}
    talk = Talk().server(0, "session.created", session={"type": "realtime", "tools": [tool]})
    (note,) = configured_before(reading(talk.client(10, "ping").events))
    assert "look_up" in note
    talk.client(20, "session.update", session={"tools": [tool]})
    assert configured_before(reading(talk.events)) == []
    assert configured_before(reading(Talk().open(0).events)) == []


def test_a_secret_that_is_not_in_the_recording() -> None:
    """A configuration with a redacted part is not sent, and it says how to give that anew."""
    message = b'{"type":"session.update","session":{"tools":[{"authorization":"[redacted:key]"}]}}'
    event = log_kit.event(4, message)._replace(type="session.update")
    with pytest.raises(UsageError, match="--session FILE"):
        check_secrets(event, message)
    check_secrets(event, b'{"type":"session.update","session":{}}')


def test_subprotocols_that_are_offered_again() -> None:
    """Neither keys nor organisations nor the beta's mark."""
    value = "realtime, openai-insecure-api-key.[redacted:key], openai-beta.realtime-v1, mine.v2"
    session = log_kit.session(1, headers=(("Sec-WebSocket-Protocol", value), ("X", "y")))
    assert offered(session) == ("realtime", "mine.v2")
    assert offered(log_kit.session(1)) == ()


# ---- whose rerun


def test_labels_tell_whose_rerun_a_session_is() -> None:
    """What is written is read again; other sessions are no rerun."""
    origin = Origin("0198-abc", 3, 2, "voice cedar")
    rerun = log_kit.session(2, labels={**labels_of(origin), "copy_of": "x"})
    assert original_of(rerun) == origin
    other = log_kit.session(3, labels={"imported_from": "x"})
    assert original_of(other) is None
    plain = replace(rerun, labels=labels_of(Origin("other")))
    assert original_of(plain) == Origin("other", None, 1, "")
    assert reruns_of([other, rerun, plain], "0198-abc") == [rerun]


def test_labels_that_somebody_made_up() -> None:
    """Numbers that are none read as missing."""
    session = log_kit.session(2, labels={"rerun_of": "s", "rerun_turn": "x", "rerun_number": "-1"})
    assert original_of(session) == Origin("s", None, 1, "")


# ---- what servers ask for


def test_a_request_is_the_same_by_name_and_meaning() -> None:
    """Order and white space of arguments do not count; incomplete ones are none yet."""
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"b":1, "a":2}'}
    other = {**item, "call_id": "d", "arguments": '{"a": 2,"b": 1}'}
    one, two = (request_in(each, 0, ()) for each in (item, other))
    assert one is not None
    assert two is not None
    assert one.key == two.key
    assert str(one.key) == 'f({"a":2,"b":1})'
    assert request_in({**item, "status": "in_progress"}, 0, ()) is None
    assert request_in({"type": "message"}, 0, ()) is None
    assert request_in({**item, "call_id": ""}, 0, ()) is None
    broken = request_in({**item, "arguments": " not json "}, 0, ())
    assert broken is not None
    assert broken.key.arguments == "not json"

"""The recorded caller again: what is sent, when, what it waits for, and what becomes of ids."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import wire
from recorder.errors import UsageError
from recorder.events import Origin
from recorder.projections import analyse
from recorder.rerunning import End, Options, Rerun, Rules
from recorder.rerunning.turns import turn_runs
from recorder.store import MemoryStore
from tests.building import MS, Talk, hush, spoken, tone
from tests.golden import formats, interruptions, kit, shelf, tools, trouble, turns
from tests.rerun_kit import Answer, Scripted, Server, planned, reading, recorded_audio, run
from tests.test_replaying import conversation, text_turn

APPEND = "input_audio_buffer.append"
CREATE = "conversation.item.create"
RESPOND = "response.create"
GOLDEN_MODULES = (formats, interruptions, tools, trouble, turns)

SERVED_OTHERWISE = {
    "close_4000": "the client sent nothing",
    "reconnect": "the server ends it in the middle of an answer",
    "binary_frame": "the server says something that is no JSON",
}
"""Golden calls that no caller can go through to its end, and why."""


def chat() -> Talk:
    """Two questions in writing, the second one 600 ms after the first answer."""
    talk = Talk().open(0, vad=None)
    talk.write(1000, "one").answer(1100, "R1", "A1", [], text="Un.", done=1400)
    return talk.write(2000, "two").answer(2100, "R2", "A2", [], text="Deux.", done=2400).close(2500)


def listened(*, until: float = 6000) -> Talk:
    """An open microphone and server VAD: questions at 500 and, 1000 ms after the answer, 4000."""
    talk = Talk().open(0)
    talk.mic(0, until, speech=[(500, 1500), (4000, 5000)])
    talk.heard(1750, "U1", start=200, end=1700).answer(1800, "R1", "A1", [(2000, 1000)], text="a")
    talk.heard(5250, "U2", start=3700, end=5200).answer(5300, "R2", "A2", [(5400, 500)], text="b")
    return talk.close(until + 100)


def pushed() -> Talk:
    """Push to talk: two questions, each committed; the second 500 ms after the answer was heard."""
    talk = Talk().open(0, vad=None)
    for begin, name in ((1000, "1"), (5000, "2")):
        for row in range(10):
            talk.append(begin + 100 * row, tone(100))
        talk.client(begin + 910, "input_audio_buffer.commit")
        talk.client(begin + 920, RESPOND)
        talk.committed(begin + 930, f"U{name}")
        talk.answer(begin + 1000, f"R{name}", f"A{name}", [(begin + 1500, 2000)], text="x")
    return talk.close(9000)


# ---- the law


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["text", "voice", "update", "clear", "ping", "manual"]),
            st.integers(1, 300),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_before_the_recorded_server_it_is_the_recorded_client(acts: list[tuple[str, int]]) -> None:
    """A strict replay of the same recording finds nothing else, and everything is consumed."""
    events = conversation(acts)
    again = run(events)

    assert again.outcome is not None
    assert (again.outcome.divergences, again.outcome.left, again.outcome.unasked) == ((), {}, ())
    assert again.remarks == []
    assert again.end == End()
    assert again.audio == recorded_audio(events)
    expected = [wire.join(e) for e in events if e.origin == Origin.CLIENT]
    assert sorted(map(orjson.dumps, (body for _, body in again.sent))) == sorted(
        orjson.dumps(orjson.loads(each)) for each in expected
    )


def golden_lines() -> list[tuple[str, int]]:
    """Every golden call that a caller can go through, line by line."""
    assert GOLDEN_MODULES
    names = [name for name in kit.SESSIONS if name not in SERVED_OTHERWISE]
    return [(name, row) for name in names for row in range(kit.SESSIONS[name][1])]


@pytest.mark.parametrize(("name", "row"), golden_lines())
def test_golden_calls_go_through_again(name: str, row: int) -> None:
    """Before its own server every golden call is played to its end, without a divergence."""
    events = list(shelf.Shelf(MemoryStore()).events(name, row))
    again = run(events, Server(events))

    assert again.outcome is not None
    assert again.outcome.divergences == ()
    assert again.outcome.left == {}
    assert again.audio == recorded_audio(events)
    assert again.end == End()


# ---- when


def test_times_are_those_of_the_recording_after_what_was_waited_for() -> None:
    """The session comes 0 ms after the dial; the question 1000 ms after it, as it was recorded."""
    again = run(text_turn().events)
    assert again.times(CREATE) == [1000]
    assert again.times(RESPOND) == [1010]


def test_it_waits_for_the_session() -> None:
    """What came before `session.created` in the recording waits for it, and then goes at once."""
    talk = Talk().client(0, "session.update", session={"type": "realtime"})
    talk.open(200, vad=None).server(210, "session.updated", session={}).close(300)
    server = Scripted(greets=False)
    server.say(0, 3000, "session.created", session=server.session())
    assert run(talk.events, server).times("session.update") == [3000]


def test_the_next_question_waits_for_a_slower_answer() -> None:
    """The second question comes 600 ms after the first answer ended, whenever that is."""
    again = run(chat().events, Scripted(Answer(lasts_ms=5000), Answer()))
    # asked at 1000, created 100 later, done 5000 after that
    assert again.times(CREATE) == [1000, 6700]


def test_speech_waits_for_the_answer_to_be_heard() -> None:
    """The user speaks 1000 ms after the answer was played (the lead of 100 ms of silence is part
    of it); while he waits, his open microphone sends silence.
    """
    again = run(listened().events, Scripted(Answer(audio_ms=3000, lasts_ms=1000), vad=True))
    audio = again.audio
    loud = [at for at, body in again.sent if body["type"] == APPEND
            and any(wire.split(orjson.dumps(body)).audio or b"")]  # fmt: skip
    second = next(at for at in loud if at > 2000)
    # The first audio comes at 1700 + 100 + 20, is played until 4820; the first chunk with sound in
    # it ends 1020 ms after the end of the recorded answer (3000): at 4020.
    assert second == 4820 + 1020
    # Recorded, minus what had been sent when the wait began, plus silence in the same chunks.
    assert len(audio) > len(recorded_audio(listened().events))
    assert audio.replace(b"\0\0", b"") == recorded_audio(listened().events).replace(b"\0\0", b"")


def test_a_faster_answer_does_not_hurry_the_recorded_audio() -> None:
    """The audio of an open microphone goes out by its own clock, never faster."""
    again = run(listened().events, Scripted(Answer(audio_ms=100, lasts_ms=50), vad=True))
    assert again.times(APPEND) == [20.0 * row for row in range(1, 301)]


def test_push_to_talk_speaks_as_long_after_the_answer_as_it_did() -> None:
    """Without a microphone that is open, the user reacts to the answer: 500 ms after its end."""
    again = run(pushed().events, Scripted(Answer(audio_ms=700), Answer(audio_ms=700)))
    first, second = again.times("input_audio_buffer.commit")
    # begun at 1000, the last chunk at 1900, committed 10 later
    assert first == 1910
    # asked 1920, the first audio 100 + 20 later, 700 long; the recorded pause was 5000 - 4500
    assert again.times(APPEND)[10] == 1920 + 120 + 700 + 500
    assert second == again.times(APPEND)[10] + 910


def test_a_file_sent_at_once_is_spoken_in_real_time() -> None:
    """Ten chunks of 100 ms that were appended in one millisecond take a second now."""
    talk = Talk().open(0, vad=None)
    for row in range(10):
        talk.append(1000 + row / 10, tone(100))
    talk.client(1002, "input_audio_buffer.commit").client(1003, RESPOND)
    talk.committed(1010, "U").answer(1100, "R", "A", [], text="x", done=1200).close(1300)
    again = run(talk.events, Scripted())
    assert again.times(APPEND) == [1000.0 + 100 * row for row in range(10)]
    assert again.times("input_audio_buffer.commit") == [1901.1]


def test_chunks_without_audio_and_odd_base64() -> None:
    """An empty chunk takes no time, nor does it hang anything; unpadded base64 counts as audio."""
    talk = Talk().open(0)
    talk.mic(0, 1000, speech=[(200, 500)])
    talk.client(1010, APPEND, audio="")
    talk.client(1110, APPEND, audio=base64.b64encode(tone(100)).decode().rstrip("=") + "\n")
    talk.heard(1200, "U", start=0, end=700).answer(1300, "R", "A", [(1400, 100)], text="a")
    talk.append(1500, b"").close(1600)
    assert planned(talk.events).audio_ns == 1_100_000_000
    again = run(talk.events, Scripted(vad=True))
    assert len(again.bodies(APPEND)) >= 53
    assert again.end == End()


def test_what_was_held_back_is_not_made_up_for() -> None:
    """The audio waits for a configuration, which waits for a slow server: then it goes out at the
    pace of speech all the same.
    """
    talk = Talk().open(0, vad=None)
    for at in (100, 120):
        talk.client(at, "session.update", session={"type": "realtime", "tools": []})
        talk.server(at + 10, "session.updated", session={})
    for row in range(10):
        talk.append(200 + 20 * row, tone(20))
    again = run(talk.close(500).events, Scripted(ack_ms=3000))
    assert again.times("session.update") == [100, 3110]
    assert again.times(APPEND) == [3110.0 + 20 * row for row in range(10)]


def test_a_machine_that_slept_does_not_catch_up() -> None:
    """A second late is made up for; a minute is not: the audio goes on from then at its pace."""
    events = pushed().events
    read = reading(events)
    rerun = Rerun(planned(events), read)
    rerun.open(0)
    rerun.receive(orjson.dumps({"type": "session.created", "session": {}}), 0)
    minute = 60_000 * MS
    assert len(rerun.poll(minute)) == 1
    assert rerun.next_at(minute) == minute + 100 * MS


def test_twice_the_speed_only_when_asked() -> None:
    """Delays and audio are half as long."""
    again = run(pushed().events, Scripted(), rules=Rules(speed=2))
    assert again.times(APPEND)[:3] == [500, 550, 600]
    assert again.times("input_audio_buffer.commit")[0] == 955


def test_without_times_only_the_order_counts() -> None:
    """An import without times: audio in real time, and the next question after the answer."""
    events = [event._replace(at_ns=0) for event in pushed().events]
    opened = Talk().note(0, "opened", times="none").events[0]
    events = [event._replace(seq=seq) for seq, event in enumerate([opened, *events], 1)]
    again = run(events, Scripted(Answer(audio_ms=700)))
    assert again.times(APPEND)[:10] == [100.0 * row for row in range(10)]
    # asked at 900, heard out 120 + 700 later
    assert again.times(APPEND)[10] == 900 + 120 + 700


# ---- what is not as it was


def test_a_server_that_never_answers_is_given_up() -> None:
    """After its patience the caller goes on, says so, and comes to an end."""
    again = run(chat().events, Scripted(silent=frozenset({RESPOND})))
    # The last that it did was to confirm the item, at 1005.
    assert again.times(CREATE) == [1000, 31_005]
    assert again.remarks == [
        "waited 30 s in vain for the answer having been played: went on without it",
        "waited 30 s in vain for the end of the answer: went on without it",
    ]
    assert again.end == End()


def test_a_server_that_never_greets() -> None:
    """It is spoken to all the same."""
    again = run(chat().events, Scripted(greets=False), rules=Rules(patience_ns=5 * 10**9))
    assert again.times(CREATE)[0] == 6000
    assert again.remarks == ["waited 5 s in vain for session.created: went on without it"]


def test_a_session_that_is_refused_ends_it_with_the_endpoints_words() -> None:
    """An `error` before the session is there, or one that answers the configuration."""
    early = Scripted(greets=False)
    early.say(0, 10, "error", error={"code": "model_not_found", "message": "No such model."})
    assert run(chat().events, early).end == End(
        "the endpoint refused the session: model_not_found: No such model.",
        {"code": "model_not_found", "message": "No such model."},
    )

    talk = Talk().open(0, vad=None).client(100, "session.update", session={"type": "realtime"})
    talk.server(110, "session.updated", session={})
    late = Scripted(silent=frozenset({"session.update"}))
    error = {"code": "invalid_value", "message": "No.", "param": "session.audio"}
    late.say(0, 200, "error", error=error)
    assert run(talk.events, late).end == End(
        "the endpoint refused session.update: invalid_value: No.", error
    )


# ---- overrides


def test_overrides_are_laid_over_the_recorded_configuration() -> None:
    """All of them in the first one; in later ones only what they state themselves."""
    talk = Talk().open(0, vad=None)
    first = {"type": "realtime", "instructions": "old", "tools": [],
             "audio": {"output": {"voice": "marin", "speed": 1.1}}}  # fmt: skip
    talk.client(100, "session.update", session=first).server(110, "session.updated", session={})
    talk.client(500, "session.update", session={"type": "realtime", "instructions": "older"})
    talk.server(510, "session.updated", session={}).close(600)
    asked = Options(voice="cedar", instructions="new", session={"tools": [{"name": "t"}]})
    bodies = run(talk.events, Scripted(), options=asked).bodies("session.update")
    assert bodies[0]["session"] == {
        "type": "realtime", "instructions": "new", "tools": [{"name": "t"}],
        "audio": {"output": {"voice": "cedar", "speed": 1.1}},
    }  # fmt: skip
    assert bodies[1]["session"] == {"type": "realtime", "instructions": "new"}


def test_a_recording_without_a_configuration_gets_one() -> None:
    """It is sent before everything else; a model alone needs none, it stands in the URL."""
    again = run(chat().events, Scripted(), options=Options(voice="cedar", model="m2"))
    assert again.kinds()[0] == "session.update"
    assert again.bodies("session.update") == [
        {"type": "session.update",
         "session": {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}}
    ]  # fmt: skip
    assert (
        "session.update" not in run(chat().events, Scripted(), options=Options(model="m")).kinds()
    )


def test_without_turn_detection_the_caller_commits_where_the_server_did() -> None:
    """`--vad none`: a commit and a `response.create` at the end of each utterance."""
    again = run(listened().events, Scripted(), options=Options(vad="none"))
    assert again.kinds() == [
        "session.update",
        *("input_audio_buffer.commit", RESPOND),
        *("input_audio_buffer.commit", RESPOND),
    ]
    # The server's offset of the first utterance ends at 1700: that chunk has been sent.
    assert again.times("input_audio_buffer.commit")[0] == 1700
    assert again.remarks == []
    assert again.end == End()


def test_with_turn_detection_the_caller_leaves_it_to_the_server() -> None:
    """`--vad server`: the recorded commits are not sent; silence lets the server hear the end."""
    again = run(pushed().events, Scripted(vad=True), options=Options(vad="server"))
    assert again.kinds() == ["session.update"]
    committed = [at for at, body in again.told if body["type"] == "input_audio_buffer.committed"]
    assert len(committed) == 2
    assert again.remarks == []
    assert again.end == End()


def test_silence_is_silence_in_the_format_in_force() -> None:
    """G.711 is silent at 0xff, not at 0: PCM's zeros would be the loudest sound it has."""
    talk = Talk(rate=24_000).open(0, vad=None)
    loud = b"\x00" * 800
    talk.append(1000, loud).append(1100, loud)
    talk.client(1110, "input_audio_buffer.commit").client(1111, RESPOND)
    talk.committed(1120, "U").answer(1200, "R", "A", [], text="x", done=1300).close(1400)

    server = Scripted(vad=True, deaf=True, form={"type": "audio/pcmu"})
    again = run(talk.events, server, options=Options(vad="server"))
    silent = again.audio.replace(loud, b"")
    assert silent
    assert set(silent) == {0xFF}


# ---- turn by turn


def test_each_turn_alone_after_the_recorded_history() -> None:
    """Turn 2 is asked after turn 1 as items; its answer is the only one asked for."""
    talk = chat()
    read = reading(talk.events)
    runs = turn_runs(read, analyse(lambda audio: read(audio=audio)))
    assert [each.turn for each in runs] == [1, 2]
    second = run(list(runs[1].read()), Scripted())
    assert second.kinds() == [CREATE, CREATE, CREATE, RESPOND]
    texts = [each["item"]["content"][0]["text"] for each in second.bodies(CREATE)]
    assert texts == ["one", "Un.", "two"]


def test_each_spoken_turn_alone() -> None:
    """Its audio is that of the utterance, and the history comes before it."""
    talk = listened().transcript(2100, "U1", "first words")
    read = reading(talk.events)
    runs = turn_runs(read, analyse(lambda audio: read(audio=audio)))
    second = run(list(runs[1].read()), Scripted(vad=True))
    assert second.kinds(audio=True)[:2] == [CREATE, CREATE]
    speech = spoken(2000, [(500, 1500)])
    assert second.audio.strip(b"\0") == speech.strip(b"\0")
    assert second.end == End()


def test_nobody_to_run_turn_by_turn() -> None:
    """A session in which no user said anything is refused."""
    talk = Talk().open(0).client(10, "session.update", session={}).close(20)
    read = reading(talk.events)
    with pytest.raises(UsageError, match="no turn of a user"):
        turn_runs(read, analyse(lambda audio: read(audio=audio)))


def test_the_plan_counts_the_audio() -> None:
    """Appended audio, and what stands inside items."""
    talk = pushed()
    inside = base64.b64encode(hush(500)).decode()
    part = {"type": "input_audio", "audio": inside}
    talk.client(8500, CREATE, item={"type": "message", "role": "user", "content": [part]})
    assert planned(talk.events).audio_ns == 2_500_000_000
    again = run(talk.events, Scripted())
    assert again.bodies(CREATE)[0]["item"]["content"][0]["audio"] == inside

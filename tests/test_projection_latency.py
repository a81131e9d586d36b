"""Latencies: every figure by hand from its definition, N/A with a reason, parts that add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import PING, PONG, Origin
from recorder.projections import analyse
from recorder.projections.metrics import METRICS, PARTS
from recorder.projections.model import Latency, TurnLatency
from tests.building import Talk, hush, tone


def latency(talk: Talk, **options: bool | int) -> Latency:
    return analyse(talk.source, **options).latency  # type: ignore[arg-type]


def only(talk: Talk, **options: bool | int) -> TurnLatency:
    (found,) = latency(talk, **options).turns
    return found


def figures(talk: Talk, *names: str, **options: bool | int) -> list[float | str | None]:
    """Each value in ms, or the reason why there is none."""
    values = only(talk, **options).values
    return [values[n].reason if values[n].ns is None else values[n].value_ms for n in names]


def parts(talk: Talk, **options: bool | int) -> list[tuple[str, float]]:
    found = only(talk, **options).waterfall
    assert found is not None
    return [(part.name, part.value_ms) for part in found.parts]


def by_voice(**answer: object) -> Talk:
    """Speech ends at 2000; stopped 2250, committed 2251, created 2300, first audio 2600."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200).transcript(2900, "U", "Well?")
    more = {"lead": 90, "text": "Well.", **answer}
    return talk.answer(2300, "R", "A", [(2600, 500), (2700, 500)], done=2750, **more)  # type: ignore[arg-type]


def test_the_headline_runs_from_the_end_of_speech_to_the_first_audible_sample() -> None:
    """600 ms to the first audio, and 90 of silence in it."""
    assert figures(by_voice(), "v2v_audible", "v2v_wire") == [690.0, 600.0]


def test_every_figure_of_a_voice_turn() -> None:
    """By hand from the times above."""
    assert figures(
        by_voice(),
        "time_to_answer", "ttfa_stop", "ttfa_created", "ttfa_trigger", "ttft", "endpointing",
        "input_backlog", "transcription_delay", "response_start", "response_duration", "dead_air",
    ) == [690.0, 350.0, 300.0, 349.0, 300.0, 250.0, 0.0, 900.0, 49.0, 450.0, 690.0]  # fmt: skip


def test_the_parts_of_a_voice_turn() -> None:
    """Window 200 and 50 beyond it; 50 to created; 300 to audio; nothing queued; 90 of silence."""
    assert parts(by_voice()) == [
        ("input_backlog", 0.0),
        ("endpointing_window", 200.0),
        ("endpointing_rest", 50.0),
        ("response_start", 50.0),
        ("model_first_audio", 300.0),
        ("queue", 0.0),
        ("leading_silence", 90.0),
    ]


def test_every_value_names_its_evidence() -> None:
    """The append that held the end of speech, and the delta that brought the sound."""
    talk = by_voice()
    value = only(talk).values["v2v_audible"]
    append = talk.seq("input_audio_buffer.append", 100)
    assert value.evidence == (append, talk.seq("response.output_audio.delta"))
    assert value.label == "measured"


def test_push_to_talk_is_measured_from_the_commit_too() -> None:
    """Commit at 2400, request at 2420, acknowledged 2440."""
    talk = Talk().open(vad=None).mic(0, 2400, speech=[(500, 2000)])
    talk.client(2400, "input_audio_buffer.commit").client(2420, "response.create")
    talk.committed(2440, "U").answer(2500, "R", "A", [(2800, 500)])

    assert figures(
        talk, "v2v_audible", "commit_to_audio", "create_to_audio", "commit_ack", "ttfa_trigger",
        "endpointing",
    ) == [800.0, 400.0, 380.0, 40.0, 380.0, "no_server_vad"]  # fmt: skip
    assert parts(talk) == [
        ("input_backlog", 0.0),
        ("app_wait", 420.0),
        ("response_start", 80.0),
        ("model_first_audio", 300.0),
        ("queue", 0.0),
        ("leading_silence", 0.0),
    ]


def test_an_application_that_asks_late_is_seen() -> None:
    """VAD without responses of its own: 500 ms between `committed` and the request."""
    talk = Talk().open(create_response=False).mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2249, "U", start=200, end=2200).client(2750, "response.create")
    talk.answer(2800, "R", "A", [(3000, 500)])
    assert dict(parts(talk)) == {
        "input_backlog": 0.0,
        "endpointing_window": 200.0,
        "endpointing_rest": 49.0,
        "response_start": 51.0,
        "app_wait": 500.0,
        "model_first_audio": 200.0,
        "queue": 0.0,
        "leading_silence": 0.0,
    }


def test_a_tool_turn_runs_to_the_answer_after_the_tool() -> None:
    """Call at 2700, output at 5600, asked at once, created 5650, audio 6000."""
    talk = Talk().open().mic(0, 7000, speech=[(500, 2000)]).heard(2250, "U", start=200, end=2200)
    talk.created(2300, "R1").calls(2700, "R1", "F", "c").done(2710, "R1").output(5600, "c")
    talk.answer(5650, "R2", "A", [(6000, 500)])

    assert figures(talk, "v2v_audible", "tool_exec", "tool_resume", "ttfa_stop") == [
        4000.0,
        2900.0,
        400.0,
        3750.0,
    ]
    assert dict(parts(talk)) == {
        "input_backlog": 0.0,
        "endpointing_window": 200.0,
        "endpointing_rest": 50.0,
        "response_start": 50.0,
        "tool_call": 400.0,
        "tool": 2900.0,
        "tool_resume": 400.0,
        "app_wait": 0.0,
        "queue": 0.0,
        "leading_silence": 0.0,
    }


def test_a_filler_is_not_the_answer() -> None:
    """`Let me check` at 2500, the answer itself at 6000."""
    talk = Talk().open().mic(0, 7000, speech=[(500, 2000)]).heard(2250, "U", start=200, end=2200)
    talk.answer(2300, "R1", "A1", [(2500, 700)], done=2750).calls(2700, "R1", "F", "c")
    talk.output(5600, "c").answer(5650, "R2", "A2", [(6000, 500)])

    assert figures(talk, "v2v_audible", "time_to_answer", "dead_air") == [500.0, 4000.0, 2800.0]


def test_an_answer_queues_behind_what_still_plays() -> None:
    """The first answer plays until 5000; the user is answered over its end."""
    talk = Talk().open().mic(0, 9000, speech=[(3000, 4000)])
    talk.client(100, "response.create").answer(200, "R0", "A0", [(1000, 4000)])
    talk.heard(4250, "U", start=2700, end=4200).answer(4300, "R", "A", [(4500, 500)])
    value = latency(talk).turns[1]

    assert value.values["v2v_audible"].value_ms == 1000.0
    assert value.values["v2v_wire"].value_ms == 500.0
    assert value.waterfall is not None
    assert {p.name: p.value_ms for p in value.waterfall.parts}["queue"] == 500.0


def test_a_stalled_uplink_is_the_callers() -> None:
    """What was spoken until 2000 arrives 400 ms later."""
    talk = Talk().open()
    for row in range(200):
        at = 20 * (row + 1)
        chunk = tone(20) if 500 < at <= 2000 else hush(20)
        talk.append(2400 if 1500 < at < 2400 else at, chunk)
    talk.heard(2650, "U", start=200, end=2200).answer(2700, "R", "A", [(2900, 500)])
    assert parts(talk)[0] == ("input_backlog", 400.0)


def test_semantic_vad_has_one_endpointing_part() -> None:
    """There is no window to tell apart."""
    talk = Talk().open(vad="semantic_vad").mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2600, "U", start=200, end=2500).answer(2700, "R", "A", [(3000, 500)])
    assert parts(talk)[1] == ("endpointing", 600.0)


def test_parts_may_be_negative() -> None:
    """The server heard the end earlier than it was: 100 ms of its window are not over yet."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2100, "U", start=200, end=2100).answer(2200, "R", "A", [(2400, 500)])
    assert dict(parts(talk))["endpointing_rest"] == -100.0


@pytest.mark.parametrize(
    ("talk", "name", "reason"),
    [
        (Talk().open().client(1, "response.create").answer(2, "R", "A", [(9, 9)]), "v2v_audible",
         "greeting"),
        (Talk().open().write(1, "Hi").answer(2, "R", "A", [(9, 99)]), "v2v_audible", "text_input"),
        (Talk().open().write(1, "Hi").answer(2, "R", "A", [], text="Ho"), "create_to_audio",
         "text_only"),
        (Talk().open().write(1, "Hi").created(2, "R").done(3, "R", "failed"), "ttfa_created",
         "failed"),
        (Talk().open().write(1, "Hi"), "ttfa_created", "unanswered"),
        (Talk().open().write(1, "Hi").created(2, "R").done(3, "R", "cancelled"), "ttfa_created",
         "cancelled_before_audio"),
        (Talk().open().write(1, "Hi").created(2, "R").calls(9, "R", "F", "c").done(10, "R"),
         "ttfa_created", "function_only"),
        (Talk().open().write(1, "Hi").created(2, "R"), "ttfa_created", "open"),
        (Talk().open().write(1, "Hi").answer(2, "R", "A", [(9, 99)]), "tool_exec", "no_tools"),
        (Talk().open().write(1, "Hi").answer(2, "R", "A", [(9, 99)]), "commit_to_audio",
         "no_client_commit"),
        (Talk().open().write(1, "Hi").answer(2, "R", "A", [(9, 99)], lead=99), "create_to_audio",
         "silent"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_says_why(talk: Talk, name: str, reason: str) -> None:
    """N/A is never 0."""
    assert figures(talk, name) == [reason]


def test_file_input_is_measured_from_its_commit() -> None:
    """No capture clock, so no voice to voice; the figure for files stands."""
    talk = Talk().open(vad=None)
    sound = Talk().mic(0, 3000, speech=[(500, 2000)]).events
    for row, event in enumerate(sound):
        talk.append(5000 + row, event.audio or b"")
    talk.client(5200, "input_audio_buffer.commit").client(5200, "response.create")
    talk.committed(5240, "U").answer(5300, "R", "A", [(5600, 500)])

    assert figures(talk, "v2v_audible", "commit_to_audio") == ["non_realtime_input", 400.0]
    found = only(talk).waterfall
    assert found is not None
    assert (found.of, found.total_ns) == ("commit_to_audio", 400_000_000)


def test_without_audio_the_leading_silence_is_unknown_not_nothing() -> None:
    """The server's offsets stand in for the end of speech: estimated, and flagged."""
    value = only(by_voice(), detect=False).values["v2v_audible"]
    assert (value.value_ms, value.label) == (600.0, "estimated")
    assert value.flags == ("leading_silence_unknown",)


def test_values_too_good_to_be_true_are_flagged_and_kept() -> None:
    """Under 50 ms is nearly always a mis-joined turn."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2001, "U", start=200, end=2000).answer(2003, "R", "A", [(2020, 500)])
    value = only(talk).values["v2v_wire"]
    assert (value.value_ms, value.flags) == (20.0, ("suspect",))


def test_playback_that_went_another_way_is_measured_by_what_was_reported() -> None:
    """WebRTC: `output_audio_buffer.started` 900 ms after the end of speech."""
    talk = Talk().open().heard(2250, "U", start=200, end=2200, began=700).created(2300, "R")
    talk.server(2950, "output_audio_buffer.started", response_id="R").done(4000, "R")
    value = only(talk).values["v2v_audible"]
    assert (value.value_ms, value.label) == (900.0, "reported")


def test_the_way_there_and_back_is_measured() -> None:
    """Handshake, first event, updates, pings: the shortest counts."""
    talk = Talk().note(0, "opened").note(120, "handshake", status=101).open(150)
    for at, length in ((200, 60), (400, 45), (600, 80)):
        talk.client(at, "session.update", session={}).server(at + length, "session.updated")
    talk.raw(Origin.CLIENT, 1000, b"x", PING).raw(Origin.SERVER, 1031, b"x", PONG)
    talk.raw(Origin.SERVER, 2000, b"y", PING).raw(Origin.CLIENT, 2001, b"y", PONG)

    found = {name: value.value_ms for name, value in latency(talk).session.items()}
    assert found == {"connect": 120.0, "ready": 30.0, "config_rtt": 45.0, "ping_rtt": 31.0}


def test_a_proxy_sees_both_legs() -> None:
    """Only there: what our own client answers to a ping has crossed no network."""
    for vantage, expected in (("proxy", {"ping_rtt": (31.0, (3, 4)), "client_rtt": (7.0, (7, 8))}),
                              ("client", {"ping_rtt": (31.0, (3, 4))}),
                              ("imported", {"ping_rtt": (31.0, (3, 4))})):  # fmt: skip
        talk = Talk().note(0, "opened", vantage=vantage).open(150)
        talk.raw(Origin.CLIENT, 1000, b"x", PING).raw(Origin.SERVER, 1031, b"x", PONG)
        for at, length in ((2000, 12), (3000, 7)):
            talk.raw(Origin.SERVER, at, b"y", PING).raw(Origin.CLIENT, at + length, b"y", PONG)
        talk.raw(Origin.SERVER, 4000, b"z", PING).raw(Origin.CLIENT, 4001, b"other", PONG)
        found = latency(talk).session
        assert {n: (v.value_ms, v.evidence) for n, v in found.items() if "rtt" in n} == expected


def test_every_turn_has_every_metric() -> None:
    """The table is the list; nothing is left out silently."""
    assert list(only(by_voice()).values) == list(METRICS)


AT = st.integers(0, 3000)


@given(st.tuples(AT, AT, AT, AT), st.booleans(), st.booleans(), st.integers(0, 300))
def test_the_waterfall_always_adds_up(
    times: tuple[int, int, int, int], vad: bool, tools: bool, lead: int
) -> None:
    """In any order of events, negative parts included, to the nanosecond."""
    stopped, created, called, first = (2000 + t for t in times)
    talk = Talk().open(vad="server_vad" if vad else None).mic(0, 2500, speech=[(500, 2000)])
    if vad:
        talk.heard(stopped, "U", start=200, end=2200)
    else:
        talk.client(stopped, "input_audio_buffer.commit").client(stopped + 7, "response.create")
        talk.committed(stopped + 40, "U")
    if tools:
        talk.created(created, "R0").calls(called, "R0", "F", "c").done(called + 5, "R0")
        talk.output(called + 50, "c", ask=called + 70)
        created = called + 100
        first += called
    talk.answer(created, "R", "A", [(created + first, 500)], lead=lead)

    for found in latency(talk).turns:
        if found.waterfall is None:
            continue
        total = found.values[found.waterfall.of].ns
        assert sum(part.ns for part in found.waterfall.parts) == found.waterfall.total_ns == total
        assert all(PARTS[part.name][0] == part.owner for part in found.waterfall.parts)

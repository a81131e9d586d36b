"""How well a conversation went: overlaps, interruptions, cadence, all by hand."""

from __future__ import annotations

from recorder.projections import analyse
from recorder.projections.model import Quality, TurnQuality
from tests.building import Talk, hush


def quality(talk: Talk) -> Quality:
    return analyse(talk.source).quality


def last(talk: Talk) -> TurnQuality:
    return quality(talk).turns[-1]


def figure(found: TurnQuality, name: str) -> float | str | None:
    value = found.values[name]
    return value.reason if value.ns is None else value.value_ms


def interrupted() -> Talk:
    """An answer plays from 1000 to 4000; the user speaks from 2000 to 3200 over it."""
    talk = Talk().open().client(100, "response.create")
    talk.answer(900, "R", "A", [(1000, 3000)], text="A long story about nothing at all.", done=1100)
    talk.mic(0, 8000, speech=[(2000, 3200)])
    talk.heard(3450, "U", start=1700, end=3400, began=2100)
    return talk.answer(3500, "R2", "A2", [(4500, 500)], text="Yes?")


def test_talking_at_once_is_measured() -> None:
    """Nothing stopped the assistant: 1,200 ms in which both were heard, the user second."""
    found = last(interrupted())
    assert (figure(found, "overlap"), figure(found, "barge_in_stop")) == (1200.0, "not_stopped")
    assert "user_second" in found.flags
    assert quality(interrupted()).overlap_ns == 1_200_000_000


def test_an_interruption_that_stops_playback_is_timed() -> None:
    """Onset 2000, noticed 2100, the client cuts at 2180 what had played for 1,150 ms."""
    talk = interrupted()
    talk.client(2180, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    found = last(talk)

    assert figure(found, "barge_in_stop") == 150.0
    assert figure(found, "barge_in_detection") == 100.0
    assert figure(found, "client_reaction") == 80.0
    assert figure(found, "overlap") == 150.0
    assert found.flags == ("user_second",)


def test_what_the_server_does_about_an_interruption_is_timed() -> None:
    """Cancelled 60 ms after it noticed; the last audio came 40 ms after."""
    talk = Talk().open().client(100, "response.create").mic(0, 8000, speech=[(2000, 3200)])
    deltas = [(1000.0, 500.0), (1500.0, 500.0), (2140.0, 500.0)]
    talk.answer(900, "R", "A", deltas, done=2160, status="cancelled", reason="turn_detected")
    talk.heard(3450, "U", start=1700, end=3400, began=2100)
    found = last(talk)
    assert (figure(found, "interrupt_server"), figure(found, "leak")) == (60.0, 40.0)


def test_a_cut_by_noise_is_a_false_barge_in() -> None:
    """What cut the assistant off was transcribed as nothing."""
    talk = interrupted().transcript(3600, "U", "  ")
    talk.client(2180, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    assert "false_barge_in" in last(talk).flags


def test_a_cut_by_its_own_echo_is_a_false_barge_in() -> None:
    """The user's words are the assistant's."""
    talk = interrupted().transcript(3600, "U", "story about nothing")
    talk.client(2180, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    assert "false_barge_in" in last(talk).flags


def test_a_cut_by_words_is_none() -> None:
    """Somebody said something."""
    talk = interrupted().transcript(3600, "U", "Stop it.")
    talk.client(2180, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    assert "false_barge_in" not in last(talk).flags


def test_a_murmur_that_stops_nothing_is_a_backchannel() -> None:
    """Under a second, over audio that plays on."""
    talk = Talk().open().client(100, "response.create").answer(900, "R", "A", [(1000, 3000)])
    talk.mic(0, 6000, speech=[(2000, 2300)]).heard(2550, "U", start=1700, end=2500)
    assert "backchannel" in last(talk).flags


def test_an_answer_that_comes_too_soon_is_premature() -> None:
    """The user pauses for 700 ms and goes on, but the answer has begun."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 1500), (2200, 4000)])
    talk.heard(1750, "U", start=200, end=1700).answer(1800, "R", "A", [(2000, 500)])
    assert "premature_response" in quality(talk).turns[0].flags


def test_what_was_never_played_is_unheard() -> None:
    """3,000 ms arrived, 1,150 were heard."""
    talk = interrupted()
    talk.client(2180, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    found = quality(talk)
    assert figure(found.turns[0], "unheard") == 1850.0
    assert found.unheard_ns == 1_850_000_000


def test_the_cadence_of_an_answer_is_measured() -> None:
    """Four deltas of 200 ms: the third comes 150 ms too late, a prebuffer of 200 hides it."""
    deltas = [(1000.0, 200.0), (1100.0, 200.0), (1550.0, 200.0), (1600.0, 200.0)]
    talk = Talk().open().write(1, "Hi").answer(900, "R", "A", deltas)
    (found,) = quality(talk).cadence

    assert (found.deltas, found.gap_p50_ms, found.gap_max_ms) == (4, 100.0, 450.0)
    assert found.speed == 1.0
    assert found.underruns == {
        "0": {"count": 1, "stalled_ms": 150.0, "margin_ms": -150.0},
        "100": {"count": 1, "stalled_ms": 50.0, "margin_ms": -50.0},
        "200": {"count": 0, "stalled_ms": 0.0, "margin_ms": 50.0},
    }


def test_the_cadence_of_the_input_is_measured() -> None:
    """Chunks of 100 ms, one of them half a second late."""
    talk = Talk().open()
    for row in range(10):
        talk.append(100 * (row + 1) + (500 if row >= 5 else 0), hush(100))
    found = quality(talk).input
    assert found is not None
    assert (found.chunks, found.chunk_p50_ms, found.gap_max_ms) == (10, 100.0, 600.0)
    assert found.gap_max_seq == talk.seq("input_audio_buffer.append", 6)


def test_a_session_without_input_has_no_input_cadence() -> None:
    """Written only."""
    assert quality(Talk().open().write(1, "Hi")).input is None


def test_going_on_before_the_answer_was_created_is_premature_too() -> None:
    """Silence from 1500 to 2200, and the answer is created while the user speaks again."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 1500), (2200, 4000)])
    talk.heard(1750, "U", start=200, end=1700).answer(2400, "R", "A", [(2600, 500)])
    assert "premature_response" in quality(talk).turns[0].flags


def test_going_on_before_anything_was_answered_is_not() -> None:
    """The same pause, but the only response comes when all is said."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 1500), (2200, 4000)])
    talk.heard(1750, "U1", start=200, end=1700).heard(4250, "U2", start=1900, end=4200)
    talk.answer(4300, "R", "A", [(4500, 500)])
    assert all("premature_response" not in turn.flags for turn in quality(talk).turns)


def test_an_answer_that_was_given_up_was_premature_in_the_turn_it_became_part_of() -> None:
    """Created at 1800, cancelled at 2300 before anything of it was heard: one turn in the end."""
    talk = Talk().open().mic(0, 9000, speech=[(500, 1500), (2200, 4000)])
    talk.heard(1750, "U1", start=200, end=1700).created(1800, "R1")
    talk.done(2300, "R1", "cancelled", "turn_detected").heard(4250, "U2", start=1900, end=4200)
    talk.answer(4300, "R2", "A", [(4500, 500)])
    (found,) = quality(talk).turns
    assert "premature_response" in found.flags


def test_a_murmur_stays_one_though_words_stop_the_assistant_later() -> None:
    """`Mm-hm` from 1500 to 1800 stops nothing; what is said from 4200 on does."""
    talk = Talk().open().client(100, "response.create").answer(900, "R", "A", [(1000, 6000)])
    talk.mic(0, 9000, speech=[(1500, 1800), (4200, 5500)])
    talk.heard(2050, "U1", start=1200, end=2000, began=1600)
    talk.heard(5750, "U2", start=3900, end=5700, began=4300)
    talk.client(4380, "conversation.item.truncate", item_id="A", audio_end_ms=3380)
    flags = [turn.flags for turn in quality(talk).turns]
    assert ["backchannel" in each for each in flags] == [False, True, False]


def test_a_short_word_that_stops_the_assistant_is_no_murmur() -> None:
    """400 ms, and it cuts."""
    talk = Talk().open().client(100, "response.create").answer(900, "R", "A", [(1000, 3000)])
    talk.mic(0, 6000, speech=[(2000, 2400)]).heard(2650, "U", start=1700, end=2600, began=2100)
    talk.client(2200, "conversation.item.truncate", item_id="A", audio_end_ms=1200)
    assert "backchannel" not in last(talk).flags


def test_speech_that_became_no_item_and_cut_the_assistant_is_a_false_barge_in() -> None:
    """The server heard it begin and end, and committed nothing."""
    talk = Talk().open().client(100, "response.create").answer(900, "R", "A", [(1000, 3000)])
    talk.mic(0, 6000).server(
        2100, "input_audio_buffer.speech_started", item_id="U", audio_start_ms=1700
    )
    talk.client(2180, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    going_on = quality(talk).turns[0].flags
    talk.server(2400, "input_audio_buffer.speech_stopped", item_id="U", audio_end_ms=2300)
    assert "false_barge_in" in quality(talk).turns[0].flags
    assert "false_barge_in" not in going_on  # it might still become something


def test_a_response_that_noise_cancelled_is_a_false_barge_in() -> None:
    """The server stopped making it; what had come was played, and less than was meant."""
    talk = Talk().open().client(100, "response.create").mic(0, 8000, speech=[(2000, 2400)])
    talk.answer(900, "R", "A", [(1000, 500), (1500, 500)], done=2160, status="cancelled",
                reason="turn_detected")  # fmt: skip
    talk.heard(2650, "U", start=1700, end=2600, began=2100).transcript(2900, "U", "")
    assert "false_barge_in" in last(talk).flags


def test_the_pause_before_the_user_speaks_is_measured() -> None:
    """The greeting ends at 2000, the user begins at 2750."""
    talk = Talk().open().client(100, "response.create").answer(900, "R", "A", [(1000, 1000)])
    talk.mic(0, 6000, speech=[(2750, 4000)]).heard(4250, "U", start=2450, end=4200)
    assert figure(last(talk), "turn_gap") == 750.0
    assert figure(quality(talk).turns[0], "turn_gap") == "no_user_speech"
    assert figure(last(interrupted()), "turn_gap") == "assistant_was_playing"


def test_how_fast_a_response_was_made_is_measured() -> None:
    """40 tokens in half a second; what was cancelled, and what told nothing, has no rate."""
    talk = Talk().open().write(1, "Hi").created(100, "R1").created(700, "R2").created(900, "R3")
    usage = {"input_tokens": 9, "output_tokens": 40}
    for ms, name, status in ((600, "R1", "completed"), (800, "R2", "cancelled")):
        body = {"id": name, "status": status, "output": [], "usage": usage}
        talk.server(ms, "response.done", response=body)
    rates = {g.response_id: (g.duration_ms, g.output_tokens, g.tokens_per_s)
             for g in quality(talk.done(950, "R3")).generation}  # fmt: skip
    assert rates == {
        "R1": (500.0, 40, 80.0),
        "R2": (100.0, 40, None),
        "R3": (50.0, None, None),
    }

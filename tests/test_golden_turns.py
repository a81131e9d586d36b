"""Golden calls, by hand: how turns end, in every mode and dialect.

Unless a test says otherwise: the microphone is on from 1000; the voice sounds from 1320 to 2600,
which is 320 to 1600 on the axis of appended audio. The sandbox hears it in steps of 32 ms, from
chunks that end every 20 ms:

    speech_started  two loud steps end at 384, in the chunk that ends at 400: 1400
    audio_start_ms  320 less 9 steps of padding: 32; +300 of padding is 332, 12 ms late: 1332
    speech_stopped  7 quiet steps are 224 ms: 1824, in the chunk that ends at 1840: 2840
    audio_end_ms    1824; less the window of 200 is 1624, 24 ms late: 2624
    response        created 10 ms after that: 2850; its first audio 200 ms after that: 3050
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tests.golden.turns
from tests.golden.reading import (
    figures,
    findings,
    parts,
    qualities,
    said,
    turns,
    why,
)
from tests.golden.shelf import KEPT, Shelf, open_shelf

ASKED, SPOKEN = tests.golden.turns.ASKED, tests.golden.turns.SPOKEN
USER = ("user", 1320, 2600, ASKED)


@pytest.fixture(scope="module", params=KEPT)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    with open_shelf(request.param, tmp_path_factory.mktemp("golden")) as opened:
        yield opened


@pytest.mark.parametrize(("name", "dialect"), [("ga_vad_turn", "ga"), ("mixed_names", "mixed")])
def test_a_spoken_turn(shelf: Shelf, name: str, dialect: str) -> None:
    """GA names, and the same call in mixed names: every figure from the times above."""
    found = shelf.analysis(name)

    assert found.summary.dialect == dialect
    # 100 ms of silence and 1000 of sound, played as they come: 3050 to 4150.
    assert said(found) == [USER, ("assistant", 3050, 4150, SPOKEN)]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    assert figures(found) == {
        "v2v_audible": 550,  # 3050 + 100 of silence - 2600
        "v2v_wire": 450,  # 3050 - 2600
        "time_to_answer": 550,
        "dead_air": 550,
        "ttfa_stop": 210,  # 3050 - 2840
        "ttfa_created": 200,
        "ttfa_trigger": 210,  # committed with speech_stopped
        "ttft": 150,  # transcript 50 ms before the audio
        "endpointing": 240,  # 2840 - 2600
        "input_backlog": 0,
        "onset_difference": 12,
        "end_difference": 24,
        "transcription_delay": 840,  # 2840 + 400 + 200 - 2600
        "transcription_commit": 600,
        "first_words": 1920,  # 2840 + 400 - 1320
        "response_start": 10,
        "response_duration": 375,  # 200, and 700 of the 1100 ms before the last delta, at 4x
    }
    assert parts(found) == {
        "input_backlog": 0,
        "endpointing_window": 200,
        "endpointing_rest": 40,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }
    assert qualities(found) == {"overlap": 0, "unheard": 0}
    assert findings(found) == set()


def test_how_its_audio_came(shelf: Shelf) -> None:
    """Deltas of 100, 200, 400 and 400 ms at 3050, 3075, 3125 and 3225; 20 ms chunks of input."""
    found = shelf.analysis("ga_vad_turn")
    (cadence,) = found.quality.cadence

    assert (cadence.deltas, cadence.audio_ms, cadence.window_ms) == (4, 1100, 175)
    # Gaps of 25, 50, 100: the middle one; p95 is 50 + 0.9 * 50; 700 ms in 175.
    assert (cadence.gap_p50_ms, cadence.gap_p95_ms, cadence.gap_max_ms) == (50, 95, 100)
    assert cadence.speed == 4
    assert cadence.jitter_ms == 175  # (75 + 150 + 300) / 3
    # The least in hand is when the second delta comes: 100 - 25.
    assert cadence.underruns == {
        "0": {"count": 0, "stalled_ms": 0, "margin_ms": 75},
        "100": {"count": 0, "stalled_ms": 0, "margin_ms": 175},
        "200": {"count": 0, "stalled_ms": 0, "margin_ms": 275},
    }
    sent = found.quality.input
    assert sent is not None
    assert (sent.chunks, sent.chunk_p50_ms, sent.chunk_p95_ms, sent.gap_max_ms) == (100, 20, 20, 20)


def test_a_beta_turn(shelf: Shelf) -> None:
    """Its window is 500: 16 quiet steps are 512, so 2112, in the chunk that ends at 2120: 3120."""
    found = shelf.analysis("beta_vad_turn")

    assert found.summary.dialect == "beta"
    assert said(found) == [USER, ("assistant", 3330, 4430, SPOKEN)]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    assert figures(found) == {
        "v2v_audible": 830,  # 3120 + 10 + 200 + 100 - 2600
        "v2v_wire": 730,
        "time_to_answer": 830,
        "dead_air": 830,
        "ttfa_stop": 210,
        "ttfa_created": 200,
        "ttfa_trigger": 210,
        "ttft": 150,
        "endpointing": 520,
        "input_backlog": 0,
        "onset_difference": 12,
        "end_difference": 12,  # 2112 - 500 - 1600
        "transcription_delay": 1120,  # 3120 + 600 - 2600
        "transcription_commit": 600,
        "first_words": 2200,  # 3520 - 1320
        "response_start": 10,
        "response_duration": 375,
    }
    assert parts(found) == {
        "input_backlog": 0,
        "endpointing_window": 500,
        "endpointing_rest": 20,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }


def test_push_to_talk(shelf: Shelf) -> None:
    """Voice from 1000 to 2200; commit at 2300, request at 2330, created 2340, audio 2540."""
    found = shelf.analysis("manual_commit")

    assert said(found) == [("user", 1000, 2200, ASKED), ("assistant", 2540, 3640, SPOKEN)]
    assert turns(found) == [("client_create", "answered", 1, ())]
    assert figures(found) == {
        "v2v_audible": 440,  # 2540 + 100 - 2200
        "v2v_wire": 340,
        "time_to_answer": 440,
        "dead_air": 440,
        "ttfa_created": 200,
        "ttfa_trigger": 210,  # from the request
        "commit_to_audio": 340,  # 2640 - 2300
        "create_to_audio": 310,  # 2640 - 2330
        "ttft": 150,
        "input_backlog": 0,
        "transcription_delay": 700,  # 2300 + 600 - 2200
        "transcription_commit": 600,
        "first_words": 1700,  # 2700 - 1000
        "commit_ack": 0,
        "response_start": 10,
        "response_duration": 375,
    }
    assert why(found, "endpointing") == "no_server_vad"
    # 100 ms until the button was let go, and 30 until the application asked.
    assert parts(found) == {
        "input_backlog": 0,
        "app_wait": 130,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }


def test_words_that_come_late_stand_where_they_were_said(shelf: Shelf) -> None:
    """The second question sounds from 4200 to 5000; the words of the first come at 5840.

    4000 on the axis is the end of step 125; 7 quiet steps end at 4224, in the chunk until 4240:
    5240. Answered at 5250 + 200.
    """
    found = shelf.analysis("transcription_after_done")

    assert said(found) == [
        ("user", 1320, 2600, "Is it still open?"),
        ("assistant", 3050, 3450, "Yes."),
        ("user", 4200, 5000, "And tomorrow?"),
        ("assistant", 5450, 5850, "No."),
    ]
    assert turns(found) == [("vad_commit", "answered", 1, ())] * 2
    first, second = figures(found, 1), figures(found, 2)
    assert (first["transcription_delay"], first["v2v_audible"]) == (3240, 450)
    assert (second["transcription_delay"], second["v2v_audible"]) == (540, 450)
    # The answer ended at 3450.
    assert qualities(found, 2) == {"overlap": 0, "unheard": 0, "turn_gap": 750}


def test_semantic_turn_detection_has_no_window(shelf: Shelf) -> None:
    """Its patience ran out after 63 quiet steps, 2016 ms: 3616, in the chunk until 3620: 4620."""
    found = shelf.analysis("semantic_vad")

    assert said(found) == [USER, ("assistant", 4830, 5930, SPOKEN)]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    assert figures(found)["v2v_audible"] == 2330  # 4830 + 100 - 2600
    assert figures(found)["endpointing"] == 2020
    assert parts(found) == {
        "input_backlog": 0,
        "endpointing": 2020,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }
    # How much padding and how much silence its offsets hold is nowhere said.
    assert why(found, "onset_difference") == "padding_unknown"
    assert why(found, "end_difference") == "silence_window_unknown"
    assert findings(found) == {"slow_turn"}


def test_a_question_that_nothing_answers(shelf: Shelf) -> None:
    """`create_response` is off, and the application asks for nothing."""
    found = shelf.analysis("unanswered_turn")

    assert said(found) == [USER]
    assert turns(found) == [("vad_commit", "unanswered", 0, ())]
    assert figures(found) == {
        "endpointing": 240,
        "input_backlog": 0,
        "onset_difference": 12,
        "end_difference": 24,
        "transcription_delay": 840,
        "transcription_commit": 600,
        "first_words": 1920,
    }
    assert {why(found, name) for name in ("v2v_audible", "v2v_wire", "ttft")} == {"unanswered"}
    assert findings(found) == {"unanswered"}


def test_a_preamble_is_not_the_answer(shelf: Shelf) -> None:
    """Two items: the first at 2850 + 150, 600 ms long; its last delta at 3075, the second's first
    300 ms after that, which waits until 3600 and begins with 60 ms of silence."""
    found = shelf.analysis("two_items")

    assert said(found) == [
        USER,
        ("assistant", 3000, 3600, "Let me think."),
        ("assistant", 3600, 4160, "At nine."),
    ]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    numbers = figures(found)
    assert numbers["v2v_audible"] == 400  # 3000 - 2600
    assert numbers["time_to_answer"] == 1060  # 3660 - 2600
    assert numbers["dead_air"] == 400
    assert [x.start_ns for x in found.playback.items] == [3_000_000_000, 3_600_000_000]

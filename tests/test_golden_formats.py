"""Golden calls, by hand: what the audio is made of, and how it comes (times: see
`test_golden_turns`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tests.golden.formats
from recorder.audio.formats import ALAW, PCM16, ULAW
from tests.golden.reading import figures, findings, parts, qualities, said, turns, why
from tests.golden.shelf import KEPT, Shelf, open_shelf

ASKED, SPOKEN = tests.golden.formats.ASKED, tests.golden.formats.SPOKEN


@pytest.fixture(scope="module", params=KEPT)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    with open_shelf(request.param, tmp_path_factory.mktemp("golden")) as opened:
        yield opened


def test_a_call_of_the_telephone(shelf: Shelf) -> None:
    """A-law in and µ-law out: the figures are those of PCM, the bytes are a sixth."""
    found = shelf.analysis("g711")

    assert said(found) == [("user", 1320, 2600, ASKED), ("assistant", 3050, 4150, SPOKEN)]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    numbers = figures(found)
    assert (numbers["v2v_audible"], numbers["v2v_wire"], numbers["endpointing"]) == (550, 450, 240)
    assert parts(found)["leading_silence"] == 100
    (item,) = found.playback.items
    assert (item.format.encoding, item.received_samples) == (ULAW, 8 * 1100)
    # 2000 ms at 8 bytes each.
    assert found.inputs.epochs[-1].form.encoding == ALAW
    assert (sum(e.size for e in found.inputs.epochs), found.speech.input_ns) == (
        16_000,
        2_000_000_000,
    )


def test_a_format_that_changes_in_mid_session(shelf: Shelf) -> None:
    """PCM for 3000 ms, then A-law for 1400: one axis, one clock.

    The second question sounds from 4200 to 5000, 3200 to 4000 on the axis: stopped 5240.
    """
    found = shelf.analysis("format_change")

    assert said(found) == [
        ("user", 1320, 2600, "Is it still open?"),
        ("assistant", 3050, 3450, "Yes."),
        ("user", 4200, 5000, "And tomorrow?"),
        ("assistant", 5450, 5850, "No."),
    ]
    assert turns(found) == [("vad_commit", "answered", 1, ())] * 2
    assert figures(found, 2) == figures(found, 1) | {"first_words": 1440}  # 5640 - 4200
    assert qualities(found, 2)["turn_gap"] == 750  # 3450 to 4200
    assert [(e.form.encoding, e.size) for e in found.inputs.epochs] == [
        (PCM16, 3000 * 48),
        (ALAW, 1400 * 8),
    ]


def test_a_file_instead_of_a_microphone(shelf: Shelf) -> None:
    """2 s in 20 chunks, one every 5 ms from 3000 on, the last at 3095; committed at 3100.

    There is no capture clock: what needs one is N/A. The sound is put where it ends with its last
    chunk, 1095 to 3095, the voice from 500 to 1500 ms in it.
    """
    found = shelf.analysis("burst_input")

    assert said(found) == [("user", 1595, 2595, ASKED), ("assistant", 3310, 4410, SPOKEN)]
    assert turns(found) == [("client_create", "answered", 1, ())]
    assert figures(found) == {
        "ttfa_created": 200,
        "ttfa_trigger": 210,
        "commit_to_audio": 310,  # 3310 + 100 - 3100
        "create_to_audio": 310,
        "ttft": 150,
        "transcription_delay": 600,  # from the commit
        "transcription_commit": 600,
        "commit_ack": 0,
        "response_start": 10,
        "response_duration": 375,
    }
    for name in ("v2v_audible", "v2v_wire", "input_backlog", "dead_air", "overlap"):
        assert why(found, name) == "non_realtime_input", name
    assert parts(found) == {
        "app_wait": 0,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }
    assert found.speech.realtime is False
    assert findings(found) == {"no_capture_clock"}


def test_an_uplink_that_stalls(shelf: Shelf) -> None:
    """What was spoken and heard from 2000 to 4000 all comes at 4000: 600 ms of voice, 1400 of
    silence. The voice still ended at 2600; it arrived 1400 later, its silence with it, so that the
    window was over as it came: 200 of it are taken back."""
    found = shelf.analysis("uplink_stall")

    assert said(found) == [("user", 1320, 2600, ASKED), ("assistant", 4210, 5310, SPOKEN)]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    numbers = figures(found)
    assert numbers["input_backlog"] == 1400
    assert numbers["v2v_audible"] == 1710  # 4000 + 10 + 200 + 100 - 2600
    assert numbers["endpointing"] == 1400
    assert parts(found) == {
        "input_backlog": 1400,
        "endpointing_window": 200,
        "endpointing_rest": -200,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }
    sent = found.quality.input
    assert sent is not None
    assert sent.gap_max_ms == 2000
    assert found.speech.realtime

"""Golden calls, by hand: the user speaks over the assistant.

The first question sounds from 1320 to 2600, and is answered from 3050 on (see
`test_golden_turns`). What is said then lasts 4000 ms: a delta that begins at x ms of it comes at
3050 + x/4. The user speaks again from 4200 to 5000, 3200 to 4000 on the axis; two loud steps end
at 3264, in the chunk until 3280: `speech_started` at 4280. Seven quiet steps end at 4224, in the
chunk until 4240: `speech_stopped` at 5240, created 5250, audio 5450 to 5950.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tests.golden.interruptions
from recorder.audio.writing import write_sound
from recorder.tracks import lay_out, stereo
from tests.golden.reading import figures, findings, flags, parts, qualities, said, turns, why
from tests.golden.shelf import KEPT, Shelf, open_shelf

COUNTED = tests.golden.interruptions.COUNTED
ASKED = ("user", 1320, 2600, "Please count.")
STOP = ("user", 4200, 5000, "Stop now.")
ALL_RIGHT = ("assistant", 5450, 5950, "All right.")


@pytest.fixture(scope="module", params=KEPT)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    with open_shelf(request.param, tmp_path_factory.mktemp("golden")) as opened:
        yield opened


def test_cancelled_while_it_was_made(shelf: Shelf) -> None:
    """Made at twice its speed, so a delta that begins at x comes at 3050 + x/2.

    Cancelled at 4280: the last one to come was 2300 to 2700 ms, at 4200. Words come every 250 ms
    from 3000 on: six of eight. Truncated at 4400 after 1350 ms, half of what had come: half of
    its 27 letters are 13, `one two three`.
    """
    found = shelf.analysis("cancel_mid_stream")

    assert said(found) == [
        ASKED,
        ("assistant", 3050, 4400, "one two three four five six [heard: one two three]"),
        STOP,
        ALL_RIGHT,
    ]
    assert turns(found) == [
        ("vad_commit", "answered", 1, ("interrupted",)),
        ("vad_commit", "answered", 1, ()),
    ]
    assert qualities(found, 1) == {"overlap": 0, "unheard": 1350}
    assert qualities(found, 2) == {
        "overlap": 200,  # 4200 to 4400
        "barge_in_stop": 200,
        "barge_in_detection": 80,
        "client_reaction": 120,  # 4280 to 4400
        "interrupt_server": 0,  # the sandbox cancels at once
        "leak": 0,
        "unheard": 0,
    }
    assert flags(found, 2) == {"user_second"}
    assert figures(found, 2)["v2v_audible"] == 450
    cut = found.conversation.responses[0]
    assert (cut.status, cut.reason, cut.audio_ns) == ("cancelled", "turn_detected", 2_700_000_000)


def test_interrupted_when_all_of_it_had_come(shelf: Shelf) -> None:
    """Nothing is cancelled. 1350 of 4000 ms are 13 of 39 letters: `one two three` again."""
    found = shelf.analysis("barge_in_after_done")

    assert said(found) == [
        ASKED,
        ("assistant", 3050, 4400, f"{COUNTED} [heard: one two three]"),
        STOP,
        ALL_RIGHT,
    ]
    assert turns(found)[0] == ("vad_commit", "answered", 1, ("interrupted",))
    assert qualities(found, 1) == {"overlap": 0, "unheard": 2650}
    assert qualities(found, 2) == {
        "overlap": 200,
        "barge_in_stop": 200,
        "barge_in_detection": 80,
        "client_reaction": 120,
        "unheard": 0,
    }
    assert why(found, "interrupt_server", 2) == "nothing_was_interrupted"
    assert found.conversation.responses[0].status == "completed"


def test_a_client_that_talks_on(shelf: Shelf, tmp_path: Path) -> None:
    """The user speaks until 5480, 4480 on the axis: stopped at 5720, answered at 5930.

    But what was said first plays until 7050. The overlap is in the numbers and in the file.
    """
    found = shelf.analysis("client_that_talks_on")

    assert said(found) == [
        ASKED,
        ("assistant", 3050, 7050, COUNTED),
        ("user", 4200, 5480, "Stop now."),
        ("assistant", 7050, 7550, "All right."),
    ]
    assert turns(found)[0] == ("vad_commit", "answered", 1, ("not_stopped",))
    numbers = figures(found, 2)
    assert (numbers["v2v_wire"], numbers["v2v_audible"]) == (450, 1570)  # 7050 - 5480
    assert parts(found, 2)["queue"] == 1120  # 5930 to 7050
    assert qualities(found, 2) == {"overlap": 1280, "barge_in_detection": 80, "unheard": 0}
    assert why(found, "barge_in_stop", 2) == "not_stopped"
    assert flags(found, 2) == {"user_second"}
    assert findings(found) == {"talk_over"}

    read = partial(shelf.events, "client_that_talks_on")
    source = lambda audio: read(audio=audio)  # noqa: E731 - a store with its session
    path = tmp_path / "call.wav"
    write_sound(path, stereo(source, lay_out(source), 24_000), 24_000, channels=2)
    sound, rate = soundfile.read(path, dtype="int16")
    loud = np.abs(sound.astype(int)) > 1000
    # A tone has quiet samples around its zeros: what is loud within a millisecond counts.
    wide = np.stack([np.convolve(loud[:, side], np.ones(48), "same") > 0 for side in (0, 1)])
    both = np.flatnonzero(wide.all(axis=0)) / rate * 1000
    assert both.min() == pytest.approx(4200, abs=1.1)
    assert both.max() == pytest.approx(5480, abs=1.1)
    assert np.diff(both).max() < 1  # without a break


def test_a_truncation_that_cannot_be_true(shelf: Shelf) -> None:
    """At 4400 no more than 1350 ms can have been played; both values are shown."""
    found = shelf.analysis("truncation_that_cannot_be_true")

    assert said(found)[1] == ("assistant", 3050, 4400, f"{COUNTED} [heard: one two three]")
    item = found.playback.items[0]
    assert (item.claimed_ms, item.heard_ns, item.flags) == (3000, 1_350_000_000, ("inconsistent",))
    assert turns(found)[0] == ("vad_commit", "answered", 1, ("interrupted", "inconsistent"))
    assert findings(found) == {"inconsistent_truncation"}


def test_noise_that_interrupts(shelf: Shelf) -> None:
    """200 ms from 4200 on, transcribed as nothing.

    3400 on the axis lies in the step that ends at 3424; 7 quiet ones end at 3648: 4660.
    """
    found = shelf.analysis("noise_that_interrupts")

    assert said(found) == [
        ASKED,
        ("assistant", 3050, 4400, f"{COUNTED} [heard: one two three]"),
        ("user", 4200, 4400, ""),
        ("assistant", 4870, 5370, "Pardon?"),
    ]
    assert flags(found, 2) == {"false_barge_in", "user_second"}
    assert qualities(found, 2)["barge_in_stop"] == 200
    numbers = figures(found, 2)
    assert (numbers["endpointing"], numbers["end_difference"]) == (260, 48)
    assert numbers["v2v_audible"] == 470  # 4660 + 10 + 200 - 4400
    assert findings(found) == {"false_barge_in"}


def test_speech_that_became_nothing(shelf: Shelf) -> None:
    """Truncated at 4300, 1250 ms in: 12 of 39 letters, two words. No item ever came of it.

    The next words sound from 6120 to 7080, 5120 to 6080 on the axis: stopped 7320, answered 7530.
    """
    found = shelf.analysis("speech_that_became_nothing")

    assert said(found) == [
        ASKED,
        ("assistant", 3050, 4300, f"{COUNTED} [heard: one two]"),
        ("user", 6120, 7080, "Hello?"),
        ("assistant", 7530, 8030, "Hello."),
    ]
    assert flags(found, 1) == {"false_barge_in", "user_second"}
    assert qualities(found, 1) == {"overlap": 100, "unheard": 2750}
    assert qualities(found, 2) == {"overlap": 0, "unheard": 0, "turn_gap": 1820}  # 6120 - 4300


def test_a_nod_stops_nothing(shelf: Shelf) -> None:
    """A greeting from 1210 to 4210; the user from 1960 to 2280, 960 to 1280 on the axis."""
    found = shelf.analysis("a_nod")

    assert said(found) == [
        ("assistant", 1210, 4210, "Good day, this is the line."),
        ("user", 1960, 2280, "Mm-hm."),
    ]
    assert turns(found) == [
        ("client_create", "answered", 1, ("not_stopped",)),
        ("vad_commit", "unanswered", 0, ()),
    ]
    assert found.turns[0].greeting
    # A greeting has no voice to voice.
    assert why(found, "v2v_audible", 1) == "greeting"
    assert figures(found, 1)["create_to_audio"] == 210
    assert flags(found, 2) == {"backchannel", "user_second"}
    assert qualities(found, 2) == {"overlap": 320, "barge_in_detection": 80}  # 1040 - 960


def test_what_the_player_told(shelf: Shelf) -> None:
    """At 3160 it had played 10 ms, so it began at 3150; at 4400 it stopped, after 1250 ms."""
    found = shelf.analysis("marks_of_the_player")

    assert said(found)[1] == ("assistant", 3150, 4400, f"{COUNTED} [heard: one two]")
    numbers = figures(found, 1)
    assert (numbers["v2v_wire"], numbers["v2v_audible"], numbers["v2v_heard"]) == (450, 550, 550)
    assert found.latency.turns[0].values["v2v_heard"].label == "reported"
    assert parts(found, 1)["queue"] == 100
    assert qualities(found, 1) == {"overlap": 0, "unheard": 2750}
    assert found.playback.items[0].stopped_by == "marked"
    assert why(found, "v2v_heard", 2) == "playback_not_reported"

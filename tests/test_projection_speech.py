"""When the user spoke: from the audio, from the server, and where the two disagree."""

from __future__ import annotations

from recorder.audio.formats import SECOND
from recorder.projections.base import fold
from recorder.projections.model import Speech, Utterance
from recorder.projections.speech import SpeechProjection
from tests.building import MS, Talk, hush, spoken
from tests.captured import captured


def speech(talk: Talk, *, audio: bool = True) -> Speech:
    return fold(SpeechProjection(detect=audio), talk.source(audio))


def only(talk: Talk, *, audio: bool = True) -> Utterance:
    (found,) = speech(talk, audio=audio).utterances
    return found


def said(found: Utterance) -> tuple[float | None, float | None]:
    return found.onset.value_ms, found.end.value_ms


def turn(**more: int) -> Talk:
    """Speech from 500 to 2000 ms; the server noticed at 2250."""
    offsets = {"start": 200, "end": 2200} | more
    return Talk().open().mic(0, 3000, speech=[(500, 2000)]).heard(2250, "U", **offsets)  # type: ignore[arg-type]


def test_onset_and_end_come_from_the_audio() -> None:
    """To the sample, with the appends that carried them as evidence."""
    talk = turn()
    found = only(talk)

    assert (found.anchor, said(found)) == ("audio", (500.0, 2000.0))
    append = "input_audio_buffer.append"
    assert found.onset.evidence == (talk.seq(append, 26),)
    assert found.end.evidence == (talk.seq(append, 100),)
    assert (found.onset.label, found.flags) == ("measured", ())


def test_the_servers_offsets_are_the_cross_check() -> None:
    """Padding and silence window are taken off: 200 + 300 and 2200 - 200."""
    found = only(turn())
    assert (found.server_onset.value_ms, found.server_end.value_ms) == (500.0, 2000.0)
    assert found.silence_ns == 200 * MS


def test_a_disagreement_of_more_than_100_ms_is_flagged() -> None:
    """Here the server ends the speech 150 ms later."""
    assert only(turn(end=2300)).flags == ()
    assert only(turn(end=2350)).flags == ("disagreement",)


def test_without_audio_the_servers_offsets_stand_in() -> None:
    """Named as such, and labelled as an estimate."""
    found = only(turn(), audio=False)
    assert (found.anchor, said(found)) == ("server_vad", (500.0, 2000.0))
    assert found.end.label == "estimated"
    assert speech(turn(), audio=False).detector is None


def test_audio_that_was_not_captured_is_no_silence() -> None:
    """A log without audio: nothing was looked at, so nothing is said to be silent."""
    talk = turn()
    found = fold(SpeechProjection(), talk.source(audio=False))
    assert (found.detector, found.uncaptured_ns) == (None, 3 * SECOND)
    assert found.utterances[0].anchor == "server_vad"


def test_semantic_vad_has_no_silence_window() -> None:
    """The audio tells the end; the server's is N/A, and says why."""
    talk = Talk().open(vad="semantic_vad").mic(0, 3000, speech=[(500, 2000)])
    found = only(talk.heard(2600, "U", start=200, end=2500))
    assert said(found) == (500.0, 2000.0)
    assert found.server_end.reason == "silence_window_unknown"


def test_without_vad_the_slice_runs_from_commit_to_commit() -> None:
    """Two turns of push-to-talk over one live microphone."""
    talk = Talk().open(vad=None).mic(0, 6000, speech=[(500, 1500), (3200, 4700)])
    for at, item in ((2000, "U1"), (5000, "U2")):
        talk.client(at, "input_audio_buffer.commit").committed(at + 40, item)
    first, second = speech(talk).utterances

    assert (said(first), said(second)) == ((500.0, 1500.0), (3200.0, 4700.0))
    assert (second.start_offset_ns, second.end_offset_ns) == (2000 * MS, 5000 * MS)
    assert second.server_end.reason == "no_server_vad"


def test_speech_that_a_commit_cuts_ends_there() -> None:
    """The user goes on: the rest is the next turn's."""
    talk = Talk().open(vad=None).mic(0, 4000, speech=[(500, 3500)])
    for at, item in ((2000, "U1"), (4000, "U2")):
        talk.client(at, "input_audio_buffer.commit").committed(at + 40, item)
    assert [said(u) for u in speech(talk).utterances] == [(500.0, 2000.0), (2000.0, 3500.0)]


def test_a_stalled_uplink_shows_as_backlog() -> None:
    """Captured by 2000 ms, arrived at 3500."""
    talk = Talk().open()
    sound = spoken(4000, [(500, 2000)])
    for row in range(200):
        at = 20 * (row + 1)
        talk.append(3500 if 1000 < at < 3500 else at, sound[row * 960 : row * 960 + 960])
    found = only(talk.heard(3800, "U", start=200, end=2200))

    assert said(found) == (500.0, 2000.0)
    assert found.arrival_ns == 3500 * MS


def test_input_that_is_not_real_time_has_no_times_of_its_own() -> None:
    """They are N/A with the reason; where it stands in a transcript is known all the same."""
    talk = Talk().open(vad=None).sound(1000, b"")
    sound = spoken(3000, [(500, 2000)])
    for row in range(150):
        talk.append(5000 + row, sound[row * 960 : row * 960 + 960])
    talk.client(5200, "input_audio_buffer.commit").committed(5240, "U")
    found = only(talk)

    assert found.onset.reason == found.end.reason == "non_realtime_input"
    assert found.arrival_ns == (5000 + 99) * MS
    assert (found.start_ns, found.end_ns) == ((5149 - 2500) * MS, (5149 - 1000) * MS)
    assert found.flags == ("non_realtime_input",)


def test_silence_that_was_committed_holds_no_speech() -> None:
    """Flagged; and nothing is measured from it."""
    talk = Talk().open(vad=None).mic(0, 1000)
    found = only(talk.client(1000, "input_audio_buffer.commit").committed(1040, "U"))
    assert (found.flags, found.end.reason) == (("no_speech",), "no_speech")


def test_a_turn_that_begins_inside_the_last_ones_slice_has_its_own_speech() -> None:
    """Servers report a start before the previous end."""
    talk = Talk().open().mic(0, 6000, speech=[(500, 2000), (2300, 3600)])
    talk.heard(2250, "U1", start=200, end=2200)
    talk.heard(3850, "U2", start=2000, end=3800, began=2400)
    assert [said(u) for u in speech(talk).utterances] == [(500.0, 2000.0), (2300.0, 3600.0)]


def test_segments_do_not_reach_over_a_pause_in_sending() -> None:
    """A muted microphone ends a stretch, however close the samples lie on the axis."""
    talk = Talk().open().mic(0, 1000, speech=[(500, 1000)]).mic(5000, 6000, speech=[(5000, 5300)])
    found = [(s.start_ns // MS, s.end_ns // MS) for s in speech(talk).segments]
    assert found == [(500, 1000), (5000, 5300)]


def test_a_repeated_stop_counts_with_its_last_word() -> None:
    """Some servers say it several times for one item."""
    talk = Talk().open().mic(0, 4000, speech=[(500, 3000)])
    talk.server(1000, "input_audio_buffer.speech_stopped", item_id="U", audio_end_ms=900)
    found = only(talk.heard(3250, "U", start=200, end=3200))
    assert found.server_end.value_ms == 3000.0


def test_offsets_beyond_the_recorded_input_are_not_believed() -> None:
    """Part of the input is missing from the log, or was never on this wire."""
    found = only(Talk().open().mic(0, 300).heard(2250, "U", start=200, end=2200), audio=False)
    assert found.end.reason == "offset_beyond_input"


def test_after_a_gap_the_servers_axis_is_not_ours() -> None:
    """Appends may have been lost in it."""
    talk = turn()
    talk.note(100, "gap", count=3, bytes=2880, origins={"client": {"count": 3}}, why="full")
    assert only(talk, audio=False).end.reason == "no_offset"


def test_without_input_on_this_wire_arrivals_stand_in() -> None:
    """WebRTC: the audio went another way."""
    talk = Talk().open().heard(2250, "U", start=200, end=2200, began=700)
    found = only(talk)
    assert said(found) == (700.0, 2050.0)
    assert found.end.flags == ("arrival",)


def test_speech_in_g711_is_found_too() -> None:
    """8 kHz µ-law: a second of tone between two of silence."""
    talk = Talk().open()
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(0, "session.update", session={"audio": {"input": form}})
    sound = b"\xff" * 8000 + b"\x80\x00" * 4000 + b"\xff" * 8000
    for row in range(150):
        talk.append(20 * (row + 1), sound[row * 160 : row * 160 + 160])
    (found,) = speech(talk).segments
    assert (found.start_ns, found.end_ns) == (1000 * MS, 2000 * MS)


def test_clipping_is_measured() -> None:
    """10 ms of full scale."""
    talk = Talk().open().append(20, hush(10) + b"\xff\x7f" * 240)
    assert speech(talk).clipped_ns == 10 * MS


def test_real_speech_is_found_in_a_real_session() -> None:
    """`Hello, my name is Marcelo.`: complete user audio, sent faster than real time."""
    (found,) = fold(SpeechProjection(), captured("openai-ga-one-spoken-turn.jsonl", 20)).segments
    assert abs(found.offset_ns / MS - 1725) < 25
    assert not found.realtime

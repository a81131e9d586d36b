"""The capture clock: stalls, pauses, bursts, jitter, changes of format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.formats import AudioFormat
from recorder.projections.base import fold
from recorder.projections.capture import CaptureClock, capture_clock
from recorder.projections.inputs import Inputs
from tests.building import MS, Talk, hush, tone


def clock(talk: Talk) -> CaptureClock:
    return capture_clock(fold(Inputs(), talk.source(audio=False)))


def times(talk: Talk, *axis_ms: float) -> list[float]:
    """When the samples at these positions of the axis were captured, in ms."""
    found = clock(talk)
    return [(found.time(round(at * MS)) or 0) / MS for at in axis_ms]


def test_a_live_microphone_is_on_the_sessions_clock() -> None:
    """It was switched on at 1 s; every chunk arrives the moment it ends."""
    talk = Talk().open().mic(1000, 3000)
    assert times(talk, 0, 500, 1999) == [1000, 1500, 2999]
    assert clock(talk).realtime


def test_jitter_does_not_move_it() -> None:
    """The quickest chunk tells how long the way really is."""
    talk = Talk().open()
    for row in range(100):
        talk.append(20 + 20 * row + (5 if row == 50 else 5 + row % 7 * 10), hush(20))
    assert times(talk, 0, 1000) == [5, 1005]


def test_a_stall_is_seen_as_backlog_and_moves_nothing() -> None:
    """From 2 to 4 s nothing arrives, then all of it at once."""
    talk = Talk().open()
    for row in range(400):
        at = 20 * (row + 1)
        talk.append(4000 if 2000 < at < 4000 else at, hush(20))
    found = clock(talk)

    assert times(talk, 1000, 3000, 6000) == [1000, 3000, 6000]
    assert found.arrival(3000 * MS) == (4000 * MS, talk.seq("input_audio_buffer.append", 151))
    assert len(found.anchors) == 1


def test_a_muted_microphone_starts_the_clock_anew() -> None:
    """Two seconds of talk, three of nothing, two more: the axis stands still in between."""
    talk = Talk().open().mic(0, 2000).mic(5000, 7000)
    assert times(talk, 1999, 2000, 3000) == [1999, 5000, 6000]
    assert [anchor.realtime for anchor in clock(talk).anchors] == [True, True]


def test_a_muted_microphone_is_told_as_silence() -> None:
    """Nothing was captured from 2 to 5 s; no stall, no burst."""
    found = clock(Talk().open().mic(0, 2000).mic(5000, 7000))
    (silence,) = found.silences
    assert (silence.start_ns, silence.end_ns) == (2000 * MS, 5000 * MS)
    assert (found.stalls, found.bursts) == ((), ())


def test_a_stall_is_told_by_what_ended_it() -> None:
    """From the last append before it to the first after it; nothing was silent."""
    talk = Talk().open()
    for row in range(400):
        at = 20 * (row + 1)
        talk.append(4000 if 2000 < at < 4000 else at, hush(20))
    found = clock(talk)
    (stall,) = found.stalls
    assert (stall.start_ns, stall.end_ns) == (2000 * MS, 4000 * MS)
    assert stall.seq == talk.seq("input_audio_buffer.append", 101)
    assert (found.silences, found.bursts) == ((), ())


def test_input_that_was_sent_at_once_is_told_as_a_burst() -> None:
    """Ten seconds within a tenth of one, placed to end when the last of it came."""
    talk = Talk().open()
    for row in range(10):
        talk.append(20_000 + 10 * row, hush(1000))
    found = clock(talk)
    (burst,) = found.bursts
    assert (burst.start_ns, burst.end_ns) == (10_090 * MS, 20_090 * MS)
    assert (found.silences, found.stalls) == ((), ())


def test_an_end_belongs_to_what_came_before_it() -> None:
    """The position between two stretches is both an end and a beginning."""
    found = clock(Talk().open().mic(0, 2000).mic(5000, 7000))
    assert found.time(2000 * MS, end=True) == 2000 * MS
    assert found.time(2000 * MS) == 5000 * MS


def test_a_file_that_is_sent_at_once_has_no_capture_clock() -> None:
    """Three seconds within 150 ms; it is placed to end when the last of it arrived."""
    talk = Talk().open()
    for row in range(150):
        talk.append(4000 + row, hush(20))
    (anchor,) = clock(talk).anchors

    assert not anchor.realtime
    assert times(talk, 0) == [1149]


def test_one_long_chunk_is_a_file_too() -> None:
    """Nobody's microphone hands over two seconds at a time."""
    assert clock(Talk().open().append(500, hush(2000))).realtime is False


def test_a_file_that_cannot_have_begun_before_the_session_begins_with_it() -> None:
    """Ten seconds that arrive within the first."""
    talk = Talk().open()
    for row in range(500):
        talk.append(20 + row, hush(20))
    assert times(talk, 0) == [0]


def test_every_file_of_several_is_placed_by_itself() -> None:
    """Turn after turn of files: none is taken for a stall of the one before."""
    talk = Talk().open()
    for start in (5_000, 20_000, 40_000):
        for row in range(200):
            talk.append(start + row / 10, hush(20))
    assert [anchor.realtime for anchor in clock(talk).anchors] == [False] * 3
    assert times(talk, 4000, 8000) == [16019.9, 36019.9]


def test_a_preroll_is_live() -> None:
    """One second from before the connection stood, then real time."""
    talk = Talk().open()
    for _ in range(50):
        talk.append(1000, hush(20))
    for row in range(400):
        talk.append(1020 + 20 * row, hush(20))
    assert times(talk, 0, 1000, 5000) == [0, 1000, 5000]
    assert clock(talk).realtime


@pytest.mark.parametrize("drift", [-0.0003, 0.0003])
def test_clocks_that_run_apart_are_followed(drift: float) -> None:
    """Ten minutes of a sound card that is 0.3 ms a second slow or fast: 180 ms by the end."""
    talk = Talk().open()
    for row in range(3000):
        talk.append(200 * (row + 1) * (1 + drift), hush(200))
    late = [found / (1 + drift) - at for at, found in _at_each_minute(talk)]
    assert max(abs(x) for x in late) < 50


def _at_each_minute(talk: Talk) -> list[tuple[float, float]]:
    minutes = [60_000.0 * row + 30_000 for row in range(10)]
    return list(zip(minutes, times(talk, *minutes), strict=True))


def test_a_change_of_format_starts_anew_and_counts_by_its_own_rate() -> None:
    """A second of PCM16, then a second of µ-law: the axis goes on."""
    talk = Talk().open().mic(0, 1000)
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(1000, "session.update", session={"audio": {"input": form}})
    for row in range(50):
        talk.append(1020 + 20 * row, bytes(160))
    inputs = fold(Inputs(), talk.events)

    assert [epoch.form for epoch in inputs.epochs] == [
        AudioFormat(),
        AudioFormat("g711_ulaw", 8000),
    ]
    assert capture_clock(inputs).total_ns == 2000 * MS
    assert times(talk, 999, 1000, 1500) == [999, 1000, 1500]


def test_a_refused_change_of_format_never_was() -> None:
    """The server says no; what was appended before it said so is too late to mend."""
    talk = Talk().open()
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(10, "session.update", event_id="e1", session={"audio": {"input": form}})
    talk.server(20, "error", error={"code": "invalid_value", "event_id": "e1"})
    talk.mic(20, 120)
    assert [epoch.form for epoch in fold(Inputs(), talk.events).epochs] == [AudioFormat()]


def test_an_odd_byte_waits_for_its_other_half() -> None:
    """Chunks of 961 and 959 bytes are 480 samples each."""
    whole = tone(40)
    talk = Talk().open().append(20, whole[:961]).append(40, whole[961:])
    assert clock(talk).ends.tolist() == [20 * MS, 40 * MS]


@given(st.lists(st.integers(0, 150), min_size=5, max_size=60))
def test_capture_never_lies_after_arrival(delays: list[int]) -> None:
    """Whatever the network does, and the quickest chunk fits exactly."""
    talk = Talk().open()
    for row, delay in enumerate(delays):
        talk.append(20 * (row + 1) + delay, hush(20))
    events = fold(Inputs(), talk.events)
    found = capture_clock(events)

    late = [
        int(at) - (found.time(int(end), end=True) or 0)
        for at, end in zip(found.times, found.ends, strict=True)
    ]
    assert min(late) == 0

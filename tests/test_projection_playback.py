"""What was played: the queue, under-runs, and what evidence cuts."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.projections.base import fold
from recorder.projections.model import Played
from recorder.projections.playback import PlaybackFold
from tests.building import MS, Talk, tone

CANCEL = ("response.cancel", {})
CLEAR = ("output_audio_buffer.clear", {})


def played(talk: Talk, *, audio: bool = True, **options: bool | int) -> list[Played]:
    found = fold(PlaybackFold(**options), talk.source(audio))  # type: ignore[arg-type]
    return list(found.items)


def heard(item: Played) -> tuple[float, float | None, float | None]:
    """(heard, start, end) in ms."""
    times = [None if t is None else t / MS for t in (item.start_ns, item.end_ns)]
    return item.heard_ns / MS, times[0], times[1]


def three_seconds(**more: object) -> Talk:
    """An answer of 3 s, delivered between 1000 and 1500 ms and complete at 1501."""
    deltas = [(1000.0, 1000.0), (1250.0, 1000.0), (1500.0, 1000.0)]
    return Talk().open().answer(900, "R", "A", deltas, **more)  # type: ignore[arg-type]


def test_audio_plays_from_its_arrival_to_its_end() -> None:
    """Faster delivery changes nothing: one run."""
    (item,) = played(three_seconds())

    assert heard(item) == (3000.0, 1000.0, 4000.0)
    assert (item.stalls, item.label, item.stopped_by, len(item.runs)) == (0, "estimated", "", 1)


def test_a_prebuffer_delays_the_start() -> None:
    """What a player waits before it begins."""
    (item,) = played(three_seconds(), prebuffer_ms=120)
    assert heard(item) == (3000.0, 1120.0, 4120.0)


def test_later_audio_queues_behind_what_plays() -> None:
    """The second answer arrives at 2000 and starts at 4000."""
    talk = three_seconds().answer(1900, "R2", "B", [(2000, 500)])
    assert heard(played(talk)[1]) == (500.0, 4000.0, 4500.0)


def test_an_empty_queue_stalls_until_more_arrives() -> None:
    """200 ms at 1000, the next at 1500: 300 ms of nothing."""
    (item,) = played(Talk().open().answer(900, "R", "A", [(1000, 200), (1500, 200)]))

    assert heard(item) == (400.0, 1000.0, 1700.0)
    assert (item.stalls, item.stalled_ns) == (1, 300 * MS)
    assert [(run.start_ns // MS, run.first_sample) for run in item.runs] == [
        (1000, 0),
        (1500, 4800),
    ]


def test_speech_alone_stops_nothing() -> None:
    """The server stops generating; what was delivered plays on, and the item says so."""
    talk = three_seconds().server(2000, "input_audio_buffer.speech_started", item_id="U")
    (item,) = played(talk)
    assert (heard(item), item.flags) == ((3000.0, 1000.0, 4000.0), ("not_stopped",))


def test_speech_stops_playback_where_the_user_says_so() -> None:
    """`--assume-stop-on-speech`."""
    talk = three_seconds().server(2000, "input_audio_buffer.speech_started", item_id="U")
    (item,) = played(talk, assume_stop_on_speech=True)
    assert (heard(item), item.stopped_by) == ((1000.0, 1000.0, 2000.0), "assumed")


def test_a_truncation_says_how_much_was_played() -> None:
    """The client's word, where it can be true: 940 of at most 1000 ms."""
    talk = three_seconds()
    talk.client(2000, "conversation.item.truncate", item_id="A", audio_end_ms=940)
    (item,) = played(talk)

    assert heard(item) == (940.0, 1000.0, 1940.0)
    assert (item.stopped_by, item.claimed_ms, item.flags) == ("truncated", 940, ())
    assert item.stop_ns == 2000 * MS


def test_a_truncation_that_cannot_be_true_is_flagged() -> None:
    """1,800 ms cannot have been played within 1,000: both values are kept."""
    talk = three_seconds()
    talk.client(2000, "conversation.item.truncate", item_id="A", audio_end_ms=1800)
    (item,) = played(talk)
    assert (heard(item), item.claimed_ms) == ((1000.0, 1000.0, 2000.0), 1800)
    assert item.flags == ("inconsistent",)


def test_a_truncation_after_all_was_played_still_cuts() -> None:
    """Clients send `audio_end_ms` of 0 or 20 long after `response.done`."""
    talk = three_seconds()
    talk.client(6000, "conversation.item.truncate", item_id="A", audio_end_ms=20)
    assert heard(played(talk)[0]) == (20.0, 1000.0, 1020.0)


def test_a_truncation_at_the_very_end_cuts_nothing() -> None:
    """All of it was played."""
    talk = three_seconds()
    talk.client(4500, "conversation.item.truncate", item_id="A", audio_end_ms=3000)
    (item,) = played(talk)
    assert (heard(item), item.stopped_by) == ((3000.0, 1000.0, 4000.0), "")


@pytest.mark.parametrize("act", [CANCEL, CLEAR])
def test_what_the_client_cancels_stops_when_it_says_so(act: tuple[str, dict[str, str]]) -> None:
    """Also after `response.done`, when the audio still plays."""
    (item,) = played(three_seconds().client(2200, act[0], **act[1]))
    assert (heard(item), item.stopped_by) == ((1200.0, 1000.0, 2200.0), "cancelled")


def test_audio_that_arrives_after_the_cancellation_is_not_heard() -> None:
    """The server goes on for a while."""
    talk = Talk().open().client(1200, "response.cancel", response_id="R")
    talk.answer(900, "R", "A", [(1000, 400), (1300, 400)])
    (item,) = played(talk)
    assert (heard(item), item.received_ns) == ((200.0, 1000.0, 1200.0), 800 * MS)


def test_a_cancellation_by_the_server_stops_nothing() -> None:
    """It ends generation; delivered audio is with the client."""
    (item,) = played(three_seconds(status="cancelled", reason="turn_detected"))
    assert (item.heard_ns, item.stopped_by) == (3000 * MS, "")


def test_the_applications_mark_is_trusted_most() -> None:
    """Its last word on an item, over its own truncation and cancellation."""
    talk = three_seconds().client(1900, "response.cancel")
    talk.client(1901, "conversation.item.truncate", item_id="A", audio_end_ms=700)
    talk.note(1950, "playback", item_id="A", played_ms=812.5)
    (item,) = played(talk)
    assert (item.heard_ns, item.stopped_by, item.label) == (812_500_000, "marked", "reported")


def test_a_truncation_is_trusted_more_than_a_cancellation() -> None:
    """LiveKit sends both."""
    talk = three_seconds().client(1900, "response.cancel")
    talk.client(1901, "conversation.item.truncate", item_id="A", audio_end_ms=700)
    assert (played(talk)[0].heard_ns, played(talk)[0].stopped_by) == (700 * MS, "truncated")


def test_marks_may_tell_where_playback_is() -> None:
    """`started` moves it there; `playing` cuts nothing."""
    talk = three_seconds().note(1150, "playback", item_id="A", played_ms=0, state="started")
    talk.note(2000, "playback", item_id="A", played_ms=850, state="playing")
    (item,) = played(talk)
    assert (heard(item), item.stopped_by) == ((3000.0, 1150.0, 4150.0), "")


def test_the_last_of_several_marks_counts() -> None:
    """They say what was played so far; the application falls silent after 1,500 ms."""
    talk = three_seconds()
    for at, length in ((1500, 480), (2000, 980), (2520, 1500)):
        talk.note(at, "playback", item_id="A", played_ms=length)
    (item,) = played(talk.close(9000))
    assert (item.heard_ns, item.stopped_by, item.stop_ns) == (1500 * MS, "marked", 2520 * MS)


def test_marks_up_to_the_end_of_the_log_cut_nothing() -> None:
    """It may well have played on."""
    talk = three_seconds().note(2520, "playback", item_id="A", played_ms=1500).close(2600)
    assert played(talk)[0].heard_ns == 3000 * MS


def test_a_mark_that_says_stopped_is_final_at_once() -> None:
    """And what waited behind it is gone."""
    talk = three_seconds().note(2520, "playback", item_id="A", played_ms=1500, state="stopped")
    talk.answer(2540, "R2", "B", [(2600, 500)])
    assert [heard(item) for item in played(talk)] == [
        (1500.0, 1000.0, 2500.0),
        (500.0, 2600.0, 3100.0),
    ]


def test_a_mark_for_all_of_it_cuts_nothing() -> None:
    """An application that reports when it is through."""
    talk = three_seconds().note(3995, "playback", item_id="A", played_ms=3000)
    (item,) = played(talk)
    assert (item.heard_ns, item.stopped_by, item.flags) == (3000 * MS, "", ())


def test_what_waits_behind_a_cut_item_goes_with_it() -> None:
    """Two items of one response; the first is cut, so the second never starts."""
    talk = Talk().open().created(900, "R").part_of(901, "R", "A").part_of(902, "R", "B")
    for at, item in ((1000, "A"), (1100, "B")):
        delta = base64.b64encode(tone(1000)).decode()
        ids = {"response_id": "R", "item_id": item, "content_index": 0}
        talk.server(at, "response.output_audio.delta", **ids, delta=delta)
    talk.client(1500, "conversation.item.truncate", item_id="A", audio_end_ms=500)

    first, second = played(talk)
    assert heard(first) == (500.0, 1000.0, 1500.0)
    assert (second.heard_ns, second.start_ns, second.stopped_by) == (0, None, "truncated")


def test_the_next_answer_does_not_wait_for_what_was_thrown_away() -> None:
    """After a cut the queue is empty."""
    talk = three_seconds().client(2000, "response.cancel")
    talk.answer(2400, "R2", "B", [(2500, 500)])
    assert heard(played(talk)[1]) == (500.0, 2500.0, 3000.0)


def test_an_old_items_truncation_leaves_what_plays_now_alone() -> None:
    """The client tidies up while the next answer plays."""
    talk = three_seconds().answer(4900, "R2", "B", [(5000, 1000)])
    talk.client(5200, "conversation.item.truncate", item_id="A", audio_end_ms=100)
    assert [item.heard_ns // MS for item in played(talk)] == [100, 1000]


def test_buffer_events_tell_of_playback_that_went_another_way() -> None:
    """WebRTC: no audio on this wire, but when it began and how it ended."""
    talk = Talk().open().created(900, "R")
    talk.server(1000, "output_audio_buffer.started", response_id="R")
    talk.server(1700, "output_audio_buffer.cleared", response_id="R")
    (record,) = fold(PlaybackFold(), talk.events).reported
    assert (record["start_ns"], record["end_ns"], record["how"]) == (
        1000 * MS,
        1700 * MS,
        "cleared",
    )


def test_buffer_events_cut_audio_on_this_wire() -> None:
    """`cleared` at 1,800 ms."""
    talk = three_seconds().server(1800, "output_audio_buffer.cleared", response_id="R")
    (item,) = played(talk)
    assert (item.heard_ns, item.stopped_by, item.label) == (800 * MS, "buffer", "reported")


@pytest.mark.parametrize("audio", [True, False])
def test_leading_silence_is_measured_where_the_audio_is_there(audio: bool) -> None:
    """150 ms before the first audible sample; unknown without the audio, which is not 0."""
    (item,) = played(three_seconds(lead=150), audio=audio)
    assert item.leading_ns == (150 * MS if audio else None)
    assert item.audible_ns == (1150 * MS if audio else None)


def test_an_item_cut_within_its_leading_silence_was_never_audible() -> None:
    """Heard, but nothing in it."""
    talk = three_seconds(lead=150).client(1100, "response.cancel")
    (item,) = played(talk)
    assert (item.heard_ns, item.audible_ns) == (100 * MS, None)


def test_the_format_of_the_response_holds_for_its_audio() -> None:
    """A response in µ-law inside a PCM16 session: 8 bytes a millisecond."""
    talk = Talk().open().created(900, "R", audio={"output": {"format": {"type": "audio/pcmu"}}})
    delta = base64.b64encode(bytes(4000)).decode()
    talk.server(1000, "response.output_audio.delta", response_id="R", item_id="A", delta=delta)
    (item,) = played(talk)
    assert (item.received_ns, item.format.encoding) == (500 * MS, "g711_ulaw")


def test_odd_deltas_lose_no_sample() -> None:
    """Four deltas of 33 bytes are 66 samples."""
    talk = Talk().open().created(900, "R").part_of(901, "R", "A")
    for row in range(4):
        delta = base64.b64encode(bytes(33)).decode()
        talk.server(1000 + row, "response.output_audio.delta", item_id="A", delta=delta)
    assert played(talk)[0].received_samples == 66


def test_without_evidence_everything_that_arrived_is_played() -> None:
    """The timeline `received`."""
    talk = three_seconds().client(2000, "response.cancel")
    assert played(talk, evidence=False)[0].heard_ns == 3000 * MS


DELTAS = st.lists(st.tuples(st.integers(0, 800), st.integers(1, 400)), min_size=1, max_size=12)


@given(DELTAS, st.integers(0, 4000), st.integers(0, 4000))
def test_heard_is_never_more_than_received_nor_before_arrival(
    gaps: list[tuple[int, int]], cut: int, claim: int
) -> None:
    """Whatever arrives when, and whatever the client claims."""
    at, deltas = 1000.0, []
    for gap, length in gaps:
        at += gap
        deltas.append((at, float(length)))
    talk = Talk().open().answer(900, "R", "A", deltas)
    talk.client(1000 + cut, "conversation.item.truncate", item_id="A", audio_end_ms=claim)
    (item,) = played(talk)

    assert 0 <= item.heard_samples <= item.received_samples
    assert item.heard_samples == sum(run.samples for run in item.runs)
    if item.start_ns is not None:
        assert item.start_ns >= item.arrived_ns
    ends = [run.start_ns + item.format.ns(run.samples) for run in item.runs]
    assert all(b.start_ns >= end for b, end in zip(item.runs[1:], ends[:-1], strict=True))

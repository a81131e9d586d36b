"""Tracks: every sample at its place, on one clock, in bounded memory."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.codecs import Samples
from recorder.audio.writing import write_sound
from recorder.errors import UsageError
from recorder.events import Event
from recorder.projections import analyse
from recorder.tracks import (
    TRACKS,
    assistant,
    clip,
    item_audio,
    lay_out,
    layout_of,
    stereo,
    user,
    user_audio,
)
from tests.building import MS, Talk, hush, tone
from tests.captured import captured

RATE = 24_000


def whole(blocks: Iterable[Samples]) -> Samples:
    return np.concatenate(list(blocks))


def user_track(talk: Talk, rate: int = RATE) -> Samples:
    return whole(user(talk.source, lay_out(talk.source), rate))


def assistant_track(talk: Talk, timeline: str = "heard") -> Samples:
    return whole(assistant(talk.source, lay_out(talk.source, timeline=timeline), RATE))


def loud(track: Samples) -> list[tuple[float, float]]:
    """Stretches of sound in ms; exact, because the tones are square."""
    active = np.concatenate(([False], np.abs(track.astype(np.int32)) > 1000, [False]))
    edges = np.flatnonzero(np.diff(active.astype(np.int8)))
    return [(float(a) / 24, float(b) / 24) for a, b in edges.reshape(-1, 2)]


def two_sided() -> Talk:
    """Speech 500 to 2000; an answer of 3 s at 2600, cut after 1,150 ms by speech from 3700 on."""
    talk = Talk().open().mic(0, 6000, speech=[(500, 2000), (3700, 4900)])
    talk.heard(2250, "U1", start=200, end=2200)
    talk.answer(2300, "R", "A", [(2600, 1000), (2700, 2000)], text="Long.", lead=100)
    talk.client(3800, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    return talk.close(6000)


def test_the_users_voice_lies_where_it_was_captured() -> None:
    """Six seconds, two stretches of speech, to the sample."""
    track = user_track(two_sided())
    assert len(track) == 6 * RATE
    assert loud(track) == [(500.0, 2000.0), (3700.0, 4900.0)]


def test_a_muted_microphone_is_silence_at_the_right_place() -> None:
    """Nothing was sent between 2 and 5 s."""
    talk = Talk().open().mic(0, 2000, speech=[(500, 2000)]).mic(5000, 7000, speech=[(5000, 5500)])
    assert loud(user_track(talk)) == [(500.0, 2000.0), (5000.0, 5500.0)]


def test_a_stall_leaves_no_hole() -> None:
    """What was held up is put where it was captured."""
    talk = Talk().open()
    for row in range(200):
        at = 20 * (row + 1)
        talk.append(3000 if 1000 < at < 3000 else at, tone(20) if 1200 < at <= 2000 else hush(20))
    assert loud(user_track(talk)) == [(1200.0, 2000.0)]


def test_a_sound_card_that_runs_ahead_is_held_back() -> None:
    """0.3 ms a second too fast, for five minutes: the track does not run away from the clock."""
    talk = Talk().open()
    for row in range(1500):
        chunk = tone(200) if row == 1400 else hush(200)
        talk.append(200 * (row + 1) * 0.9997, chunk)
    ((start, _),) = loud(user_track(talk))
    assert abs(start - 1400 * 200 * 0.9997) < 50


def test_the_assistant_is_heard_until_it_was_cut() -> None:
    """1,150 ms from 2600 on, of which 100 are silence."""
    assert loud(assistant_track(two_sided())) == [(2700.0, 3750.0)]


def test_all_that_was_received_can_be_heard_too() -> None:
    """As if nothing had stopped it: beyond the end of the session."""
    track = assistant_track(two_sided(), "received")
    assert loud(track) == [(2700.0, 5600.0)]


def test_both_lie_on_one_clock() -> None:
    """User left, assistant right: each channel is the track by itself."""
    talk = two_sided()
    layout = lay_out(talk.source)
    both = whole(stereo(talk.source, layout, RATE))

    assert np.array_equal(both[:, 0], user_track(talk))
    assert np.array_equal(both[:, 1], assistant_track(talk))


def test_the_latency_is_what_can_be_measured_in_the_file(tmp_path: Path) -> None:
    """From the last loud sample of the user to the first of the assistant."""
    talk = two_sided()
    path = tmp_path / "call.wav"
    write_sound(path, stereo(talk.source, lay_out(talk.source), RATE), RATE, channels=2)

    samples, rate = soundfile.read(path, dtype="int16")
    end, begin = loud(samples[:, 0])[0][1], loud(samples[:, 1])[0][0]
    (first, *_) = analyse(talk.source).latency.turns
    assert rate == RATE
    assert begin - end == first.values["v2v_audible"].value_ms == 700.0


def test_an_analysis_knows_the_layout_already() -> None:
    """No second look is needed."""
    talk = two_sided()
    layout = layout_of(analyse(talk.source))
    assert np.array_equal(
        whole(stereo(talk.source, layout, RATE)),
        whole(stereo(talk.source, lay_out(talk.source), RATE)),
    )


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_a_track_can_have_any_rate(rate: int) -> None:
    """The same length in time; the tone stands where it stood."""
    track = user_track(two_sided(), rate)
    active = np.flatnonzero(np.abs(track.astype(np.int32)) > 2000)
    assert len(track) == 6 * rate
    assert abs(active[0] / rate * 1000 - 500) < 1


def test_g711_in_and_out() -> None:
    """8 kHz either way, resampled; what is silent stays silent."""
    talk = Talk().open()
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(0, "session.update", session={"audio": {"input": form, "output": form}})
    talk.server(1, "session.updated", session={"audio": {"input": form, "output": form}})
    for row in range(50):
        talk.append(20 * (row + 1), b"\xff" * 160 if row < 25 else b"\x80" * 160)
    talk.created(1000, "R").part_of(1001, "R", "A")
    delta = base64.b64encode(b"\x80" * 4000).decode()
    talk.server(1200, "response.output_audio.delta", response_id="R", item_id="A", delta=delta)
    both = whole(stereo(talk.source, lay_out(talk.source), RATE))

    assert len(both) == 1.7 * RATE
    quiet = np.abs(both[: RATE * 45 // 100, 0])
    assert quiet.max() < 10  # a resampler rings by a bit or two before a step
    assert both[RATE * 55 // 100 : RATE * 95 // 100, 0].min() > 30_000
    assert both[RATE * 125 // 100 : RATE * 165 // 100, 1].min() > 30_000
    assert not both[: RATE * 115 // 100, 1].any()


def test_a_format_that_changes_on_the_way_is_followed() -> None:
    """A second of PCM16, a second of µ-law: two seconds of sound."""
    talk = Talk().open().mic(0, 1000, speech=[(0, 1000)])
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(1000, "session.update", session={"audio": {"input": form}})
    for row in range(50):
        talk.append(1020 + 20 * row, b"\x80" * 160)
    assert len(user_track(talk)) == 2 * RATE


def test_the_audio_of_an_item_is_what_was_received() -> None:
    """Bit for bit, whatever sizes it came in."""
    pieces = [bytes(range(7)), b"\x01" * 33, b"", b"\xff" * 4001]
    talk = Talk().open().created(10, "R").part_of(11, "R", "A")
    for row, piece in enumerate(pieces):
        delta = base64.b64encode(piece).decode()
        ids = {"response_id": "R", "item_id": "A"}
        talk.server(20 + row, "response.output_audio.delta", **ids, delta=delta)
    assert b"".join(item_audio(talk.source, "A")) == b"".join(pieces)


def test_audio_that_is_gone_is_silence_of_the_same_length() -> None:
    """Erased or never kept: the tracks keep their length and the rest its place."""
    talk = two_sided()

    def erased(audio: bool) -> Iterator[Event]:
        for event in talk.source(audio):
            gone = event.type.endswith("append") and event.seq % 2 == 0
            yield event._replace(audio=None) if gone else event

    track = whole(user(erased, lay_out(erased), RATE))
    assert len(track) == 6 * RATE
    assert len(loud(track)) > 20


def test_an_utterance_can_be_had_by_itself() -> None:
    """The slice that became the item, in the format in which it was sent."""
    talk = two_sided()
    found = analyse(talk.source)
    said = found.speech.utterances[0]
    layout = layout_of(found)
    cut = list(user_audio(talk.source, layout, said.start_offset_ns, said.end_offset_ns))

    assert {form.rate for form, _ in cut} == {RATE}
    assert loud(whole(samples for _, samples in cut)) == [(300.0, 1800.0)]


def test_a_clip_is_cut_to_the_sample() -> None:
    """From 1.9 to 2.8 s of the call."""
    talk = two_sided()
    blocks = stereo(talk.source, lay_out(talk.source), RATE)
    cut = whole(clip(blocks, RATE, 1900 * MS, 2800 * MS))
    assert len(cut) == 0.9 * RATE
    assert loud(cut[:, 0]) == [(0.0, 100.0)]
    assert loud(cut[:, 1]) == [(800.0, 900.0)]


def test_one_item_behind_another_is_continuous() -> None:
    """Two answers back to back: no gap of a single sample."""
    talk = Talk().open().client(1, "response.create").answer(900, "R", "A", [(1000, 333.375)])
    talk.client(950, "response.create").answer(960, "R2", "B", [(1100, 500)])
    assert loud(assistant_track(talk)) == [(1000.0, 1833.375)]


def test_an_unknown_timeline_is_refused() -> None:
    """With the ones that there are."""
    with pytest.raises(UsageError, match="heard, received"):
        lay_out(two_sided().source, timeline="imagined")


@pytest.mark.parametrize("name", TRACKS)
def test_an_empty_session_has_empty_tracks(name: str) -> None:
    """No events, no sound."""
    stream, _ = TRACKS[name]
    talk = Talk()
    assert not list(stream(talk.source, lay_out(talk.source), RATE))


def test_memory_does_not_grow_with_the_call() -> None:
    """Ten minutes with a muted hour's worth of pauses: a few blocks are alive at a time."""
    (append,) = Talk().append(20, tone(20)).events

    def source(audio: bool) -> Iterator[Event]:
        for row in range(30_000):
            late = 600_000 if row > 15_000 else 0
            at_ns = (20 * (row + 1) + late) * MS
            yield append._replace(seq=row + 1, at_ns=at_ns, audio=append.audio if audio else None)

    layout = lay_out(source)
    tracemalloc.start()
    samples = sum(len(block) for block in stereo(source, layout, RATE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert samples == 1200 * RATE
    assert peak < 8_000_000


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2000)), min_size=1, max_size=12))
def test_no_sample_of_the_input_is_lost(chunks: list[tuple[int, int]]) -> None:
    """Whatever the sizes and pauses: everything is in the track, in order."""
    talk, at, number, sent = Talk().open(), 0, 1, []
    for size, pause in chunks:
        at += pause + size
        samples = np.arange(number, number + size * 24).astype("<i2")
        number += size * 24
        sent.append(samples)
        talk.append(at, samples.tobytes())
    track = user_track(talk)
    assert np.array_equal(track[track != 0], np.concatenate(sent)[np.concatenate(sent) != 0])


def test_real_user_audio_comes_out_whole() -> None:
    """263,424 bytes of a natural voice, sent in 55 appends."""
    events = captured("openai-ga-one-spoken-turn.jsonl", 100)
    layout = lay_out(lambda audio: events)
    track = whole(user(lambda audio: events, layout, RATE))
    sent = b"".join(event.audio or b"" for event in events if event.type.endswith("append"))
    assert len(sent) == 263_424
    start = layout.clock.anchors[0].offset_ns * 24 // MS
    assert track[start : start + len(sent) // 2].astype("<i2").tobytes() == sent

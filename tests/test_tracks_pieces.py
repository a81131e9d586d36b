"""Pieces of the sound by themselves, audio inside items, cuts, and the three timelines."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio.codecs import Samples, decode_audio
from recorder.audio.formats import ALAW, ULAW, AudioFormat
from recorder.projections import analyse
from recorder.tracks import (
    Piece,
    assistant,
    item_pieces,
    lay_out,
    layout_of,
    response_pieces,
    stream_pieces,
    turn_pieces,
    user,
)
from tests.building import MS, Talk, hush, tone

RATE = 24_000
LAW = {ULAW: "audio/pcmu", ALAW: "audio/pcma"}


def whole(blocks: Any) -> Samples:
    return np.concatenate([np.zeros(0, np.int16), *blocks])


def sounds(talk: Talk, pieces: list[Piece], rate: int | None = None) -> list[Samples]:
    """What each of these holds."""
    found: list[list[Samples]] = [[] for _ in pieces]
    ended = [0] * len(pieces)
    for part in stream_pieces(talk.source, lay_out(talk.source), pieces, rate):
        assert not ended[part.piece]
        found[part.piece].append(part.samples)
        ended[part.piece] += part.last
    assert ended == [1] * len(pieces)
    return [whole(blocks) for blocks in found]


def loud(track: Samples) -> list[tuple[float, float]]:
    active = np.concatenate(([False], np.abs(track.astype(np.int32)) > 1000, [False]))
    edges = np.flatnonzero(np.diff(active.astype(np.int8)))
    return [(float(a) / 24, float(b) / 24) for a, b in edges.reshape(-1, 2)]


def delta(talk: Talk, ms: float, audio: bytes, item: str = "A", response: str = "R") -> Talk:
    text = base64.b64encode(audio).decode()
    ids = {"response_id": response, "item_id": item}
    return talk.server(ms, "response.output_audio.delta", **ids, delta=text)


def starved() -> Talk:
    """200 ms, a hole of 800 in the network, 200 ms; and a second answer while that still plays."""
    talk = Talk().open().answer(900, "R", "A", [(1000, 200), (2000, 200)])
    return talk.answer(2050, "R2", "B", [(2100, 300)])


@pytest.mark.parametrize(
    ("timeline", "expected"),
    [
        ("heard", [(1000.0, 1200.0), (2000.0, 2500.0)]),
        ("received", [(1000.0, 1200.0), (2000.0, 2500.0)]),
        ("generated", [(1000.0, 1400.0), (2100.0, 2400.0)]),
    ],
)
def test_the_timelines_differ_by_what_the_network_did(
    timeline: str, expected: list[tuple[float, float]]
) -> None:
    """As the model made it there is no hole; the second waits only for the end of the first."""
    talk = starved()
    track = whole(assistant(talk.source, lay_out(talk.source, timeline=timeline), RATE))
    assert loud(track) == expected


def test_generated_audio_is_laid_end_to_end() -> None:
    """Two answers that came faster than they can be played: no break, and no cut."""
    talk = Talk().open().answer(900, "R", "A", [(1000, 500), (1010, 500)])
    talk.answer(1100, "R2", "B", [(1200, 250)])
    talk.client(1300, "conversation.item.truncate", item_id="A", audio_end_ms=300)
    layout = lay_out(talk.source, timeline="generated")

    assert loud(whole(assistant(talk.source, layout, RATE))) == [(1000.0, 2250.0)]
    assert [(cut.item_id, cut.in_track) for cut in layout.cuts] == [("A", True), ("B", True)]


def cut_short() -> Talk:
    """Three seconds from 2600 on, of which the client says at 3800 that 1,150 ms were played."""
    talk = Talk().open().answer(2300, "R", "A", [(2600, 1000), (2700, 2000)])
    return talk.client(3800, "conversation.item.truncate", item_id="A", audio_end_ms=1150)


def test_every_cut_is_labelled() -> None:
    """Where, how much, by what evidence; the same from an analysis."""
    talk = cut_short()
    (cut,) = lay_out(talk.source).cuts

    assert (cut.item_id, cut.response_id) == ("A", "R")
    assert cut.at_ns == 3750 * MS
    assert (cut.heard_ns, cut.unheard_ns) == (1150 * MS, 1850 * MS)
    assert (cut.why, cut.label, cut.stop_ns) == ("truncated", "estimated", 3800 * MS)
    assert talk.seq("conversation.item.truncate") in cut.evidence
    assert not cut.in_track
    assert layout_of(analyse(talk.source)).cuts == (cut,)


@pytest.mark.parametrize("timeline", ["received", "generated"])
def test_a_cut_is_told_where_the_track_goes_on_too(timeline: str) -> None:
    """From there on nobody heard it."""
    (cut,) = lay_out(cut_short().source, timeline=timeline).cuts
    assert (cut.at_ns, cut.in_track) == (3750 * MS, True)


def test_what_was_never_played_is_a_cut_too() -> None:
    """The client cancelled before the audio came: nothing of it is in the track."""
    talk = Talk().open().created(1000, "R").part_of(1001, "R", "A")
    talk.client(1100, "response.cancel", response_id="R")
    delta(talk, 1200, tone(500))
    layout = lay_out(talk.source)

    (cut,) = layout.cuts
    assert (cut.heard_ns, cut.unheard_ns, cut.why) == (0, 500 * MS, "cancelled")
    assert not layout.has_assistant
    assert not item_pieces(layout)


# Audio inside items.


def sends(talk: Talk, ms: float, audio: bytes, item: str = "U", role: str = "user") -> Talk:
    """The application sends what the user said as a whole item."""
    part = {"type": "input_audio", "audio": base64.b64encode(audio).decode()}
    body = {"id": item, "type": "message", "role": role, "content": [part]}
    return talk.client(ms, "conversation.item.create", item=body)


def test_audio_inside_an_item_ends_when_it_was_sent() -> None:
    """A second of speech, sent whole at 3000."""
    talk = sends(Talk().open(), 3000, tone(1000)).close(4000)
    layout = lay_out(talk.source)

    assert loud(whole(user(talk.source, layout, RATE))) == [(2000.0, 3000.0)]
    assert [found.start_ns for found in layout.inside] == [2000 * MS]
    assert loud(sounds(talk, item_pieces(layout))[0]) == [(0.0, 1000.0)]


def test_two_of_them_stand_one_behind_the_other() -> None:
    """Nothing is laid over anything, and nothing before the session began."""
    talk = sends(sends(Talk().open(), 300, tone(500), "U"), 600, tone(400), "V").close(2000)
    assert loud(whole(user(talk.source, lay_out(talk.source), RATE))) == [(0.0, 900.0)]


def test_audio_inside_an_item_stands_between_what_was_captured() -> None:
    """Push-to-talk before and after."""
    talk = Talk().open().mic(0, 1000, speech=[(200, 800)])
    sends(talk, 3000, tone(500)).mic(4000, 5000, speech=[(4200, 4800)])
    assert loud(whole(user(talk.source, lay_out(talk.source), RATE))) == [
        (200.0, 800.0), (2500.0, 3000.0), (4200.0, 4800.0),
    ]  # fmt: skip


def test_it_never_moves_what_was_captured_live() -> None:
    """The microphone was on: there is no room, and that is told; the piece is to be had."""
    talk = sends(Talk().open().mic(0, 4000, speech=[(500, 800)]), 3000, tone(500))
    layout = lay_out(talk.source)

    assert loud(whole(user(talk.source, layout, RATE))) == [(500.0, 800.0)]
    assert [found.start_ns for found in layout.inside] == [None]
    assert len(sounds(talk, item_pieces(layout))[0]) == RATE // 2


def test_the_audio_of_a_retrieved_item_is_a_piece() -> None:
    """What the server kept of it; the assistant's in the format of the output."""
    talk = Talk().open()
    part = {"type": "input_audio", "audio": base64.b64encode(tone(250)).decode()}
    body = {"id": "U", "type": "message", "role": "user", "content": [part]}
    talk.server(500, "conversation.item.retrieved", item=body).close(600)
    layout = lay_out(talk.source)

    (piece,) = item_pieces(layout)
    assert (piece.name, piece.speaker) == ("U-retrieved", "user")
    assert np.array_equal(sounds(talk, [piece])[0], np.frombuffer(tone(250), "<i2"))
    assert not layout.has_user


def test_audio_inside_an_item_that_is_gone_is_silence_of_the_same_length() -> None:
    """Erased or never kept."""
    talk = sends(Talk().open(), 3000, tone(1000)).close(4000)
    layout = lay_out(talk.source)
    parts = stream_pieces(lambda audio: talk.source(False), layout, item_pieces(layout))
    assert not whole(part.samples for part in parts).any()
    assert len(whole(user(lambda audio: talk.source(False), layout, RATE))) == 4 * RATE


# Turns, items, responses.


def test_each_turn_of_the_user_is_a_piece() -> None:
    """What was committed, and nothing of the silence around it; from one pass."""
    talk = Talk().open().mic(0, 6000, speech=[(500, 2000), (3700, 4900)])
    talk.heard(2250, "U1", start=200, end=2200).answer(2300, "R", "A", [(2600, 300)])
    talk.heard(5150, "U2", start=3400, end=5100).answer(5200, "R2", "B", [(5300, 300)])
    found = analyse(talk.source)
    pieces = turn_pieces(layout_of(found), found.turns, found.speech.utterances)

    assert [piece.name for piece in pieces] == ["1", "2"]
    first, second = sounds(talk, pieces)
    assert (len(first), loud(first)) == (2 * RATE, [(300.0, 1800.0)])
    assert (len(second), loud(second)) == (1.7 * RATE, [(300.0, 1500.0)])


def test_a_turn_over_a_change_of_format_is_one_piece() -> None:
    """Half a second of PCM16 and half a second of µ-law, at the higher of their rates."""
    talk = Talk().open(vad=None).mic(0, 500, speech=[(0, 500)])
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(500, "session.update", session={"audio": {"input": form}})
    for row in range(25):
        talk.append(520 + 20 * row, b"\x80" * 160)
    talk.client(1010, "input_audio_buffer.commit").committed(1020, "U")
    talk.client(1030, "response.create").answer(1100, "R", "A", [(1200, 100)])
    found = analyse(talk.source)
    (piece,) = turn_pieces(layout_of(found), found.turns, found.speech.utterances)

    (sound,) = sounds(talk, [piece])
    assert piece.rate == RATE
    assert len(sound) == RATE
    assert np.abs(sound[: RATE // 2]).min() > 7000
    assert sound[RATE * 55 // 100 : RATE * 95 // 100].min() > 30_000


def test_a_response_is_its_items_one_after_the_other() -> None:
    """Although their deltas came mixed."""
    talk = Talk().open().created(900, "R").part_of(901, "R", "A").part_of(902, "R", "B")
    for row in range(3):
        delta(talk, 1000 + row, tone(100), "A")
        delta(talk, 1000.5 + row, hush(100), "B")
    (piece,) = response_pieces(lay_out(talk.source))

    (sound,) = sounds(talk, [piece])
    assert piece.name == "R"
    assert (len(sound), loud(sound)) == (0.6 * RATE, [(0.0, 300.0)])


def test_a_piece_ends_where_it_was_cut() -> None:
    """On `heard`; the other timelines have all of it."""
    talk = cut_short()
    lengths = {}
    for timeline in ("heard", "received", "generated"):
        layout = lay_out(talk.source, timeline=timeline)
        lengths[timeline] = len(sounds(talk, item_pieces(layout))[0]) * 1000 / RATE
    assert lengths == {"heard": 1150, "received": 3000, "generated": 3000}


@pytest.mark.parametrize("law", LAW)
def test_g711_of_either_law_is_expanded_exactly(law: str) -> None:
    """All codes, in and out, at the 8 kHz in which they came."""
    talk, codes = Talk().open(vad=None), bytes(range(256))
    form = {"format": {"type": LAW[law]}}
    talk.client(0, "session.update", session={"audio": {"input": form, "output": form}})
    talk.server(1, "session.updated", session={"audio": {"input": form, "output": form}})
    talk.append(32, codes).client(40, "input_audio_buffer.commit").committed(50, "U")
    delta(talk.created(100, "R").part_of(101, "R", "A"), 200, codes)
    found = analyse(talk.source)

    pieces = item_pieces(layout_of(found), found.speech.utterances)
    expected = decode_audio(codes, AudioFormat(law, 8000))
    assert [piece.rate for piece in pieces] == [8000, 8000]
    assert all(np.array_equal(sound, expected) for sound in sounds(talk, pieces))


def test_a_response_may_have_a_format_of_its_own() -> None:
    """G.711 in one answer, PCM16 in the next."""
    talk = Talk().open()
    ulaw = {"output": {"format": {"type": "audio/pcmu"}}}
    delta(talk.created(100, "R", audio=ulaw).part_of(101, "R", "A"), 200, b"\x80" * 800)
    talk.done(210, "R").answer(900, "R2", "B", [(1000, 100)])
    layout = lay_out(talk.source)

    assert [piece.rate for piece in item_pieces(layout)] == [8000, RATE]
    track = whole(assistant(talk.source, layout, RATE))
    assert track[RATE * 21 // 100 : RATE * 29 // 100].min() > 30_000
    assert loud(track)[-1] == (1000.0, 1100.0)


@given(st.lists(st.integers(0, 700), min_size=1, max_size=25), st.booleans())
def test_odd_bytes_wait_for_their_other_half(sizes: list[int], spoken: bool) -> None:
    """However the bytes are cut up, in either direction: the samples are those that were sent."""
    data = np.arange(1, sum(sizes) // 2 + 2, dtype="<i2").tobytes()
    talk, begin = Talk().open(vad=None), 0
    if spoken:
        talk.created(1, "R").part_of(2, "R", "A")
    for row, size in enumerate(sizes):
        piece, begin = data[begin : begin + size], begin + size
        delta(talk, 10 + row, piece) if spoken else talk.append(1000 + row, piece)
    expected = np.frombuffer(data[: begin // 2 * 2], "<i2")
    layout = lay_out(talk.source, timeline="received")
    stream: Iterator[Samples] = (assistant if spoken else user)(talk.source, layout, RATE)
    track = whole(stream)
    assert np.array_equal(track[track != 0], expected)

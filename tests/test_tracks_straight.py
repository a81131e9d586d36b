"""Sound read by the numbers of its events: the same samples as from decoding every message."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from recorder.audio.codecs import Samples
from recorder.events import Event
from recorder.sql.store import SqlStore
from recorder.tracks import TRACKS, EventSource, Layout, assistant, lay_out, stereo, user
from tests.building import MS, Talk, hush, tone
from tests.log_kit import session

RATE: Final = 24_000
CHUNK: Final = 20 * RATE // 1000
ONE: Final = session(1)


def whole(blocks: Iterator[Samples]) -> Samples:
    return np.concatenate(list(blocks))


def stored(store: SqlStore, events: list[Event]) -> EventSource:
    """The events as this store gives them, in parts."""
    store.begin(ONE)
    store.append([(ONE.id, events)])
    return lambda audio: store.read(ONE.id, audio=audio)


def two_sided() -> Talk:
    """Speech 500 to 2000; an answer of 3 s, cut at 3750 by speech from 3700 on."""
    talk = Talk().open().mic(0, 6000, speech=[(500, 2000), (3700, 4900)])
    talk.heard(2250, "U1", start=200, end=2200)
    talk.answer(2300, "R", "A", [(2600, 1000), (2700, 2000)], text="Long.", lead=100)
    talk.client(3800, "conversation.item.truncate", item_id="A", audio_end_ms=1150)
    return talk.close(6000)


def muted() -> Talk:
    """Two answers of 400 deltas in all, while nothing is appended from 200 ms to 30 s."""
    talk = Talk().open().mic(0, 200, speech=[(0, 100)])
    talk.client(201, "response.create").answer(
        300, "R", "A", [(400 + 20 * n, 20) for n in range(200)]
    )
    talk.client(9000, "response.create").answer(
        9001, "S", "B", [(9100 + n, 20) for n in range(200)]
    )
    return talk.mic(30_000, 31_000, speech=[(30_500, 31_000)])


def at_once() -> Talk:
    """Two minutes of a file within two seconds: either side is read by itself."""
    talk = Talk().open()
    for row in range(120):
        talk.append(100 + 15 * row, tone(1000) if row % 10 == 3 else hush(1000))
    return talk.answer(3000, "R", "A", [(4000, 500), (4100, 700)]).close(9000)


def in_g711() -> Talk:
    """PCM16 from the user, then µ-law; µ-law from the assistant, whose deltas name no item."""
    talk = Talk().open().mic(0, 500, speech=[(100, 400)])
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(500, "session.update", session={"audio": {"input": form, "output": form}})
    talk.server(501, "session.updated", session={"audio": {"input": form, "output": form}})
    for row in range(50):
        talk.append(520 + 20 * row, bytes(range(40, 200)))
    talk.created(1000, "R").part_of(1001, "R", "A")
    delta = base64.b64encode(b"\x80" * 401).decode()
    for row in range(5):
        talk.server(1200 + 100 * row, "response.output_audio.delta", delta=delta)
    return talk


def odd_bytes() -> Talk:
    """Appends and deltas that end within a sample, and one without any audio."""
    talk = Talk().open().created(10, "R").part_of(11, "R", "A")
    for row in range(40):
        talk.append(20 * (row + 1), tone(20)[: 959 + row % 3])
        size = (4001, 7, 0, 333)[row % 4]
        delta = base64.b64encode(bytes(range(1, 252)) * 16)[: size // 3 * 4]
        ids = {"response_id": "R", "item_id": "A"}
        talk.server(20 * row + 15, "response.output_audio.delta", **ids, delta=delta.decode())
    return talk


TALKS: Final = {make.__name__: make for make in (two_sided, muted, at_once, in_g711, odd_bytes)}


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("make", TALKS.values(), ids=list(TALKS))
def test_every_sample_is_the_one_that_decoding_gives(
    sql_store: SqlStore, make: Callable[[], Talk], track: str
) -> None:
    """On each track, of one channel or of two."""
    talk = make()
    source = stored(sql_store, talk.events)
    layout, stream = lay_out(source), TRACKS[track][0]

    assert layout.deltas is not None
    assert lay_out(talk.source).deltas is None
    expected = whole(stream(talk.source, lay_out(talk.source), RATE))
    assert np.array_equal(whole(stream(source, layout, RATE)), expected)
    assert expected.any()


def changed(path: Path, sql: str) -> int:
    """How many events of the file this changes, past everything of ours."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).rowcount


def laid_out(folder: Path, events: list[Event]) -> tuple[SqlStore, EventSource, Layout]:
    store = SqlStore.open(folder / "calls.db")
    source = stored(store, events)
    return store, source, lay_out(source)


def test_no_message_is_decoded_a_second_time(tmp_path: Path) -> None:
    """Nothing of the messages is left but their audio: the sound is the same."""
    store, source, layout = laid_out(tmp_path, two_sided().events)
    before = whole(stereo(source, layout, RATE))
    assert changed(tmp_path / "calls.db", "UPDATE events SET head = x'7b7d'") > 300

    assert np.array_equal(whole(stereo(source, layout, RATE)), before)
    store.close()


def test_what_is_erased_meanwhile_is_silence(tmp_path: Path) -> None:
    """Between the two passes: an append in a page, the last of all, and a delta."""
    talk = two_sided()
    store, source, layout = laid_out(tmp_path, talk.events)
    expected = whole(stereo(source, layout, RATE))
    appends = [e.seq for e in talk.events if e.type == "input_audio_buffer.append"]
    first = talk.seq("response.output_audio.delta")
    gone = (appends[40], appends[-1], first)
    sql = f"UPDATE events SET audio = NULL WHERE key & 4294967295 IN {gone}"
    assert changed(tmp_path / "calls.db", sql) == 3

    expected[40 * CHUNK : 41 * CHUNK, 0] = 0
    expected[-CHUNK:, 0] = 0
    begin = 2600 * RATE // 1000
    expected[begin : begin + RATE, 1] = 0
    assert np.array_equal(whole(stereo(source, layout, RATE)), expected)
    assert np.array_equal(whole(user(source, layout, RATE)), expected[:, 0])
    assert np.array_equal(whole(assistant(source, layout, RATE)), expected[:, 1])
    store.close()


def test_all_of_it_may_be_erased_meanwhile(tmp_path: Path) -> None:
    """Then the track is as long as it was, and silent."""
    store, source, layout = laid_out(tmp_path, two_sided().events)
    assert changed(tmp_path / "calls.db", "UPDATE events SET audio = NULL") > 300

    track = whole(stereo(source, layout, RATE))
    assert track.shape == (6 * RATE, 2)
    assert not track.any()
    store.close()


def test_what_is_recorded_meanwhile_is_left_out(sql_store: SqlStore) -> None:
    """A layout is of one moment."""
    events = two_sided().events
    source = stored(sql_store, events)
    layout = lay_out(source)
    before = whole(stereo(source, layout, RATE))
    more = Talk().mic(6000, 7000, speech=[(6000, 7000)])
    more.answer(6500, "R2", "B", [(6600, 300)]).answer(6800, "R", "A", [(6900, 300)])
    last = events[-1].seq
    sql_store.append([(ONE.id, [e._replace(seq=e.seq + last) for e in more.events])])

    assert np.array_equal(whole(stereo(source, layout, RATE)), before)
    assert len(whole(stereo(source, lay_out(source), RATE))) > len(before)


def loose(ms: float) -> str:
    """A tone as base64 without its padding: it stays in the message."""
    return base64.b64encode(tone(ms)[:-2]).decode().rstrip("=")


def with_loose_append() -> Talk:
    talk = two_sided()
    return talk.client(5999, "input_audio_buffer.append", audio=loose(40))


def with_loose_delta() -> Talk:
    talk = two_sided()
    ids = {"response_id": "R", "item_id": "A"}
    return talk.server(2650, "response.output_audio.delta", **ids, delta=loose(40))


def with_audio_inside() -> Talk:
    content = [{"type": "input_audio", "audio": base64.b64encode(tone(300)).decode()}]
    item = {"id": "I", "type": "message", "role": "user", "content": content}
    return Talk().open().client(1000, "conversation.item.create", item=item).close(2000)


@pytest.mark.parametrize("make", [with_loose_append, with_loose_delta, with_audio_inside])
def test_sound_inside_a_message_is_decoded(sql_store: SqlStore, make: Callable[[], Talk]) -> None:
    """Where the log has any of it that way, all messages are looked at."""
    talk = make()
    source = stored(sql_store, talk.events)
    layout = lay_out(source)

    assert layout.deltas is None
    expected = whole(stereo(talk.source, lay_out(talk.source), RATE))
    assert np.array_equal(whole(stereo(source, layout, RATE)), expected)
    assert expected.any()


TOMBSTONES: Final = (
    ("input_audio_buffer.append", 41, 0, 800, 20),
    ("response.output_audio.delta", 1, 1, 2600, 1000),
)
"""Type and place in the log; side, begin and length in ms of its sound."""


@pytest.mark.parametrize(("kind", "nth", "side", "begin_ms", "length_ms"), TOMBSTONES)
def test_a_tombstone_is_told_and_is_silence(
    sql_store: SqlStore, kind: str, nth: int, side: int, begin_ms: int, length_ms: int
) -> None:
    """Its length is in the layout, on its side; what lies around it is heard."""
    talk = two_sided()
    events, row = talk.events, talk.seq(kind, nth) - 1
    meta = f'{(events[row].meta or "")[:-1]},"tombstone":{{"reason":"erased"}}}}'
    events[row] = events[row]._replace(meta=meta, audio=None)
    source = stored(sql_store, events)
    layout = lay_out(source)
    expected = whole(stereo(talk.source, lay_out(talk.source), RATE))
    stretch = expected[begin_ms * RATE // 1000 :][: length_ms * RATE // 1000, side]
    assert stretch.any()
    stretch[:] = 0

    assert layout.deltas is None
    assert layout.gone_ns[side] == length_ms * MS
    assert layout.gone_ns[1 - side] == 0
    assert np.array_equal(whole(stereo(source, layout, RATE)), expected)

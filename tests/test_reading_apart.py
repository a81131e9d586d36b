"""Appends read by columns beside the rest: nothing lost, nothing doubled, and the same results."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import wire
from recorder.errors import DamagedLog
from recorder.events import Event, Origin
from recorder.projections.analysis import Analysis, analyse
from recorder.sql import reading
from recorder.sql.store import SqlStore
from recorder.store import APPEND, Appends, Parted
from recorder.tracks import lay_out, stereo
from tests.building import Talk, hush, tone
from tests.log_kit import session

ONE = session(1)


def kept(store: SqlStore, events: list[Event]) -> SqlStore:
    """The store with these as its one session."""
    store.begin(ONE)
    store.append([(ONE.id, events)])
    return store


def parts(store: SqlStore, *, audio: bool = True, **span: int) -> tuple[list[Event], list[Event]]:
    """(the other events, the appends put together as events again)."""
    found = store.read(ONE.id, audio=audio, **span)
    assert isinstance(found, Parted)
    others, appends = found.apart()
    rows = []
    for page in appends:
        assert len(page.seqs) == len(page.times) == len(page.sizes)
        pieces = page.audio or [None] * len(page.seqs)
        for seq, at_ns, size, piece in zip(page.seqs, page.times, page.sizes, pieces, strict=True):
            assert piece is None or len(piece) == size
            rows.append(Event(seq, at_ns, Origin.CLIENT, APPEND, 1, b"", str(size), piece))
    return list(others), rows


def call() -> list[Event]:
    """Two turns, with deltas among the appends."""
    talk = Talk().open().mic(0, 3000, speech=[(300, 900), (2000, 2500)])
    talk.heard(1200, "U", start=0, end=1100)
    talk.answer(1300, "R", "A", [(1500, 400), (1600, 400), (1700, 400)], text="Nine to five.")
    talk.heard(2800, "V", start=1800, end=2700)
    return talk.close(3000).events


@pytest.mark.parametrize("audio", [True, False])
def test_both_parts_are_the_whole(sql_store: SqlStore, audio: bool) -> None:
    """Each event in one of them, each part in order, with and without sound."""
    events = call()
    others, appends = parts(kept(sql_store, events), audio=audio)
    plain = [event for event in events if event.type == APPEND]

    assert [event.seq for event in appends] == [event.seq for event in plain]
    assert [event.at_ns for event in appends] == [event.at_ns for event in plain]
    assert [int(event.meta or "") for event in appends] == [960] * len(plain)
    assert [event.audio for event in appends] == [e.audio if audio else None for e in plain]
    assert [event.seq for event in others] == [e.seq for e in events if e.type != APPEND]


def odd_appends() -> list[Event]:
    """One of each that is more, or less, than audio that was cut out; and a small plain one."""
    text = base64.b64encode(hush(20)).decode()
    messages = [
        f'{{"type":"{APPEND}","audio":"{text}"}}',
        f'{{"type":"{APPEND}","audio":"{text.rstrip("=")}!"}}',  # not canonical: nothing is cut
        f'{{"type":"{APPEND}"}}',
        f'{{"type":"{APPEND}","audio":"{base64.b64encode(hush(1000)).decode()}"}}',
    ]
    split = [wire.split(message.encode()) for message in messages]
    split += [wire.without_audio(split[0], "erased"), wire.with_redactions(split[0], ["key"])]
    split.append(wire.with_redactions(wire.split(b'{"type":"%s"}' % APPEND.encode()), ["k"]))
    return [
        Event(seq, seq * 20_000_000, Origin.CLIENT, part.type, 1, part.head, part.meta, part.audio)
        for seq, part in enumerate(split, 1)
    ]


def test_what_is_more_than_audio_is_an_event(sql_store: SqlStore) -> None:
    """Redacted, erased, odd, long: nothing about them may be lost in a column."""
    events = odd_appends()
    others, appends = parts(kept(sql_store, events))
    assert [event.seq for event in appends] == [1]
    assert others == events[1:]


def test_another_origin_is_not_the_users(sql_store: SqlStore) -> None:
    """A server that says `append` has not been spoken to."""
    (event, *_) = odd_appends()
    others, appends = parts(kept(sql_store, [event._replace(origin=Origin.SERVER)]))
    assert (len(others), len(appends)) == (1, 0)


def test_pages_meet_without_a_gap(sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length of a page, in rows or bytes; and a span ends where it ends."""
    kept(sql_store, call())
    whole = parts(sql_store)
    for rows in (1, 7, 150):
        monkeypatch.setattr(reading, "PAGE_ROWS", rows)
        assert parts(sql_store) == whole
    for size in (0, 5000):
        monkeypatch.setattr(reading, "PAGE_BYTES", size)
        assert parts(sql_store) == whole
    others, appends = parts(sql_store, after=10, until=40)
    assert sorted(event.seq for event in [*others, *appends]) == list(range(11, 41))


def test_both_parts_end_together(sqlite_store: SqlStore) -> None:
    """What is recorded meanwhile is in neither, though one of them is read later."""
    events = call()
    kept(sqlite_store, events[:50])
    others, appends = sqlite_store.read(ONE.id).apart()  # type: ignore[attr-defined]
    sqlite_store.append([(ONE.id, events[50:])])
    assert sorted([*(e.seq for e in others), *(s for page in appends for s in page.seqs)]) == list(
        range(1, 51)
    )


@pytest.mark.parametrize("span", [{}, {"after": 40}, {"after": 17, "until": 120}, {"limit": 33}])
def test_the_sound_alone_is_that_of_the_events(
    sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch, span: dict[str, int]
) -> None:
    """Of each that has any, in order, over pages small and large."""
    kept(sql_store, call())
    expected = [
        (event.seq, event.audio)
        for event in sql_store.read(ONE.id, **span)
        if event.audio is not None
    ]
    assert len(expected) > 20
    for page_bytes in (reading.PAGE_BYTES, 3000):
        monkeypatch.setattr(reading, "PAGE_BYTES", page_bytes)
        found = sql_store.read(ONE.id, **span)
        assert isinstance(found, Parted)
        pages = list(found.sound())
        assert all(pages)
        pieces = [pair for page in pages for pair in zip(page.seqs, page.audio, strict=True)]
        assert pieces == expected


def read_as_text(*texts: str) -> Appends | None:
    """What is made of this row of SQLite's."""
    with closing(sqlite3.connect(":memory:")) as connection:
        return reading._as_text(connection.execute("SELECT ?, ?, ?", texts))


def test_columns_come_in_order_whatever_sqlite_does() -> None:
    """It promises no order of what it writes one after the other."""
    found = read_as_text("3,1,2", "30,10,20", "7,5,6")
    assert found is not None
    assert [list(column) for column in found[:3]] == [[1, 2, 3], [10, 20, 30], [5, 6, 7]]


def test_columns_that_are_no_numbers_are_damage() -> None:
    """Somebody wrote into the database."""
    with pytest.raises(DamagedLog, match="not what was written"):
        read_as_text("1,2", "10,soon", "5,6")


def test_an_empty_session_has_two_empty_parts(sql_store: SqlStore) -> None:
    """No events, no pages."""
    sql_store.begin(ONE)
    assert parts(sql_store) == ([], [])


def views(found: Analysis) -> tuple[object, ...]:
    """What can be compared of it."""
    return (found.summary, found.conversation, found.speech, found.playback, found.turns,
            found.latency, found.quality, found.findings, found.transcript)  # fmt: skip


def assert_same_either_way(store: SqlStore) -> None:
    """An analysis and a stereo track, from both parts and from one."""

    def parted(audio: bool) -> Iterator[Event]:
        return store.read(ONE.id, audio=audio)

    def plain(audio: bool) -> Iterator[Event]:
        return iter(list(store.read(ONE.id, audio=audio)))

    for detect in (True, False):
        assert views(analyse(parted, detect=detect)) == views(analyse(plain, detect=detect))
    layout = lay_out(parted)
    other = lay_out(plain)
    assert replace(layout, clock=other.clock) == other
    assert np.array_equal(layout.clock.times, other.clock.times)
    both = [np.concatenate([np.zeros((0, 2), np.int16), *stereo(source, layout, 24_000)])
            for source in (parted, plain)]  # fmt: skip
    assert np.array_equal(*both)


def test_a_call_is_understood_the_same_either_way(sql_store: SqlStore) -> None:
    """All of it."""
    assert_same_either_way(kept(sql_store, call()))


@given(data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_is_understood_the_same_either_way(
    data: st.DataObject, sqlite_store: SqlStore
) -> None:
    """Formats that change, commits, deltas, odd appends, in any order between the appends."""
    talk = Talk().open()
    ids = {"response_id": "R", "item_id": "A"}
    law = {"format": {"type": "audio/pcmu"}}
    talk.created(0.5, "R")
    for row in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from("aaaaaaaadcfxoe")):
            case "a":
                talk.append(20 * row, tone(20) if row % 3 else hush(20))
            case "d":
                text = base64.b64encode(tone(30)).decode()
                talk.server(20 * row, "response.output_audio.delta", **ids, delta=text)
            case "c":
                talk.client(20 * row, "input_audio_buffer.commit").committed(20 * row, f"U{row}")
            case "f":
                talk.client(20 * row, "session.update", session={"audio": {"input": law}})
            case "x":
                talk.server(20 * row, "vendor.unheard_of", n=row)
            case "o":
                talk.client(20 * row, APPEND, audio="AAA!")
            case _:
                talk.append(20 * row, hush(700))
    store = sqlite_store
    if ONE.id in {found.id for found in store.sessions()}:
        store.remove(ONE.id)
    assert_same_either_way(kept(store, talk.events))

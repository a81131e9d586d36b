"""Calls that are watched while they are recorded: folded on, shared, let go, never stale."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from recorder.errors import SessionNotFound
from recorder.events import Event
from recorder.sql.afterwards import append_fact
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.sql.tiles import Key
from recorder.ui.growths import GRACE, MOST, PACE, Growths
from recorder.ui.making import made_of
from recorder.ui.sheets import Sheets, unpacked
from tests.talks import Talk, process, silence, tone
from tests.ui_kit import FOREVER, Served, served

FACTS = Key("facts")


class Clock:
    """A clock that is turned by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Reads(SqlStore):
    """Counts the events that are read; each takes ten seconds of a clock, if it has one."""

    count = 0
    clock: Clock | None = None

    def read(self, *given: Any, **how: Any) -> Any:
        def counted() -> Iterator[Event]:
            for event in found:
                self.count += 1
                if self.clock is not None:
                    self.clock.now += 10
                yield event

        found = super().read(*given, **how)
        return counted()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Reads]:
    found = Reads.open(locate(str(tmp_path / "calls.db"), {}))
    found.register(process("alive", FOREVER))
    yield found
    found.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def growths(store: SqlStore, clock: Clock) -> Iterator[Growths]:
    found = Growths(store, clock)
    yield found
    found.close()


def live(store: SqlStore, seed: int = 1) -> Talk:
    return Talk(store, seed=seed, recorder="alive").opened().created().kept()


def facts(growths: Growths, talk: Talk) -> Any:
    return unpacked(growths.tile(talk.id, FACTS) or b"")


def fresh(store: SqlStore, talk: Talk) -> Any:
    """The facts of one fold of the log."""
    made = made_of(store, store.session(talk.id), store.last_seq(talk.id))
    return unpacked(made.tiles[FACTS])


def test_a_growth_reads_only_what_is_new(store: Reads, growths: Growths, clock: Clock) -> None:
    """And what stands there is what one fold of the log gives."""
    talk = live(store).says(200, tone(2000)).kept()
    growths.tile(talk.id, FACTS)
    before = store.count
    talk.says(2200, tone(300)).kept()
    clock.now += 60
    assert facts(growths, talk)["last_seq"] == store.last_seq(talk.id)
    assert store.count - before == 3  # 300 ms in pieces of 100
    assert facts(growths, talk) == fresh(store, talk)


def test_what_came_is_told_to_each_by_what_he_knows(
    store: SqlStore, growths: Growths, clock: Clock
) -> None:
    """One is up to date, the other a growth behind; None where nothing came."""
    talk = live(store)
    first = facts(growths, talk)["last_seq"]
    talk.says(200, tone(300)).kept()
    clock.now += 60
    assert orjson.loads(growths.since(talk.id, first) or b"")["last_seq"] == first + 3
    talk.says(500, tone(200)).kept()
    clock.now += 60
    behind = orjson.loads(growths.since(talk.id, first) or b"")
    near = orjson.loads(growths.since(talk.id, first + 3) or b"")
    assert [len(each["events"][0]["at"]) for each in (behind, near)] == [5, 2]
    assert growths.since(talk.id, first + 5) is None


def test_all_who_look_share_one_fold(store: Reads, growths: Growths, clock: Clock) -> None:
    """Eight threads at once: each event is read once more than the one that tells when it was."""
    talk = live(store)
    growths.tile(talk.id, FACTS)
    talk.says(200, tone(2000)).kept()
    clock.now += 60
    before = store.count
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: growths.since(talk.id, 3), range(8)))
    assert len(set(found)) == 1
    assert store.count - before == 20


def test_it_grows_no_faster_than_is_of_use(store: Reads, growths: Growths, clock: Clock) -> None:
    """What came a moment after a growth waits for the next one."""
    talk = live(store)
    growths.tile(talk.id, FACTS)
    talk.says(200, tone(100)).kept()
    assert growths.since(talk.id, 3) is None
    clock.now += PACE
    assert growths.since(talk.id, 3) is not None


def test_the_first_view_holds_up_no_growth(store: Reads, growths: Growths, clock: Clock) -> None:
    """However long it took to fold all that there was."""
    talk = live(store)
    store.clock = clock
    growths.tile(talk.id, FACTS)
    store.clock = None
    assert clock.now >= 130
    talk.says(200, tone(100)).kept()
    clock.now += PACE
    assert growths.since(talk.id, 3) is not None


def test_what_nobody_looks_at_is_let_go(store: SqlStore, growths: Growths, clock: Clock) -> None:
    """Some seconds after the last page left; a page that follows keeps it."""
    talk = live(store)
    with growths.following(talk.id):
        growths.tile(talk.id, FACTS)
        clock.now += 10 * GRACE
        growths.let_go()
        assert growths.holds(talk.id)
    clock.now += GRACE - 1
    growths.let_go()
    assert growths.holds(talk.id)
    clock.now += 1
    growths.let_go()
    assert not growths.holds(talk.id)


def test_few_are_kept_that_nobody_follows(store: SqlStore, growths: Growths, clock: Clock) -> None:
    """Those asked about last."""
    talks = [live(store, seed) for seed in range(1, MOST + 3)]
    for talk in talks:
        clock.now += 1
        growths.tile(talk.id, FACTS)
    assert [growths.holds(talk.id) for talk in talks] == [False, False, *[True] * MOST]


def test_a_session_that_is_removed_is_forgotten(store: SqlStore, growths: Growths) -> None:
    """And says that it is gone."""
    talk = live(store)
    growths.tile(talk.id, FACTS)
    store.remove(talk.id)
    with pytest.raises(SessionNotFound):
        growths.since(talk.id, 1)
    assert not growths.holds(talk.id)


def test_another_session_under_the_same_name_is_folded_anew(
    store: SqlStore, growths: Growths
) -> None:
    """Removed, and brought in again with other words: nothing of the first is left."""
    first = live(store).says(200, tone(900)).kept()
    assert dict(facts(growths, first)["parts"])["sound"]
    session = store.session(first.id)
    events = [event for event in store.read(first.id) if event.seq <= 3]
    store.remove(first.id)
    store.begin(session)
    store.append([(first.id, events)])
    assert dict(facts(growths, first)["parts"])["sound"] is None
    assert facts(growths, first) == fresh(store, first)


def test_notes_and_tags_after_the_end_are_there(store: SqlStore, clock: Clock) -> None:
    """The call ends while it is watched; what is added then is on the page and in the tiles."""
    sheets = Sheets(store)
    talk = live(store)
    sheets.tile(talk.id, FACTS)
    talk.says(200, tone(300) + silence(300)).closed(900).kept()
    found = unpacked(sheets.tile(talk.id, FACTS) or b"")
    assert found == fresh(store, talk)
    assert not sheets.growths.is_live(talk.id)
    append_fact(store, store.session(talk.id), "note", {"text": "a needle"})
    found = unpacked(sheets.tile(talk.id, FACTS) or b"")
    assert dict(found["parts"])["notes"][0]["text"] == "a needle"
    assert found == fresh(store, talk)
    sheets.growths.close()


def test_audio_that_was_not_kept_is_silence(
    store: SqlStore, growths: Growths, clock: Clock
) -> None:
    """A tombstone among the appends: the outlines and the rest are those of one fold."""
    talk = live(store).says(200, tone(500)).kept()
    growths.tile(talk.id, FACTS)
    last = talk.recorder.last_seq
    (event,) = store.read(talk.id, after=last - 1)
    gone = event._replace(
        seq=last + 1,
        at_ns=event.at_ns + 100_000_000,
        audio=None,
        meta=orjson.dumps(
            {**orjson.loads(event.meta or b"{}"),
             "tombstone": {"reason": "not captured", "bytes": len(event.audio or b"")}}
        ).decode(),
    )  # fmt: skip
    store.append([(talk.id, [gone])])
    clock.now += 60
    assert facts(growths, talk) == fresh(store, talk)
    peaks = growths.tile(talk.id, Key("peaks-0"))
    made = made_of(store, store.session(talk.id), last + 1)
    assert unpacked(peaks or b"") == unpacked(made.tiles[Key("peaks-0")])


# ---- asked over HTTP


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("ui") / "calls.db") as found:
        found.store.register(process("alive", FOREVER))
        yield found


def test_the_growth_of_a_live_call(server: Served) -> None:
    """What came since an event; 204 where nothing did; and no growth of a call that is over."""
    talk = live(server.store, 30)
    with server.client() as client:
        path = f"/api/v1/sessions/{talk.id}"
        assert client.get(path).json()["last_seq"] == 3
        assert client.get(f"{path}/growth?after=3").status_code == 204
        talk.says(200, tone(300)).kept()
        for _ in range(200):
            if (answer := client.get(f"{path}/growth?after=3")).status_code == 200:
                break
            time.sleep(0.05)
        found = answer.json()
        assert (found["since"], found["last_seq"]) == (3, 6)
        assert found["sound"]["samples"] == 24_000 // 2
        assert [piece["first"] for piece in found["events"]] == [4]
        assert client.get(f"{path}/growth?after=x").status_code == 400
        over = live(server.store, 31).closed(500).kept()
        again = client.get(f"/api/v1/sessions/{over.id}/growth?after=1")
        assert again.json() == {"again": True}
        assert client.get("/api/v1/sessions/nobody/growth?after=1").status_code == 404

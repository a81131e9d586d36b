"""What importers give, taken into a store: when it is written, and what is taken away again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from recorder.errors import StoreUnavailable
from recorder.events import Event, Session
from recorder.importers import take_in
from recorder.importers.intake import GROUP
from recorder.importers.nouns import Damaged, Item, Remark
from recorder.sql.behind import Behind
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.store import MemoryStore
from tests.importing import asked
from tests.log_kit import delta_message, events, plain, session


class Watched(MemoryStore):
    """A store in memory that tells what was done to it, and fails when it is told to."""

    def __init__(self, fails_at: int = 0) -> None:
        super().__init__()
        self.groups: list[int] = []
        self._fails_at = fails_at

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        self.groups += [len(group) for _, group in groups]
        if self._fails_at and len(self.groups) >= self._fails_at:
            raise StoreUnavailable("full")
        super().append(groups)


def found(store: MemoryStore) -> dict[str, int]:
    return {each.id: store.last_seq(each.id) for each in store.sessions()}


def test_events_are_appended_in_groups() -> None:
    """Each a short transaction; remarks are kept in order."""
    store = Watched()
    said: list[Item] = [Remark("a"), session(1), *plain(1, GROUP + 5), Remark("b")]
    report = take_in(store, said, asked(), as_new=False)
    assert store.groups == [GROUP, 5]
    assert report.remarks == ["a", "b"]
    assert [(each.events, each.known) for each in report.taken] == [(GROUP + 5, False)]


def test_groups_are_small_in_bytes_too() -> None:
    """Messages of a megabyte do not wait for others."""
    store = Watched()
    large = events([delta_message(bytes(1_000_000), n) for n in range(7)])
    take_in(store, [session(1), *large], asked(), as_new=False)
    assert store.groups == [5, 2]


def test_a_session_without_events_is_not_begun() -> None:
    """Nor one before which the file breaks off."""

    def broken() -> Iterator[Item]:
        yield session(1)
        yield session(2)
        raise Damaged("it breaks off", byte=7)

    store = MemoryStore()
    with pytest.raises(Damaged, match="byte 7"):
        take_in(store, broken(), asked(), as_new=False)
    assert found(store) == {}


def test_what_stood_before_damage_stays() -> None:
    """The report has the place."""

    def broken() -> Iterator[Item]:
        yield session(1)
        yield from plain(1, 3)
        raise Damaged("it breaks off", byte=7, line=4)

    store = MemoryStore()
    report = take_in(store, broken(), asked(), as_new=False)
    assert found(store) == {session(1).id: 3}
    assert str(report.damage) == "damaged at line 4, byte 7: it breaks off"


def test_what_was_interrupted_is_taken_away() -> None:
    """The session that was being written; those before it are whole and stay."""

    def interrupted() -> Iterator[Item]:
        yield session(1)
        yield from plain(1, 2)
        yield session(2)
        yield from plain(1, GROUP + 1)
        raise KeyboardInterrupt

    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        take_in(store, interrupted(), asked(), as_new=False)
    assert found(store) == {session(1).id: 2}


def test_what_the_store_refuses_is_taken_away() -> None:
    """Half a session would look like a whole one."""
    store = Watched(fails_at=2)
    with pytest.raises(StoreUnavailable):
        take_in(store, [session(1), *plain(1, GROUP * 2)], asked(), as_new=False)
    assert found(store) == {}


# ---- with one sync for all of it


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = SqlStore.open(locate(str(tmp_path / "log.db"), {}))
    yield opened
    opened.close()


def test_appending_behind_keeps_the_order(store: SqlStore) -> None:
    """All of it is there at the end, and before every other verb."""
    facts: Session = session(1)
    with Behind(store) as behind:
        behind.begin(facts)
        for start in range(1, 1001, 100):
            behind.append([(facts.id, plain(start, start + 99))])
        assert [event.seq for event in behind.read(facts.id, limit=None)] == list(range(1, 1001))
        behind.append([(facts.id, plain(1001, 1002))])
    assert store.last_seq(facts.id) == 1002
    assert store.verify(facts.id) == 1002


def test_what_an_append_raises_is_raised(store: SqlStore) -> None:
    """Nothing is appended after it."""
    facts = session(1)
    with pytest.raises(Exception, match="sequence number"), Behind(store) as behind:
        behind.begin(facts)
        behind.append([(facts.id, plain(7, 8))])
        behind.append([(facts.id, plain(1, 2))])
    assert store.last_seq(facts.id) == 0


def test_an_import_with_one_sync(store: SqlStore) -> None:
    """Compared, skipped and removed like any other."""
    said: list[Item] = [session(1), *plain(1, GROUP * 3)]
    with Behind(store) as behind:
        assert not take_in(behind, said, asked(), as_new=False).taken[0].known
        assert take_in(behind, said, asked(), as_new=False).taken[0].known

    def interrupted() -> Iterator[Item]:
        yield session(2)
        yield from plain(1, GROUP + 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Behind(store) as behind:
        take_in(behind, interrupted(), asked(), as_new=False)
    assert [each.id for each in store.sessions()] == [session(1).id]


NORMAL, FULL = 1, 2
"""SQLite's numbers for when a commit waits for the disk."""


def test_what_is_appended_behind_is_synced_once_at_the_end(tmp_path: Path) -> None:
    """Meanwhile a commit waits for no disk; afterwards every commit of the store does again."""
    store = SqlStore.open(tmp_path / "a.db", durability="full")

    def how() -> int:
        found: int = store.open_file().execute("PRAGMA synchronous").fetchone()[0]
        return found

    assert how() == FULL
    with Behind(store) as behind:
        behind.begin(session(1))
        behind.append([(session(1).id, list(plain(1, 3)))])
        assert how() == NORMAL
    assert how() == FULL
    with pytest.raises(KeyboardInterrupt), Behind(store):
        raise KeyboardInterrupt
    assert how() == FULL
    store.close()

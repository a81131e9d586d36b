"""Checkpoints: the WAL stays bounded, and nobody who records is held up."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from recorder.sql import upkeep
from recorder.sql.store import SqlStore
from tests.log_kit import delta_message, event, plain, session

ONE = session(1)
PIECE = bytes(30_000)


def grow(store: SqlStore, first: int, count: int = 40) -> None:
    """Append about 1.2 MB."""
    store.append([(ONE.id, [event(n, delta_message(PIECE)) for n in range(first, first + count)])])


@pytest.fixture
def store(sqlite_store: SqlStore) -> SqlStore:
    """A store with a session."""
    sqlite_store.begin(ONE)
    return sqlite_store


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_BYTES", 1_000_000)
    monkeypatch.setattr(upkeep, "RESTART_BYTES", 3_000_000)


def waiting(store: SqlStore) -> int:
    """Bytes of the WAL that are not in the database yet."""
    assert store.path is not None
    return upkeep._wal_bytes(store.path)[1]


def test_a_small_wal_is_left_alone(store: SqlStore, database: Path) -> None:
    """Copying costs two round trips to the disk: not for every group."""
    before = database.stat().st_size
    store.append([(ONE.id, plain(1, 10))])
    upkeep.checkpoint(store)
    assert database.stat().st_size == before
    assert waiting(store) > 0


def test_a_grown_wal_is_copied(store: SqlStore, database: Path) -> None:
    """Into the database, once; the next checkpoint has nothing to do."""
    grow(store, 1)
    assert waiting(store) > 1_000_000
    upkeep.checkpoint(store)
    assert waiting(store) == 0
    assert database.stat().st_size > 1_000_000
    grow(store, 41, 1)
    changed = database.stat().st_mtime_ns
    upkeep.checkpoint(store)
    assert database.stat().st_mtime_ns == changed


def test_the_wal_does_not_grow_without_bound(store: SqlStore, database: Path) -> None:
    """Under steady writing, with a checkpoint now and then."""
    wal = database.with_name("recorder.db-wal")
    for first in range(1, 801, 40):
        grow(store, first)
        upkeep.checkpoint(store)
    assert wal.stat().st_size < 8_000_000
    assert database.stat().st_size > 20_000_000
    assert store.verify(ONE.id) == 800


def test_a_reader_in_the_way_does_not_hold_up_a_recorder(store: SqlStore, database: Path) -> None:
    """A transaction that is still open keeps the WAL from being begun anew; recording goes on."""
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        for first in range(1, 161, 40):
            grow(store, first)
        done = threading.Event()

        def check() -> None:
            while not done.is_set():
                upkeep.checkpoint(store)

        thread = threading.Thread(target=check)
        thread.start()
        waits = []
        for number in range(161, 181):
            start = time.perf_counter()
            store.append([(ONE.id, plain(number, number))])
            waits.append(time.perf_counter() - start)
        done.set()
        thread.join()
        reader.execute("COMMIT")
    assert sorted(waits)[10] < 0.2
    upkeep.checkpoint(store)
    assert waiting(store) == 0


def test_a_database_that_is_gone_or_in_memory(store: SqlStore, database: Path) -> None:
    """There is nothing to do, and nothing is raised."""
    store.close()
    for each in database.parent.iterdir():
        each.unlink()
    upkeep.checkpoint(store)
    assert list(database.parent.iterdir()) == []


@pytest.mark.parametrize("hurry", [False, True])
@pytest.mark.parametrize("other", [None, b"no database at all" * 400])
def test_a_database_that_goes_while_its_wal_waits(
    store: SqlStore, database: Path, other: bytes | None, hurry: bool
) -> None:
    """The thread that copies lives on: who appends finds out, and there will be another file."""
    grow(store, 1)
    database.unlink()
    if other is not None:
        database.write_bytes(other)
    upkeep.checkpoint(store, hurry=hurry)
    assert (database.read_bytes() if database.exists() else None) == other

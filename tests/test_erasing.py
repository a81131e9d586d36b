"""Removing a session for good: a planted string is in no byte of any file afterwards."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from recorder.errors import SessionNotFound
from recorder.events import Origin
from recorder.sql import erasing
from recorder.sql.erasing import free_pages
from recorder.sql.schema import SEQ_MASK
from recorder.sql.store import SqlStore
from tests.log_kit import append_message, event, plain, session

WORD = "PLANTED-in-the-log"
SOUND = b"PLANTED-as-sound" * 40

KEPT = session(2, model="kept")
GONE = session(
    1, model=WORD, call=WORD, url=f"wss://h/{WORD}", headers=(("X", WORD),), labels={"a": WORD}
)


def planted(store: SqlStore, count: int = 200) -> None:
    """Two sessions side by side; one of them is full of the planted string."""
    store.begin(GONE)
    store.begin(KEPT)
    for first in range(1, count, 20):
        group = []
        for seq in range(first, first + 20):
            text = append_message(SOUND)[:-1] + b',"event_id":"%s"}' % WORD.encode()
            made = event(seq, text, origin=Origin.CLIENT)
            meta = f'{(made.meta or "")[:-1]},"redacted":["{WORD}"]}}'
            group.append(made._replace(type=WORD, meta=meta))
        store.append([(GONE.id, group), (KEPT.id, plain(first, first + 19))])


def views(store: SqlStore) -> None:
    """Read models, one of which tells of sessions."""
    with store.writing() as connection:
        for statement in (
            "CREATE TABLE view_text (number INTEGER, text TEXT)",
            "CREATE INDEX view_text_by_text ON view_text (text)",
            "CREATE TABLE view_stamps (name TEXT)",
        ):
            connection.exec_driver_sql(statement)
        for each in (GONE, KEPT):
            connection.execute(
                sa.text("INSERT INTO view_text SELECT number, :t FROM sessions WHERE id = :i"),
                {"t": WORD if each is GONE else "other", "i": each.id},
            )


def remains(path: Path) -> list[str]:
    """Files in which something planted can still be read."""
    found = []
    for each in path.parent.iterdir():
        raw = each.read_bytes()
        if WORD.encode() in raw or SOUND[:16] in raw or GONE.id.encode() in raw:
            found.append(each.name)
    return found


@pytest.fixture
def path(database: Path) -> Path:
    """The database file."""
    return database


def test_nothing_is_left_in_any_file(sqlite_store: SqlStore, path: Path) -> None:
    """Heads, audio, metas, types, ids, the session's own row, read models and their indexes."""
    planted(sqlite_store)
    views(sqlite_store)
    assert remains(path)
    size = path.stat().st_size + path.with_name("recorder.db-wal").stat().st_size
    sqlite_store.remove(GONE.id)
    assert free_pages(sqlite_store)
    assert remains(path) == []
    assert path.stat().st_size < size // 2
    assert path.with_name("recorder.db-wal").stat().st_size == 0
    assert sqlite_store.verify(KEPT.id) == 200
    with sqlite_store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA freelist_count").scalar() == 0
        assert connection.exec_driver_sql("SELECT text FROM view_text").all() == [("other",)]
    sqlite_store.close()
    assert remains(path) == []


def test_while_others_have_it_open(
    sqlite_store: SqlStore, path: Path, open_store: Callable[..., SqlStore]
) -> None:
    """A recorder and a reader that are just not busy are no obstacle."""
    planted(sqlite_store)
    recorder, reader = open_store(path), open_store(path)
    recorder.append([(KEPT.id, plain(201, 210))])
    seen = reader.read(KEPT.id)
    next(seen)
    sqlite_store.remove(GONE.id)
    assert free_pages(sqlite_store)
    assert remains(path) == []
    recorder.append([(KEPT.id, plain(211, 220))])
    assert remains(path) == []
    assert len(list(seen)) >= 199
    assert reader.verify(KEPT.id) == 220


def test_a_reader_in_the_middle_of_a_transaction(sqlite_store: SqlStore, path: Path) -> None:
    """It still sees what was: so it is said that the bytes go later, and then they do."""
    planted(sqlite_store)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        sqlite_store.remove(GONE.id)
        assert not free_pages(sqlite_store, patience=0.2)
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (400,)
        reader.execute("COMMIT")
        assert free_pages(sqlite_store)
    assert remains(path) == []


def test_a_recorder_is_not_held_up(
    sqlite_store: SqlStore, path: Path, open_store: Callable[..., SqlStore]
) -> None:
    """While a large session is removed, with a reader in the way: groups go in all the time."""
    planted(sqlite_store, 4000)
    recorder = open_store(path, durability="normal")
    done = threading.Event()
    waits: list[float] = []

    def record() -> None:
        seq = 4000
        while not done.is_set():
            start = time.perf_counter()
            recorder.append([(KEPT.id, plain(seq + 1, seq + 4))])
            waits.append(time.perf_counter() - start)
            seq += 4
            time.sleep(0.002)

    thread = threading.Thread(target=record)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        thread.start()
        sqlite_store.remove(GONE.id)
        free_pages(sqlite_store, patience=0.3)
        reader.execute("COMMIT")
        free_pages(sqlite_store)
        done.set()
        thread.join()
    assert len(waits) > 5
    assert max(waits) < 1.0
    assert sorted(waits)[len(waits) // 2] < 0.1
    assert recorder.verify(KEPT.id) == recorder.last_seq(KEPT.id)


def test_interrupted_halfway(
    sqlite_store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is a shorter session that verifies, can be read, and can be removed again."""
    planted(sqlite_store)
    monkeypatch.setattr(erasing, "STEP", 30)
    number = sqlite_store.number(GONE.id)
    low, high = number << 32, (number << 32) + SEQ_MASK
    assert erasing._erase_step(sqlite_store, low, high)
    assert sqlite_store.last_seq(GONE.id) == 160
    assert sqlite_store.verify(GONE.id) == 160
    sqlite_store.remove(GONE.id)
    assert free_pages(sqlite_store)
    assert remains(path) == []


def test_events_without_a_digest_go_too(sqlite_store: SqlStore, path: Path) -> None:
    """Whatever stands under the session's number, even if a damaged log has no digest of it."""
    planted(sqlite_store, 2600)
    with sqlite_store.writing() as connection:
        connection.exec_driver_sql("UPDATE events SET digest = NULL")
    sqlite_store.remove(GONE.id)
    free_pages(sqlite_store)
    assert remains(path) == []


def test_on_a_server(postgres_store: SqlStore) -> None:
    """The rows are gone for everybody, read models too, and the rest stays."""
    planted(postgres_store, 60)
    views(postgres_store)
    postgres_store.remove(GONE.id)
    assert free_pages(postgres_store)
    with postgres_store.reading() as connection:
        for table, left in (("events", 60), ("sessions", 1), ("view_text", 1)):
            query = sa.select(sa.func.count()).select_from(sa.table(table))
            assert connection.execute(query).scalar() == left
    assert postgres_store.verify(KEPT.id) == 60


def test_a_session_that_is_not_there(sqlite_store: SqlStore) -> None:
    """Is named."""
    with pytest.raises(SessionNotFound, match="nosuch"):
        sqlite_store.remove("nosuch")

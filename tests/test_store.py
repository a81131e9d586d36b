"""What every store promises, held against each of them; and what only databases can get wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from recorder.errors import (
    DamagedLog,
    SequenceConflict,
    SessionNotFound,
    StoreUnavailable,
    UsageError,
)
from recorder.events import Event, Origin
from recorder.sql import reading
from recorder.sql.appending import WIDTH, prepared
from recorder.sql.opening import PAGE_SIZE, locate
from recorder.sql.schema import SEQ_MASK
from recorder.sql.store import SqlStore
from recorder.store import EventStore, RecorderProcess
from recorder.wire import join
from tests.log_kit import (
    append_message,
    call_messages,
    delta_message,
    event,
    events,
    plain,
    processes,
    session,
)

ONE, TWO = session(1), session(2)


def filled(store: EventStore, count: int = 10) -> EventStore:
    """The store with two sessions, of which the first has events."""
    store.begin(ONE)
    store.begin(TWO)
    store.append([(ONE.id, plain(1, count))])
    return store


def seqs(store: EventStore, session_id: str = ONE.id, **options: object) -> list[int]:
    """The numbers of the events that a read gives."""
    return [each.seq for each in store.read(session_id, **options)]  # type: ignore[arg-type]


# ---- sessions


def test_a_session_comes_back_as_it_was_entered(store: EventStore) -> None:
    """Every fact of it."""
    made = session(
        3, kind="http", vantage="proxy", url="wss://h/v1?model=m", model="gpt", call="café ☎",
        capture="no-audio", headers=(("A", "b"), ("A", "c")), recorder="r",
        versions={"realtime-recorder": "1"}, labels={"why": 'a "quote"\n'},
    )  # fmt: skip
    store.begin(made)
    assert store.session(made.id) == made
    assert list(store.sessions()) == [made]


def test_a_session_is_entered_once(store: EventStore) -> None:
    """A second time is refused, and changes nothing."""
    filled(store)
    with pytest.raises(UsageError, match=ONE.id):
        store.begin(session(1, model="other"))
    assert store.session(ONE.id) == ONE
    assert seqs(store) == list(range(1, 11))


def test_sessions_come_in_the_order_in_which_they_were_entered(store: EventStore) -> None:
    """Not in that of their ids, and beyond one page."""
    numbers = [7, 3, 9, 1, 5]
    for number in numbers:
        store.begin(session(number))
    assert list(store.sessions()) == [session(number) for number in numbers]


def test_odd_text_in_a_session(sql_store: SqlStore) -> None:
    """What a database refuses in text is replaced, and the digests hold all the same."""
    made = session(1, model="a\0b", call="lone \ud800 surrogate", url="ok")
    sql_store.begin(made)
    sql_store.append([(made.id, plain(1, 2))])
    found = sql_store.session(made.id)
    assert (found.model, found.call) == ("a\ufffdb", "lone ? surrogate")
    assert sql_store.verify(made.id) == 2


@pytest.mark.parametrize("verb", ["read", "session", "last_seq", "remove"])
def test_an_unknown_session_is_named_at_once(store: EventStore, verb: str) -> None:
    """When the verb is called: not at the first event."""
    filled(store)
    with pytest.raises(SessionNotFound, match="nosuch"):
        getattr(store, verb)("nosuch")
    with pytest.raises(SessionNotFound, match="nosuch"):
        store.append([(ONE.id, plain(11, 12)), ("nosuch", plain(1, 1))])
    assert store.last_seq(ONE.id) == 10


# ---- appending


def test_appending_continues(store: EventStore) -> None:
    """Group after group, and several sessions in one transaction, one of them twice."""
    filled(store)
    assert (store.last_seq(ONE.id), store.last_seq(TWO.id)) == (10, 0)
    store.append([(ONE.id, plain(11, 11)), (TWO.id, plain(1, 3)), (ONE.id, plain(12, 13))])
    store.append([])
    store.append([(ONE.id, [])])
    assert list(store.read(ONE.id)) == plain(1, 13)
    assert list(store.read(TWO.id)) == plain(1, 3)


@pytest.mark.parametrize(
    ("group", "expected", "found"),
    [
        (plain(12, 13), 11, 12),
        (plain(10, 12), 11, 10),
        (plain(1, 1), 11, 1),
        (plain(11, 12) + plain(14, 15), 13, 14),
        (plain(11, 12) + plain(12, 12), 13, 12),
        ([event(0)], 11, 0),
    ],
)
def test_a_wrong_number_is_refused_by_name(
    store: EventStore, group: list[Event], expected: int, found: int
) -> None:
    """A gap, an overlap, a repetition: all of the transaction is refused, whatever came first."""
    filled(store)
    with pytest.raises(SequenceConflict) as caught:
        store.append([(TWO.id, plain(1, 2)), (ONE.id, group)])
    assert (caught.value.session, caught.value.expected, caught.value.found) == (
        ONE.id, expected, found,
    )  # fmt: skip
    assert (store.last_seq(ONE.id), store.last_seq(TWO.id)) == (10, 0)
    store.append([(TWO.id, plain(1, 2)), (ONE.id, plain(11, 12))])
    assert seqs(store) == list(range(1, 13))


def test_every_field_comes_back(store: EventStore) -> None:
    """Odd types, empty heads, empty audio, the largest times, all origins."""
    store.begin(ONE)
    group = [
        Event(1, 0, Origin.CLIENT, "", 1, b""),
        Event(2, 2**62, Origin.SERVER, "a\ufffd☎", 2, bytes(range(256)), None, None),
        event(3, append_message(b"")),
        event(4, append_message(bytes(range(256)) * 50), at_ns=2**62),
        Event(5, 2**62, Origin.RECORDER, "recorder.note", 0, b"{}", '{"redacted":["key"]}'),
    ]
    store.append([(ONE.id, group)])
    found = list(store.read(ONE.id))
    assert found == group
    assert [type(each.origin) for each in found] == [Origin] * 5
    assert [type(each) for each in found] == [Event] * 5
    assert found[2].audio == b""


# ---- reading


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, range(1, 11)),
        ({"after": 3}, range(4, 11)),
        ({"after": -7}, range(1, 11)),
        ({"after": 10}, []),
        ({"after": 99}, []),
        ({"until": 4}, range(1, 5)),
        ({"until": 0}, []),
        ({"until": -3}, []),
        ({"until": 10**12}, range(1, 11)),
        ({"after": 2, "until": 5}, range(3, 6)),
        ({"after": 5, "until": 2}, []),
        ({"limit": 3}, range(1, 4)),
        ({"limit": 0}, []),
        ({"limit": 99}, range(1, 11)),
        ({"after": 2, "limit": 2}, range(3, 5)),
        ({"types": {"test"}}, range(1, 11)),
        ({"types": ["other", "test"], "limit": 2}, [1, 2]),
        ({"types": {"other"}}, []),
        ({"types": ()}, []),
    ],
)
def test_a_part_can_be_read(
    store: EventStore, options: dict[str, object], wanted: list[int]
) -> None:
    """By number, by type, so many of them."""
    assert seqs(filled(store), **options) == list(wanted)


def test_types_filter(store: EventStore) -> None:
    """The limit counts what is given, not what was looked at."""
    store.begin(ONE)
    kinds = [b'{"type":"a"}', b'{"type":"b"}', b"{}"] * 5
    store.append([(ONE.id, events(kinds))])
    assert seqs(store, types={"b"}, limit=3) == [2, 5, 8]
    assert seqs(store, types={"b", ""}, after=4) == [5, 6, 8, 9, 11, 12, 14, 15]


def test_reading_without_audio(store: EventStore) -> None:
    """The column stands as None; all else, and the length of the audio, are as they were."""
    store.begin(ONE)
    group = [event(1, append_message(b"abc")), event(2, delta_message(b"")), event(3, b"{}")]
    store.append([(ONE.id, group)])
    assert list(store.read(ONE.id, audio=False)) == [e._replace(audio=None) for e in group]


def test_pages(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages give the same events as large ones, with every option."""
    store.begin(ONE)
    store.begin(TWO)
    group = events(call_messages(60))
    store.append([(ONE.id, group), (TWO.id, plain(1, 5))])
    monkeypatch.setattr(reading, "PAGE_ROWS", 7)
    monkeypatch.setattr(reading, "_FIRST_ROWS", 2)
    for size in (0, 1, 5000, 10**9):
        monkeypatch.setattr(reading, "PAGE_BYTES", size)
        assert list(store.read(ONE.id)) == group
        assert seqs(store, after=3, until=41, limit=30) == list(range(4, 34))
        assert (
            seqs(store, types={"input_audio_buffer.append"}, limit=9)
            == [n for n in range(1, 61) if n % 10 in (4, 8)][:9]
        )
        assert seqs(store, TWO.id, audio=False) == [1, 2, 3, 4, 5]


def test_reading_while_it_grows(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader sees a prefix without gaps, whatever is appended between its pages."""
    monkeypatch.setattr(reading, "PAGE_ROWS", 4)
    filled(store)
    reader = store.read(ONE.id)
    seen = [next(reader).seq for _ in range(3)]
    store.append([(ONE.id, plain(11, 30))])
    seen += [each.seq for each in reader]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) in (10, 30)


def test_removing(store: EventStore) -> None:
    """The session goes whole, the others stay, and its name can be entered again."""
    filled(store)
    store.append([(TWO.id, plain(1, 3))])
    store.remove(ONE.id)
    assert list(store.sessions()) == [TWO]
    with pytest.raises(SessionNotFound):
        store.read(ONE.id)
    with pytest.raises(SessionNotFound):
        store.append([(ONE.id, plain(11, 11))])
    assert seqs(store, TWO.id) == [1, 2, 3]
    store.begin(ONE)
    assert seqs(store) == []
    store.append([(ONE.id, plain(1, 1))])
    assert seqs(store) == [1]


def test_recording_processes(store: EventStore) -> None:
    """A process is known from its first sign of life, and the last one counts."""
    first = RecorderProcess(
        id="p", host="h", pid=7, boot_id="b", started_ns=1, lease_ns=10
    )  # fmt: skip
    store.register(first)
    assert store.processes() == {"p": first}
    renewed = RecorderProcess(id="p", host="h", pid=7, boot_id="b", started_ns=1, lease_ns=20)
    store.register(renewed)
    assert store.processes() == {"p": renewed}


def test_closing_twice(store: EventStore) -> None:
    """Is fine, and loses nothing."""
    filled(store)
    store.close()
    store.close()
    assert seqs(store) == list(range(1, 11))


# ---- databases: several writers


def reopened(store: SqlStore) -> SqlStore:
    """A second store on the same database, as another process would have it."""
    return SqlStore.open(store.location, busy_seconds=5.0)


def test_what_was_appended_is_there_for_others(sql_store: SqlStore) -> None:
    """At once, and after everything was closed."""
    filled(sql_store)
    other = reopened(sql_store)
    assert list(other.read(ONE.id)) == plain(1, 10)
    sql_store.close()
    assert list(other.read(ONE.id)) == plain(1, 10)
    other.close()


def test_two_stores_take_turns_on_one_session(sql_store: SqlStore) -> None:
    """What one remembers of the session is not held against what the other appended."""
    filled(sql_store)
    other = reopened(sql_store)
    other.append([(ONE.id, plain(11, 12))])
    sql_store.append([(ONE.id, plain(13, 14))])
    with pytest.raises(SequenceConflict, match="must have sequence number 15") as caught:
        other.append([(TWO.id, plain(1, 1)), (ONE.id, plain(13, 13))])
    assert (caught.value.expected, caught.value.found) == (15, 13)
    assert other.verify(ONE.id) == 14
    assert other.last_seq(TWO.id) == 0
    other.close()


def test_a_session_that_was_removed_under_its_recorder(sql_store: SqlStore) -> None:
    """Nothing of it is written any more: bytes of a removed session would never be found."""
    filled(sql_store)
    other = reopened(sql_store)
    other.remove(ONE.id)
    other.close()
    with pytest.raises(SessionNotFound, match=ONE.id):
        sql_store.append([(TWO.id, plain(1, 1)), (ONE.id, plain(11, 12))])
    with pytest.raises(SessionNotFound):
        sql_store.read(ONE.id)
    with sql_store.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM events")).scalar() == 0
    sql_store.append([(TWO.id, plain(1, 1))])


def test_numbers_of_sessions_are_never_used_again(sql_store: SqlStore) -> None:
    """A recorder that comes back late must not write into somebody else's session."""
    filled(sql_store)
    first = sql_store.number(TWO.id)
    sql_store.remove(TWO.id)
    sql_store.begin(TWO)
    assert sql_store.number(TWO.id) > first


def test_many_sessions(sql_store: SqlStore) -> None:
    """More than a page of them, and their events do not mix."""
    made = [session(n) for n in range(1, 512)]
    for each in made:
        sql_store.begin(each)
    sql_store.append([(each.id, plain(1, 2)) for each in made])
    assert [each.id for each in sql_store.sessions()] == [each.id for each in made]
    assert seqs(sql_store, made[300].id) == [1, 2]


def test_the_largest_sequence_number(sql_store: SqlStore) -> None:
    """A session's events never run into the key of the next one."""
    filled(sql_store, 1)
    assert seqs(sql_store, TWO.id) == []
    assert seqs(sql_store, until=SEQ_MASK + 5) == [1]


# ---- databases: what was written is what is read


CHANGES = {
    "head": "UPDATE events SET head = x'7b7d' WHERE key = {key}",
    "one bit of a head": "UPDATE events SET head = {flipped} WHERE key = {key}",
    "audio": "UPDATE events SET audio = x'00' WHERE key = {key}",
    "no audio": "UPDATE events SET audio = NULL WHERE key = {key}",
    "meta": "UPDATE events SET meta = '{{\"cuts\":[[0,5]]}}' WHERE key = {key}",
    "no meta": "UPDATE events SET meta = NULL WHERE key = {key}",
    "time": "UPDATE events SET at_ns = at_ns + 1 WHERE key = {key}",
    "type": "UPDATE events SET type = 'recorder.note' WHERE key = {key}",
    "origin": "UPDATE events SET origin = 0 WHERE key = {key}",
    "an origin that is none": "UPDATE events SET origin = 9 WHERE key = {key}",
    "opcode": "UPDATE events SET opcode = 2 WHERE key = {key}",
    "a missing event": "DELETE FROM events WHERE key = {key}",
    "the last event missing": "DELETE FROM events WHERE key = {last}",
    "the first event missing": "DELETE FROM events WHERE key = {first}",
    "one event more": "INSERT INTO events SELECT {last} + 1, at_ns, origin, type, opcode, NULL, "
    "head, meta, audio FROM events WHERE key = {key}",
    "one event more, with a digest": "INSERT INTO events SELECT {last} + 1, at_ns, origin, type, "
    "opcode, x'{zeros}', head, meta, audio FROM events WHERE key = {key}",
    "a group missing": "DELETE FROM events WHERE key > {first} + 9 AND key < {first} + 20",
    "a digest missing": "UPDATE events SET digest = NULL WHERE key = {first} + 19",
    "the last digest missing": "UPDATE events SET digest = NULL WHERE key = {last}",
    "all digests missing": "UPDATE events SET digest = NULL",
    "a digest": "UPDATE events SET digest = x'{zeros}' WHERE key = {first} + 19",
    "a digest where none was": "UPDATE events SET digest = x'{zeros}' WHERE key = {key}",
    "a fact of the session": "UPDATE sessions SET model = 'other' WHERE id = '{session}'",
    "the session's headers": 'UPDATE sessions SET headers = \'[["a","b"]]\' '
    "WHERE id = '{session}'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_found(sql_store: SqlStore, change: str) -> None:
    """Whatever field of whatever row is changed afterwards: verifying says so."""
    sql_store.begin(ONE)
    messages = [append_message(b"sound"), delta_message(b"sound"), b'{"type":"x"}'] * 10
    for start in (0, 10, 20):
        sql_store.append([(ONE.id, events(messages[start : start + 10], start))])
    assert sql_store.verify(ONE.id) == 30
    base = sql_store.number(ONE.id) << 32
    flipped = bytearray(join(event(1, delta_message(b"sound"))))
    flipped[40] ^= 1
    sql = CHANGES[change].format(
        key=base + 14, first=base + 1, last=base + 30, session=ONE.id, zeros="00" * 32,
        flipped=f"x'{flipped.hex()}'",
    )  # fmt: skip
    if sql_store.engine.dialect.name == "postgresql":
        sql = sql.replace("x'", "'\\x")
    with sql_store.writing() as connection:
        assert connection.exec_driver_sql(sql).rowcount
    with pytest.raises(DamagedLog, match=ONE.id if "origin that" not in change else "page"):
        sql_store.verify(ONE.id)


def test_swapped_sessions_are_found(sql_store: SqlStore) -> None:
    """Events that stand under another session's name do not verify, groups and all."""
    for each in (ONE, TWO):
        sql_store.begin(each)
        sql_store.append([(each.id, plain(1, 3))])
    with sql_store.writing() as connection:
        for old, new in ((ONE.id, "x"), (TWO.id, ONE.id), ("x", TWO.id)):
            connection.execute(
                sa.text("UPDATE sessions SET id = :new WHERE id = :old"), {"old": old, "new": new}
            )
    for each in (ONE, TWO):
        with pytest.raises(DamagedLog):
            sql_store.verify(each.id)


def test_rows_that_are_no_events(sqlite_store: SqlStore) -> None:
    """SQLite keeps any value in any column: then the log is damaged, whatever Python says."""
    for column, value in (("head", "'text'"), ("type", "x'ff'"), ("at_ns", "'then'"),
                          ("head", "7"), ("type", "CAST(x'ff41' AS TEXT)")):  # fmt: skip
        name = session(hash(column + value) % 1000)
        sqlite_store.begin(name)
        sqlite_store.append([(name.id, plain(1, 3))])
        number = sqlite_store.number(name.id)
        with sqlite_store.writing() as connection:
            connection.exec_driver_sql(
                f"UPDATE events SET {column} = {value} WHERE key = {(number << 32) + 2}"
            )
        with pytest.raises(DamagedLog):
            sqlite_store.verify(name.id)


def test_a_broken_page(open_store: Callable[..., SqlStore], database: Path) -> None:
    """Bytes that were overwritten in the file: the store says that the file is damaged."""
    store = filled(open_store(database), 400)
    store.close()
    raw = bytearray(database.read_bytes())
    page = raw.index(b'{"type":"test","n":200}') // PAGE_SIZE * PAGE_SIZE
    raw[page : page + 64] = b"\xaa" * 64
    database.write_bytes(raw)
    damaged = open_store(database)
    with pytest.raises(DamagedLog):
        damaged.verify(ONE.id)


def test_erased_audio_still_verifies(sql_store: SqlStore) -> None:
    """A tombstone with the digest of the audio stands for it; so it does in another store."""
    import hashlib

    sql_store.begin(ONE)
    whole = events([append_message(b"sound"), b"{}"])
    sql_store.append([(ONE.id, whole)])
    digest = hashlib.sha256(b"sound").hexdigest()
    meta = whole[0].meta or ""
    stone = f'{meta[:-1]},"tombstone":{{"reason":"erased","sha256":"{digest}"}}}}'
    with sql_store.writing() as connection:
        connection.execute(
            sa.text("UPDATE events SET audio = NULL, meta = :meta WHERE audio IS NOT NULL"),
            {"meta": stone},
        )
    assert sql_store.verify(ONE.id) == 2
    sql_store.begin(TWO)
    sql_store.append([(TWO.id, list(sql_store.read(ONE.id)))])
    assert sql_store.verify(TWO.id) == 2


def test_verifying_a_session_without_events(sql_store: SqlStore) -> None:
    """Nothing was appended, nothing is wrong."""
    sql_store.begin(ONE)
    assert sql_store.verify(ONE.id) == 0


# ---- databases: what fails


def test_a_full_database(open_store: Callable[..., SqlStore], database: Path) -> None:
    """The group is refused whole, and goes in when there is room again."""
    store = filled(open_store(database))
    with store.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
    group = [event(n, append_message(bytes(40_000))) for n in range(11, 16)]
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="full"):
            store.append([(ONE.id, group)])
    assert store.last_seq(ONE.id) == 10
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    store._drop_writer()
    store.engine.dispose()
    store.append([(ONE.id, group)])
    assert store.verify(ONE.id) == 15


def test_a_locked_database(open_store: Callable[..., SqlStore], database: Path) -> None:
    """Says so after the time that was given, and goes on when the lock is gone."""
    store = filled(open_store(database, busy_seconds=0.02))
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.append([(ONE.id, plain(11, 11))])
    assert seqs(store) == list(range(1, 11))
    other.execute("COMMIT")
    other.close()
    store.append([(ONE.id, plain(11, 11))])
    assert store.verify(ONE.id) == 11


def test_a_server_that_goes_away(postgres_store: SqlStore) -> None:
    """A connection that the server ends: one append fails by name, the next one works."""
    filled(postgres_store)
    with postgres_store.writing() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    other = sa.create_engine(postgres_store.location.url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    other.dispose()
    with pytest.raises(StoreUnavailable):
        postgres_store.append([(ONE.id, plain(11, 11))])
    postgres_store.append([(ONE.id, plain(11, 11))])
    assert postgres_store.verify(ONE.id) == 11


def test_errors_hold_no_content(sqlite_store: SqlStore) -> None:
    """What a driver says of a failed statement is told without the values."""
    filled(sqlite_store)
    with pytest.raises(StoreUnavailable) as caught:
        with sqlite_store.writing() as connection:
            connection.execute(sa.text("INSERT INTO nosuch VALUES (:x)"), {"x": "PLANTED"})
    assert "PLANTED" not in str(caught.value)
    assert "nosuch" in str(caught.value)


def test_a_failure_in_the_middle_of_a_transaction(sql_store: SqlStore) -> None:
    """Whatever is raised inside: nothing of it is kept, and the store still works."""
    filled(sql_store)
    with pytest.raises(ZeroDivisionError):
        with sql_store.writing() as connection:
            connection.exec_driver_sql("DELETE FROM events")
            raise ZeroDivisionError
    sql_store.append([(ONE.id, plain(11, 11))])
    assert sql_store.verify(ONE.id) == 11


# ---- databases: memory, threads, processes


def test_a_long_session_in_bounded_memory(sqlite_store: SqlStore) -> None:
    """A session of 60 MB is read in a few: pages end by bytes too."""
    sqlite_store.begin(ONE)
    audio = bytes(200_000)
    for first in range(1, 301, 20):
        group = [event(n, delta_message(audio, n)) for n in range(first, first + 20)]
        sqlite_store.append([(ONE.id, group)])
    del group
    tracemalloc.start()
    try:
        assert sum(len(each.audio or b"") for each in sqlite_store.read(ONE.id)) == 60_000_000
        assert sqlite_store.verify(ONE.id) == 300
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_readers_and_writers_in_threads(sqlite_store: SqlStore) -> None:
    """Any thread may use the store; every reader sees a prefix."""
    filled(sqlite_store)
    done = threading.Event()
    trouble: list[BaseException] = []

    def look() -> None:
        try:
            while not done.is_set():
                found = [each.seq for each in sqlite_store.read(ONE.id)]
                assert found == list(range(1, len(found) + 1))
        except BaseException as error:
            trouble.append(error)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for thread in readers:
        thread.start()
    for first in range(11, 411, 20):
        sqlite_store.append([(ONE.id, plain(first, first + 19))])
    done.set()
    for thread in readers:
        thread.join()
    assert trouble == []
    assert sqlite_store.last_seq(ONE.id) == 410


def append_groups(name: str, number: int, groups: int) -> None:
    """In a process of its own: a session, group after group."""
    store = SqlStore.open(locate(name, {}), durability="normal")
    made = session(number)
    store.begin(made)
    for index in range(groups):
        store.append([(made.id, plain(index * 16 + 1, index * 16 + 16))])
    store.close()


def test_several_processes_record_while_another_reads(
    open_store: Callable[..., SqlStore], database: Path
) -> None:
    """Three recorders on one file, a reader beside them: nobody is refused, all is there."""
    store = open_store(database)
    jobs = [processes.Process(target=append_groups, args=(str(database), n, 40)) for n in (1, 2, 3)]
    for job in jobs:
        job.start()
    reads = 0
    while any(job.is_alive() for job in jobs):
        for each in list(store.sessions()):
            found = seqs(store, each.id)
            assert found == list(range(1, len(found) + 1))
            assert len(found) % 16 == 0
        reads += 1
        time.sleep(0.01)
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    assert reads > 1
    for number in (1, 2, 3):
        assert store.verify(session(number).id) == 640


def test_a_slow_reader_blocks_nobody(open_store: Callable[..., SqlStore], database: Path) -> None:
    """A reader that stops between two events holds no lock: the recorder beside it goes on."""
    recorder = filled(open_store(database, busy_seconds=0.1), 1000)
    slow = open_store(database).read(ONE.id)
    next(slow)
    with open_store(database).reading() as connection:
        connection.exec_driver_sql("SELECT * FROM events").fetchone()
        for first in range(1001, 1101, 10):
            recorder.append([(ONE.id, plain(first, first + 9))])
    assert len(list(slow)) >= 999
    assert recorder.verify(ONE.id) == 1100


def die_in_the_middle(name: str) -> None:
    """In a process of its own: killed inside a transaction, and after a committed group."""
    store = SqlStore.open(locate(name, {}))
    store.begin(ONE)
    store.append([(ONE.id, plain(1, 32))])
    made = prepared([(ONE.id, plain(33, 3000))], store._tail)
    with store.writing() as connection:
        connection.exec_driver_sql(store._inserts.row, tuple(made.values[:WIDTH]))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_crash_in_the_middle_of_a_transaction(
    open_store: Callable[..., SqlStore], database: Path
) -> None:
    """What was committed is there, of the rest there is nothing, and recording can go on."""
    job = processes.Process(target=die_in_the_middle, args=(str(database),))
    job.start()
    job.join()
    assert job.exitcode == -signal.SIGKILL
    store = open_store(database)
    assert store.verify(ONE.id) == 32
    store.append([(ONE.id, plain(33, 34))])
    assert store.verify(ONE.id) == 34


def test_a_store_in_memory_of_sqlite(open_store: Callable[..., SqlStore]) -> None:
    """`sqlite://` works too, for what it is worth."""
    store = filled(open_store("sqlite://"))
    assert store.path is None
    assert store.verify(ONE.id) == 10
    store.remove(ONE.id)

"""Groups as rows: the same log whichever way they are written, and all of a batch or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.chain import genesis, group_digest
from recorder.errors import SequenceConflict
from recorder.events import Event
from recorder.sql import appending
from recorder.sql.appending import ROWS, STATEMENT_BYTES
from recorder.sql.schema import pack
from recorder.sql.store import SqlStore
from tests.log_kit import call_messages, events, plain, session

ONE, TWO = session(1), session(2)


def digests(store: SqlStore) -> list[bytes]:
    """All that stand in the log, in order."""
    with store.reading() as connection:
        query = "SELECT digest FROM events WHERE digest IS NOT NULL ORDER BY key"
        return [bytes(row[0]) for row in connection.exec_driver_sql(query)]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3 * ROWS + 2), min_size=1, max_size=4),
    statement=st.sampled_from([-1, STATEMENT_BYTES]),
)
def test_the_log_is_the_same_whichever_way(sizes: list[int], statement: int) -> None:
    """Rows one by one or many in a statement: what stands is what was given, under the digests
    of the definition. Two sessions take turns in one batch."""
    made = events(call_messages(sum(sizes)))
    batch, expected = [], []
    at = {ONE.id: 0, TWO.id: 0}
    chains = {ONE.id: genesis(ONE), TWO.id: genesis(TWO)}
    for number, size in enumerate(sizes):
        name = (ONE, TWO)[number % 2].id
        group = [
            event._replace(seq=seq)
            for seq, event in enumerate(made[sum(sizes[:number]) :][:size], at[name] + 1)
        ]
        at[name] += size
        chains[name] = group_digest(chains[name], group)
        batch.append((name, group))
        expected.append((name, chains[name]))
    with pytest.MonkeyPatch.context() as patch, closing(SqlStore.open("sqlite://")) as store:
        patch.setattr(appending, "STATEMENT_BYTES", statement)
        store.begin(ONE)
        store.begin(TWO)
        store.append(batch)
        for name, count in at.items():
            assert list(store.read(name)) == [e for n, g in batch if n == name for e in g]
            assert store.verify(name) == count
        ordered = sorted(expected, key=lambda each: each[0])  # a session's keys stand together
        assert digests(store) == [digest for _, digest in ordered]


@given(lengths=st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(0, 60))))
def test_no_statement_gets_more_bytes_than_was_foreseen(
    lengths: list[tuple[int, int | None]],
) -> None:
    """However long the rows are, and wherever in a batch they stand."""
    values: list[object] = []
    for seq, (head, audio) in enumerate(lengths, 1):
        sound = None if audio is None else bytes(audio)
        values += plain(seq, seq)[0]._replace(head=bytes(head), audio=sound)
    sizes = [head + (audio or 0) for head, audio in lengths]
    foreseen = appending._statement_bytes(values)
    assert foreseen <= sum(sizes)
    assert all(sum(sizes[at:][:ROWS]) <= foreseen for at in range(0, len(sizes), ROWS))


@pytest.mark.parametrize("taken", [1, ROWS, ROWS + 5, 2 * ROWS + 9])
def test_another_writer_in_the_way_of_any_row(
    open_store: Callable[..., SqlStore], database: Path, taken: int
) -> None:
    """Wherever it sits in a statement of many rows, the whole batch is undone, and the error says
    who was there; the connection is fit for the next."""
    store = open_store(database)
    store.begin(ONE)
    store.begin(TWO)
    number = store.number(ONE.id)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute(
            "INSERT INTO events (key, at_ns, origin, type, opcode, head)"
            " VALUES (?, 0, 0, '', 1, '')",
            (pack(number, taken),),
        )
    batch: list[tuple[str, list[Event]]] = [
        (TWO.id, plain(1, ROWS + 1)),
        (ONE.id, plain(1, 3 * ROWS)),
    ]
    with pytest.raises(SequenceConflict):
        store.append(batch)
    assert list(store.read(TWO.id)) == []
    assert [event.seq for event in store.read(ONE.id)] == [taken]
    store.append(batch[:1])
    assert store.verify(TWO.id) == ROWS + 1


def test_nothing_empty_and_zero_stay_apart(
    open_store: Callable[..., SqlStore], database: Path
) -> None:
    """Whether a message had audio, and empty audio, are two things; so with what is noted of it.
    Each comes back as it was, from one statement for many rows as from one for each."""
    store = open_store(database)
    store.begin(ONE)
    kinds = list(
        product(
            (b"", b"0", b"\0"),
            (None, "", "0", '{"a":0}'),
            (None, b"", b"0", b"\0"),
        )
    )
    made: list[Event] = []
    for number, event in enumerate(plain(1, 2 * ROWS + len(kinds))):
        head, meta, audio = kinds[number % len(kinds)]
        made.append(event._replace(head=head, meta=meta, audio=audio))
    store.append([(ONE.id, made)])
    assert list(store.read(ONE.id)) == made
    with store.reading() as connection:
        query = "SELECT DISTINCT typeof(head), typeof(meta), typeof(audio) FROM events"
        found = {tuple(row) for row in connection.exec_driver_sql(query)}
    assert found == {
        ("blob", meta, audio) for meta in ("null", "text") for audio in ("null", "blob")
    }

"""Queries that go past SQLAlchemy, on both databases: the same rows, the same errors."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from recorder.errors import SessionNotFound, StoreUnavailable
from recorder.sql.direct import Direct
from recorder.sql.entries import entry_of
from recorder.sql.store import SqlStore
from recorder.sql.tiles import Key, TileStore
from recorder.sql.views import Views, only

from .talks import NOW, process, spoken, unended


def test_a_session_is_found_by_its_id(sql_store: SqlStore) -> None:
    """As lists have it, with the lease of its recorder, whatever else is there."""
    sql_store.register(process("alive", NOW + 5))
    names = [spoken(sql_store, seed=1).session.id,
             unended(sql_store, seed=2, recorder="alive").session.id]  # fmt: skip
    leases = []
    for name in names:
        found = entry_of(sql_store, name)
        assert [found] == Views(sql_store, NOW).entries(only(name))
        assert found.last_seq == sql_store.last_seq(name)
        leases.append(found.lease_ns)
    assert leases == [None, NOW + 5]


def test_a_session_that_is_not_there(sql_store: SqlStore) -> None:
    """It is said, by name."""
    with pytest.raises(SessionNotFound, match="nobody"):
        entry_of(sql_store, "nobody")


def test_what_the_database_refuses_is_our_error(sql_store: SqlStore) -> None:
    """A table that is gone; the connection is good for the next query."""
    query = Direct(sa.select(sa.table("no_such_table", sa.column("x")).c.x))
    with pytest.raises(StoreUnavailable, match="no_such_table"):
        query.first(sql_store)
    name = spoken(sql_store, seed=1).session.id
    assert entry_of(sql_store, name).id == name


def test_a_tile_is_fresh_until_the_session_grows(sql_store: SqlStore) -> None:
    """The bytes that were kept, by kind and number; none of a session that went on since."""
    talk = spoken(sql_store, seed=1)
    name, store = talk.session.id, TileStore(sql_store)
    last, number = sql_store.last_seq(name), sql_store.number(name)
    assert store.keep(number, last - 1, {Key("peaks-2", 1): b"old"})
    assert store.fresh(name, Key("peaks-2", 1)) is None
    assert store.keep(number, last, {Key("peaks-2", 1): b"one", Key("facts"): b"\0two"})
    assert store.fresh(name, Key("peaks-2", 1)) == b"one"
    assert store.fresh(name, Key("facts")) == b"\0two"
    assert store.fresh(name, Key("peaks-2", 0)) is None
    assert store.fresh("nobody", Key("facts")) is None

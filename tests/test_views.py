"""Read models: what they tell, when they are built, and what they survive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from recorder.errors import SessionNotFound
from recorder.events import Event, Origin
from recorder.selecting import STATUSES
from recorder.sql import text_index, view_tables
from recorder.sql.erasing import free_pages
from recorder.sql.id_index import IdIndex, Seen, ids_in
from recorder.sql.outline_store import OutlineStore
from recorder.sql.outlines import Made, made_of
from recorder.sql.read_models import ReadModel
from recorder.sql.store import SqlStore
from recorder.sql.views import Views

from .talks import NOW, SECOND, Talk, process, refused, spoken, texted, unended

Open = Callable[..., SqlStore]

KEPT = {
    "view_sessions", "view_labels", "view_texts", "view_turns",
    "view_turn_packs", "view_ids", "view_ids_read",
}  # fmt: skip
"""Every table that tells of sessions."""


@pytest.fixture(params=["sqlite", "postgres"])
def sql_store(request: pytest.FixtureRequest) -> Iterator[SqlStore]:
    """Each kind of database in turn, without read models; a connection of the test's own."""
    shared: SqlStore = request.getfixturevalue(f"{request.param}_store")
    without_views(shared)
    store = SqlStore.open(shared.location)
    yield store
    store.close()
    without_views(shared)


def without_views(store: SqlStore) -> None:
    """Take the tables of the read models away, whatever state they are in."""
    with store.writing() as connection:
        text_index.detach(connection)
        text_index.drop(connection)
        view_tables.metadata.drop_all(connection)


def views(store: SqlStore, now_ns: int = NOW) -> Views:
    """Read models that were not used yet."""
    return Views(store, now_ns)


def tables_of(store: SqlStore) -> set[str]:
    """The tables of the read models that the database holds."""
    with store.reading() as connection:
        names = sa.inspect(connection).get_table_names()
    return {name for name in names if name.startswith("view_")}


def count(store: SqlStore, table: str) -> int:
    """Rows of a table."""
    with store.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def forbid_writing(store: SqlStore) -> None:
    """From here on the database refuses every write, as a read-only one does."""
    name = store.engine.dialect.name

    @sa.event.listens_for(store.engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        word = "PRAGMA query_only=ON" if name == "sqlite" else "SET TRANSACTION READ ONLY"
        connection.exec_driver_sql(word)


# ---- outlines


def test_a_row_tells_what_a_list_shows(sql_store: SqlStore) -> None:
    """Length, model, tags, turns, what went wrong: from the events, on either database."""
    talk = spoken(sql_store, call="support-17", tags=("slow", "check"))

    row = views(sql_store).row(talk.id)

    assert row.status == "ended"
    assert row.models == ("gpt-realtime-2025", "gpt-realtime")
    assert (row.call, row.tags) == ("support-17", ("slow", "check"))
    assert row.outline.duration_ns == 11 * SECOND
    assert (row.outline.turns, row.outline.errors, row.outline.lost) == (2, 0, 0)
    assert row.outline.last_seq == talk.recorder.last_seq


def test_every_status(sql_store: SqlStore) -> None:
    """Live while the recorder's lease runs, interrupted after it; the rest by their events."""
    sql_store.register(process("alive", NOW + 5 * SECOND))
    sql_store.register(process("dead", NOW - 1))
    made = {
        "ended": texted(sql_store, seed=1),
        "refused": refused(sql_store, seed=2),
        "interrupted": unended(sql_store, seed=3, recorder="dead"),
        "live": unended(sql_store, seed=4, recorder="alive"),
        "imported": unended(sql_store, seed=5, vantage="imported"),
    }

    found = {row.id: row.status for row in views(sql_store).rows()}

    assert found == {talk.id: status for status, talk in made.items()}
    assert set(made) == set(STATUSES)
    assert [views(sql_store).is_live(talk.id) for talk in made.values()] == [
        status == "live" for status in made
    ]


def test_a_session_ceases_to_be_live_without_being_folded_again(sqlite_store: SqlStore) -> None:
    """What depends on the time is not stored: the lease ends, and the row says so."""
    sqlite_store.register(process("recorder", NOW + SECOND))
    talk = unended(sqlite_store, recorder="recorder")

    assert views(sqlite_store, NOW).row(talk.id).status == "live"
    assert views(sqlite_store, NOW + 2 * SECOND).row(talk.id).status == "interrupted"


def test_a_live_session_may_be_behind_by_a_twentieth_of_its_length(sql_store: SqlStore) -> None:
    """100 s are known: they do for 5 s more. A note or a close is seen at once."""
    sql_store.register(process("recorder", NOW + 1000 * SECOND))
    talk = Talk(sql_store, recorder="recorder").opened()
    talk.client(100_000, "response.create").kept()

    def seen(at_s: int) -> tuple[int, str]:
        row = views(sql_store, NOW + at_s * SECOND).row(talk.id)
        return row.outline.last_seq, row.status

    assert seen(100) == (3, "live")
    talk.client(101_000, "response.create").kept()
    assert seen(104) == (3, "live")
    assert seen(105) == (4, "live")
    talk.client(106_000, "response.create").kept()
    assert seen(106) == (4, "live")
    talk.own("note", 107_000, text="listen").kept()
    assert seen(107) == (6, "live")
    talk.closed(108_000).kept()
    assert seen(108) == (7, "ended")


def test_a_close_ends_a_session_whose_lease_still_runs(sqlite_store: SqlStore) -> None:
    """A recorder holds many sessions; one that was closed is over."""
    sqlite_store.register(process("recorder", NOW + SECOND))
    talk = texted(sqlite_store, recorder="recorder")

    assert views(sqlite_store).row(talk.id).status == "ended"
    assert not views(sqlite_store).is_live(talk.id)


def test_a_session_without_events_has_a_row(sql_store: SqlStore) -> None:
    """Killed between entering the session and its first event."""
    talk = Talk(sql_store)

    row = views(sql_store).row(talk.id)

    assert (row.status, row.outline.last_seq, row.outline.duration_ns) == ("interrupted", 0, 0)
    assert row.model == "gpt-realtime"


def test_rows_are_kept_and_followed(sql_store: SqlStore) -> None:
    """Built once; built again when the session has moved on."""
    talk = Talk(sql_store).opened().created().kept()
    first = views(sql_store)
    assert first.row(talk.id).outline.last_seq == 3
    assert count(sql_store, "view_sessions") == 1

    talk.own("tag", 5_000, add=["later"], remove=[]).kept()

    assert views(sql_store).row(talk.id).tags == ("later",)
    assert first.row(talk.id).tags == ("later",)
    assert count(sql_store, "view_sessions") == 1


def test_what_is_kept_is_not_folded_again(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look reads no events at all."""
    ids = [texted(sqlite_store, seed=n).id for n in range(3)]
    expected = [row.outline for row in views(sqlite_store).rows()]

    monkeypatch.setattr(sqlite_store, "read", None)

    assert [row.outline for row in views(sqlite_store).rows()] == expected
    assert [row.id for row in views(sqlite_store).rows()] == ids


def test_another_version_drops_and_builds_its_own(sql_store: SqlStore) -> None:
    """A stamp that is not ours means that the rows mean something else."""
    talk = texted(sql_store)
    views(sql_store).rows()
    with sql_store.writing() as connection:
        connection.exec_driver_sql("UPDATE view_stamps SET version = 'older'")
        connection.exec_driver_sql("UPDATE view_sessions SET turns = 99")

    assert views(sql_store).row(talk.id).outline.turns == 1
    assert count(sql_store, "view_sessions") == 1


def test_tables_of_another_shape_are_replaced(sqlite_store: SqlStore) -> None:
    """An older layout is no obstacle, whatever columns it had."""
    talk = texted(sqlite_store)
    with sqlite_store.writing() as connection:
        for word in (
            "CREATE TABLE view_stamps (name TEXT PRIMARY KEY, version TEXT NOT NULL)",
            "INSERT INTO view_stamps VALUES ('sessions', '0')",
            "CREATE TABLE view_sessions (number INTEGER PRIMARY KEY, colour TEXT)",
            "INSERT INTO view_sessions VALUES (1, 'red'), (2, 'blue')",
        ):
            connection.exec_driver_sql(word)

    assert views(sqlite_store).row(talk.id).status == "ended"


def test_who_was_superseded_stores_nothing_more(sql_store: SqlStore) -> None:
    """A process of another version still answers, and leaves the new tables alone."""
    old = views(sql_store)
    first = texted(sql_store, seed=1)
    old.rows()
    with sql_store.writing() as connection:
        connection.exec_driver_sql("UPDATE view_stamps SET version = 'newer'")
    second = texted(sql_store, seed=2)

    assert [row.id for row in old.rows()] == [first.id, second.id]
    assert [row.outline.turns for row in old.rows()] == [1, 1]
    assert count(sql_store, "view_sessions") == 1


def test_a_database_that_cannot_be_written_still_answers(sql_store: SqlStore) -> None:
    """Computed, not stored: lists, statuses and look-ups of ids."""
    talk = texted(sql_store)
    forbid_writing(sql_store)
    reader = views(sql_store)

    assert reader.row(talk.id).outline.turns == 1
    assert reader.find("resp_t") == [talk.id]
    assert tables_of(sql_store) == set()


def test_what_was_kept_before_serves_a_reader_that_cannot_write(
    open_store: Open, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are up to date are read, only the others computed."""
    store = open_store(database)
    old = texted(store, seed=1)
    views(store).rows()
    new = texted(store, seed=2)
    reading = open_store(database)
    forbid_writing(reading)
    asked: list[str] = []
    read = reading.read
    monkeypatch.setattr(
        reading, "read", lambda name, **how: asked.append(name) or read(name, **how)
    )

    assert [row.id for row in views(reading).rows()] == [old.id, new.id]
    assert set(asked) == {new.id}


def test_several_builders_at_once_agree(open_store: Open, database: Path) -> None:
    """Everybody gets all rows, and every session is kept once."""
    store = open_store(database)
    ids = [texted(store, seed=n).id for n in range(12)]
    stores = [open_store(database) for _ in range(4)]
    found: list[object] = []

    def build(own: SqlStore) -> None:
        try:
            found.append([row.id for row in views(own).rows()])
            found.append(views(own).find("resp_t"))
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=build, args=(own,)) for own in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [ids] * 8
    assert count(store, "view_sessions") == count(store, "view_ids_read") == 12


def test_an_older_look_never_overwrites_a_newer_one(sql_store: SqlStore) -> None:
    """Two builders of a live session: whoever read more of it wins, whoever is last."""
    talk = Talk(sql_store).opened().kept()
    early = made_of(sql_store, talk.id, 1, 1)
    talk.created().kept()
    views(sql_store).rows()

    late = OutlineStore(sql_store)
    late.add(early)
    late.flush()

    with sql_store.reading() as connection:
        query = sa.select(view_tables.outlines.c.last_seq)
        assert connection.execute(query).scalar_one() == 3


def test_a_session_that_cannot_be_analysed_hides_no_other(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed with what can be told and the trouble; it is looked at anew next time."""
    from recorder import projections

    analyse = projections.analyse
    good, bad = texted(sqlite_store, seed=1), texted(sqlite_store, "trouble", seed=2)

    def picky(events: Callable[[bool], list[Event]]) -> object:
        if any(b"trouble" in event.head for event in events(True)):
            raise ZeroDivisionError("oh")
        return analyse(events)

    monkeypatch.setattr(projections, "analyse", picky)
    rows = {row.id: row for row in views(sqlite_store).rows()}
    assert rows[good.id].outline.turns == 1
    assert rows[bad.id].outline.trouble == "ZeroDivisionError: oh"
    assert (rows[bad.id].outline.turns, rows[bad.id].status) == (None, "ended")
    assert count(sqlite_store, "view_sessions") == 1

    monkeypatch.setattr(projections, "analyse", analyse)
    assert views(sqlite_store).row(bad.id).outline.turns == 1


def test_a_session_that_is_not_there_is_said(sqlite_store: SqlStore) -> None:
    """By name."""
    for ask in (views(sqlite_store).row, views(sqlite_store).is_live):
        with pytest.raises(SessionNotFound, match="no session nobody"):
            ask("nobody")


def test_builders_report_how_far_they_are(sqlite_store: SqlStore) -> None:
    """Done and total, once a session, only for those that have to be read."""
    texted(sqlite_store, seed=1)
    views(sqlite_store).rows()
    for seed in (2, 3):
        texted(sqlite_store, seed=seed)
    told: list[tuple[int, int]] = []

    views(sqlite_store).rows(lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


# ---- ids


def test_a_session_is_found_by_any_id_in_it(sql_store: SqlStore) -> None:
    """The server's own of every kind, the request id of its 101, and what the client chose."""
    talk, other = texted(sql_store, seed=1), spoken(sql_store, seed=2)
    reader = views(sql_store)

    for name in ("resp_t", "item_t", "item_mine", "client_1", f"sess_{talk.id[-6:]}",
                 f"req_{talk.id[-6:]}", f"event_3_{talk.id[-6:]}"):  # fmt: skip
        assert reader.find(name) == [talk.id], name
    assert reader.find("resp_a1") == [other.id]
    assert reader.find("resp_") == reader.find("") == reader.find("nothing") == []


def test_an_id_is_found_with_the_event_that_had_it_first(sql_store: SqlStore) -> None:
    """So that one can go there."""
    talk = texted(sql_store)
    first = next(e.seq for e in sql_store.read(talk.id) if b"resp_t" in e.head)

    assert views(sql_store).where("resp_t") == [(talk.id, first)]


def test_an_id_in_several_sessions_finds_them_all(sqlite_store: SqlStore) -> None:
    """History that was sent again after a reconnect."""
    ids = [texted(sqlite_store, seed=n).id for n in (1, 2)]

    assert views(sqlite_store).find("item_mine") == ids


def test_only_what_is_new_is_read_for_ids(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live session is read on from where it was."""
    talk = Talk(sqlite_store).opened().created().kept()
    assert views(sqlite_store).find("resp_new") == []
    talk.server(300, "response.created", response={"id": "resp_new"}).kept()
    starts: list[int] = []
    read = sqlite_store.read
    monkeypatch.setattr(
        sqlite_store, "read", lambda name, **how: starts.append(how["after"]) or read(name, **how)
    )

    assert views(sqlite_store).find("resp_new") == [talk.id]
    assert views(sqlite_store).find("resp_new") == [talk.id]
    assert starts == [3]


def test_more_ids_than_one_transaction_takes(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are stored step by step, and count as read only when all are."""
    monkeypatch.setattr("recorder.sql.id_index.STEP", 3)
    talk = texted(sqlite_store)

    views(sqlite_store).find("x")

    stored = count(sqlite_store, "view_ids")
    assert stored == len({name for event in sqlite_store.read(talk.id) for name in ids_in(event)})
    assert stored > 9


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b'{"event_id":"event_1","item":{"id" : "item_1"}}', ["event_1", "item_1"]),
        (b'{"previous_item_id":null,"response_id":""}', []),
        (b'{"text":"the \\"item_id\\":\\"item_9\\" of it"}', []),
        (b'{"id":"a\\u0062cd"}', []),
        (b'{"id":"abc"}', []),
        (b'{"id":"%s"}' % (b"x" * 200), []),
        (b'{"id":"0193-uuid-x"}', ["0193-uuid-x"]),
        (b'{"call_id":"call_1","voice":"alloy","ID":"nope"}', ["call_1"]),
        (b'\xff"id":"\xff\xff\xff\xff"', ["\ufffd" * 4]),
        (b'{"item_id":"nul\x00nul"}', []),
    ],
)
def test_what_counts_as_an_id(head: bytes, found: list[str]) -> None:
    """Values of `id` and `…_id`, whole and sane; never what somebody said."""
    event = Event(1, 0, Origin.SERVER, "x", 1, head)
    assert list(ids_in(event)) == found


def test_request_ids_of_the_handshake_by_any_of_their_names() -> None:
    """Gateways call theirs differently."""
    head = (
        b'{"headers":[["X-Request-Id","req_1"],["apim-request-id","apim_1"],["cf-ray","ray_1"],'
        b'["date","Sunday"],["x-trace-id","tr"],"odd",["x-request-id",7]]}'
    )
    event = Event(1, 0, Origin.RECORDER, "recorder.handshake", 0, head)
    assert list(ids_in(event)) == ["req_1", "apim_1", "ray_1"]


# ---- removing


def _bytes(database: Path) -> bytes:
    """Everything that lies in the database's folder."""
    return b"".join(file.read_bytes() for file in database.parent.iterdir())


def test_nothing_of_a_removed_session_stays_in_the_read_models(
    sqlite_store: SqlStore, database: Path
) -> None:
    """Neither rows nor bytes: what was derived goes with it."""
    talk, other = texted(sqlite_store, "PLANTED words", seed=1), texted(sqlite_store, seed=2)
    talk.server(600, "response.created", response={"id": "resp_PLANTED"}).kept()
    talk.own("tag", 700, add=["PLANTED"], remove=[]).kept()
    reader = views(sqlite_store)
    reader.rows()
    assert reader.find("resp_PLANTED") == [talk.id]
    assert b"planted" in _bytes(database)

    sqlite_store.remove(talk.id)

    assert reader.find("resp_PLANTED") == []
    assert [row.id for row in views(sqlite_store).rows()] == [other.id]
    assert free_pages(sqlite_store)
    assert b"planted" not in _bytes(database).lower()


def test_a_session_that_is_removed_while_it_is_folded_is_not_kept(sql_store: SqlStore) -> None:
    """A builder that comes late stores nothing of it."""
    talk = texted(sql_store)
    reader = views(sql_store)
    row = reader.row(talk.id)
    reader.find("x")
    sql_store.remove(talk.id)

    outlines, ids = OutlineStore(sql_store), IdIndex(sql_store)
    outlines.add(Made(row.outline, [], text="\n hello \n", labels=frozenset({("tag", "x")})))
    outlines.flush()
    ids.add(Seen(row.entry.number, 1, {"resp_t": 1}))
    ids.flush()

    assert {name: count(sql_store, name) for name in KEPT} == dict.fromkeys(KEPT, 0)


def test_dropping_takes_the_tables_away_and_asking_brings_them_back(sql_store: SqlStore) -> None:
    """They hold nothing that the log does not."""
    talk = texted(sql_store)
    reader = views(sql_store)
    reader.rows()
    reader.find("resp_t")
    assert tables_of(sql_store) > KEPT

    reader.drop()

    assert tables_of(sql_store) == {"view_stamps"}
    assert reader.row(talk.id).outline.turns == 1
    assert reader.find("resp_t") == [talk.id]


def test_read_models_leave_the_schema_ours(open_store: Open, database: Path) -> None:
    """A database with them opens again: they are no change by hand."""
    store = open_store(database)
    texted(store)
    views(store).rows()
    views(store).find("resp_t")
    store.close()

    assert [row.outline.turns for row in views(open_store(database)).rows()] == [1]


def test_a_write_is_told_whether_it_was_stored(sqlite_store: SqlStore) -> None:
    """So that the next step is not tried in vain."""
    model = ReadModel(sqlite_store, "trial", "1", [])
    assert model.write([], lambda _c, _e: None)
    assert not ReadModel(sqlite_store, "trial", "2", []).write(
        [], lambda c, _e: c.exec_driver_sql("SELECT * FROM nowhere") and None
    )

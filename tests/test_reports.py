"""The read model of turns: what is kept of each, and that reports read the same from it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import sqlalchemy as sa

from recorder.projections import analyse
from recorder.projections.model import Value
from recorder.reporting.turns import Turns
from recorder.selecting import Moment, Selection, parse
from recorder.sql import turn_table
from recorder.sql.erasing import erase
from recorder.sql.reports import turns_of
from recorder.sql.store import SqlStore
from recorder.sql.turn_table import NAMES, PACKED, pack, rows, understood, written
from recorder.sql.views import Views

from .talks import NOW, SECOND, Talk, silence, spoken, texted, tone

HEADLINE = ("v2v_audible", "endpointing", "tool_exec")


def unanswered(store: SqlStore, **given: object) -> Talk:
    """Somebody speaks, and nobody answers."""
    talk = Talk(store, **given).opened().created()
    talk.says(200, tone(1000) + silence(800)).heard(1750, "item_q1", 0, 1500, "Hello?")
    return talk.closed(20_000).kept()


def fill(store: SqlStore) -> list[Talk]:
    """Three sessions: two turns by voice, one of text, one without an answer."""
    return [
        spoken(store, seed=1, call="one", tags=("slow", "x")),
        texted(store, seed=2, wall_ns=NOW + SECOND, model="asked"),
        unanswered(store, seed=3, wall_ns=NOW + 2 * SECOND),
    ]


def read(store: SqlStore, words: str = "") -> Turns:
    """The turns of the sessions that these words mean."""
    selection = parse([words], Moment(NOW)) if words else Selection()
    turns, unread = turns_of(Views(store, NOW), selection, HEADLINE)
    assert unread == []
    return turns


def told(turns: Turns) -> list[tuple[object, ...]]:
    """Each turn in a line: session, number, status, and v2v_audible or the reason for none."""
    found = []
    for place in range(len(turns)):
        name, kind = turns.sources.ids[turns.source[place]], turns.kinds[turns.told[place]]
        value = turns.values["v2v_audible"][place]
        what = kind.said["v2v_audible"] if math.isnan(value) else round(float(value))
        found.append((name[-6:], int(turns.turn[place]), kind.status, what))
    return found


# First speech ends at 1200, its answer sounds from 2220; the second ends at 5800, from 9320.
EXPECTED = [
    ("000001", 1, "answered", 1020),
    ("000001", 2, "answered", 3520),
    ("000002", 1, "answered", "text_input"),
    ("000003", 1, "unanswered", "unanswered"),
]


@pytest.fixture(params=["sqlite", "postgres", "unwritable"])
def store(request: pytest.FixtureRequest) -> Iterator[SqlStore]:
    """Each kind of database in turn, filled; and one in which no read model can be kept."""
    kind = "postgres" if request.param == "postgres" else "sqlite"
    made: SqlStore = request.getfixturevalue(f"{kind}_store")
    Views(made, NOW).drop()
    fill(made)
    if request.param == "unwritable":

        @sa.event.listens_for(made.engine, "begin")
        def _begun(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA query_only=ON")

    yield made
    if request.param == "postgres":
        Views(made, NOW).drop()


def test_every_turn_is_read_with_its_value_or_the_reason(store: SqlStore) -> None:
    """Whether it is read from the read model or folded."""
    turns = read(store)
    assert told(turns) == EXPECTED
    assert list(turns.sources.models) == ["gpt-realtime-2025"] * 3
    assert list(turns.sources.asked) == ["gpt-realtime", "asked", "gpt-realtime"]
    assert turns.sources.tags[0] == ("slow", "x")
    assert np.round(turns.start_ns / 1e6).tolist() == [200, 5000, 200, 200]
    (says,) = set(turns.configurations.values())
    assert says == "voice marin, server_vad 500 ms, no tools, no instructions"


def test_only_the_turns_of_what_was_selected(store: SqlStore) -> None:
    """By what the log, the outline or the turns themselves say."""
    assert told(read(store, "call:one")) == EXPECTED[:2]
    assert told(read(store, "model:asked")) == EXPECTED[2:3]
    assert told(read(store, "v2v_audible>3s")) == EXPECTED[:2]
    assert told(read(store, "call:nobody")) == []


def test_rows_and_packs_say_the_same(sqlite_store: SqlStore) -> None:
    """What a selection asks of the one is what a report reads from the other."""
    fill(sqlite_store)
    turns = read(sqlite_store)
    names = ("number", "turn", *HEADLINE)
    with sqlite_store.reading() as connection:
        query = sa.select(*(turn_table.table.c[name] for name in names))
        kept = connection.execute(query.order_by("number", "turn")).all()
    for place, row in enumerate(kept):
        for name in HEADLINE:
            value = float(turns.values[name][place])
            assert row._mapping[name] == (None if math.isnan(value) else value)
    assert len(kept) == len(turns)


def test_new_events_replace_what_was_kept(sqlite_store: SqlStore) -> None:
    """A session that went on is read as it stands now, without its old turns."""
    talk = unanswered(sqlite_store, seed=9)
    assert [line[2] for line in told(read(sqlite_store))] == ["unanswered"]
    talk.answers(21_000, "late", "Yes?", tone(300)).kept()
    assert [line[2] for line in told(read(sqlite_store))] == ["answered"]


def test_a_removed_session_leaves_no_turn(sqlite_store: SqlStore) -> None:
    """Neither in rows nor in packs."""
    fill(sqlite_store)
    read(sqlite_store)
    erase(sqlite_store, 1)
    assert told(read(sqlite_store)) == EXPECTED[2:]
    with sqlite_store.reading() as connection:
        for table in turn_table.TABLES:
            numbers = connection.execute(sa.select(table.c.number)).scalars()
            assert 1 not in set(numbers)


def test_a_pack_is_turns_of_doubles() -> None:
    """NaN where there is no value; a session without turns has an empty one."""
    blank = {"number": 7, "status": "answered", "configuration": "c", "notes": "", "says": "words"}
    row = {**blank, "turn": 1, "start_ns": 5, **dict.fromkeys(NAMES), "ttft": 300.25}
    kept = pack(7, 12, [row, {**row, "turn": 2, "says": ""}])
    numbers = np.frombuffer(kept["measured"], dtype="<f8").reshape(2, len(PACKED))
    assert numbers[1, :2].tolist() == [2, 5]
    assert numbers[:, PACKED.index("ttft")].tolist() == [300.25, 300.25]
    assert np.isnan(numbers[0, PACKED.index("v2v_audible")])
    assert (kept["told"], kept["configurations"]) == (
        "answered\tc\t\nanswered\tc\t",
        '{"c":"words"}',
    )
    empty = pack(7, 12, [])
    assert (empty["turns"], empty["measured"], empty["told"]) == (0, b"", "")


def test_notes_come_back() -> None:
    """The label of a value, the reason of none; what was never written is unknown."""
    values = {
        "v2v_audible": Value(5, "estimated"),
        "v2v_wire": Value(5),
        "leak": Value.missing("no_server_vad"),
        "overlap": Value(0, "estimated"),
    }
    said = understood(written(values))
    assert {name: said[name] for name in [*values, "ttft"]} == {
        "v2v_audible": "estimated", "v2v_wire": "measured", "leak": "no_server_vad",
        "overlap": "estimated", "ttft": "unknown",
    }  # fmt: skip


def test_a_reason_without_a_letter_is_spelt_out() -> None:
    """Of however many metrics; nothing is lost or mixed up."""
    reasons = {name: f"reason_{name}" for name in NAMES}
    notes = written({name: Value.missing(reason) for name, reason in reasons.items()})
    assert understood(notes) == reasons
    mixed = {**reasons, NAMES[1]: "no_tools"}
    notes = written({name: Value.missing(reason) for name, reason in mixed.items()})
    assert understood(notes) == mixed


def test_notes_are_short(sqlite_store: SqlStore) -> None:
    """What is said of a call usually has letters: nothing of it is spelt out."""
    fill(sqlite_store)
    read(sqlite_store)
    with sqlite_store.reading() as connection:
        notes = connection.execute(sa.select(turn_table.table.c.notes)).scalars().all()
    assert {len(each) for each in notes} == {len(NAMES)}


def test_what_a_fingerprint_stands_for_is_kept_once(sqlite_store: SqlStore) -> None:
    """In the first turn that has it."""
    talk = spoken(sqlite_store, seed=4)
    made = rows(1, analyse(lambda audio: sqlite_store.read(talk.id, audio=audio)))
    assert [bool(row["says"]) for row in made] == [True, False]
    assert made[0]["configuration"] == made[1]["configuration"]

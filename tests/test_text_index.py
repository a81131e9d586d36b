"""Full text: which words there are, what is found, and that nothing of it stays on disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.selecting import Moment, parse
from recorder.selecting.searching import said, searchable, words_in
from recorder.sql import text_index
from recorder.sql.erasing import free_pages
from recorder.sql.store import SqlStore
from recorder.sql.views import Views

from .talks import NOW, texted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Refund, please!", ["a", "refund", "please"]),
        ("don't e-mail me@home.org", ["don", "t", "e", "mail", "me", "home", "org"]),
        ("get_order(7)", ["get_order", "7"]),
        ("STRASSE stra\u00dfe", ["strasse", "strasse"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940\u0964", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("\u6771\u4eac\u3067 10", ["\u6771", "\u4eac", "\u3067", "10"]),
        ("\uc11c\uc6b8 \uc5ed", ["\uc11c\uc6b8", "\uc5ed"]),
        ("\U0001f600 \x00 \ud800 \u200b", []),
        ("a\x1cb\u00a0c\u2028d", ["a", "b", "c", "d"]),
    ],
)
def test_what_counts_as_a_word(text: str, words: list[str]) -> None:
    """Letters, digits and what belongs to them, folded; a character each where nobody writes
    spaces."""
    assert words_in(text) == words


def test_what_is_kept_of_a_transcript() -> None:
    """Words between spaces, lines between line ends, and nothing else."""
    assert searchable(["Hello, there!", "...", "A-b"]) == "\n hello there \n\n a b \n"
    assert searchable([]) == ""


words = st.text("ab\u00df\u00e9\u6771_ -'\n", min_size=1, max_size=12)


@given(st.lists(words, max_size=4), words)
def test_words_are_found_where_they_stand_in_one_line(lines: list[str], wanted: str) -> None:
    """Law 2 of `searching`: whole words, in order, in one line, is one string in another."""
    phrase = words_in(wanted)
    if not phrase:
        return
    expected = any(
        phrase == line[n : n + len(phrase)]
        for line in map(words_in, lines)
        for n in range(len(line))
    )
    assert (said(wanted).needle in searchable(lines)) is expected


def views(store: SqlStore) -> Views:
    """Read models that were not used yet."""
    return Views(store, NOW)


def found(store: SqlStore, words: str) -> list[str]:
    """The sessions in which this was said."""
    return [row.id for row in views(store).selected(parse([f"text:{words}"], Moment(NOW)))]


def in_files(folder: Path) -> bytes:
    """Everything that lies there."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


def terms(database: Path) -> set[str]:
    """Every word that the index knows."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE temp.v USING fts5vocab(main, view_words, instance)"
        )
        return {row[0] for row in connection.execute("SELECT term FROM temp.v")}


def test_words_of_a_removed_session_are_in_no_byte(sqlite_store: SqlStore, database: Path) -> None:
    """An index that was written many times holds them in several places, beside other words."""
    gone = []
    for seed in range(1, 13):
        odd = seed % 3 == 0
        words = f"xylophone{seed} zq{seed}" if odd else f"word {seed}"
        talk = texted(sqlite_store, words, seed=seed)
        views(sqlite_store).build()
        gone += [talk.id] * odd
    assert found(sqlite_store, "xylophone3") == [gone[0]]
    assert found(sqlite_store, "zq*") == gone
    assert b"xylophone" in in_files(database.parent)
    assert {"zq3", "word"} < terms(database)

    for session_id in gone:
        sqlite_store.remove(session_id)
    assert free_pages(sqlite_store)

    assert b"xylophone" not in in_files(database.parent)
    assert not {term for term in terms(database) if term.startswith(("xyl", "zq"))}
    assert found(sqlite_store, "zq*") == []
    assert len(found(sqlite_store, "word")) == 8


def test_words_of_the_last_session_go_too(sqlite_store: SqlStore, database: Path) -> None:
    """An index of which nothing is left."""
    talk = texted(sqlite_store, "xylophone")
    views(sqlite_store).build()

    sqlite_store.remove(talk.id)
    assert free_pages(sqlite_store)

    assert b"xylophone" not in in_files(database.parent)
    assert terms(database) == set()


def test_words_that_are_no_longer_said_are_forgotten(
    sqlite_store: SqlStore, database: Path
) -> None:
    """A session that went on is indexed anew: once, as it is now."""
    talk = texted(sqlite_store, "hello")
    views(sqlite_store).build()
    talk.own("note", 900, text="xylophone", at_ns=0).kept()
    assert found(sqlite_store, "xylophone") == found(sqlite_store, "hello") == [talk.id]

    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO view_words (view_words) VALUES ('integrity-check')")
        assert connection.execute("SELECT count(*) FROM view_texts").fetchone() == (1,)


def test_dropping_takes_the_index_away(sqlite_store: SqlStore, database: Path) -> None:
    """All of its tables and triggers."""
    texted(sqlite_store, "hello")
    reader = views(sqlite_store)
    reader.build()
    reader.drop()

    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'view_%'")
        left = {name for (name,) in names if not name.startswith("sqlite_")}
    assert left == {"view_stamps"}


def test_an_sqlite_without_fts5_gets_a_read_model_of_its_own(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which kind of index there is belongs to its version: the one is dropped for the other."""
    talk = texted(sqlite_store, "hello")
    assert found(sqlite_store, "hello") == [talk.id]
    for there, tables in ((False, 0), (True, 1)):
        monkeypatch.setattr(text_index, "has_fts5", lambda there=there: there)
        assert found(sqlite_store, "hel*") == [talk.id]
        with sqlite_store.reading() as connection:
            query = "SELECT count(*) FROM sqlite_master WHERE name = 'view_words'"
            assert connection.exec_driver_sql(query).scalar() == tables


def test_the_index_is_used(sqlite_store: SqlStore, postgres_store: SqlStore) -> None:
    """Not all texts are read for a word that stands in few."""
    import sqlalchemy as sa

    from recorder.sql.schema import sessions
    from recorder.sql.selections import condition

    for store in (sqlite_store, postgres_store):
        views(store).build()
        name = store.engine.dialect.name
        such = condition(parse(["text:two words"], Moment(NOW)), NOW, name)
        query = sa.select(sessions.c.number).where(such).compile(store.engine)
        values = tuple(query.params[key] for key in query.positiontup or ())
        with store.reading() as connection:
            if name != "sqlite":
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            explain = "EXPLAIN QUERY PLAN" if name == "sqlite" else "EXPLAIN"
            asked = values or query.params
            plan = str(connection.exec_driver_sql(f"{explain} {query}", asked).all())
        assert text_index.INDEX in plan, plan

"""The index that makes the search for words fast: FTS5 in SQLite, GIN in PostgreSQL.

What is found is decided by `instr` on the text alone (`recorder.selecting.searching`); the index
only says which texts are worth looking at. So a SQLite without FTS5 finds the same, by reading
all texts, and no tokenizer's opinion of what a word is shows anywhere.

FTS5 keeps no copy of the text (`content=`), nor where in it a word stands (`detail=none`).
Triggers keep it in step, so that whoever deletes a session's text deletes its words too. They
go from the disk when `forget_deleted` has merged the index: FTS5 first only notes a deletion.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from .view_tables import texts

if TYPE_CHECKING:
    from recorder.selecting import Said

INDEX: Final = "view_words"

WORDS: Final = (f"{INDEX}_data", "id", 10)
"""Where FTS5 keeps the words, the key of that table, and up to where its own records are."""

MERGED_PAGES: Final = 200
"""Pages of the index written a transaction while it is merged."""

_MAKE: Final = (
    # `ascii` takes all beyond ASCII for letters: in a text of words and spaces it divides at
    # spaces only, and so finds the words that were put in, whatever their script.
    f"CREATE VIRTUAL TABLE {INDEX} USING fts5(text, content='{texts.name}', "
    "content_rowid='number', detail='none', columnsize=0, tokenize=\"ascii tokenchars '_'\")",
    f"CREATE TRIGGER {INDEX}_in AFTER INSERT ON {texts.name} BEGIN "
    f"INSERT INTO {INDEX} (rowid, text) VALUES (new.number, new.text); END",
    f"CREATE TRIGGER {INDEX}_out AFTER DELETE ON {texts.name} BEGIN "
    f"INSERT INTO {INDEX} ({INDEX}, rowid, text) VALUES ('delete', old.number, old.text); END",
)


@cache
def has_fts5() -> bool:
    """Whether this SQLite can index words."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def kind(dialect: str) -> str:
    """Which index a database of this kind gets; part of the version of the read model."""
    if dialect == "sqlite":
        return "fts5" if has_fts5() else "none"
    return "gin"


def make(connection: sa.Connection) -> None:
    """Make the index on the table of texts, which is empty."""
    match kind(connection.dialect.name):
        case "fts5":
            for command in _MAKE:
                connection.exec_driver_sql(command)
        case "gin":
            connection.exec_driver_sql(
                f"CREATE INDEX {INDEX} ON {texts.name} USING gin (string_to_array(text, ' '))"
            )


def detach(connection: sa.Connection) -> None:
    """From here on texts can be deleted without their words."""
    if connection.dialect.name == "sqlite":
        for name in (f"{INDEX}_in", f"{INDEX}_out"):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def drop(connection: sa.Connection) -> None:
    """Drop the index, if there is one."""
    command = "TABLE" if connection.dialect.name == "sqlite" else "INDEX"
    connection.exec_driver_sql(f"DROP {command} IF EXISTS {INDEX}")


def contains(said: Said, dialect: str) -> sa.ColumnElement[bool]:
    """SQL for: these words stand in the text."""
    where = "instr" if dialect == "sqlite" else "strpos"
    place: sa.ColumnElement[int] = getattr(sa.func, where)(texts.c.text, said.needle)
    certain = place > 0
    match kind(dialect):
        case "fts5":
            query = " AND ".join(f'"{word}"' for word in said.words) + ("*" if said.begun else "")
            rows = sa.text(f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH :words")
            return sa.and_(texts.c.number.in_(_bound(rows, query)), certain)
        case "gin":
            held = sa.text(f"string_to_array({texts.name}.text, ' ') @> CAST(:words AS text[])")
            whole = said.words[:-1] if said.begun else said.words
            return sa.and_(_bound(held, list(whole)), certain) if whole else certain
    return certain


def _bound(query: sa.TextClause, words: object) -> sa.TextClause:
    return query.bindparams(sa.bindparam("words", words, unique=True))


def forget_deleted(connection: sqlite3.Connection) -> bool:
    """Merge the index a little, until no deleted word is in it; whether there may be more.

    Raises `sqlite3.OperationalError` while another process keeps the database busy.
    """
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    if not connection.execute(query, (INDEX,)).fetchone():
        return False
    before = connection.total_changes
    connection.execute(f"INSERT INTO {INDEX} ({INDEX}, rank) VALUES ('merge', ?)", (-MERGED_PAGES,))
    connection.commit()
    return connection.total_changes - before > 1

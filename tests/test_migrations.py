"""Migrations: from every released revision, on both databases, to exactly what the code says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from recorder import migrations
from recorder.sql.opening import locate
from recorder.sql.schema import (
    APPLICATION_ID,
    FINGERPRINTS,
    HEAD,
    SERVER_FINGERPRINTS,
    SERVER_SHAPE,
    SHAPE,
    VERSION_TABLE,
    VIEW_PREFIX,
    fingerprint,
    metadata,
)
from recorder.sql.store import SqlStore
from tests.log_kit import plain, session

REVISIONS = list(FINGERPRINTS)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, database: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{database}"
    made: str = request.getfixturevalue("postgres_database")
    return made


def migrate(url: str, revision: str, *, down: bool = False) -> None:
    """Bring the database to this revision, as opening does it."""
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)
        if not down and engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    engine.dispose()


def differences(url: str) -> list[object]:
    """What alembic finds between the database and the tables of the code."""

    def ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or not str(name).startswith(VIEW_PREFIX)

    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "compare_type": True, "include_name": ours},
        )
        found: list[object] = compare_metadata(context, metadata)
    engine.dispose()
    return found


def shape(url: str) -> str:
    """The fingerprint of the database as it is."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = SHAPE if engine.dialect.name == "sqlite" else SERVER_SHAPE
        rows = [(line,) for (line,) in connection.exec_driver_sql(query)]
    engine.dispose()
    return fingerprint(rows)


def test_revisions_are_one_line_and_all_are_known() -> None:
    """The migrations that there are, in their order, each with its fingerprint."""
    scripts = ScriptDirectory(str(Path(str(migrations.__file__)).parent))
    line = [script.revision for script in scripts.walk_revisions()][::-1]
    assert line == REVISIONS == list(SERVER_FINGERPRINTS)
    assert scripts.get_heads() == [HEAD]


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_every_revision_can_be_opened(
    url: str, revision: str | None, open_store: Callable[..., SqlStore]
) -> None:
    """From nothing and from each released revision: afterwards schema and code are the same."""
    if revision:
        migrate(url, revision)
    store = open_store(url)
    assert differences(url) == []
    store.begin(session(1))
    store.append([(session(1).id, plain(1, 3))])
    assert store.verify(session(1).id) == 3
    store.close()
    assert open_store(url, create=False).last_seq(session(1).id) == 3


def test_a_difference_would_be_found(url: str) -> None:
    """The comparison above sees a column that the code does not have."""
    migrate(url, "head")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE events ADD COLUMN note TEXT")
    engine.dispose()
    assert len(differences(url)) == 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_fingerprints_are_right(url: str, revision: str) -> None:
    """What opening compares with is what the migrations make."""
    migrate(url, revision)
    prints = FINGERPRINTS if url.startswith("sqlite") else SERVER_FINGERPRINTS
    assert shape(url) == prints[revision]


def test_down_and_up_again(url: str) -> None:
    """Every migration can be taken back, and leads to the same place again."""
    migrate(url, "head")
    before = shape(url)
    migrate(url, "base", down=True)
    engine = sa.create_engine(url)
    assert set(sa.inspect(engine).get_table_names()) <= {VERSION_TABLE}
    engine.dispose()
    migrate(url, "head")
    assert shape(url) == before
    assert differences(url) == []


def test_audio_is_kept_out_of_line_on_a_server(postgres_database: str) -> None:
    """Audio does not compress, and reading without it must not touch it."""
    migrate(postgres_database, "head")
    engine = sa.create_engine(postgres_database)
    with engine.connect() as connection:
        storage = connection.exec_driver_sql(
            "SELECT attstorage::text FROM pg_attribute "
            "WHERE attrelid = 'events'::regclass AND attname = 'audio'"
        ).scalar()
    engine.dispose()
    assert storage == "e"


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything happens in one transaction, the mark included."""
    from recorder.sql import opening

    def broken(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (a)")
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "_migrate", broken)
    with pytest.raises(ZeroDivisionError):
        SqlStore.open(locate(str(database), {}))
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        assert connection.execute("PRAGMA application_id").fetchone() == (0,)
    monkeypatch.undo()
    SqlStore.open(locate(str(database), {})).close()

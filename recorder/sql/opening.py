"""Opening a database: which one, is it ours, is it new enough, and private to its owner.

Laws:

1. Nothing is written to a file before it is known to be ours, or empty. A SQLite file is looked
   at through a read-only connection first: `journal_mode=WAL` alone would rewrite a foreign one.
2. Migration happens inside one exclusive transaction; whoever comes at the same time waits.
3. Files are made with mode 0600 and folders with 0700, whatever the umask.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from platformdirs import user_data_path

from ..errors import ForeignDatabase, StoreUnavailable, UsageError
from .schema import (
    APPLICATION_ID,
    FINGERPRINTS,
    HEAD,
    SHAPE,
    VERSION_TABLE,
    events,
    fingerprint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Durability = Literal["full", "normal"]

PAGE_SIZE: Final = 16384
"""Bytes. Chosen by `tests.benchmarks.store`: appends 1.3 times as fast as at 4 KiB."""

BUSY_SECONDS: Final = 30.0
"""How long a connection waits for another's lock before it says `StoreUnavailable`."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the database is, and how we came to know."""

    url: sa.URL
    obvious: bool
    """The person named it, or it is the default; else a command says which one it used."""

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for a server or a database in memory."""
        name = self.url.database
        if self.url.get_backend_name() != "sqlite" or name in (None, "", ":memory:"):
            return None
        return Path(str(name))

    def __str__(self) -> str:
        path = self.path
        return str(path) if path else self.url.render_as_string(hide_password=True)


def locate(named: str | None, environ: Mapping[str, str]) -> Location:
    """The database that was named, else that of RECORDER_DB, else the user's own file.

    A name is a path or a SQLAlchemy URL. Raises `UsageError` for a URL that cannot be read.
    """
    if named:
        return Location(_url(named), True)
    if from_environment := environ.get("RECORDER_DB"):
        return Location(_url(from_environment), False)
    return Location(_url(str(user_data_path("realtime-recorder") / "recorder.db")), True)


def _url(name: str) -> sa.URL:
    if "://" not in name:
        return sa.URL.create("sqlite", database=str(Path(name).expanduser().absolute()))
    try:
        url = sa.make_url(name)
    except sa.exc.ArgumentError:
        raise UsageError(
            "the database URL cannot be read (not shown: it may hold a password); "
            "expected a path or something like postgresql+psycopg://user@host/name"
        ) from None
    if url.get_backend_name() == "postgresql" and url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError(
            f"databases of kind {url.get_backend_name()!r} are not supported; "
            "use a path (SQLite) or a postgresql:// URL"
        )
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(Path(str(url.database)).expanduser().absolute()))
    return url


def open_engine(
    location: Location,
    *,
    durability: Durability = "full",
    create: bool = True,
    busy_seconds: float = BUSY_SECONDS,
) -> sa.Engine:
    """An engine on a database that is ours and up to date, migrated if it had to be.

    Its connections wait `busy_seconds` for another's lock before they give up.

    Raises `ForeignDatabase`, `StoreUnavailable`, `UsageError`; in each case the database is
    as it was.
    """
    if location.url.get_backend_name() == "sqlite":
        return _open_sqlite(location, durability, create, busy_seconds)
    engine = _server_engine(location, durability)
    try:
        _migrate_server(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


# ---- SQLite


def _open_sqlite(
    location: Location, durability: Durability, create: bool, busy_seconds: float
) -> sa.Engine:
    path = location.path
    fresh = path is None or not path.exists() or path.stat().st_size == 0
    if path is not None:
        if fresh and not create and not path.exists():
            raise UsageError(
                f"there is no database at {path}; record something first (`recorder demo`), "
                "or name another one with --db"
            )
        if not fresh:
            fresh = _recognise(path)
        if fresh:
            make_private_file(path)
    engine = _sqlite_engine(location.url, durability, busy_seconds)
    try:
        _prepare_sqlite(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _recognise(path: Path) -> bool:
    """Whether the file is still to be filled; raises `ForeignDatabase` if it is not ours."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error}") from None
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION_ID:
            if application == 0 and tables == 0:
                return True
            raise ForeignDatabase(
                f"{path} is a SQLite database, but not one of ours; it was left as it is. "
                "Name another file with --db"
            )
        revision = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
        rows = connection.execute(SHAPE).fetchall()
    except sqlite3.DatabaseError as error:
        raise _unreadable(path, error) from None
    finally:
        connection.close()
    _check_schema(str(path), revision[0] if revision else None, rows)
    return False


def _unreadable(path: Path, error: sqlite3.Error) -> ForeignDatabase | StoreUnavailable:
    if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
        return StoreUnavailable(f"{path} cannot be read: {error}")
    return ForeignDatabase(f"{path} is not a recorder database ({error}); it was left as it is")


def _check_revision(name: str, revision: str | None) -> None:
    if revision not in FINGERPRINTS:
        raise ForeignDatabase(
            f"{name} has schema revision {revision}, and this version knows up to {HEAD}: it was "
            "written by a newer realtime-recorder. Upgrade it; the database was left as it is"
        )


def _check_schema(name: str, revision: str | None, rows: Iterable[tuple[str]]) -> None:
    _check_revision(name, revision)
    if fingerprint(rows) != FINGERPRINTS[str(revision)]:
        raise ForeignDatabase(
            f"{name} is a recorder database whose tables were changed by hand (revision "
            f"{revision}); it was left as it is. Restore a backup of it, or name another file "
            "with --db"
        )


def make_private_file(path: Path) -> None:
    """The file, empty if it was not there, with mode 0600 in a folder that only we enter.

    Folders that are made get mode 0700; those that were there stay as they are.
    Raises `StoreUnavailable`.
    """
    try:
        make_private_folder(path.parent)
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be created: {error.strerror}") from None


def make_private_folder(folder: Path) -> None:
    """The folder, and those above it that are missing, each with mode 0700."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        each.chmod(0o700)


def _sqlite_engine(url: sa.URL, durability: Durability, busy_seconds: float) -> sa.Engine:
    in_memory = url.database in (None, "", ":memory:")
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": busy_seconds},
        poolclass=sa.StaticPool if in_memory else sa.QueuePool,
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, and which kind
        for pragma in (
            f"page_size={PAGE_SIZE}",
            "auto_vacuum=INCREMENTAL",
            "secure_delete=ON",
            f"synchronous={durability.upper()}",
            "wal_autocheckpoint=0",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        kind = connection.get_execution_options().get("recorder_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _prepare_sqlite(engine: sa.Engine, path: Path | None) -> None:
    """Migrated to the newest revision under an exclusive lock, and in WAL mode."""
    try:
        with engine.connect() as connection:
            current = _revision(connection) == HEAD
        if not current:
            with (
                engine.connect().execution_options(recorder_begin="EXCLUSIVE") as connection,
                connection.begin(),
            ):
                _migrate(connection)
                connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        if path is not None:
            _enter_wal(engine)
    except sa.exc.OperationalError as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error.orig}") from None


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.exec_driver_sql(
        f"SELECT version_num FROM {VERSION_TABLE}"
    ).scalar()
    return found


def _enter_wal(engine: sa.Engine) -> None:
    """WAL is a property of the file. SQLite does not wait for others here, so we do."""
    raw = engine.raw_connection()
    try:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            cursor = raw.cursor()
            try:
                if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                    return
                cursor.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            finally:
                cursor.close()
    finally:
        raw.close()


def _migrate(connection: sa.Connection) -> None:
    # Alembic takes a tenth of a second to import: only where there is something to migrate.
    from alembic import command
    from alembic.config import Config

    from .. import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


# ---- servers


def _server_engine(location: Location, durability: Durability) -> sa.Engine:
    try:
        engine = sa.create_engine(location.url, pool_pre_ping=True)
    except ImportError:
        raise UsageError(
            "PostgreSQL needs its driver: pip install 'realtime-recorder[postgres]'"
        ) from None

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            commit = "on" if durability == "full" else "off"
            cursor.execute(f"SET synchronous_commit = {commit}")
        connection.commit()

    return engine


_LOCK: Final = APPLICATION_ID
"""Number of the PostgreSQL advisory lock that migrations hold."""


def _migrate_server(engine: sa.Engine) -> None:
    name = engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            tables = set(sa.inspect(connection).get_table_names())
            if VERSION_TABLE not in tables:
                _refuse_if_taken(name, tables)
                _migrate(connection)
                return
            revision = connection.exec_driver_sql(
                f"SELECT version_num FROM {VERSION_TABLE}"
            ).scalar()
            _check_revision(name, revision)
            if revision != HEAD:
                _migrate(connection)
            _compare_columns(name, connection)
    except sa.exc.OperationalError as error:
        raise StoreUnavailable(f"{name} cannot be opened: {_first_line(error)}") from None


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _refuse_if_taken(name: str, tables: set[str]) -> None:
    taken = sorted(tables & set(events.metadata.tables))
    if taken:
        raise ForeignDatabase(
            f"{name} has tables of our names that are not ours ({', '.join(taken)}); it was left "
            "as it is. Use a database or a schema of its own"
        )


def _compare_columns(name: str, connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    for table in events.metadata.sorted_tables:
        expected = {column.name for column in table.columns}
        found = {column["name"] for column in inspector.get_columns(table.name)}
        if expected != found:
            raise ForeignDatabase(
                f"{name}: table {table.name} was changed by hand "
                f"({', '.join(sorted(expected ^ found))}); it was left as it is"
            )

"""Opening a database: is it ours (`recognising`), is it new enough, and private to its owner.

Laws:

1. Nothing is written to a file, or beside it, before it is known to be ours, or empty. Its first
   bytes are read without SQLite, then its schema through a connection that takes no lock and
   makes no file: even a read-only one leaves a `-wal` and a `-shm` behind.
2. Migration happens inside one exclusive transaction; whoever comes at the same time waits.
3. Files are made with mode 0600 and folders with 0700, whatever the umask.
4. What is only to be looked at, and can only be read, is read as it lies there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from ..errors import ForeignDatabase, StoreUnavailable, UsageError
from .faults import first_line
from .locating import Location as Location
from .locating import locate as locate
from .locating import shown_url
from .peeking import connecting, let_go
from .recognising import AS_IT_LIES, check_schema, is_fresh, lies_still, told
from .schema import (
    APPLICATION_ID,
    HEAD,
    SERVER_FINGERPRINTS,
    SERVER_SHAPE,
    VERSION_TABLE,
    metadata,
)

if TYPE_CHECKING:
    from pathlib import Path

Durability = Literal["full", "normal"]

PAGE_SIZE: Final = 32768
"""Bytes. Chosen by `tests.benchmarks.store`: a call takes 5 % less room than at 16 KiB, because
fewer pages end half empty before a long piece of audio; appending is as fast."""

BUSY_SECONDS: Final = 30.0
"""How long a connection waits for another's lock before it says `StoreUnavailable`."""


def open_engine(
    location: Location,
    *,
    durability: Durability = "full",
    create: bool = True,
    busy_seconds: float = BUSY_SECONDS,
) -> sa.Engine:
    """An engine on a database that is ours and up to date, migrated if it had to be.

    Its connections wait `busy_seconds` for another's lock before they give up. With `create`
    false it is opened for looking: nothing is made, and where nothing can be written, the file
    is read as it lies there.

    Raises `ForeignDatabase`, `DamagedLog`, `StoreUnavailable`, `UsageError`; in each case the
    database is as it was.
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
    if path is not None and is_fresh(path, create):
        make_private_file(path)
    still = path if path is not None and not create and lies_still(path) else None
    engine = _sqlite_engine(location.url, durability, busy_seconds, still)
    try:
        if still is not None:
            _check_current(engine, still)
        else:
            _prepare_sqlite(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


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
            let_go(handle)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be created: {error.strerror}") from None


def sync_wal(path: Path) -> None:
    """Have what was committed to the WAL of this file, and not copied from it yet, on the disk.

    Copying syncs it by itself, before it touches the file (sqlite.org/wal.html). Raises
    `StoreUnavailable`.
    """
    try:
        handle = os.open(f"{path}-wal", os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        raise StoreUnavailable(f"{path}-wal cannot be synced: {error.strerror}") from None
    finally:
        os.close(handle)


def make_private_folder(folder: Path) -> None:
    """The folder, and those above it that are missing, each with mode 0700."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        each.chmod(0o700)


def _sqlite_engine(
    url: sa.URL, durability: Durability, busy_seconds: float, still: Path | None = None
) -> sa.Engine:
    """Connections to the file of this URL; to a `still` one such as need nothing beside it."""
    in_memory = url.database in (None, "", ":memory:")
    name = url.database or ":memory:" if still is None else f"{still.as_uri()}?{AS_IT_LIES}"

    def connect() -> sqlite3.Connection:
        with connecting():
            return sqlite3.connect(
                name, timeout=busy_seconds, check_same_thread=False, uri=still is not None
            )

    engine = sa.create_engine(
        url, creator=connect, poolclass=sa.StaticPool if in_memory else sa.QueuePool
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, and which kind
        for pragma in (
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


def _check_current(engine: sa.Engine, path: Path) -> None:
    """Raises `StoreUnavailable` for a file that would have to be migrated and cannot be."""
    with engine.connect() as connection:
        if _revision(connection) != HEAD:
            raise StoreUnavailable(
                f"{path} is of an older version, and cannot be brought up to date where it can "
                "only be read; copy it to a folder of your own"
            )


def _prepare_sqlite(engine: sa.Engine, path: Path | None) -> None:
    """Migrated to the newest revision under an exclusive lock, and in WAL mode."""
    try:
        with engine.connect() as connection:
            current = _revision(connection) == HEAD
        if not current:
            _lay_out(engine)
            with (
                engine.connect().execution_options(recorder_begin="EXCLUSIVE") as connection,
                connection.begin(),
            ):
                _migrate(connection)
                connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        if path is not None:
            _enter_wal(engine)
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        why = first_line(error) if path is None else told(path, first_line(error))
        raise StoreUnavailable(f"{path} cannot be opened: {why}") from None


def _lay_out(engine: sa.Engine) -> None:
    """Page size and vacuum mode, which can only be chosen before there are tables.

    Not on every connection: even where nothing changes, `auto_vacuum=` takes the write lock.
    """
    with contextlib.closing(engine.raw_connection()) as raw:
        cursor = raw.cursor()
        if cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
        cursor.execute(f"PRAGMA page_size={PAGE_SIZE}")
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        if cursor.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
            cursor.execute("VACUUM")  # a file without tables that was laid out by somebody else


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

    config = Config()
    with resources.as_file(resources.files("recorder.migrations")) as folder:
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
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
    name = shown_url(engine.url)
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
            rows = connection.exec_driver_sql(SERVER_SHAPE).all()
            check_schema(name, revision, [(line,) for (line,) in rows], SERVER_FINGERPRINTS)
            if revision != HEAD:
                _migrate(connection)
    except (sa.exc.DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        raise StoreUnavailable(f"{name} cannot be opened: {first_line(error)}") from None


def _refuse_if_taken(name: str, tables: set[str]) -> None:
    taken = sorted(tables & set(metadata.tables))
    if taken:
        raise ForeignDatabase(
            f"{name} has tables of our names that are not ours ({', '.join(taken)}); it was left "
            "as it is. Use a database or a schema of its own"
        )

"""Opening a database: which one, is it ours, is it new enough, and private to its owner.

Laws:

1. Nothing is written to a file, or beside it, before it is known to be ours, or empty. Its first
   bytes are read without SQLite, then its schema through a connection that takes no lock and
   makes no file: even a read-only one leaves a `-wal` and a `-shm` behind.
2. Migration happens inside one exclusive transaction; whoever comes at the same time waits.
3. Files are made with mode 0600 and folders with 0700, whatever the umask.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from platformdirs import user_data_path

from ..errors import ForeignDatabase, StoreUnavailable, UsageError
from .faults import first_line
from .schema import (
    APPLICATION_ID,
    FINGERPRINTS,
    HEAD,
    SERVER_FINGERPRINTS,
    SERVER_SHAPE,
    SHAPE,
    VERSION_TABLE,
    fingerprint,
    metadata,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Durability = Literal["full", "normal"]

PAGE_SIZE: Final = 32768
"""Bytes. Chosen by `tests.benchmarks.store`: a call takes 5 % less room than at 16 KiB, because
fewer pages end half empty before a long piece of audio; appending is as fast."""

BUSY_SECONDS: Final = 30.0
"""How long a connection waits for another's lock before it says `StoreUnavailable`."""


_SHOWN_QUERY: Final = frozenset({"host", "port", "dbname", "user", "sslmode", "options"})
"""Parts of a database URL's query that are no secrets."""


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
        return str(self.path or _shown(self.url))


def _shown(url: sa.URL) -> str:
    """The URL without its password, wherever in it that stands."""
    query = {name: "***" if name not in _SHOWN_QUERY else url.query[name] for name in url.query}
    return url.set(query=query).render_as_string(hide_password=True)


def locate(named: str | None, environ: Mapping[str, str]) -> Location:
    """The database that was named, else that of RECORDER_DB, else the user's own file.

    A name is a path or a SQLAlchemy URL. Raises `UsageError` for a URL that cannot be read.
    """
    if named:
        return Location(_url(named), True)
    if from_environment := environ.get("RECORDER_DB"):
        return Location(_url(from_environment), False)
    return Location(_file_url(str(user_data_path("realtime-recorder") / "recorder.db")), True)


def _url(name: str) -> sa.URL:
    if "://" not in name:
        return _file_url(name)
    try:
        url = sa.make_url(name)
        backend, _, driver = url.drivername.partition("+")
    except (sa.exc.ArgumentError, ValueError):
        raise UsageError(
            "the database URL cannot be read (not shown: it may hold a password); "
            "expected a path or something like postgresql+psycopg://user@host/name"
        ) from None
    if backend in ("postgresql", "postgres") and driver in ("", "psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or driver not in ("", "pysqlite"):
        raise UsageError(
            f"databases of kind {url.drivername!r} are not supported; use a path (SQLite) or a "
            "postgresql:// URL"
        )
    if url.query:
        raise UsageError("a sqlite:// URL takes no options here; name the file alone")
    if url.database in (None, "", ":memory:"):
        return sa.URL.create("sqlite")
    return _file_url(str(url.database))


def _file_url(name: str) -> sa.URL:
    try:
        path = Path(name).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{name}: {error}") from None
    if "\0" in name:
        raise UsageError("the name of a database file cannot hold a NUL")
    return sa.URL.create("sqlite", database=str(path))


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
    if path is not None and _is_fresh(path, create):
        make_private_file(path)
    engine = _sqlite_engine(location.url, durability, busy_seconds)
    try:
        _prepare_sqlite(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _is_fresh(path: Path, create: bool) -> bool:
    """Whether the file is still to be filled; raises if it cannot be, or is not ours."""
    try:
        if not path.exists():
            if create:
                return True
            raise UsageError(
                f"there is no database at {path}; record something first (`recorder demo`), "
                "or name another one with --db"
            )
        if not path.is_file():
            raise UsageError(f"{path} is not a file; name a database file with --db")
        return _recognise(path)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}") from None


_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = struct.Struct(">68xI28xB2xH")
"""Of page 1 (sqlite.org/fileformat2.html): application_id, kind of its tree node, its entries."""


def _recognise(path: Path) -> bool:
    """Whether the file is still to be filled; raises `ForeignDatabase` if it is not ours."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    if not header:
        return True
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise ForeignDatabase(f"{path} is not a SQLite database; it was left as it is")
    application, node, entries = _HEADER.unpack(header)
    if application != APPLICATION_ID:
        if (application, node, entries) == (0, 13, 0) and not _size(_beside(path, "-wal")):
            return True  # a SQLite file without a table
        raise ForeignDatabase(
            f"{path} is a SQLite database, but not one of ours; it was left as it is. "
            "Name another file with --db"
        )
    _check_shape(path)
    return False


def _check_shape(path: Path) -> None:
    """Raises `ForeignDatabase` if the schema of our file is not what its revision says."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        before = _marks(path)
        try:
            revision, rows = _read_shape(path)
            return _check_schema(str(path), revision, rows, FINGERPRINTS)
        except (ForeignDatabase, sqlite3.Error) as error:
            # Read without a lock, while somebody else was just writing? Then look again.
            if before != _marks(path) and time.monotonic() < deadline:
                time.sleep(0.02)
            elif isinstance(error, sqlite3.Error):
                raise _unreadable(path, error) from None
            else:
                raise


def _marks(path: Path) -> tuple[object, ...]:
    """Of which one changes when somebody writes to the file or opens it."""
    status = path.stat()
    return (
        (status.st_size, status.st_mtime_ns),
        _beside(path, "-wal").exists(),
        _beside(path, "-journal").exists(),
    )


def _read_shape(path: Path) -> tuple[str | None, list[tuple[str]]]:
    """The revision and the rows of `SHAPE`.

    Where a WAL lies beside the file the truth is in both, and where a journal does, somebody
    writes or broke off: these are read with locks, and a broken transaction is rolled back.
    """
    if _size(_beside(path, "-journal")):
        mode = "mode=rw"
    else:
        mode = "mode=ro" if _beside(path, "-wal").exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY_SECONDS)
    try:
        rows = connection.execute(SHAPE).fetchall()
        revision = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    finally:
        connection.close()
    return (revision[0] if revision else None), rows


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unreadable(path: Path, error: sqlite3.Error) -> ForeignDatabase | StoreUnavailable:
    if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
        return StoreUnavailable(f"{path} cannot be read: {error}")
    return ForeignDatabase(f"{path} is not a recorder database ({error}); it was left as it is")


def _check_revision(name: str, revision: str | None) -> None:
    if revision not in FINGERPRINTS:
        raise ForeignDatabase(
            f"{name} has schema revision {revision}, and this version knows up to {HEAD}: it was "
            "written by a newer realtime-recorder. Upgrade it; the database was left as it is"
        )


def _check_schema(
    name: str, revision: str | None, rows: Iterable[tuple[str]], prints: Mapping[str, str]
) -> None:
    _check_revision(name, revision)
    if fingerprint(rows) != prints[str(revision)]:
        raise ForeignDatabase(
            f"{name} is a recorder database whose tables were changed by hand (revision "
            f"{revision}); it was left as it is. Restore a backup of it, or name another one "
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
        raise StoreUnavailable(f"{path} cannot be opened: {first_line(error)}") from None


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
    name = _shown(engine.url)
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
            _check_schema(name, revision, [(line,) for (line,) in rows], SERVER_FINGERPRINTS)
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

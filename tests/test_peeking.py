"""Looking at a database's files leaves the locks on them; another process is asked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from recorder.sql import peeking, upkeep
from recorder.sql.store import SqlStore
from tests.log_kit import plain, session

SHARED = (0x40000002, 510)
"""Where a connection in WAL mode holds its lock on the database (sqlite.org/fileformat2.html)."""
ALIVE = (128, 1)
"""Where it holds that on the `-shm`: whoever finds none truncates it."""
ASK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, int(sys.argv[3]), int(sys.argv[2]))
"""


def is_locked(path: str | Path, where: tuple[int, int]) -> bool:
    """Whether another process is refused this lock."""
    asked = [sys.executable, "-c", ASK, str(path), *map(str, where)]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0 or "BlockingIOError" in done.stderr, done.stderr
    return done.returncode != 0


@pytest.fixture
def store(tmp_path: Path):
    """Open, with a session in its WAL."""
    store = SqlStore.open(str(tmp_path / "a.db"))
    store.begin(session(1))
    store.append([(session(1).id, plain(1, 50))])
    yield store
    store.close()


def test_measuring_the_wal_leaves_its_locks(store: SqlStore) -> None:
    """A recording process looks at its `-shm` four times a second."""
    assert is_locked(f"{store.path}-shm", ALIVE)
    upkeep.checkpoint(store)
    assert is_locked(f"{store.path}-shm", ALIVE)


def test_opening_a_database_again_leaves_its_locks(store: SqlStore) -> None:
    """Its first bytes are looked at before; when the second one is closed they still hold."""
    assert is_locked(str(store.path), SHARED)
    again = SqlStore.open(str(store.path), create=False)
    assert is_locked(str(store.path), SHARED)
    again.close()
    assert is_locked(str(store.path), SHARED)
    assert is_locked(f"{store.path}-shm", ALIVE)


def test_a_wal_survives_other_processes_that_come_and_go(store: SqlStore) -> None:
    """The last one to leave deletes the WAL: nobody may think that he is."""
    upkeep.checkpoint(store)
    come = "import sys, recorder; recorder.SqlStore.open(sys.argv[1]).close()"
    SqlStore.open(str(store.path)).close()
    subprocess.run([sys.executable, "-c", come, str(store.path)], check=True)
    assert Path(f"{store.path}-wal").exists()
    store.append([(session(1).id, plain(51, 60))])
    count = "import sys, recorder; print(recorder.SqlStore.open(sys.argv[1]).last_seq(sys.argv[2]))"
    asked = [sys.executable, "-c", count, str(store.path), session(1).id]
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout == "60\n"


def descriptors(path: Path) -> int:
    """How many this process has of this file."""
    found = 0
    for each in os.listdir("/dev/fd"):
        with suppress(OSError):
            found += os.path.samestat(os.fstat(int(each)), path.stat())
    return found


def test_what_nobody_has_open_is_closed_again(tmp_path: Path) -> None:
    """Of a file that is open elsewhere one descriptor stays, however often it is looked at."""
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    assert [peeking.peek(path, 3) for _ in range(5)] == [(b"abc", 6)] * 5
    assert descriptors(path) == 0
    with path.open("rb"):
        assert [peeking.peek(path, 9) for _ in range(5)] == [(b"abcdef", 6)] * 5
        assert descriptors(path) == 2
    peeking.peek(__file__, 1)
    assert descriptors(path) == 0


def test_a_file_that_took_its_place_is_the_one_that_is_read(tmp_path: Path) -> None:
    """What is kept is known by the file, not by its name."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb"):
        assert peeking.peek(path, 9) == (b"old", 3)
        path.unlink()
        path.write_bytes(b"newer")
        assert peeking.peek(path, 9) == (b"newer", 5)


def test_many_threads_look_and_connect_at_once(store: SqlStore) -> None:
    """However they interleave, the locks stay."""

    def come_and_go() -> None:
        for _ in range(5):
            SqlStore.open(str(store.path), create=False).close()
            upkeep.checkpoint(store)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_locked(str(store.path), SHARED)
    assert is_locked(f"{store.path}-shm", ALIVE)

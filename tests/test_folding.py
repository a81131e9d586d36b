"""Folding in several processes: the same as here, whatever happens to the processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recorder.errors import StoreUnavailable
from recorder.sql.folding import Read, read_all
from recorder.sql.store import SqlStore
from recorder.sql.views import Views

from .cli_kit import process
from .talks import NOW, spoken, texted, unended


@pytest.fixture(params=["sqlite", "postgres"])
def sql_store(request: pytest.FixtureRequest) -> SqlStore:
    """Each kind of database in turn."""
    store: SqlStore = request.getfixturevalue(f"{request.param}_store")
    for seed, fill in enumerate((spoken, texted, unended, texted), 1):
        fill(store, seed=seed)
    return store


def by_number(found: list[Read | None]) -> list[Read]:
    """In order, so that it can be compared."""
    return sorted((read for read in found if read), key=lambda read: read.entry.number)


def test_processes_make_the_same_as_this_one(sql_store: SqlStore) -> None:
    """Every session, once, with its ids; and no process is left."""
    entries = Views(sql_store, NOW).entries()

    here = list(read_all(sql_store, entries, jobs=1))
    side_by_side = list(read_all(sql_store, entries, jobs=2, worth=1))

    assert by_number(side_by_side) == by_number(here)
    assert [read.made.outline.turns for read in by_number(here)] == [2, 1, 0, 1]
    assert multiprocessing.active_children() == []


def test_what_little_there_is_to_do_is_done_here(sqlite_store: SqlStore) -> None:
    """Starting a process takes longer than folding a few short sessions."""
    texted(sqlite_store)
    reads = read_all(sqlite_store, Views(sqlite_store, NOW).entries(), jobs=8)

    assert next(reads) is not None
    assert multiprocessing.active_children() == []


def test_whoever_stops_asking_ends_the_processes(sqlite_store: SqlStore) -> None:
    """Law 2: a Ctrl-C, or an error while something is stored."""
    for seed in range(1, 9):
        texted(sqlite_store, seed=seed)
    reads = read_all(sqlite_store, Views(sqlite_store, NOW).entries(), jobs=2, worth=1)

    assert next(reads) is not None
    assert len(multiprocessing.active_children()) == 2
    reads.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_loses_no_session(sqlite_store: SqlStore) -> None:
    """Law 3: its session, and all that were left, are folded here."""
    for seed in range(1, 9):
        texted(sqlite_store, seed=seed)
    reads = read_all(sqlite_store, Views(sqlite_store, NOW).entries(), jobs=2, worth=1)
    first = next(reads)
    for helper in multiprocessing.active_children():
        assert helper.pid
        os.kill(helper.pid, signal.SIGKILL)

    found = by_number([first, *reads])

    assert [read.entry.number for read in found] == list(range(1, 9))


def test_a_session_that_is_gone_meanwhile_is_left_out(sqlite_store: SqlStore) -> None:
    """None stands for it, so that progress is counted right."""
    kept, gone = (texted(sqlite_store, seed=seed) for seed in (1, 2))
    entries = Views(sqlite_store, NOW).entries()
    sqlite_store.remove(gone.id)

    for jobs in (1, 2):
        found = list(read_all(sqlite_store, entries, jobs, worth=1))
        assert found.count(None) == 1
        assert [read.entry.id for read in by_number(found)] == [kept.id]


def test_a_database_that_is_gone_is_said(sqlite_store: SqlStore, database: Path) -> None:
    """A helper that cannot open it says so through us, as an error of ours."""
    for seed in (1, 2):
        texted(sqlite_store, seed=seed)
    entries = Views(sqlite_store, NOW).entries()
    database.rename(database.with_name("elsewhere.db"))

    with pytest.raises(StoreUnavailable, match="no database"):
        list(read_all(sqlite_store, entries, jobs=2, worth=1))
    assert multiprocessing.active_children() == []


def test_rebuilding_in_processes_fills_every_read_model(sqlite_store: SqlStore) -> None:
    """Outlines, words and ids, told of one by one."""
    talks = [texted(sqlite_store, f"word{seed}", seed=seed) for seed in range(1, 6)]
    told: list[tuple[int, int]] = []

    assert Views(sqlite_store, NOW).rebuild(lambda done, of: told.append((done, of)), 2) == 5

    assert told == [(n, 5) for n in range(1, 6)]
    sqlite_store.read = None  # type: ignore[assignment,method-assign]
    views = Views(sqlite_store, NOW)
    assert [row.id for row in views.rows()] == [talk.id for talk in talks]
    assert views.find("resp_t") == [talk.id for talk in talks]


SLOW = """
import sys, time
from recorder.sql import folding, outlines
folding.WORTH = 1
if __name__ == "__main__":
    made = folding.read_all
    def slow(store, entries, jobs):
        for read in made(store, entries, 2, worth=1):
            yield read
            print("one", flush=True)
            time.sleep(0.3)
    from recorder.sql import views
    views.read_all = slow
    from recorder.cli import cli
    cli.main(sys.argv[1:])
"""


def test_ctrl_c_stops_a_rebuild_and_keeps_what_was_built(
    sqlite_store: SqlStore, database: Path, tmp_path: Path
) -> None:
    """Exit code 130, no traceback of anybody, no process left; the rest is built when asked."""
    for seed in range(1, 30):
        texted(sqlite_store, seed=seed)
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    running = subprocess.Popen(
        [sys.executable, str(script), "--db", str(database), "db", "rebuild", "--jobs", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert running.stdout
    for _ in range(4):
        assert running.stdout.readline() == b"one\n"
    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=20)

    assert running.returncode == 130
    assert b"Traceback" not in told
    assert _gone(running.pid)
    assert len(Views(sqlite_store, NOW).rows()) == 29


def _gone(group: int) -> bool:
    """Whether no process of the group is left, now or in a moment."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_the_command_line_rebuilds(sqlite_store: SqlStore, database: Path) -> None:
    """As a process of its own, which has to be started again by its helpers."""
    for seed in range(1, 4):
        texted(sqlite_store, seed=seed)
    running = process(["db", "rebuild", "--jobs", "2"], database)
    out, told = running.communicate(timeout=30)

    assert (running.returncode, out) == (0, b"")
    assert b"of 3 sessions were built again" in told

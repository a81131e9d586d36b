"""Appending in a process of its own: the same log, the same errors, whatever becomes of it."""

from __future__ import annotations

import logging
import marshal
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from hypothesis import given

from recorder.errors import SequenceConflict, SessionNotFound, StoreUnavailable
from recorder.events import Event
from recorder.live import committing
from recorder.live.committing import Committing
from recorder.sql import apart as apart_module
from recorder.sql import passage
from recorder.sql.apart import (
    GIVES_WAY,
    AppendingLost,
    AppendingProcess,
    _packed,
    _unpacked,
)
from recorder.sql.store import SqlStore
from tests.log_kit import append_message, call_messages, events, messages, plain, session
from tests.test_writer import feed, numbers, recording

ONE, TWO = session(1), session(2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """Open, with two sessions."""
    store = SqlStore.open(str(tmp_path / "a.db"), busy_seconds=0.2)
    store.begin(ONE)
    store.begin(TWO)
    yield store
    store.close()


@pytest.fixture
def apart(store: SqlStore) -> Iterator[AppendingProcess]:
    """Ready."""
    process = started(store)
    yield process
    process.close()


def started(store: SqlStore, *, eager: bool = True) -> AppendingProcess:
    """A process that appends, once it can: at once, or where others leave it the time."""
    process = AppendingProcess(store, committing.identity(store), eager=eager)
    until(lambda: process.ready or process.failed, 20 if eager else 120)
    assert not process.failed
    return process


def polite(store: SqlStore) -> AppendingProcess:
    """One that is treated as one that gives way, and still starts at once."""
    process = started(store)
    process.eager = False
    return process


def until(done, seconds: float = 20) -> None:
    """Wait for it, and fail where it never comes."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def pid_of(process: AppendingProcess) -> int:
    """Of what runs over there."""
    assert process._process is not None
    return process._process.pid


def is_there(pid: int) -> bool:
    """Whether that process still runs; one that has ended and was not waited for does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


# ---- what goes over


def over_there(groups) -> list[tuple[str, list[Event]]]:
    """What arrives of them."""
    return _unpacked(
        [
            (marshal.loads(marshal.dumps(value)), memoryview(b"".join(pieces)))
            for value, pieces in _packed(groups)
        ]
    )


@given(messages)
def test_events_come_over_as_they_are(message: bytes) -> None:
    """Whatever the messages were."""
    made = events([message, b"", message])
    groups = [("one", made[:2]), ("two", made[2:]), ("three", [])]
    assert over_there(groups) == groups
    assert over_there([]) == []


def test_many_events_come_over_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are cut: not by sessions, not by messages."""
    made = events(call_messages(20))
    groups = [("one", made[:7]), ("two", made[7:]), ("one", made[:3])]
    for size in range(1, 25):
        monkeypatch.setattr(apart_module, "PORTION", size)
        assert over_there(groups) == groups
        assert len(list(_packed(groups))) == 1 + math.ceil(23 / size)


def test_it_appends_what_appending_here_would(store: SqlStore, apart: AppendingProcess) -> None:
    """The same events, the same digests; here, there and here again."""
    made = events(call_messages(90))
    for start in range(0, 90, 30):
        groups = [(each.id, made[start : start + 30]) for each in (ONE, TWO)]
        (store if start != 30 else apart).append(groups)
    assert list(store.read(ONE.id)) == made
    assert [store.verify(each.id) for each in (ONE, TWO)] == [90, 90]


def test_errors_are_those_of_the_store(store: SqlStore, apart: AppendingProcess) -> None:
    """Named the same, with the same words; and it goes on afterwards."""
    with pytest.raises(SequenceConflict) as there:
        apart.append([(ONE.id, plain(5, 6))])
    with pytest.raises(SequenceConflict) as here:
        store.append([(ONE.id, plain(5, 6))])
    assert str(there.value) == str(here.value)
    assert (there.value.session, there.value.expected, there.value.found) == (ONE.id, 1, 5)
    with pytest.raises(SessionNotFound, match="no session"):
        apart.append([(session(9).id, plain(1, 1))])
    with sqlite3.connect(str(store.path), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            apart.append([(ONE.id, plain(1, 2))])
        other.execute("ROLLBACK")
    apart.append([(ONE.id, plain(1, 2))])
    assert store.last_seq(ONE.id) == 2


def test_it_will_not_have_another_file(store: SqlStore, tmp_path: Path) -> None:
    """One that took the place of ours since we opened it."""
    path = store.path
    assert path is not None
    ours = committing.identity(store)
    path.rename(tmp_path / "moved.db")
    SqlStore.open(str(path)).close()
    before = path.read_bytes()
    process = AppendingProcess(store, ours, eager=True)
    until(lambda: process.failed)
    assert "was removed or replaced" in process.failed
    process.close()
    assert path.read_bytes() == before


def test_its_arguments_tell_nothing(apart: AppendingProcess) -> None:
    """Everybody on the machine sees them, and a database URL may hold a password."""
    told = Path(f"/proc/{pid_of(apart)}/cmdline").read_bytes()
    safe, kind, code, memory, answers = told.decode().split("\0")[1:-1]
    assert (safe, kind, memory.isdigit(), answers.isdigit()) == ("-P", "-c", True, True)
    places = [each for each in sys.path if each]
    assert code in (
        apart_module._BEGIN.format(way, places) for way in (apart_module._GIVE_WAY, "pass")
    )


def test_a_file_of_any_name(tmp_path: Path) -> None:
    """What means something in a URL is a letter like any other in a path."""
    with closing(SqlStore.open(tmp_path / "50% of #1?x=1 &c.db")) as store:
        store.begin(ONE)
        process = started(store)
        process.append([(ONE.id, plain(1, 5))])
        process.close()
        assert list(store.read(ONE.id)) == plain(1, 5)


def test_what_others_print_is_no_answer(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some environments greet every Python that starts."""
    (tmp_path / "sitecustomize.py").write_text("print('x' * 100)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = started(store)
    process.append([(ONE.id, plain(1, 5))])
    process.close()
    assert list(store.read(ONE.id)) == plain(1, 5)


def test_a_message_of_many_megabytes_is_appended_here(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not fit into what two processes share; those before and after it do."""
    monkeypatch.setattr(passage, "SHARED_BYTES", 50_000)
    commits = Committing(store)
    commits._apart = started(store)
    made = events([append_message(bytes(size)) for size in (100, 60_000, 100)])
    for event in made:
        commits.append([(ONE.id, [event])])
    assert commits.apart
    commits.end()
    assert list(store.read(ONE.id)) == made
    assert store.verify(ONE.id) == 3


# ---- the time that it takes


@pytest.mark.skipif(not GIVES_WAY, reason="no such class of processes here")
def test_it_gives_way_unless_it_is_eager(store: SqlStore) -> None:
    """In the system's own words; either appends."""
    idle, eager = started(store, eager=False), started(store)
    assert os.sched_getscheduler(pid_of(idle)) == os.SCHED_IDLE
    assert os.sched_getscheduler(pid_of(eager)) == os.SCHED_OTHER
    idle.append([(ONE.id, plain(1, 10))])
    eager.append([(ONE.id, plain(11, 20))])
    for process in (idle, eager):
        process.close()
    assert list(store.read(ONE.id)) == plain(1, 20)


class Watched(Committing):
    """Starts only what starts at once, so that no test waits for a busy machine; tells what it was
    asked for."""

    def __init__(self, *given, **more) -> None:
        super().__init__(*given, **more)
        self.begun: list[str] = []

    def _started(self, *, eager: bool = False) -> AppendingProcess:
        self.begun.append("eager" if eager else "polite")
        process = super()._started(eager=True)
        process.eager = eager
        return process


needs_classes = pytest.mark.skipif(not GIVES_WAY, reason="no such class of processes here")


@needs_classes
def test_one_that_gets_no_time_is_replaced(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped in the middle, as if others had all of the machine: its group is appended once."""
    monkeypatch.setattr(apart_module, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(committing, "STARVED_SECONDS", 0.3)
    commits = Watched(store)
    commits._apart = starved = polite(store)
    commits.append([(ONE.id, plain(1, 10))])
    os.kill(pid_of(starved), signal.SIGSTOP)
    began = time.monotonic()
    with caplog.at_level(logging.INFO):
        commits.append([(ONE.id, plain(11, 20))])
    assert time.monotonic() - began >= 0.3
    assert "gets too little time" in caplog.text
    assert not is_there(pid_of(starved))
    assert commits.begun == ["eager"]
    until(lambda: commits.apart)
    commits.append([(ONE.id, plain(21, 30))])
    assert commits.apart
    commits.end()
    assert list(store.read(ONE.id)) == plain(1, 30)
    assert store.verify(ONE.id) == 30


@needs_classes
@pytest.mark.parametrize("when", ["before a group", "in a group"])
def test_where_the_buffer_fills_up_it_is_replaced_sooner(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Slow is good enough for as long as there is room for what comes meanwhile."""
    monkeypatch.setattr(apart_module, "LATE_SECONDS", 0.05)
    room = [1.0]
    commits = Watched(store, room=lambda: room[0])
    commits._apart = slow = polite(store)
    commits.append([(ONE.id, plain(1, 10))])
    assert commits._apart is slow
    if when == "in a group":
        os.kill(pid_of(slow), signal.SIGSTOP)
        threading.Timer(0.1, room.__setitem__, (0, 0.1)).start()
    else:
        room[0] = 0.1
    commits.append([(ONE.id, plain(11, 20))])
    assert commits._apart is not slow
    assert not is_there(pid_of(slow))
    until(lambda: commits.apart)
    eager = commits._apart
    commits.append([(ONE.id, plain(21, 30))])
    assert commits._apart is eager  # it is as quick as can be
    commits.end()
    assert commits.begun == ["eager"]
    assert list(store.read(ONE.id)) == plain(1, 30)


@needs_classes
def test_after_a_while_one_gives_way_again(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes over between two groups, when it is ready; each time in a row that it gets too
    little time, it is tried later."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(committing, "RESERVE_RATE", 1e12)
    count, pauses = 0, []

    def append() -> None:
        nonlocal count
        commits.append([(ONE.id, plain(count + 1, count + 5))])
        count += 5

    commits = Watched(store, 1.0)
    commits._apart = polite(store)
    for _ in range(3):
        before = commits._apart
        commits._be_eager()
        assert not is_there(pid_of(before))
        pauses.append(round(commits._polite_again - time.monotonic(), -1))
        until(lambda: commits.apart)
        eager = commits._apart
        assert eager is not None
        assert eager.eager
        append()
        assert commits._next is None
        commits._polite_again = 0.0
        append()
        while commits._next is not None:
            assert commits._apart is eager
            append()
            time.sleep(0.01)  # the next one has to open the database meanwhile
        assert commits._apart is not None
        assert not commits._apart.eager
        assert eager._process is not None
        assert eager._process.returncode == 0
        append()
    assert pauses == [10, 20, 40]
    assert commits.begun == ["eager", "polite"] * 3
    commits._polite_since -= 1000.0  # it had time for long
    commits._be_eager()
    assert round(commits._polite_again - time.monotonic(), -1) == 10
    commits.end()
    assert list(store.read(ONE.id)) == plain(1, count)


@needs_classes
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_beside_very_many_events_one_stands_by(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It takes over within a group, whatever becomes of the one that gives way; nothing is
    appended here meanwhile. Afterwards it stands by again, for as long as there are so many."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(apart_module, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(committing, "STARVED_SECONDS", 0.1)
    monkeypatch.setattr(committing, "RESERVE_RATE", 1.0)
    commits = Watched(store, 1.0)
    commits._apart = first = polite(store)
    commits.append([(ONE.id, plain(1, 5))])
    assert commits._apart is first
    assert commits.begun == ["eager"]
    reserve = commits._next
    assert reserve is not None
    until(lambda: reserve.ready)
    commits.append([(ONE.id, plain(6, 10))])
    assert commits._apart is first
    os.kill(pid_of(first), signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    with monkeypatch.context() as here:
        here.setattr(store, "append", None)
        commits.append([(ONE.id, plain(11, 15))])
    assert commits._apart is reserve
    assert not is_there(pid_of(first))
    commits._polite_again = 0.0
    commits.append([(ONE.id, plain(16, 20))])
    assert commits.begun == ["eager", "polite"]
    second = commits._next
    assert second is not None
    until(lambda: second.ready)
    commits.append([(ONE.id, plain(21, 25))])
    assert commits._apart is second
    assert commits._next is reserve
    monkeypatch.setattr(committing, "QUIET_SECONDS", -1.0)
    commits.append([(ONE.id, plain(26, 30))])
    assert not commits.apart
    assert not any(is_there(pid_of(process)) for process in (second, reserve))
    assert list(store.read(ONE.id)) == plain(1, 30)
    assert store.verify(ONE.id) == 30


@needs_classes
@pytest.mark.parametrize("killed", [False, True])
def test_who_stands_by_helps_where_the_other_one_falls_behind(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """Group by group, for as long as the buffer is nearly full; the other one stays. Killed over
    such a group it is missed by nobody, and another one follows later."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(committing, "RESERVE_RATE", 1.0)
    room, count = [1.0], 0
    commits = Watched(store, 1.0, lambda: room[0])
    commits._apart = first = polite(store)

    def append() -> AppendingProcess | None:
        nonlocal count
        commits.append([(ONE.id, plain(count + 1, count + 5))])
        count += 5
        assert commits._apart is first
        return commits._asked

    append()
    reserve = commits._next
    assert reserve is not None
    until(lambda: reserve.ready)
    assert append() is first
    for room[0] in (0.25, 0.1, 0.0):
        assert append() is reserve
    room[0] = 0.35
    assert append() is first
    if killed:
        room[0] = 0.25
        os.kill(pid_of(reserve), signal.SIGKILL)
        assert append() is first
        assert commits._next is None
        append()
        assert commits._next is None
        commits._next_not_before = 0.0
        append()
        assert commits.begun == ["eager"] * 2
    commits.end()
    assert list(store.read(ONE.id)) == plain(1, count)
    assert store.verify(ONE.id) == count


@needs_classes
def test_one_that_cannot_be_started_replaces_nothing(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that does not give way stays, for an hour."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.0)
    commits = Committing(store, 1.0)
    commits._apart = eager = started(store)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    commits.append([(ONE.id, plain(1, 5))])
    assert commits._next is not None
    until(lambda: commits._next.failed)
    commits.append([(ONE.id, plain(6, 10))])
    assert commits._next is None
    commits.append([(ONE.id, plain(11, 15))])
    assert commits._next is None
    assert commits._apart is eager
    assert commits.apart
    commits.end()


def test_it_copies_the_wal_into_the_database(store: SqlStore, apart: AppendingProcess) -> None:
    """What piles up there is copied without anybody's asking."""
    made = events([append_message(bytes(60_000))] * 120)
    apart.append([(ONE.id, made)])
    assert store.path is not None
    size = store.path.stat().st_size
    assert size < 1_000_000
    until(lambda: store.path.stat().st_size > 5_000_000)


# ---- how it ends


def test_it_ends_in_order(store: SqlStore) -> None:
    """Told to, ready or not; nothing of it is left."""
    ready, hasty = started(store), AppendingProcess(store, committing.identity(store), eager=True)
    pid = pid_of(ready)
    for process in (ready, hasty, ready):
        process.close()
    assert not is_there(pid)
    assert hasty._process is None or hasty._process.returncode is not None


def test_it_does_not_outlive_who_asked(tmp_path: Path) -> None:
    """Killed without a word, we leave no process behind."""
    code = (
        "import sys, time; from recorder.sql.apart import AppendingProcess as A;"
        "from recorder.sql.store import SqlStore as S; a = A(S.open(sys.argv[1]), None)\n"
        "while not a.ready: time.sleep(0.01)\n"
        "print(a._process.pid, flush=True); time.sleep(60)"
    )
    asked = [sys.executable, "-c", code, str(tmp_path / "a.db")]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        assert is_there(pid)
        asking.kill()
    until(lambda: not is_there(pid))


def test_a_copy_of_who_asked_does_not_keep_it(tmp_path: Path) -> None:
    """A fork of us holds its input open, too; it ends nevertheless."""
    code = (
        "import os, sys, time; from recorder.sql.apart import AppendingProcess as A;"
        "from recorder.sql.store import SqlStore as S; a = A(S.open(sys.argv[1]), None)\n"
        "while not a.ready: time.sleep(0.01)\n"
        "copy = os.fork()\n"
        "if copy: print(a._process.pid, copy, flush=True)\n"
        "time.sleep(60)"
    )
    asked = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.db")]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        pid, copy = map(int, asking.stdout.readline().split())
        assert is_there(pid)
        asking.kill()
        try:
            until(lambda: not is_there(pid))
            assert is_there(copy)
        finally:
            os.kill(copy, signal.SIGKILL)


def test_killed_at_any_moment_nothing_is_lost_or_doubled(store: SqlStore) -> None:
    """Again and again, before, in and after a commit."""
    dice, commits = random.Random(7), Committing(store)
    made = events(call_messages(800))
    lost = 0
    for start in range(0, 800, 100):
        commits._apart = started(store)
        pid = pid_of(commits._apart)
        killer = threading.Timer(dice.uniform(0, 0.012), os.kill, (pid, signal.SIGKILL))
        killer.start()
        for first in range(start, start + 100, 20):
            commits.append([(each.id, made[first : first + 20]) for each in (ONE, TWO)])
        killer.join()
        lost += not commits.apart
        commits.end()
    assert lost
    for each in (ONE, TWO):
        assert list(store.read(each.id)) == made
        assert store.verify(each.id) == 800


def test_a_commit_whose_answer_was_lost_is_known(store: SqlStore) -> None:
    """It was written, and who wrote it did not live to say so: it is not written again."""
    commits = Committing(store)
    commits._apart = process = started(store)
    process.append([(ONE.id, plain(1, 20))])
    os.kill(pid_of(process), signal.SIGKILL)
    commits.append([(ONE.id, plain(1, 20))])
    assert not commits.apart
    commits.append([(ONE.id, plain(21, 30))])
    assert list(store.read(ONE.id)) == plain(1, 30)
    with pytest.raises(SequenceConflict):  # only what was in doubt is looked up
        commits.append([(ONE.id, plain(21, 30))])


def test_what_is_in_doubt_is_looked_up_session_by_session(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them was removed meanwhile: that is told, and the others stay in doubt until somebody
    asks for them. Nothing goes to the next process before."""
    commits = Committing(store)
    three = session(3)
    store.begin(three)
    commits._apart = process = started(store)
    batch = [(each.id, plain(1, 20)) for each in (ONE, TWO, three)]
    process.append(batch)
    store.remove(TWO.id)
    os.kill(pid_of(process), signal.SIGKILL)
    with pytest.raises(SessionNotFound):
        commits.append(batch)
    commits._apart = started(store)
    with pytest.raises(SessionNotFound):
        commits.append(batch)
    for each in (batch[2], batch[0]):
        commits.append([each])
        with pytest.raises(SequenceConflict):
            commits.append([each])
    commits.end()
    assert [store.verify(each.id) for each in (ONE, three)] == [20, 20]


def test_one_that_gets_no_time_and_no_successor(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else can be started: then we append here, and wait no longer."""
    monkeypatch.setattr(apart_module, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(committing, "STARVED_SECONDS", 0.1)
    commits = Committing(store)
    commits._apart = starved = polite(store)
    os.kill(pid_of(starved), signal.SIGSTOP)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    commits.append([(ONE.id, plain(1, 10))])
    assert not commits.apart
    assert not is_there(pid_of(starved))
    assert list(store.read(ONE.id)) == plain(1, 10)


def test_one_that_hangs_is_given_up(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word, and for longer than any database makes it wait: then we append here."""
    monkeypatch.setattr(apart_module, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(committing, "HUNG_SECONDS", 0.3)
    commits = Committing(store)
    commits._apart = hung = started(store)
    os.kill(pid_of(hung), signal.SIGSTOP)
    commits.append([(ONE.id, plain(1, 10))])
    assert not commits.apart
    assert not is_there(pid_of(hung))
    assert list(store.read(ONE.id)) == plain(1, 10)


def test_giving_up_ends_a_wait(tmp_path: Path) -> None:
    """A locked database holds it for as long as it was told; closing has no such patience."""
    store = SqlStore.open(str(tmp_path / "b.db"), busy_seconds=60)
    store.begin(ONE)
    process = started(store)
    with sqlite3.connect(str(store.path), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, process.kill).start()
        with pytest.raises(AppendingLost):
            process.append([(ONE.id, plain(1, 2))])
        other.execute("ROLLBACK")
    process.close()
    store.close()


# ---- when it is used


async def test_under_load_the_writer_goes_over_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the rate a process appends; killed, the thread does; then another; all is there."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(committing, "AGAIN_SECONDS", 0.0)
    path, count, pids = tmp_path / "a.db", 0, []
    async with recording(path, apart_rate=10.0, flush_seconds=0.005) as (_, writer, tap):
        with trio.fail_after(50):
            while len(pids) < 3:
                await feed(tap, 20, count)
                count += 20
                await writer.flush()
                process = writer._committing._apart
                if process is not None and process.ready and pid_of(process) not in pids:
                    pids.append(pid_of(process))
                    if len(pids) < 3:
                        os.kill(pids[-1], signal.SIGKILL)
    assert writer.lost == 0
    assert not writer.conflicts
    assert numbers(path, tap.session.id) == list(range(count))
    assert not any(map(is_there, pids))


async def test_a_removed_file_is_rescued_from_over_there_too(tmp_path: Path) -> None:
    """What that process wrote is in the file that we go on in."""
    path = tmp_path / "a.db"
    async with recording(path) as (store, writer, tap):
        writer._committing._apart = process = await trio.to_thread.run_sync(started, store)
        await feed(tap, 100)
        await writer.flush()
        assert writer.commits_apart
        for each in tmp_path.glob("a.db*"):
            each.unlink()
        await feed(tap, 100, 100)
        await writer.flush()
        assert not writer.commits_apart
    assert writer.moved_to is not None
    assert numbers(writer.moved_to, tap.session.id) == list(range(200))
    assert not is_there(pid_of(process))


def test_few_events_stay_here(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the rate nothing is started; after long quiet what was started ends."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.0)
    commits = Committing(store, 1e9)
    commits.append([(ONE.id, plain(1, 5))])
    assert commits._apart is None
    never = Committing(store, None)
    never.append([(ONE.id, plain(6, 9))])
    assert never._apart is None
    commits._apart = process = polite(store)
    commits.append([(ONE.id, plain(10, 12))])
    assert commits.apart
    monkeypatch.setattr(committing, "QUIET_SECONDS", -1.0)
    commits.append([(ONE.id, plain(13, 15))])
    assert commits._apart is None
    assert not is_there(pid_of(process))
    assert list(store.read(ONE.id)) == plain(1, 15)


def test_where_it_cannot_start_the_thread_goes_on(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and tried again only later."""
    monkeypatch.setattr(committing, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    commits = Committing(store, 0.0)
    with caplog.at_level(logging.WARNING):
        commits.append([(ONE.id, plain(1, 1))])
        process = commits._apart
        assert process is not None
        until(lambda: process.failed)
        commits.append([(ONE.id, plain(2, 2))])
        commits.append([(ONE.id, plain(3, 3))])
    assert commits._apart is None
    told = [record.message.partition(":")[0] for record in caplog.records]
    assert told == ["no process that appends could be started"]
    assert list(store.read(ONE.id)) == plain(1, 3)
    pauses = []
    for _ in range(12):
        pauses.append(round(commits._not_before - time.monotonic(), -1))
        commits._not_before = 0.0
        while commits._failures == len(pauses):
            commits.rest()
    assert pauses[:4] == [20, 40, 80, 160]
    assert pauses[-1] == committing.LONGEST_AGAIN_SECONDS

"""A recording process that dies, or whose disk fills up: what is in the log afterwards.

Each test runs a real process on a real file and looks at that file from outside.
"""

from __future__ import annotations

import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from recorder.live.writer import FLUSH_SECONDS
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore

ROOT = Path(__file__).parent.parent
KILLS = 8
"""Random moments at which a recording process is killed."""


class Child:
    """A recording process and what it said so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.session = ""
        self.put: dict[int, int] = {}
        self.committed = 0
        self.troubles: list[str] = []
        self.lost: int | None = None

    def take(self, line: bytes) -> None:
        """Remember what one line says."""
        word, _, rest = line.decode().strip().partition(" ")
        match word:
            case "session":
                self.session = rest
            case "put":
                seq, at_ns = map(int, rest.split())
                self.put[seq] = at_ns
            case "committed":
                self.committed = int(rest.split()[0])
            case "trouble":
                self.troubles.append(rest)
            case "lost":
                self.lost = int(rest)

    def read_until(self, done, seconds: float = 20.0) -> None:
        """Take lines until `done()`."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            ready = (
                select.select([self.process.stdout], [], [], max(left, 0))[0] if left > 0 else []
            )
            assert ready, "the child did not get there in time"
            line = self.process.stdout.readline()
            assert line, "the child ended"
            self.take(line)

    def rest(self) -> None:
        """Take all that is left."""
        for line in self.process.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                self.take(line)


@contextmanager
def child(db: Path, *, rate: float = 500.0) -> Iterator[Child]:
    """A recording process on this database; killed in the end, if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.recording_child", str(db), str(rate)],
        stdout=subprocess.PIPE,
        bufsize=0,
        cwd=ROOT,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def read_back(db: Path, session: str) -> list[int]:
    """The numbers of the events in the log, after proving that each is whole and in its place."""
    store = SqlStore.open(locate(str(db), {}), create=False)
    try:
        store.verify(session)
        events = list(store.read(session))
    finally:
        store.close()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for event in events:
        assert isinstance(orjson.loads(event.head), dict)
    return [event.seq for event in events]


def test_a_killed_process_loses_at_most_one_flush_interval(tmp_path: Path) -> None:
    """At random moments, many times: what was committed is there, what came long before too."""
    chance = random.Random(20261122)
    for number in range(KILLS):
        db = tmp_path / f"{number}.db"
        with child(db) as recording:
            target = chance.randint(2, 120)
            recording.read_until(lambda r=recording, t=target: len(r.put) >= t)
            time.sleep(chance.random() * FLUSH_SECONDS)
            recording.process.send_signal(signal.SIGKILL)
            killed_ns = time.monotonic_ns()
            recording.process.wait()
            recording.rest()
        last = len(read_back(db, recording.session))
        assert last >= recording.committed
        # A busy machine may keep the committing thread waiting for a while: five intervals.
        old = [s for s, at in recording.put.items() if at < killed_ns - 5 * FLUSH_SECONDS * 1e9]
        assert last >= max(old, default=0)
        assert last <= max(recording.put) + 1


def test_a_killed_recording_is_interrupted_and_a_stopped_one_is_ended(tmp_path: Path) -> None:
    """After SIGKILL there is no close and the lease runs out; after SIGTERM there is one."""
    from recorder.sql.views import Views

    db = tmp_path / "a.db"
    with child(db) as killed:
        killed.read_until(lambda: killed.committed > 5)
        killed.process.kill()
        killed.process.wait()
    with child(db) as stopped:
        stopped.read_until(lambda: stopped.committed > 5)
        stopped.process.terminate()
        assert stopped.process.wait(10) == 0
        stopped.rest()
    assert stopped.lost == 0
    store = SqlStore.open(locate(str(db), {}))
    try:
        now = time.time_ns()
        assert statuses(Views(store, now))[killed.session] == "live"
        later = statuses(Views(store, now + 60_000_000_000))
        assert later[killed.session] == "interrupted"
        assert later[stopped.session] == "ended"
    finally:
        store.close()


def statuses(views) -> dict[str, str]:
    """Session id to status, as `ls` tells it."""
    return {row.id: row.status for row in views.rows()}


def test_a_file_size_limit_is_a_stall_and_recording_resumes(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes writes fail in the middle of a session; once lifted, all is written."""
    db = tmp_path / "a.db"
    with child(db, rate=300) as recording:
        recording.read_until(lambda: recording.committed > 20)
        pid = recording.process.pid
        old = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (300_000, old[1]))
        recording.read_until(lambda: recording.troubles)
        stalled_at = max(recording.put)
        recording.read_until(lambda: max(recording.put) > stalled_at + 50)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, old)
        recording.read_until(lambda: recording.committed > stalled_at + 50)
        recording.process.terminate()
        recording.process.wait(10)
        recording.rest()
    assert recording.lost == 0
    assert len(read_back(db, recording.session)) == max(recording.put) + 1


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare (util-linux)")
def test_a_full_disk_is_a_stall_and_recording_resumes(tmp_path: Path) -> None:
    """A small tmpfs of a mount namespace fills up; after it grew, all is written."""
    script = tmp_path / "in_namespace.sh"
    script.write_text(
        "set -e\n"
        f"mount -t tmpfs -o size=700k tmpfs {tmp_path}/disk\n"
        f"{sys.executable} -m tests.recording_child {tmp_path}/disk/a.db 300 &\n"
        "child=$!\n"
        "trap 'kill -KILL $child' EXIT\n"
        f"while [ ! -e {tmp_path}/grow ]; do kill -0 $child; sleep 0.05; done\n"
        f"mount -o remount,size=64m {tmp_path}/disk\n"
        f"while [ ! -e {tmp_path}/stop ]; do sleep 0.05; done\n"
        "kill -TERM $child; wait $child\n"
        f"cp {tmp_path}/disk/a.db {tmp_path}/copy.db\n"
    )
    (tmp_path / "disk").mkdir()
    root = ["--map-root-user", "--user"] if os.geteuid() else []
    unshare = ["unshare", *root, "--mount", "sh"]
    allowed = subprocess.run([*unshare, "-c", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("this machine allows no mount namespaces")
    with subprocess.Popen(
        [*unshare, str(script)], stdout=subprocess.PIPE, bufsize=0, cwd=ROOT
    ) as process:
        recording = Child(process)
        try:
            recording.read_until(lambda: recording.troubles)
            assert "full" in recording.troubles[0] or "I/O" in recording.troubles[0]
            stalled_at = max(recording.put)
            (tmp_path / "grow").touch()
            recording.read_until(lambda: recording.committed > stalled_at)
            (tmp_path / "stop").touch()
            process.wait(15)
            recording.rest()
        finally:
            (tmp_path / "grow").touch()
            (tmp_path / "stop").touch()
    assert recording.lost == 0
    assert len(read_back(tmp_path / "copy.db", recording.session)) == max(recording.put) + 1

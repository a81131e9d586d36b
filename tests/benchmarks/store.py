"""How fast events are stored, and how large the file gets.

append-256, append-16   `SqlStore.append` in groups of so many events, against
                        `sqlite3.executemany` of the same rows with the same settings, in
                        transactions of the same size.
wire-to-row             From the message to the committed row: stamped, searched for secrets,
                        split, numbered, in groups of 256, `synchronous=FULL`, checkpoints in a
                        thread as when a call is recorded; against a plain table of the whole
                        messages, `executemany` of 1,000, SQLite as it comes (4 KiB pages, WAL).
file-size               The database after a checkpoint, against `export jsonl` of the session.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from recorder.events import Event, Origin
from recorder.exporters import jsonl
from recorder.recording import Recorder
from recorder.sql import upkeep
from recorder.sql.opening import PAGE_SIZE, locate
from recorder.sql.store import SqlStore
from tests.benchmarks.figures import Figure, compared, rates, tell
from tests.log_kit import (
    append_message,
    call_messages,
    delta_message,
    events,
    session,
    text_message,
)

COUNT = 20_000
ROOM = 1 << 30
SETTINGS = (
    f"page_size={PAGE_SIZE}",
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "wal_autocheckpoint=0",
)
"""Ours, for the baseline."""


class Files:
    """New database files, one after the other, each gone when the next one is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def new(self) -> Path:
        """A name that was never used."""
        for old in self.folder.glob("bench*"):
            old.unlink()
        self.count += 1
        return self.folder / f"bench{self.count}.db"


def groups(made: list[Event], size: int) -> list[list[Event]]:
    """The events in groups of this size."""
    return [made[start : start + size] for start in range(0, len(made), size)]


def append_figure(files: Files, size: int, bound: float) -> Figure:
    """`SqlStore.append` against plain `executemany` of the same rows."""
    mix = groups(events(call_messages(COUNT)), size)
    rows = [
        [(each.seq, each.at_ns, int(each.origin), *each[3:]) for each in group] for group in mix
    ]
    facts = session(1)

    def ours() -> None:
        for group in mix:
            store.append([(facts.id, group)])

    def plain() -> None:
        for group in rows:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", group)
            connection.execute("COMMIT")

    mine, others = [], []
    for index in range(7):
        for side in ("ours", "plain")[:: 1 if index % 2 else -1]:
            path = files.new()
            if side == "ours":
                store = SqlStore.open(locate(str(path), {}))
                store.begin(facts)
                mine += rates(COUNT, ours, int, 1)[0]
                store.close()
            else:
                with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                    for setting in SETTINGS:
                        connection.execute(f"PRAGMA {setting}")
                    connection.execute(
                        "CREATE TABLE events (key INTEGER PRIMARY KEY, at_ns, origin, type, "
                        "opcode, head, meta, audio)"
                    )
                    others += rates(COUNT, plain, int, 1)[0]
    return compared(f"append-{size}", mine, others, bound)


@contextmanager
def checkpoints(store: SqlStore) -> Iterator[None]:
    """Checkpoints in a thread beside us, as when a call is recorded."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.25):
            upkeep.checkpoint(store)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wire_figure(files: Files) -> Figure:
    """From wire message to committed row."""
    messages = call_messages(COUNT)
    facts = session(1)
    known = ["dgrid-0f1e2d3c4b5a69788796a5b4"]

    def ours() -> None:
        recorder = Recorder(facts, known_secrets=known)
        admit, clock = recorder.admit, time.monotonic_ns
        group: list[Event] = []
        for message in messages:
            event = admit(Origin.SERVER, clock(), message, room=ROOM)
            assert event is not None
            group.append(event)
            if len(group) == 256:
                store.append([(facts.id, group)])
                group = []
        store.append([(facts.id, group)])

    def plain() -> None:
        rows = [(n, time.time(), 1, message) for n, message in enumerate(messages)]
        for start in range(0, COUNT, 1000):
            with connection:
                connection.executemany(
                    "INSERT INTO log VALUES (?, ?, ?, ?)", rows[start : start + 1000]
                )

    mine, others = [], []
    for index in range(7):
        for side in ("ours", "plain")[:: 1 if index % 2 else -1]:
            path = files.new()
            if side == "ours":
                store = SqlStore.open(locate(str(path), {}))
                store.begin(facts)
                with checkpoints(store):
                    mine += rates(COUNT, ours, int, 1)[0]
                store.close()
            else:
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("PRAGMA page_size=4096")
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.execute(
                        "CREATE TABLE log (seq INTEGER PRIMARY KEY, at REAL, origin, message)"
                    )
                    others += rates(COUNT, plain, int, 1)[0]
    return compared("wire-to-row", mine, others, 0.65)


def call(kind: str, minutes: int = 3) -> list[bytes]:
    """A two-sided call: both sides speak half of the time, the microphone sends all the time."""
    pool = bytes(range(256)) * 256
    made: list[bytes] = []
    chunk, delta = {"pcm16": (960, 12_000), "g711": (160, 2_000), "text": (0, 0)}[kind]
    for number in range(minutes * 60 * 50):
        if chunk:
            made.append(append_message(pool[number % 251 :][:chunk]))
        if number % 25 == 0:
            if delta and number % 50:
                made.append(delta_message(pool[number % 97 :][:delta], number))
            made.append(text_message(number))
    return made


def size_ratio(files: Files, kind: str) -> tuple[float, str]:
    """Size of the database against that of the JSONL, and both in words."""
    facts, made = session(1), events(call(kind))
    path = files.new()
    store = SqlStore.open(locate(str(path), {}))
    store.begin(facts)
    for group in groups(made, 32):
        store.append([(facts.id, group)])
    store.close()
    database = path.stat().st_size
    text = sum(map(len, jsonl.lines(facts, made)))
    return database / text, f"{database / 1e6:.2f} of {text / 1e6:.2f} MB"


def main() -> int:
    """Measure, and tell."""
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        files = Files(Path(folder))
        figures = [
            append_figure(files, 256, 0.85),
            append_figure(files, 16, 0.80),
            wire_figure(files),
        ]
        ratio, told = size_ratio(files, "pcm16")
        figures.append(Figure("file-size", (ratio,), 0.85, at_least=False, note=told))
        beside = [
            f"file size of a {kind} session: {ratio:.2f} ({told})"
            for kind in ("g711", "text")
            for ratio, told in [size_ratio(files, kind)]
        ]
    return tell("store", figures, beside)


if __name__ == "__main__":
    sys.exit(main())

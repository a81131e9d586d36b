"""How fast events are stored, and how large the file gets.

append_256, append_16   `SqlStore.append` in groups of so many events, against
                        `sqlite3.executemany` of the same rows with the same settings, in
                        transactions of the same size.
wire_to_row             From the message to the committed row: stamped, searched for secrets,
                        split, numbered, in groups of 256, `synchronous=FULL`, checkpoints in a
                        thread as when a call is recorded; against a plain table of the whole
                        messages, `executemany` of 1,000, SQLite as it comes (4 KiB pages, WAL,
                        and `synchronous=FULL` too).
file_size               The database after a checkpoint, against `export jsonl` of the session:
                        PCM16 at 24 kHz, the microphone in pieces of 20 ms.

Events are a mix as of a spoken call: 70 % of 300 bytes, 20 % of 4 kB, 10 % of 16 kB.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from recorder.events import Event, Origin
from recorder.exporters import jsonl
from recorder.recording import Recorder
from recorder.sql import upkeep
from recorder.sql.opening import PAGE_SIZE, locate
from recorder.sql.schema import events as event_table
from recorder.sql.store import SqlStore
from tests.benchmarks.figures import Figure, finish, paired, spread, table
from tests.log_kit import (
    append_message,
    call_messages,
    delta_message,
    events,
    session,
    text_message,
)

Sides = tuple[Callable[[], float], Callable[[], float]]
"""Ours and the baseline: each call measures once, in events a second."""

COUNT = 20_000
ROUNDS = 9
SLICES, SLICE = 121, 1024
FACTS = session(1)
INSERT = (
    "INSERT INTO events (key, at_ns, origin, type, opcode, head, meta, audio) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
SETTINGS = (
    f"page_size={PAGE_SIZE}",
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "wal_autocheckpoint=0",
)
"""Ours, for the baseline."""


class Folder:
    """Where database files are made, and go as soon as they are closed."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A name that was never used."""
        self.count += 1
        path = self.path / f"{self.count}.db"
        yield path
        for old in self.path.glob(f"{path.name}*"):
            old.unlink()

    @contextmanager
    def store(self) -> Iterator[SqlStore]:
        """Ours, new, with a session in it."""
        with self.new() as path, closing(SqlStore.open(locate(str(path), {}))) as store:
            store.begin(FACTS)
            yield store

    @contextmanager
    def plain(self, *settings: str, layout: str) -> Iterator[sqlite3.Connection]:
        """A plain database, new, with a table."""
        with (
            self.new() as path,
            closing(sqlite3.connect(path, isolation_level=None)) as connection,
        ):
            for setting in settings:
                connection.execute(f"PRAGMA {setting}")
            connection.execute(layout)
            yield connection


def rate(count: int, run: Callable[[], object]) -> float:
    """Events a second, of a run over so many; without the garbage of what was before."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    run()
    taken = time.perf_counter() - start
    gc.enable()
    return count / taken


def _events_table() -> str:
    """The statement that makes our table of events."""
    return str(sa.schema.CreateTable(event_table).compile(dialect=sqlite.dialect()))


def grouped(made: list[Event], size: int) -> list[list[Event]]:
    """The events in groups of this size."""
    return [made[start : start + size] for start in range(0, len(made), size)]


def appending(folder: Folder, size: int) -> Iterator[Sides]:
    """Both sides of `append_SIZE`. They take turns slice by slice, each in a file of its own, and
    each slice is split just before, as it is when a call is recorded."""
    with folder.store() as store, folder.plain(*SETTINGS, layout=_events_table()) as db:
        mine, theirs = _slices(1), _slices(2)

        def ours() -> float:
            groups = grouped(next(mine), size)

            def run() -> None:
                for group in groups:
                    store.append([(FACTS.id, group)])

            return rate(SLICE, run)

        def plain() -> float:
            rows = [
                [(each.seq, each.at_ns, int(each.origin), *each[3:]) for each in group]
                for group in grouped(next(theirs), size)
            ]

            def run() -> None:
                for group in rows:
                    db.execute("BEGIN IMMEDIATE")
                    db.executemany(INSERT, group)
                    db.execute("COMMIT")

            return rate(SLICE, run)

        yield ours, plain


def _slices(seed: int) -> Iterator[list[Event]]:
    messages = call_messages(SLICES * SLICE, seed)
    for start in range(0, len(messages), SLICE):
        yield events(messages[start : start + SLICE], start)


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


def wiring(folder: Folder) -> Sides:
    """Both sides of `wire_to_row`."""
    messages = call_messages(COUNT)

    def record(store: SqlStore) -> None:
        recorder = Recorder(FACTS, known_secrets=["dgrid-0f1e2d3c4b5a69788796a5b4"])
        admit, clock = recorder.admit, time.monotonic_ns
        group: list[Event] = []
        for message in messages:
            event = admit(Origin.SERVER, clock(), message, room=1 << 30)
            assert event is not None
            group.append(event)
            if len(group) == 256:
                store.append([(FACTS.id, group)])
                group = []
        store.append([(FACTS.id, group)])

    def ours() -> float:
        with folder.store() as store, checkpoints(store):
            return rate(COUNT, lambda: record(store))

    def plain() -> float:
        layout = "CREATE TABLE log (seq INTEGER PRIMARY KEY, at INTEGER, origin INTEGER, message)"
        with folder.plain("page_size=4096", "journal_mode=WAL", layout=layout) as connection:

            def run() -> None:
                for start in range(0, COUNT, 1000):
                    rows = [
                        (start + n, time.monotonic_ns(), 1, message)
                        for n, message in enumerate(messages[start : start + 1000])
                    ]
                    connection.execute("BEGIN")
                    connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", rows)
                    connection.execute("COMMIT")

            return rate(COUNT, run)

    return ours, plain


def call(kind: str, minutes: int = 3) -> list[bytes]:
    """A two-sided call: the microphone sends all the time, the assistant speaks half of it."""
    pool = bytes(range(256)) * 256
    made: list[bytes] = []
    chunk, delta = {"PCM16": (960, 12_000), "G.711": (160, 2_000), "text": (0, 0)}[kind]
    for number in range(minutes * 60 * 50):
        if chunk:
            made.append(append_message(pool[number % 251 :][:chunk]))
        if number % 25 == 0:
            if delta and number % 50:
                made.append(delta_message(pool[number % 97 :][:delta], number))
            made.append(text_message(number))
    return made


def sizes(folder: Folder, kind: str) -> tuple[int, int]:
    """Bytes of the database, and of the JSONL."""
    made = events(call(kind))
    with folder.store() as store:
        for group in grouped(made, 32):
            store.append([(FACTS.id, group)])
        store.close()
        assert store.path is not None
        return store.path.stat().st_size, sum(map(len, jsonl.lines(FACTS, made)))


def main() -> None:
    """Measure and tell."""
    rows: list[list[str]] = []
    figures: list[Figure] = []

    def measure(
        figure: str,
        limit: float,
        sides: tuple[Callable[[], float], Callable[[], float]],
        turns: int,
    ) -> None:
        mine, theirs, ratios = paired(*sides, turns)
        rows.append([figure, spread(mine), spread(theirs), spread(ratios, 2)])
        figures.append(Figure(figure, statistics.median(ratios), limit))

    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as name:
        folder = Folder(Path(name))
        for size, limit in ((256, 0.85), (16, 0.80)):
            for sides in appending(folder, size):
                measure(f"append_{size}", limit, sides, SLICES)
        measure("wire_to_row", 0.65, wiring(folder), ROUNDS)
        for kind in ("PCM16", "G.711", "text"):
            database, text = sizes(folder, kind)
            rows.append([f"file size, {kind}", f"{database:,}", f"{text:,}",
                         f"{database / text:.2f}"])  # fmt: skip
            if kind == "PCM16":
                figures.append(Figure("file_size", database / text, 0.85, at_least=False))
    table(["what", "ours: events/s or bytes", "baseline", "ratio"], rows)
    finish("store", figures)


if __name__ == "__main__":
    main()

"""How fast events are read.

read   `SqlStore.read` of a session, against a plain `sqlite3` scan of the same rows.
wire   The same with the exact message joined again from each event.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.wire import join
from tests.benchmarks.figures import Figure, finish, paired, spread, table
from tests.log_kit import call_messages, events, session

COUNT = 40_000
ROUNDS = 11
FACTS = session(1)


def filled(path: Path) -> SqlStore:
    """A store with one long session, closed and opened again."""
    store = SqlStore.open(locate(str(path), {}), durability="normal")
    store.begin(FACTS)
    made = events(call_messages(COUNT))
    for start in range(0, COUNT, 256):
        store.append([(FACTS.id, made[start : start + 256])])
    store.close()
    return SqlStore.open(locate(str(path), {}), create=False)


def main() -> None:
    """Measure and tell."""
    rows: list[list[str]] = []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "bench.db"
        store = filled(path)

        def plain() -> float:
            start = time.perf_counter()
            with closing(sqlite3.connect(path)) as connection:
                for row in connection.execute("SELECT * FROM events ORDER BY key"):
                    assert row
            return COUNT / (time.perf_counter() - start)

        def streamed() -> float:
            start = time.perf_counter()
            for event in store.read(FACTS.id):
                assert event
            return COUNT / (time.perf_counter() - start)

        def joined() -> float:
            start = time.perf_counter()
            for event in store.read(FACTS.id):
                join(event)
            return COUNT / (time.perf_counter() - start)

        for figure, limit, ours in (("read", 0.5, streamed), ("wire", 0.35, joined)):
            mine, theirs, ratios = paired(ours, plain, ROUNDS)
            rows.append([figure, spread(mine), spread(theirs), spread(ratios, 2)])
            figures.append(Figure(figure, statistics.median(ratios), limit))
        store.close()
    table(["what", "ours, events/s", "plain sqlite3", "ratio"], rows)
    finish("reading", figures)


if __name__ == "__main__":
    main()

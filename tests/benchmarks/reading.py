"""How fast events are read.

read   `SqlStore.read` of a session, against a plain `sqlite3` scan of the same rows.
wire   The same with the exact message joined again from each event.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.wire import join
from tests.benchmarks.figures import compared, rates, tell
from tests.log_kit import call_messages, events, session

COUNT = 40_000


def main() -> int:
    """Measure, and tell."""
    facts = session(1)
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "bench.db"
        store = SqlStore.open(locate(str(path), {}), durability="normal")
        store.begin(facts)
        made = events(call_messages(COUNT))
        for start in range(0, COUNT, 256):
            store.append([(facts.id, made[start : start + 256])])
        del made
        store.close()
        store = SqlStore.open(locate(str(path), {}), create=False)

        def plain() -> None:
            with closing(sqlite3.connect(path)) as connection:
                for row in connection.execute("SELECT * FROM events ORDER BY key"):
                    assert row

        def streamed() -> None:
            for event in store.read(facts.id):
                assert event

        def joined() -> None:
            for event in store.read(facts.id):
                join(event)

        figures = [
            compared("read", *rates(COUNT, streamed, plain), 0.5),
            compared("wire", *rates(COUNT, joined, plain), 0.35),
        ]
        store.close()
    return tell("reading", figures)


if __name__ == "__main__":
    sys.exit(main())

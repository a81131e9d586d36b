"""How fast sessions leave as JSONL, and come in.

export   JSONL written from a database, against reading and re-writing the same file with orjson
         alone: a line at a time, parsed and dumped.
import   The same file into a new database, every commit safe from a power failure, against the
         same.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import orjson

from recorder.events import new_session_id
from recorder.exporters import EXPORTERS, Source
from recorder.importers import Asked, items, take_in
from recorder.sql.behind import Behind
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from tests.benchmarks.figures import Figure, finish, paired, spread, table
from tests.benchmarks.reading import COUNT, FACTS, filled

ROUNDS = 9


def exported(store: SqlStore, path: Path) -> float:
    """Events a second, from the database into the file."""
    start = time.perf_counter()
    source = Source(FACTS, lambda audio: store.read(FACTS.id, audio=audio))
    with path.open("wb") as file:
        EXPORTERS["jsonl"].write([source], file)
    return COUNT / (time.perf_counter() - start)


_NUMBERS = itertools.count(1)
_ASKED = Asked(name="call.jsonl", wall_ns=0, new_id=lambda ns: new_session_id(ns, os.urandom(10)))


def imported(path: Path) -> float:
    """Events a second, from the file into a new database."""
    database = path.with_name(f"{next(_NUMBERS)}.db")
    store = SqlStore.open(locate(str(database), {}))
    start = time.perf_counter()
    with Behind(store) as behind:
        take_in(behind, items(partial(pieces, path), _ASKED), _ASKED, as_new=False)
    took = time.perf_counter() - start
    store.close()
    database.unlink()
    return COUNT / took


def pieces(path: Path) -> Iterator[bytes]:
    """The file, a quarter of a megabyte at a time."""
    with path.open("rb") as file:
        yield from iter(partial(file.read, 1 << 18), b"")


def rewritten(path: Path, copy: Path) -> float:
    """Lines a second, through orjson alone."""
    start = time.perf_counter()
    with path.open("rb") as file, copy.open("wb") as target:
        for line in file:
            target.write(orjson.dumps(orjson.loads(line), option=orjson.OPT_APPEND_NEWLINE))
    return COUNT / (time.perf_counter() - start)


def main() -> None:
    """Measure and tell."""
    rows: list[list[str]] = []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        store = filled(Path(folder) / "bench.db")
        path, copy = Path(folder) / "call.jsonl", Path(folder) / "copy.jsonl"
        exported(store, path)
        mine, theirs, ratios = paired(
            lambda: exported(store, path), lambda: rewritten(path, copy), ROUNDS
        )
        rows.append(["export", spread(mine), spread(theirs), spread(ratios, 2)])
        figures.append(Figure("export", statistics.median(ratios), 1 / 3))
        mine, theirs, ratios = paired(lambda: imported(path), lambda: rewritten(path, copy), ROUNDS)
        rows.append(["import", spread(mine), spread(theirs), spread(ratios, 2)])
        figures.append(Figure("import", statistics.median(ratios), 1 / 3))
        store.close()
    table(["what", "ours, events/s", "orjson alone", "ratio"], rows)
    finish("exchange", figures)


if __name__ == "__main__":
    main()

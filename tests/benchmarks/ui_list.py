"""How fast `recorder ui` answers with a page of its list, among ten thousand sessions.

text     `text:refund`, a word of 1 session in 100, and where it stands in each
phrase   `text:"refund please"`
begun    `text:ref*`
mixed    `text:refund since:90d -tag:test turns>0`
all      no query: the newest hundred of all
sorted   no query, the sessions with the most findings first

Each is all that the server does between the parameters and the bytes of the answer: understand the
words, see whether anything is new (at most once a second), ask, count, cut the page, and write it
as JSON. Against the bare query by plain `sqlite3` on an open connection: a count of all, and the
rows of the same page with the same text found in the same way.

    python -m tests.benchmarks.ui_list
    python -m tests.benchmarks.ui_list --sessions 500   # to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.ui.listing import asked, listed
from recorder.ui.shelf import Shelf
from tests.benchmarks.figures import Figure, finish, paired, spread, table
from tests.benchmarks.selecting import fill
from tests.talks import NOW

ROUNDS: Final = 15
MOST: Final = 5
"""Times the bare query."""
PAGE: Final = 100

COLUMNS: Final = (
    "s.id, s.wall_ns, s.kind, s.vantage, s.call, s.model, s.capture, r.lease_ns, v.last_seq, "
    "v.outcome, v.duration_ns, v.model, v.tags, v.turns, v.errors, v.findings, v.lost"
)
FROM: Final = (
    "FROM sessions AS s JOIN view_sessions AS v ON v.number = s.number "
    "LEFT JOIN recorders AS r ON r.id = s.recorder "
)
WORDS: Final = (
    "s.number IN (SELECT rowid FROM view_words WHERE view_words MATCH '{match}') "
    "AND s.number IN (SELECT number FROM view_texts WHERE instr(text, '{needle}') > 0)"
)
FOUND: Final = (
    "SELECT number, substr(text, max(instr(text, '{needle}') - 90, 1), 240) FROM view_texts "
    "WHERE number IN (SELECT rowid FROM view_words WHERE view_words MATCH '{match}') "
    "AND instr(text, '{needle}') > 0 LIMIT 100"
)


def words(match: str, needle: str) -> tuple[str, str]:
    """What must hold of a session in which this stands, and the query for where it does."""
    return WORDS.format(match=match, needle=needle), FOUND.format(match=match, needle=needle)


REFUND: Final = words('"refund"', " refund ")
MIXED: Final = (
    f" AND s.wall_ns >= {NOW - 90 * 86_400 * 10**9} AND v.turns > 0 "
    "AND s.number NOT IN (SELECT number FROM view_labels WHERE kind = 'tag' AND label = 'test')"
)

ASKED: Final = {
    "text": ({"q": "text:refund"}, REFUND, "s.wall_ns"),
    "phrase": ({"q": 'text:"refund please"'}, words('"refund" AND "please"', " refund please "),
               "s.wall_ns"),
    "begun": ({"q": "text:ref*"}, words('"ref"*', " ref"), "s.wall_ns"),
    "mixed": ({"q": "text:refund since:90d -tag:test turns>0"}, (REFUND[0] + MIXED, REFUND[1]),
              "s.wall_ns"),
    "all": ({"q": ""}, ("s.wall_ns > 0", ""), "s.wall_ns"),
    "sorted": ({"q": "", "sort": "-findings"}, ("s.wall_ns > 0", ""), "v.findings"),
}  # fmt: skip


def ours(shelf: Shelf, given: dict[str, str]) -> float:
    """Seconds from the parameters to the bytes."""
    start = time.perf_counter()
    orjson.dumps(listed(shelf, NOW, asked(given)))
    return time.perf_counter() - start


def bare(plain: sqlite3.Connection, where: str, found: str, order: str) -> float:
    """Seconds of the bare query: the count, the page, and where the text stands."""
    start = time.perf_counter()
    plain.execute(f"SELECT count(*) {FROM} WHERE {where}").fetchone()
    page = f"SELECT {COLUMNS} {FROM} WHERE {where} ORDER BY {order} DESC LIMIT {PAGE}"
    plain.execute(page).fetchall()
    if found:
        plain.execute(found).fetchall()
    return time.perf_counter() - start


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--sessions", type=int, default=10_000)
    count = options.parse_args().sessions
    rows: list[list[str]] = []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "bench.db"
        start = time.perf_counter()
        fill(path, count)
        print(f"{count:,} sessions made and read in {time.perf_counter() - start:.0f} s")
        store = SqlStore.open(locate(str(path), {}), create=False)
        shelf, plain = Shelf(store), sqlite3.connect(path)
        for name, (given, (where, found), order) in ASKED.items():
            answer = listed(shelf, NOW, asked(given))
            assert answer["error"] is None
            assert answer["unread"] == 0
            mine, theirs, ratios = paired(
                partial(ours, shelf, given), partial(bare, plain, where, found, order), ROUNDS
            )
            rows.append([name, f"{answer['total']:,}", _ms(mine), _ms(theirs), spread(ratios, 1)])
            if found:
                figures.append(Figure(name, statistics.median(ratios), MOST, at_least=False))
        plain.close()
        store.close()
    table(["what", "meant", "ours, ms", "bare query, ms", "times"], rows)
    finish("ui_list", figures)


def _ms(seconds: list[float]) -> str:
    return spread([1000 * each for each in seconds], 1)


if __name__ == "__main__":
    main()

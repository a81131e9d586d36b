"""How fast sessions are chosen among ten thousand, by what was said in them and otherwise.

text      `ls text:refund`, a word of 1 session in 100
phrase    `ls 'text:"refund please"'`
absent    `ls text:absent`, a word of none
mixed     `ls 'text:refund since:90d -tag:test turns>0 v2v_audible<9s'`

Each is all that the command does once the database is open: understand the words, make sure that
the read models are up to date, ask, and print the rows as into a pipe. Against a bare count over
the same tables with plain `sqlite3` on an open connection, which has to visit every session and
its row in the read model: `SELECT count(*), sum(turns) FROM sessions JOIN view_sessions`.

    python -m tests.benchmarks.selecting
    python -m tests.benchmarks.selecting --sessions 500   # to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from recorder.cli.ls import command
from recorder.cli.shared import Shared
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.sql.views import Views
from tests.benchmarks.figures import Figure, finish, paired, spread, table
from tests.talks import NOW, SECOND, Talk

ROUNDS: Final = 15
MOST: Final = 20
"""Times the bare count."""

WORDS: Final = (
    "opening",
    "hours",
    "order",
    "delivery",
    "address",
    "invoice",
    "number",
    "please",
    "thanks",
    "account",
    "change",
    "cancel",
    "monday",
    "tuesday",
    "morning",
    "evening",
    "street",
    "package",
    "arrived",
    "damaged",
    "question",
    "answer",
)

BARE: Final = (
    "SELECT count(*), sum(v.turns) FROM sessions AS s "
    "JOIN view_sessions AS v ON v.number = s.number WHERE s.wall_ns > 0"
)

ASKED: Final = {
    "text": ["text:refund"],
    "phrase": ["text:refund please"],
    "absent": ["text:absent"],
    "mixed": ["text:refund since:90d -tag:test turns>0", "-response_start>9s"],
}


def fill(path: Path, count: int) -> None:
    """So many sessions of a text turn each, a minute apart, and read models made by the code."""
    store = SqlStore.open(locate(str(path), {}), durability="normal")
    for number in range(count):
        said = [WORDS[(number * 7 + n * n) % len(WORDS)] for n in range(40)]
        if number % 100 == 0:
            said[20:20] = ["refund", "please"]
        talk = Talk(store, seed=number + 1, wall_ns=NOW - (count - number) * 60 * SECOND,
                    call=f"call-{number // 3}", tags=("test",) * (number % 7 == 0))  # fmt: skip
        item = {"id": f"item_{number}", "type": "message", "role": "user",
                "content": [{"type": "input_text", "text": " ".join(said)}]}  # fmt: skip
        talk.opened().created().client(200, "conversation.item.create", item=item)
        talk.client(230, "response.create")
        for kind, status in (("created", "in_progress"), ("done", "completed")):
            body = {"id": f"resp_{number}", "status": status, "output": []}
            talk.server(300, f"response.{kind}", response=body)
        talk.closed(500).kept()
    Views(store, NOW).rebuild(jobs=2)
    store.close()


class Asking:
    """A database that is open, and questions to it."""

    def __init__(self, path: Path) -> None:
        self.shared = Shared({})
        self.shared.db = str(path)
        self.shared.now_ns = NOW
        self.shared.store  # noqa: B018 # opened here, not while the time is taken
        self.plain = sqlite3.connect(path)

    def ls(self, words: list[str]) -> tuple[float, int]:
        """How long `ls` takes with these words, and how many sessions it shows."""
        for name in ("views", "directory", "out"):
            self.shared.__dict__.pop(name, None)
        screen = io.StringIO()
        start = time.perf_counter()
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(io.StringIO()):
            command.main(words, obj=self.shared, standalone_mode=False)
        return time.perf_counter() - start, max(screen.getvalue().count("\n") - 1, 0)

    def count(self) -> float:
        """How long the bare count takes."""
        start = time.perf_counter()
        self.plain.execute(BARE).fetchall()
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
        asking = Asking(path)
        for name, words in (*ASKED.items(), ("all", [])):
            shown = asking.ls(words)[1]

            def ours(words: list[str] = words) -> float:
                return asking.ls(words)[0]

            mine, theirs, ratios = paired(ours, asking.count, ROUNDS)
            rows.append([name, str(shown), _ms(mine), _ms(theirs), spread(ratios, 1)])
            if name in ASKED:
                figures.append(Figure(name, statistics.median(ratios), MOST, at_least=False))
        asking.shared.close()
    table(["what", "shown", "ours, ms", "bare count, ms", "times"], rows)
    finish("selecting", figures)


def _ms(seconds: list[float]) -> str:
    return spread([1000 * each for each in seconds], 1)


if __name__ == "__main__":
    main()

"""`recorder replay` to a pipe, against `recorder export jsonl` of the same session.

Each as a process of its own, from start to end, in turns; both read the same database and write
into the same kind of pipe, which is read as fast as it goes. Compared is the time, and the CPU
time, which is steadier on a machine that does other things.

    python -m tests.benchmarks.replay              # an hour
    python -m tests.benchmarks.replay --turns 10   # two minutes, to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.long_call import TURNS_AN_HOUR, fill
from tests.log_kit import session

ROUNDS: Final = 5
FACTS: Final = session(1)
COMMANDS: Final = {
    "replay": ("replay", FACTS.id),
    "export": ("export", "jsonl", FACTS.id, "-o", "-"),
}


class Taken(NamedTuple):
    """What a process took."""

    seconds: float
    cpu: float


def run(path: Path, *words: str) -> Taken:
    """The command, its output read from a pipe and thrown away."""
    command = [sys.executable, "-m", "recorder.cli", "--db", str(path), *words]
    start, before = time.perf_counter(), os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    size = 0
    while data := process.stdout.read1(1 << 20):
        size += len(data)
    assert process.wait() == 0, words
    assert size, words
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Taken(time.perf_counter() - start, cpu)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=TURNS_AN_HOUR)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "bench.db"
        store = SqlStore.open(locate(str(path), {}), durability="normal")
        count = fill(store, FACTS, given.turns)
        store.close()
        took: dict[str, list[Taken]] = {name: [] for name in COMMANDS}
        for number in range(given.rounds):
            for name in list(COMMANDS)[:: 1 if number % 2 else -1]:
                took[name].append(run(path, *COMMANDS[name]))
    rates = {name: [count / each.seconds for each in of] for name, of in took.items()}
    busy = {name: [each.cpu for each in of] for name, of in took.items()}
    pairs = zip(took["replay"], took["export"], strict=True)
    ratios = [theirs.cpu / ours.cpu for ours, theirs in pairs]
    table(
        ["command", "events/s", "CPU s"],
        [[name, spread(rates[name]), spread(busy[name], 2)] for name in COMMANDS],
    )
    print(f"{count:,} events; replay's rate by CPU, of export's: {spread(ratios, 2)}")
    finish("replay", [Figure("rate", statistics.median(ratios), 1 / 3)])


if __name__ == "__main__":
    main()

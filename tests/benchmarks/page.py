"""An hour's call as one page: `export html` against `audio` plus `export jsonl` of the same call.

Commands as people give them, each in a process of its own, whose peak of memory is told; start-up
counts for both sides. In a round each command runs once, one after the other, and is compared with
the baseline of the same round. The sound of this call is noise, which no encoder can make small.

    html       with FLAC, the default: what the figure is of
    none       `--audio none`
    metadata   without content: against a log without content
    opus       of `SHORT` turns, against the same two commands on those: its encoder takes a few
               seconds of one processor for a minute of noise, and a second for one of silence

    python -m tests.benchmarks.page            # an hour; about three minutes
    python -m tests.benchmarks.page --turns 10 # two minutes, to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.hour import MEGABYTE, MOST_MB, make, peak_bytes
from tests.benchmarks.long_call import TURN_MS, TURNS_AN_HOUR

ROUNDS: Final = 3
SHORT: Final = 10
"""Turns of the call that is written with Opus: two minutes."""
MOST: Final = 2.0
"""Times as long as the baseline."""
LIMITED: Final = ("html", "metadata")
"""What that limit is for; it is told of all."""

COMMANDS: Final = {
    "audio": ("audio", "latest", "--track", "stereo", "-o", "TARGET.wav"),
    "jsonl": ("export", "jsonl", "latest", "--full", "--yes", "-o", "TARGET.jsonl"),
    "bare": ("export", "jsonl", "latest", "--share", "metadata", "-o", "TARGET.jsonl"),
    "html": ("export", "html", "latest", "--full", "--yes", "-o", "TARGET.html"),
    "none": ("export", "html", "latest", "--full", "--yes", "--audio", "none",
             "-o", "TARGET.html"),
    "opus": ("export", "html", "latest", "--full", "--yes", "--audio", "opus",
             "-o", "TARGET.html"),
    "metadata": ("export", "html", "latest", "-o", "TARGET.html"),
}  # fmt: skip
BASELINE: Final = ("audio", "jsonl")
BARE_BASELINE: Final = ("audio", "bare")
"""For what is written without content: that takes its time in both formats."""


def _child(name: str, path: str, folder: str) -> None:
    """Give the command, and tell on stdout how much memory it took."""
    from recorder.cli import main as recorder

    words = [word.replace("TARGET", f"{folder}/{name}") for word in COMMANDS[name]]
    try:
        sys.argv = ["recorder", "--db", path, *words]
        recorder()
    except SystemExit as end:
        if end.code:
            raise
    print(f"\n{json.dumps(peak_bytes())}")


def _measured(name: str, path: Path, folder: Path) -> tuple[float, float]:
    """(seconds, megabytes) of one command."""
    for old in folder.glob(f"{name}.*"):
        old.unlink()
    words = [sys.executable, "-m", "tests.benchmarks.page", "--child", name, str(path), str(folder)]
    start = time.perf_counter()
    told = subprocess.run(words, capture_output=True, text=True)
    passed = time.perf_counter() - start
    if told.returncode:
        sys.exit(f"{name} failed:\n{told.stderr}")
    return passed, json.loads(told.stdout.splitlines()[-1]) / MEGABYTE


class Compared(NamedTuple):
    """One command over all rounds."""

    name: str
    ours: list[float]
    """Seconds."""
    theirs: list[float]
    peak_mb: float
    page_mb: float

    @property
    def ratios(self) -> list[float]:
        """Round by round."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def row(self) -> list[str]:
        """For the table."""
        return [self.name, spread(self.ours, 2), spread(self.theirs, 2), spread(self.ratios, 2),
                f"{self.peak_mb:.0f}", f"{self.page_mb:.1f}"]  # fmt: skip

    def figures(self) -> Iterator[Figure]:
        """What is demanded of it."""
        if self.name in LIMITED:
            ratio = statistics.median(self.ratios)
            yield Figure(self.name, ratio, MOST, at_least=False)
        yield Figure(f"{self.name} MB", self.peak_mb, MOST_MB, at_least=False)


def _compared(folder: Path, turns: int, rounds: int, names: list[str]) -> list[Compared]:
    """These commands on a call of so many turns."""
    path = folder / f"{turns}.db"
    make(path, Path(str(turns)))
    print(f"{turns * TURN_MS / 60_000:.0f} minutes, {path.stat().st_size / MEGABYTE:.0f} MB: "
          f"{', '.join(names)}", flush=True)  # fmt: skip
    needed = {each for name in names for each in _baseline(name)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in (*sorted(needed), *names)}
    for _ in range(rounds):
        for name, runs in taken.items():
            runs.append(_measured(name, path, folder))
    return [
        Compared(
            name,
            [seconds for seconds, _ in taken[name]],
            [sum(row[0] for row in rows)
             for rows in zip(*(taken[each] for each in _baseline(name)), strict=True)],
            max(peak for _, peak in taken[name]),
            (folder / f"{name}.html").stat().st_size / MEGABYTE,
        )
        for name in names
    ]  # fmt: skip


def _baseline(name: str) -> tuple[str, ...]:
    return BARE_BASELINE if name == "metadata" else BASELINE


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=TURNS_AN_HOUR)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", default=["html", "none", "metadata", "opus"])
    parser.add_argument("--short", type=int, default=SHORT, help="turns of the call for Opus")
    parser.add_argument("--child", nargs=3, metavar=("NAME", "DB", "FOLDER"))
    given = parser.parse_args()
    if given.child:
        _child(*given.child)
        return
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        whole = [name for name in given.only if name != "opus"]
        found = _compared(Path(folder), given.turns, given.rounds, whole) if whole else []
        if "opus" in given.only:
            found += _compared(Path(folder), given.short, given.rounds, ["opus"])
    table(
        ["what", "ours, s", "audio + jsonl, s", "ratio", "peak MB", "page MB"],
        [each.row() for each in found],
    )
    finish("page", [figure for each in found for figure in each.figures()])


if __name__ == "__main__":
    main()

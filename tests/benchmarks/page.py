"""An hour's call as one page: `export html` against `audio` plus `export jsonl` of the same call.

Commands as people give them, each in a process of its own, whose peak of memory is told; start-up
counts for both sides. The sound of this call is noise, which no encoder can make small: FLAC, the
default, is what the figure is of, `--audio none` and Opus are told beside it (Opus takes a few
seconds of one processor a minute of noise, a second of silence: that is its encoder).

    python -m tests.benchmarks.page            # an hour
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
from pathlib import Path
from typing import Final

from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.hour import MEGABYTE, MOST_MB, make, peak_bytes
from tests.benchmarks.long_call import TURN_MS, TURNS_AN_HOUR

ROUNDS: Final = 3
MOST: Final = 2.0
"""Times as long as the baseline."""

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


def _compare(folder: Path, turns: int, rounds: int, names: list[str]) -> None:
    path = folder / "hour.db"
    make(path, Path(str(turns)))
    minutes, size = turns * TURN_MS / 60_000, path.stat().st_size / MEGABYTE
    print(f"{minutes:.0f} minutes, {size:.0f} MB")
    rows: list[list[str]] = []
    figures: list[Figure] = []
    for name in names:
        mine, theirs, peaks = [], [], []
        against = BARE_BASELINE if name == "metadata" else BASELINE
        for _ in range(rounds):
            theirs.append(sum(_measured(each, path, folder)[0] for each in against))
            seconds, peak = _measured(name, path, folder)
            mine.append(seconds)
            peaks.append(peak)
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        page = (folder / f"{name}.html").stat().st_size / MEGABYTE
        rows.append([name, spread(mine, 2), spread(theirs, 2), spread(ratios, 2),
                     f"{max(peaks):.0f}", f"{page:.1f}"])  # fmt: skip
        if name in ("html", "metadata"):
            ratio = statistics.median(ratios)
            figures.append(Figure(name, ratio, MOST, at_least=False))
        figures.append(Figure(f"{name} MB", max(peaks), MOST_MB, at_least=False))
    table(["what", "ours, s", "audio + jsonl, s", "ratio", "peak MB", "page MB"], rows)
    finish("page", figures)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=TURNS_AN_HOUR)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", default=["html", "none", "metadata", "opus"])
    parser.add_argument("--child", nargs=3, metavar=("NAME", "DB", "FOLDER"))
    given = parser.parse_args()
    if given.child:
        _child(*given.child)
        return
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        _compare(Path(folder), given.turns, given.rounds, given.only)


if __name__ == "__main__":
    main()

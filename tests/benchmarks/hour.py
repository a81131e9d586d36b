"""An hour's two-sided call read again: transcript, latencies, stereo WAV.

Each against a plain `sqlite3` scan of the same rows, for the WAV together with writing as many
bytes as it has, a second of sound at a time; each in a process of its own, whose peak of memory
is told. Files are new each time: a file system may take its time to replace one. Speech detection
is apart: `transcript` and `latency` are measured without, `detected` is the latencies with it.

    python -m tests.benchmarks.hour            # an hour
    python -m tests.benchmarks.hour --turns 10 # two minutes, to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.long_call import RATE, TURN_MS, TURNS_AN_HOUR, fill
from tests.log_kit import session

ROUNDS: Final = 5
FACTS: Final = session(1)
MEGABYTE: Final = 1_000_000
MOST_MB: Final = 150


# What is measured, each in a process of its own: (path of the database, path to write to).


def make(path: Path, turns: Path) -> None:
    """The database."""
    from recorder.sql.opening import locate
    from recorder.sql.store import SqlStore

    store = SqlStore.open(locate(str(path), {}), durability="normal")
    fill(store, FACTS, int(turns.name))
    store.close()


def scan(path: Path, target: Path) -> None:
    """Every row, all columns."""
    with closing(sqlite3.connect(path)) as connection:
        for row in connection.execute("SELECT * FROM events ORDER BY key"):
            assert row


def scan_and_write(path: Path, target: Path) -> None:
    """The same, and as many bytes written as the WAV beside it has."""
    scan(path, target)
    size = target.with_name("stereo.wav").stat().st_size
    block = bytes(2 * 2 * RATE)
    with target.open("wb") as file:
        for left in range(size, 0, -len(block)):
            file.write(block[:left])


def _analysed(path: Path, *, detect: bool) -> object:
    from recorder.projections import analyse
    from recorder.sql.opening import locate
    from recorder.sql.store import SqlStore

    store = SqlStore.open(locate(str(path), {}), create=False)
    analysis = analyse(lambda audio: store.read(FACTS.id, audio=audio), detect=detect)
    store.close()
    return analysis


def transcript(path: Path, target: Path, *, detect: bool = False) -> None:
    """The call in words."""
    from recorder.projections import RENDERERS, Analysis

    analysis = _analysed(path, detect=detect)
    assert isinstance(analysis, Analysis)
    target.write_text("".join(RENDERERS["txt"](analysis.transcript)))


def latency(path: Path, target: Path, *, detect: bool = False) -> None:
    """All latencies with their evidence."""
    import orjson

    from recorder.projections import Analysis

    analysis = _analysed(path, detect=detect)
    assert isinstance(analysis, Analysis)
    target.write_bytes(orjson.dumps(analysis.latency))


def detected(path: Path, target: Path) -> None:
    """The latencies, with speech found in the audio."""
    latency(path, target, detect=True)


def wav(path: Path, target: Path) -> None:
    """The call as one stereo file."""
    from recorder.audio.writing import write_sound
    from recorder.sql.opening import locate
    from recorder.sql.store import SqlStore
    from recorder.tracks import lay_out, stereo

    store = SqlStore.open(locate(str(path), {}), create=False)

    def events(audio: bool) -> object:
        return store.read(FACTS.id, audio=audio)

    layout = lay_out(events)  # type: ignore[arg-type]
    write_sound(target, stereo(events, layout, RATE), RATE, channels=2)  # type: ignore[arg-type]
    store.close()


WORK: Final[dict[str, Callable[[Path, Path], None]]] = {
    work.__name__: work for work in (make, scan, scan_and_write, transcript, latency, detected, wav)
}


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent held before `exec`, too
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _child(name: str, path: Path, target: Path) -> None:
    """Do it, and tell how long it took (imports apart) and how much memory."""
    import recorder.audio.writing
    import recorder.projections.analysis
    import recorder.projections.transcript_formats
    import recorder.sql.store
    import recorder.tracks  # noqa: F401

    start = time.perf_counter()
    WORK[name](path, target)
    print(json.dumps([time.perf_counter() - start, peak_bytes()]))


def measured(name: str, path: Path, target: Path) -> tuple[float, int]:
    """(seconds, peak of memory in bytes) of one piece of work in a process of its own."""
    if target.name.endswith(".out"):
        target.unlink(missing_ok=True)
    words = [sys.executable, "-m", "tests.benchmarks.hour", "--child", name, str(path), str(target)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    seconds, peak = json.loads(told)
    return seconds, peak


PAIRS: Final = (
    ("transcript", "scan", 4.0),
    ("latency", "scan", 4.0),
    ("wav", "scan_and_write", 3.0),
    ("detected", "scan", None),
)
"""What is measured, against what, and how many times that it may take at most."""


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=TURNS_AN_HOUR)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--child", nargs=3, metavar=("NAME", "DB", "TARGET"))
    given = parser.parse_args()
    if given.child:
        name, path, target = given.child
        _child(name, Path(path), Path(target))
        return
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        _compare(Path(folder), given.turns, given.rounds)


def _compare(folder: Path, turns: int, rounds: int) -> None:
    path = folder / "hour.db"
    measured("make", path, folder / str(turns))
    measured("wav", path, folder / "stereo.wav")
    print(f"{turns * TURN_MS / 60_000:.0f} minutes, {path.stat().st_size / MEGABYTE:.0f} MB")
    rows: list[list[str]] = []
    figures: list[Figure] = []
    for name, baseline, limit in PAIRS:
        mine, theirs, peaks = [], [], []
        for _ in range(rounds):
            theirs.append(measured(baseline, path, folder / "baseline.out")[0])
            seconds, peak = measured(name, path, folder / f"{name}.out")
            mine.append(seconds)
            peaks.append(peak / MEGABYTE)
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        rows.append([name, spread(mine, 2), baseline, spread(theirs, 2), spread(ratios, 2),
                     f"{max(peaks):.0f}"])  # fmt: skip
        if limit is not None:
            ratio = statistics.median(ratios)
            figures.append(Figure(name, ratio, limit, at_least=False))
        figures.append(Figure(f"{name} MB", max(peaks), MOST_MB, at_least=False))
    table(["what", "ours, s", "against", "s", "ratio", "peak MB"], rows)
    finish("hour", figures)


if __name__ == "__main__":
    main()

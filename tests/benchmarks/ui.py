"""An hour's call in the browser: what is transferred before it can be used, and what serving costs.

    transferred   all bytes that Chromium got before the page had drawn itself, in kB
    tiles         what the server takes for everything that the first view asks of the API (facts,
                  outlines, what is so now), against reading the same rows with sqlite3
    grown         memory of the server after ten such calls were opened once, more than after the
                  first of them, in MB
    grown again   the same after all of them were opened a second time

Memory is what the server's process holds once the helpers that it started have ended (tiles and
sound of a long call are made in processes of their own): the most that those held, all together,
is told beside it, and so is the first opening ever of a call, for which its tiles are made. The
page is left open until its sound is made.

    python -m tests.benchmarks.ui            # an hour
    python -m tests.benchmarks.ui --turns 10 # two minutes, to look at the benchmark itself
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.long_call import TURN_MS, TURNS_AN_HOUR, fill
from tests.browser_kit import READY, Browser, browser
from tests.log_kit import session

ROUNDS: Final = 15
CALLS: Final = 10
GROWN: Final = 20
"""MB more that a server may hold: room for the heaps of its worker threads, not for calls."""
KB, MB = 1_000, 1_000_000


@contextmanager
def server(path: Path) -> Iterator[tuple[str, int]]:
    """`recorder ui` as a process: its link and its number."""
    words = [sys.executable, "-m", "recorder.cli", "--db", str(path), "ui", "--no-open"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait(20)


def held(pid: int) -> float:
    """Memory of a process, in MB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    told = next((line for line in lines if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(told.split()[1]) * 1024 / MB


def helpers(pid: int) -> list[int]:
    """The processes that a server has started for some work."""
    found = []
    for told in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in told.read_text().split():
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


class Watched:
    """The memory of a server and of its helpers, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.helpers_mb = 0.0
        """The most that its helpers held together."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.helpers_mb = max(self.helpers_mb, sum(map(held, helpers(self.pid))))

    def settled(self) -> float:
        """What the server holds once no helper of it is at work."""
        end = time.monotonic() + 60
        time.sleep(0.3)  # the page asks for the sound a little after it was drawn
        while helpers(self.pid):
            assert time.monotonic() < end, "a helper does not end"
            time.sleep(0.05)
        return held(self.pid)

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()


def opened(window: Browser, address: str) -> tuple[list[str], float, float]:
    """Open a page: what it asked for, kB that came, and seconds until it was drawn."""
    got: list[float] = []
    window.call("Network.enable")
    window.call("Network.setCacheDisabled", cacheDisabled=True)
    listen = lambda told: got.append(told["encodedDataLength"])  # noqa: E731
    window._protocol.on("Network.loadingFinished", listen)
    begun = time.perf_counter()
    window.open(address, ready=READY)
    took = time.perf_counter() - begun
    asked = [each for each in window.requests() if "/api/v1/" in each]
    window._protocol.remove_listener("Network.loadingFinished", listen)
    return asked, sum(got) / KB, took


def bare(path: Path, number: int, tiles: list[tuple[str, int]]) -> float:
    """Seconds that reading the rows of these tiles takes."""
    query = "SELECT data FROM view_tiles WHERE number=? AND kind=? AND tile=?"
    begun = time.perf_counter()
    with closing(sqlite3.connect(path)) as connection:
        for kind, tile in tiles:
            assert connection.execute(query, (number, kind, tile)).fetchone()
    return time.perf_counter() - begun


def tiles_of(asked: list[str]) -> list[tuple[str, int]]:
    """The stored tiles behind these addresses."""
    found = []
    for address in asked:
        _, _, rest = address.partition("/api/v1/sessions/")
        parts = rest.split("?")[0].split("/")[1:]
        if not parts:
            found.append(("facts", 0))
        elif parts[0] == "now":
            found.append(("now", 0))
        elif parts[0] == "peaks":
            found.append((f"peaks-{parts[1]}", int(parts[2])))
    return found


def paths_of(asked: list[str]) -> list[str]:
    """Those addresses whose answers are stored tiles."""
    return [each for each in asked if tiles_of([each])]


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=TURNS_AN_HOUR)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "hours.db"
        store = SqlStore.open(locate(str(path), {}), durability="normal")
        calls = [session(number) for number in range(1, given.calls + 1)]
        for each in calls:
            fill(store, each, given.turns)
        store.close()
        _measure(path, [each.id for each in calls], given)


def _measure(path: Path, ids: list[str], given: argparse.Namespace) -> None:
    with server(path) as (link, pid), browser() as window, closing(Watched(pid)) as memory:
        base = link.partition("/?")[0]
        window.open(link, ready="document.readyState === 'complete'")
        held_mb, seconds = [memory.settled()], []
        for each in (*ids, *ids):
            asked, kilobytes, took = opened(window, f"{base}/session/{each}")
            seconds.append(took)
            held_mb.append(memory.settled())
        helpers_mb = memory.helpers_mb
        number = len(ids)  # the sessions were entered in this order
        ours, theirs = _served(link, paths_of(asked), path, number, tiles_of(asked), given.rounds)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    first, again = seconds[: len(ids)], seconds[len(ids) :]
    minutes = given.turns * TURN_MS / 60_000
    print(f"{len(ids)} calls of {minutes:.0f} minutes; a page was drawn after {spread(first, 1)} s "
          f"the first time, after {spread(again, 2)} s the second")  # fmt: skip
    print(f"the server held {held_mb[0]:.0f} MB before, then "
          f"{', '.join(f'{each:.0f}' for each in held_mb[1:])}; its helpers at most "
          f"{helpers_mb:.0f}")  # fmt: skip
    table(["what", "ours, ms", "bare read, ms", "ratio"],
          [["tiles", spread([1000 * each for each in ours], 2),
            spread([1000 * each for each in theirs], 2), spread(ratios, 1)]])  # fmt: skip
    finish("ui", [
        Figure("transferred kB", kilobytes, 400, at_least=False),
        Figure("tiles", statistics.median(ratios), 5, at_least=False),
        Figure("grown MB", held_mb[len(ids)] - held_mb[1], GROWN, at_least=False),
        Figure("grown again MB", held_mb[-1] - held_mb[1], GROWN, at_least=False),
    ])  # fmt: skip


def _served(
    link: str, paths: list[str], path: Path, number: int, tiles: list[tuple[str, int]], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of the server for these answers, and of a bare read of their rows, in turns.

    The server says itself how long an answer took it (`Server-Timing`).
    """
    ours, theirs = [], []
    with httpx.Client(timeout=60) as client:
        client.get(link, follow_redirects=True)
        for _ in range(rounds):
            took = 0.0
            for each in paths:
                answer = client.get(each)
                took += float(answer.headers["Server-Timing"].partition("dur=")[2]) / 1000
            ours.append(took)
            theirs.append(bare(path, number, tiles))
    return ours, theirs


if __name__ == "__main__":
    main()

"""A call on the page while it is recorded: what a growth costs, early and late in it.

    growth   the server's time for what one more second of call made at minute 60, against that of
             folding the whole call, which is what the first view takes
    told     from the commit of that second to the event at the page (SSE) at minute 60, in ms
    shown    the same until what the second made is there, in ms

A growth at minute 60 takes longer than one at minute 1: the turns are passed over, though not
folded again. That is told, and is no figure.

A call is recorded to the database second by second, by another process than the server's. What a
growth took is what the server says of its answer (`Server-Timing`); the first view, for which all
that was recorded until then is folded, is told beside it.

    python -m tests.benchmarks.live_page              # at minute 1 and minute 60
    python -m tests.benchmarks.live_page --turns 10   # at minute 1 and 2, to look at the benchmark
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import httpx

from recorder.events import Event, Session
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.long_call import GROUP, TURN_MS, TURNS_AN_HOUR, call
from tests.benchmarks.ui import server
from tests.log_kit import session
from tests.talks import process
from tests.ui_kit import FOREVER

EARLY: Final = 60_000 // TURN_MS
"""Turns until minute 1."""
TURNS: Final = 2
"""That are recorded while they are watched, a second at a time."""
REST: Final = 0.5
"""Seconds between two growths."""
LIMIT: Final = 0.03


@dataclass(frozen=True, slots=True)
class Watched:
    """What it took, in milliseconds."""

    first: float
    growths: list[float]
    told: list[float]
    shown: list[float]
    kilobytes: float


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=TURNS_AN_HOUR)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recorder-bench-") as folder:
        path = Path(folder) / "live.db"
        store = SqlStore.open(locate(str(path), {}), durability="normal")
        store.register(process("alive", FOREVER))
        with server(path) as (link, _), httpx.Client(timeout=120) as client:
            client.get(link, follow_redirects=True)
            base = link.partition("/?")[0]
            early = watched(store, client, base, 1, EARLY)
            late = watched(store, client, base, 2, given.turns)
        store.close()
    _tell(early, late, given.turns)


def watched(store: SqlStore, client: httpx.Client, base: str, number: int, turns: int) -> Watched:
    """Record so many turns, open the page of the call, and let it grow."""
    made = replace(session(number), recorder="alive")
    events = call(turns + TURNS)
    later = fill(store, made, events, turns * TURN_MS * 1_000_000)
    address = f"{base}/api/v1/sessions/{made.id}"
    begun = time.perf_counter()
    seq = client.get(address).json()["last_seq"]
    first = 1000 * (time.perf_counter() - begun)
    growths, told, shown, sizes = [], [], [], []
    with client.stream("GET", f"{address}/live?after={seq}") as stream:
        lines = stream.iter_lines()
        for second in seconds(later):
            begun = time.perf_counter()
            store.append([(made.id, second)])
            wait_for(lines, second[-1].seq)
            told.append(1000 * (time.perf_counter() - begun))
            answer = client.get(f"{address}/growth?after={seq}")
            while answer.status_code == 204 or answer.json()["last_seq"] < second[-1].seq:
                time.sleep(0.05)
                answer = client.get(f"{address}/growth?after={seq}")
            shown.append(1000 * (time.perf_counter() - begun))
            seq = answer.json()["last_seq"]
            growths.append(float(answer.headers["Server-Timing"].partition("dur=")[2]))
            sizes.append(answer.num_bytes_downloaded / 1000)
            time.sleep(REST)
    return Watched(first, growths[1:], told[1:], shown[1:], statistics.mean(sizes))


def fill(store: SqlStore, made: Session, events: Iterator[Event], until_ns: int) -> list[Event]:
    """Enter the events up to a time; those after it, but for the end of the call."""
    store.begin(made)
    group: list[Event] = []
    for event in events:
        if event.at_ns > until_ns:
            store.append([(made.id, group)])
            return [event, *(each for each in events if each.type != "recorder.closed")]
        group.append(event)
        if len(group) == GROUP:
            store.append([(made.id, group)])
            group = []
    raise AssertionError("the call is too short")


def seconds(events: list[Event]) -> Iterator[list[Event]]:
    """The events of each second."""
    for _, some in groupby(events, lambda event: (event.at_ns - events[0].at_ns) // 10**9):
        yield list(some)


def wait_for(lines: Iterator[str], seq: int) -> None:
    """Read the stream until it tells of this event."""
    for line in lines:
        if line.startswith("data: ") and json.loads(line[6:]).get("last_seq", 0) >= seq:
            return
    raise AssertionError("the stream ended")


def _tell(early: Watched, late: Watched, turns: int) -> None:
    rows = [
        [f"minute {count * TURN_MS // 60_000}", f"{each.first:,.0f}", spread(each.growths, 1),
         spread(each.told), spread(each.shown), f"{each.kilobytes:.1f}"]
        for count, each in ((EARLY, early), (turns, late))
    ]  # fmt: skip
    table(["a second of call at", "first view, ms", "growth, ms", "told, ms", "shown, ms",
           "kB"], rows)  # fmt: skip
    growth = statistics.mean(late.growths)
    print(f"growth late against early: {growth / statistics.mean(early.growths):.1f}")
    finish("live_page", [
        Figure("growth", growth / late.first, LIMIT, at_least=False),
        Figure("told ms", max(late.told), 1000, at_least=False),
        Figure("shown ms", max(late.shown), 1000, at_least=False),
    ])  # fmt: skip


if __name__ == "__main__":
    main()

"""How long a report over 100,000 turns takes.

report   Everything between the words and the figures: choosing among 10,000 sessions, reading
         their turns from the read model, percentiles of all usual metrics by model; against a
         bare `SELECT count(*), avg(v2v_audible)` over the rows of the same turns.
days     The same by day and tag, without a metric named, with two gates.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from recorder.events import Session, new_session_id
from recorder.projections.model import ESTIMATED, MEASURED, Value
from recorder.reporting.gates import parse_gate
from recorder.reporting.report import Question, make_report
from recorder.selecting import Moment, parse
from recorder.sql import turn_table
from recorder.sql.locating import locate
from recorder.sql.outline_store import OutlineStore
from recorder.sql.outlines import CLOSED, Made, Outline
from recorder.sql.reports import turns_of
from recorder.sql.store import SqlStore
from recorder.sql.views import Views
from tests.benchmarks.figures import Figure, finish, paired, spread, table

SESSIONS, TURNS = 10_000, 10
"""Of each session so many turns."""
ROUNDS = 11
MOST = 20.0
"""So many times the bare query a report may take."""
DAY_NS = 86_400 * 10**9
SINCE_NS, DAYS = 20_700 * DAY_NS, 30
BARE = "SELECT count(*), avg(v2v_audible) FROM view_turns"
MODELS = ("gpt-realtime-2025-08-28", "gpt-realtime-mini", "azure-realtime", "grok-voice")
LABELS = (MEASURED, ESTIMATED)
WORDS = (*LABELS, "no_tools", "unanswered", "greeting", "text_input")


def notes(dice: random.Random) -> str:
    """Labels and reasons of all metrics."""
    labels = {name: dice.choice(WORDS) for name in turn_table.NAMES}
    return turn_table.written(
        {name: Value(1, word) if word in LABELS else Value.missing(word)
         for name, word in labels.items()}
    )  # fmt: skip


DICE = random.Random(2)
NOTES = [notes(DICE) for _ in range(200)]
"""Turns are alike: of so many kinds."""


def made_up(number: int, dice: random.Random) -> list[dict[str, object]]:
    """Made-up rows of one session; a third of the values are missing, as in calls."""
    return [
        {
            "number": number,
            "turn": turn,
            "start_ns": turn * 8 * 10**9,
            "status": "answered" if dice.random() < 0.97 else "unanswered",
            "trigger_by": "vad_commit",
            "configuration": f"{number % 5:08x}",
            "says": "voice marin, server_vad 500 ms" if turn == 1 else "",
            "notes": dice.choice(NOTES),
        }
        | {
            name: dice.lognormvariate(6.8, 0.5) if dice.random() < 0.67 else None
            for name in turn_table.NAMES
        }
        for turn in range(1, TURNS + 1)
    ]


def filled(path: Path) -> SqlStore:
    """A store with sessions without events, and a read model that says what they amount to."""
    store = SqlStore.open(locate(str(path), {}), durability="normal")
    for place in range(SESSIONS):
        wall_ns = SINCE_NS + place * DAYS * DAY_NS // SESSIONS
        name = new_session_id(wall_ns, place.to_bytes(10, "big"))
        store.begin(Session(id=name, wall_ns=wall_ns, mono_ns=0, model=MODELS[place % 4]))
    kept, dice = OutlineStore(store), random.Random(1)
    for entry in Views(store, SINCE_NS).entries():
        tags = ("night",) if entry.number % 7 else ()
        counts = (TURNS, 0, 0, 0)
        outline = Outline(entry.number, 0, CLOSED, 90 * 10**9, entry.model, tags, *counts)
        kept.add(Made(outline, made_up(entry.number, dice)))
    kept.flush()
    return store


def report(store: SqlStore, words: Sequence[str], question: Question) -> float:
    """Seconds from the words to the figures."""
    now_ns = time.time_ns()
    start = time.perf_counter()
    views = Views(store, now_ns)
    turns, _ = turns_of(views, parse(words, Moment(now_ns)), question.needed)
    found = make_report(turns, question)
    took = time.perf_counter() - start
    assert found.turns == SESSIONS * TURNS
    return took


def main() -> None:
    """Measure and tell."""
    gates = (parse_gate("v2v_audible.p95 > 9s"), parse_gate("unanswered.rate > 50%"))
    asked = {
        "report": Question(by=("model",)),
        "days": Question(by=("day", "tag"), gates=gates),
    }
    rows: list[list[str]] = []
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="recorder-bench-"))
        path = Path(folder) / "bench.db"
        store = filled(path)
        connection = stack.enter_context(closing(sqlite3.connect(path)))

        def bare() -> float:
            start = time.perf_counter()
            assert connection.execute(BARE).fetchone()[0] == SESSIONS * TURNS
            return time.perf_counter() - start

        for name, question in asked.items():
            mine, theirs, ratios = paired(
                lambda asked=question: report(store, [], asked), bare, ROUNDS
            )
            ms = [[value * 1000 for value in each] for each in (mine, theirs)]
            rows.append([name, spread(ms[0]), spread(ms[1], 1), spread(ratios, 1)])
            figures.append(Figure(name, statistics.median(ratios), MOST, at_least=False))
        store.close()
    table(["what", "ours, ms", "bare query, ms", "ratio"], rows)
    finish("report", figures)


if __name__ == "__main__":
    main()

"""What a voice team alerts on, from the store, as Prometheus metrics.

A process of its own follows the store and serves it: folding sessions would hold the interpreter
against live calls in a process that records. Sessions count once they are over; one that is
removed from the store leaves the counters, which Prometheus takes for a restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from recorder.errors import RecorderError
from recorder.live.frontdoor import Request, Response, error_response
from recorder.selecting import parse
from recorder.selecting.times import Moment
from recorder.sql.reports import turns_of
from recorder.sql.views import Views

from .measuring import CONTENT_TYPE, turned_away

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorder.reporting.turns import Turns
    from recorder.sql.store import SqlStore

    from .guarding import Doors

log = logging.getLogger("recorder.proxy")

BUCKETS: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)
"""Upper bounds in seconds."""

HISTOGRAMS: Final = {
    "v2v_audible": "From the end of the user's speech to the first audible sample of the answer.",
    "time_to_answer": "From the end of the user's speech to the last spoken answer of the turn.",
}
SUSPECT_MS: Final = 50.0
"""Values below are nearly always mis-joined turns: left out, and counted."""
OVERLAP: Final = "overlap"
STATUSES: Final = ("unanswered", "failed")


class VoiceCollector(Collector):
    """Reads the turns of all sessions that are over when it is asked."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Every metric, by model."""
        now_ns = time.time_ns()
        views = Views(self._store, now_ns)
        selection = parse(["-status:live"], Moment(now_ns), [])
        turns, unread = turns_of(views, selection, (*HISTOGRAMS, OVERLAP))
        models = np.array(list(turns.sources.models), dtype=np.object_)
        by_turn = models[turns.source] if len(turns) else np.array([], dtype=np.object_)
        names = sorted(set(models))
        yield from _histograms(turns, by_turn, names)
        yield from _counts(turns, by_turn, names)
        yield CounterMetricFamily(
            "recorder_voice_sessions", "Sessions that are over.", len(turns.sources)
        )
        yield GaugeMetricFamily(
            "recorder_voice_sessions_unread", "Sessions that cannot be analysed.", len(unread)
        )


def _histograms(turns: Turns, by_turn: NDArray[np.object_], names: list[str]) -> Iterator[Metric]:
    for metric, text in HISTOGRAMS.items():
        family = HistogramMetricFamily(f"recorder_{metric}_seconds", text, labels=["model"])
        left_out = CounterMetricFamily(
            f"recorder_{metric}_suspect",
            f"Turns below {SUSPECT_MS:g} ms, nearly always joined wrongly: left out.",
            labels=["model"],
        )
        values = turns.values[metric]
        for name in names:
            mine = values[by_turn == name]
            suspect = mine < SUSPECT_MS
            seconds = mine[~np.isnan(mine) & ~suspect] / 1000
            counts = [(str(top), float((seconds <= top).sum())) for top in BUCKETS]
            family.add_metric(
                [name], [*counts, ("+Inf", float(len(seconds)))], float(seconds.sum())
            )
            left_out.add_metric([name], float(suspect.sum()))
        yield family
        yield left_out


def _counts(turns: Turns, by_turn: NDArray[np.object_], names: list[str]) -> Iterator[Metric]:
    total = CounterMetricFamily("recorder_turns", "Turns.", labels=["model"])
    status = CounterMetricFamily(
        "recorder_turns_by_status",
        "Turns whose answer failed, or that got none.",
        labels=["model", "status"],
    )
    overlap = CounterMetricFamily(
        "recorder_overlap_seconds",
        "User speech and played assistant audio at the same time.",
        labels=["model"],
    )
    overlapping = CounterMetricFamily(
        "recorder_turns_with_overlap", "Turns in which both spoke at once.", labels=["model"]
    )
    states = np.array([turns.kinds[kind].status for kind in turns.told], dtype=object)
    spans = turns.values[OVERLAP]
    for name in names:
        mine = by_turn == name
        total.add_metric([name], float(mine.sum()))
        for state in STATUSES:
            status.add_metric([name, state], float((states[mine] == state).sum()))
        spoken = spans[mine]
        overlap.add_metric([name], float(np.nansum(spoken)) / 1000)
        overlapping.add_metric([name], float((spoken > 0).sum()))
    yield from (total, status, overlap, overlapping)


class Scrapes:
    """The handler of `recorder metrics`."""

    def __init__(self, store: SqlStore, doors: Doors | None = None) -> None:
        """`doors`: which hosts and origins may ask; None lets all in."""
        self._doors = doors
        self._registry = CollectorRegistry()
        self._collector = VoiceCollector(store)
        self._registry.register(_Quiet(self._collector))
        self._one = trio.Lock()

    async def http(self, request: Request) -> Response:
        """Answer a scrape; several at once are answered one after the other."""
        if (refused := turned_away(request, self._doors)) is not None:
            return refused
        if request.path == "/healthz":
            return Response.json({"status": "ok"})
        if request.path != "/metrics":
            return error_response(404, "there are /metrics and /healthz here")
        async with self._one:
            try:
                text = await trio.to_thread.run_sync(generate_latest, self._registry)
            except RecorderError as error:
                log.warning("a scrape could not be answered: %s", error)
                return error_response(503, "the store cannot be read at the moment")
        return Response(200, (("Content-Type", CONTENT_TYPE),), text)

    async def upgrade(self, request: Request) -> Response:
        """No WebSocket here."""
        return error_response(404, "this port is for metrics")


class _Quiet(Collector):
    """The registry collects once on registering, to see names: nothing is read for that."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def describe(self) -> list[Metric]:
        """No names are claimed: this registry has one collector."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What the collector gives."""
        yield from self._collector.collect()

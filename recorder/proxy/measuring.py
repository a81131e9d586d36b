"""What a proxy tells of itself: `/healthz`, `/readyz` and `/metrics`, on a port of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.live.frontdoor import Request, Response, error_response

from .guarding import Refused

if TYPE_CHECKING:
    from .guarding import Doors
    from .serving import Proxy

log = logging.getLogger("recorder.proxy")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """The handler of the port for probes and metrics."""

    def __init__(self, proxy: Proxy, doors: Doors | None = None) -> None:
        """`doors`: which hosts and origins may ask; None lets all in."""
        self._proxy, self._doors = proxy, doors
        self._registry = CollectorRegistry()
        self._registry.register(ProxyCollector(proxy))

    async def http(self, request: Request) -> Response:
        """Answer a probe, or a scrape."""
        if (refused := turned_away(request, self._doors)) is not None:
            return refused
        if request.method not in ("GET", "HEAD"):
            return error_response(405, "only GET is understood here")
        match request.path:
            case "/healthz":
                return Response.json({"status": "ok"})
            case "/readyz":
                return self._ready()
            case "/metrics":
                text = generate_latest(self._registry)
                return Response(200, (("Content-Type", CONTENT_TYPE),), text)
        return error_response(404, "there are /healthz, /readyz and /metrics here")

    def _ready(self) -> Response:
        proxy = self._proxy
        if proxy.draining:
            return Response.json({"status": "draining", "sessions": len(proxy.live)}, 503)
        if proxy.writer.trouble and proxy.options.store_down == "closed":
            return Response.json({"status": "the store does not take events"}, 503)
        store = "not taking events" if proxy.writer.trouble else "ok"
        return Response.json({"status": "ready", "store": store})

    async def upgrade(self, request: Request) -> Response:
        """No WebSocket here."""
        return error_response(404, "this port is for probes and metrics; sessions have their own")


def turned_away(request: Request, doors: Doors | None) -> Response | None:
    """The answer to a request by a name or from a page that may not come in."""
    try:
        if doors is not None:
            doors.check(request)
    except Refused as refused:
        log.warning("%s: %d: %s", request.remote, refused.status, ascii(refused.why)[1:-1])
        return error_response(refused.status, "this is not allowed")
    return None


class ProxyCollector(Collector):
    """The state of a proxy as Prometheus metrics, read when they are asked for."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it stands."""
        yield from self._sessions()
        yield from self._traffic()
        yield from self._store()

    def _sessions(self) -> Iterator[Metric]:
        proxy, counts = self._proxy, self._proxy.counts
        yield GaugeMetricFamily(
            "recorder_proxy_sessions_open", "Sessions that are open.", len(proxy.live)
        )
        yield CounterMetricFamily(
            "recorder_proxy_sessions", "Sessions that were begun.", counts.sessions
        )
        yield CounterMetricFamily(
            "recorder_proxy_sessions_unrecorded",
            "Sessions and side calls that the store did not take, carried unrecorded.",
            counts.unrecorded,
        )
        yield CounterMetricFamily(
            "recorder_proxy_side_calls", "HTTP side calls that were recorded.", counts.side_calls
        )
        refused = CounterMetricFamily(
            "recorder_proxy_refused", "Requests that were refused.", labels=["status"]
        )
        for status, count in counts.refused.items():
            refused.add_metric([str(status)], count)
        yield refused
        failed = CounterMetricFamily(
            "recorder_proxy_upstream_errors",
            "Dials and upgrades that came to nothing at the upstream.",
            labels=["kind"],
        )
        for kind, errors in counts.upstream_errors.items():
            failed.add_metric([kind], errors)
        yield failed

    def _traffic(self) -> Iterator[Metric]:
        counts = self._proxy.counts
        messages, size = counts.messages.copy(), counts.bytes.copy()
        for live in self._proxy.live.values():
            for copy in live.copies:
                side = copy.origin.name.lower()
                messages[side] += copy.messages
                size[side] += copy.bytes
        told = {
            "recorder_proxy_messages": ("Messages that passed, by sender.", messages),
            "recorder_proxy_bytes": ("Bytes that passed, by sender.", size),
        }
        for name, (text, values) in told.items():
            family = CounterMetricFamily(name, text, labels=["origin"])
            for side in ("client", "server"):
                family.add_metric([side], values[side])
            yield family

    def _store(self) -> Iterator[Metric]:
        writer = self._proxy.writer
        buffered = writer.options.buffer_bytes - writer.room
        yield GaugeMetricFamily(
            "recorder_writer_buffer_bytes", "Bytes that wait to be committed.", buffered
        )
        yield GaugeMetricFamily(
            "recorder_writer_buffer_limit_bytes",
            "Bytes that may wait.",
            writer.options.buffer_bytes,
        )
        yield GaugeMetricFamily(
            "recorder_writer_commit_delay_seconds",
            "How long the last commit took.",
            writer.commit_delay,
        )
        yield CounterMetricFamily("recorder_writer_commits", "Groups committed.", writer.commits)
        yield CounterMetricFamily(
            "recorder_writer_events", "Events that were admitted.", writer.admitted
        )
        live = self._proxy.live.values()
        gaps = self._proxy.counts.gaps + sum(copy.gaps for each in live for copy in each.copies)
        yield CounterMetricFamily(
            "recorder_gaps",
            "Messages that are in the log in part, and bytes that were no WebSocket.",
            gaps,
        )
        lost = writer.lost + sum(
            live.tap.recorder.lost for live in self._proxy.live.values() if live.tap
        )
        yield CounterMetricFamily(
            "recorder_lost_messages",
            "Messages that passed and are not in the log.",
            lost + self._proxy.counts.lost,
        )
        yield GaugeMetricFamily(
            "recorder_writer_store_ok", "0 while the store takes no events.", not writer.trouble
        )

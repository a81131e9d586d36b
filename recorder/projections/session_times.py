"""What is measured beside the turns: the handshake, the way there and back, first words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dialects.facts import (
    Handshake,
    InputCommitted,
    Opened,
    Pinged,
    Ponged,
    SessionAsked,
    SessionStated,
    TranscriptionCompleted,
    TranscriptionDelta,
)
from ..events import Origin
from .base import Fold, on
from .inputs import Moment
from .model import MEASURED, Value

if TYPE_CHECKING:
    from ..events import Event


class FirstWords(Fold[dict[str, Moment]]):
    """When the first words of each user item's transcript came."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, Moment] = {}
        self._unnamed = ""

    @on(InputCommitted)
    def _committed(self, event: Event, fact: InputCommitted) -> None:
        """A server that names no items speaks of the latest one."""
        self._unnamed = fact.item or f"input@{event.seq}"

    @on(TranscriptionDelta)
    def _delta(self, event: Event, fact: TranscriptionDelta) -> None:
        if fact.delta:
            self._first.setdefault(fact.item or self._unnamed, Moment(event.at_ns, event.seq))

    @on(TranscriptionCompleted)
    def _completed(self, event: Event, fact: TranscriptionCompleted) -> None:
        if fact.transcript:
            self._first.setdefault(fact.item or self._unnamed, Moment(event.at_ns, event.seq))

    def result(self) -> dict[str, Moment]:
        return dict(self._first)


class SessionTimes(Fold[dict[str, Value]]):
    """What is measured of the session itself: the handshake and the way there and back."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, Value] = {}
        self._opened: int | None = None
        self._shaken: int | None = None
        self._updates: list[tuple[int, int]] = []
        self._between = False
        """The recorder stood between the two ends, so that what the client answers to a ping of
        the server crossed the client's leg; elsewhere it is the client's own reaction."""
        self._pings: dict[tuple[int, bytes], tuple[int, int]] = {}

    @on(Opened)
    def _open(self, event: Event, fact: Opened) -> None:
        self._opened = event.at_ns
        self._between = fact.body.get("vantage") == "proxy"

    @on(Handshake)
    def _handshake(self, event: Event, fact: Handshake) -> None:
        if fact.body.get("timed") is False:
            return  # imported: what was answered is known, and not when
        dialled = fact.body.get("dialled_ns")
        start = dialled if isinstance(dialled, int) else self._opened
        self._shaken = event.at_ns
        if start is not None and fact.status == 101:
            self._values["connect"] = Value(event.at_ns - start, MEASURED, (event.seq,))

    @on(SessionAsked)
    def _asked(self, event: Event, fact: SessionAsked) -> None:
        self._updates.append((event.at_ns, event.seq))

    @on(SessionStated)
    def _stated(self, event: Event, fact: SessionStated) -> None:
        if fact.created:
            if self._shaken is not None and "ready" not in self._values:
                self._values["ready"] = Value(event.at_ns - self._shaken, MEASURED, (event.seq,))
        elif self._updates:
            self._shortest("config_rtt", self._updates.pop(0), event)

    @on(Pinged)
    def _pinged(self, event: Event, fact: Pinged) -> None:
        self._pings[event.origin, fact.payload] = (event.at_ns, event.seq)

    @on(Ponged)
    def _ponged(self, event: Event, fact: Ponged) -> None:
        sent = self._pings.pop((1 - event.origin, fact.payload), None)
        if sent is not None and event.origin == Origin.SERVER:
            self._shortest("ping_rtt", sent, event)
        elif sent is not None and self._between:
            self._shortest("client_rtt", sent, event)

    def _shortest(self, name: str, start: tuple[int, int], event: Event) -> None:
        length = event.at_ns - start[0]
        known = self._values.get(name)
        if known is None or known.ns is None or length < known.ns:
            self._values[name] = Value(length, MEASURED, (start[1], event.seq))

    def result(self) -> dict[str, Value]:
        return dict(self._values)

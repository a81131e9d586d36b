"""The line to the client: events become actions here, and here the script's faults strike.

Laws:

1. What is sent goes out in the order in which it was sent, but for what a fault delays.
2. After a close or an abort nothing goes out any more.
3. While the line stalls, everything waits; nothing is lost.
"""

from __future__ import annotations

from typing import Any

import orjson
import pybase64

from recorder.sandbox.actions import Abort, Action, Close, Ping, Send, SendBinary, Stall
from recorder.sandbox.agenda import MS, Agenda, Steps
from recorder.sandbox.checks import Invalid
from recorder.sandbox.dialect import Dialect
from recorder.sandbox.faults import Faults, changed
from recorder.sandbox.ids import Ids
from recorder.sandbox.script import Fault

FOREVER_NS = 1 << 62


class Line:
    """Collects what is to be done to the connection."""

    def __init__(self, agenda: Agenda, ids: Ids, dialect: Dialect, faults: Faults) -> None:
        self.closed = False
        self._agenda, self._ids, self._dialect, self._faults = agenda, ids, dialect, faults
        self._ready: list[Action] = []
        self._held: list[Action] = []
        self._stalled_until_ns = 0

    def open(self) -> None:
        """The session begins: from now on, faults that come at a time are on their way."""
        for fault in self._faults.timed:
            self._agenda.start(self._strike_later(fault))

    def send(self, name: str, /, **members: Any) -> None:
        """Send the event of that GA name, as the dialect and the faults will have it."""
        event = self._dialect.event(name, self._ids.new("event"), members)
        faults = self._faults.on({name, event["type"]})
        doing = {fault.do for fault in faults}
        text = _text(changed(event, faults))
        if "drop" not in doing:
            waits = [(fault.ms or 0) * MS for fault in faults if fault.do == "delay"]
            self._agenda.start(self._send_later(text, sum(waits)))
        if "duplicate" in doing:
            self._put(Send(text))
        self._strike(faults)

    def refuse(self, problem: Invalid, event_id: str | None) -> None:
        """Answer a client's event with an `error`."""
        self.error(problem.message, code=problem.code, param=problem.param, event_id=event_id)

    def error(
        self,
        message: str,
        *,
        code: str | None,
        param: str | None = None,
        event_id: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        """Send an `error` event; `event_id` is that of the client's event which caused it."""
        error = {"type": kind, "code": code, "message": message, "param": param}
        self.send("error", error={**error, "event_id": event_id})

    def receive(self, name: str) -> bool:
        """The client sent an event of that name: whether it is to be seen at all."""
        faults = self._faults.on({name})
        self._strike(faults)
        return not self.closed and all(fault.do != "drop" for fault in faults)

    def close(self, code: int, reason: str) -> None:
        """End the connection in order."""
        self._put(Close(code, reason))
        self._end()

    def take(self) -> list[Action]:
        """What is to be done now."""
        self._release()
        ready, self._ready = self._ready, []
        return ready

    def next_at(self) -> int | None:
        """When there is something to take."""
        if self._ready:
            return self._agenda.now_ns
        waiting = self._held and self._stalled_until_ns < FOREVER_NS
        return self._stalled_until_ns if waiting else None

    def _put(self, action: Action) -> None:
        if self.closed:
            return
        self._release()
        stalled = self._agenda.now_ns < self._stalled_until_ns
        (self._held if stalled else self._ready).append(action)

    def _release(self) -> None:
        if self._held and self._agenda.now_ns >= self._stalled_until_ns:
            self._ready += self._held
            self._held = []

    def _end(self) -> None:
        self.closed = True
        self._agenda.clear()

    def _send_later(self, text: str, wait_ns: int) -> Steps:
        if wait_ns:
            yield wait_ns
        self._put(Send(text))

    def _strike_later(self, fault: Fault) -> Steps:
        yield (fault.at_ms or 0) * MS
        self._strike([fault])

    def _strike(self, faults: list[Fault]) -> None:
        """Do what follows the event."""
        for fault in faults:
            match fault.do:
                case "event":
                    made_up = {"type": "", "event_id": self._ids.new("event"), **fault.event}
                    self._put(Send(_text(made_up)))
                case "text":
                    self._put(Send(fault.text))
                case "binary":
                    self._put(SendBinary(fault.text.encode()))
                case "ping":
                    self._put(Ping(fault.text.encode()[:125]))
                case "close":
                    self.close(fault.code, fault.reason)
                case "abort":
                    self._put(Abort())
                    self._end()
                case "stall":
                    self._stall(fault.ms)

    def _stall(self, ms: int | None) -> None:
        until_ns = FOREVER_NS if ms is None else self._agenda.now_ns + ms * MS
        self._put(Stall(None if ms is None else until_ns))
        self._stalled_until_ns = max(self._stalled_until_ns, until_ns)


def _text(event: dict[str, Any]) -> str:
    return orjson.dumps(event).decode()


def base64_text(data: bytes) -> str:
    """Audio as it stands in an event."""
    return pybase64.b64encode(data).decode()

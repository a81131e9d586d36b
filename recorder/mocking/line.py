"""The line to the client: what the replayer sends passes here, and here faults strike.

Laws:

1. Without faults everything goes out in the order in which it was put in.
2. A delayed event is overtaken, everything else keeps its order; slow audio holds up what
   follows it.
3. After a close or a cut nothing goes out; while the line stalls, everything waits.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from recorder.dialects.names import ALIASES
from recorder.replaying import Action, Close, Send

from .faults import SECOND, Fault, Faults

FOREVER_NS: Final = 1 << 62
MOST: Final = 1024
"""Events on their way, beyond which the recording has to wait."""
HELD_NS: Final = SECOND
"""How long an event that is to be overtaken waits for one that overtakes it."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Read nothing until then."""

    until_ns: int


Deed: TypeAlias = Send | Close | Stall


class Line:
    """Holds what is on its way out."""

    def __init__(self, faults: Faults) -> None:
        self.closed = False
        self._faults = faults
        self._queue: list[tuple[int, int, Deed]] = []
        self._count = 0
        self._floor_ns = self._audio_ns = self._stalled_ns = 0
        self._held: Send | None = None
        self._errors = 0

    def open(self, now_ns: int) -> None:
        """From now on, what comes at a time is on its way."""
        for fault in self._faults.timed:
            self._strike(fault, now_ns + (fault.at_ns or 0))

    def put(self, action: Action, now_ns: int) -> None:
        """Send it, as the faults will have it."""
        if isinstance(action, Close):
            self._push(max(action.due_ns, self._floor_ns), action)
            return
        if self._faults.none:
            self._push(action.due_ns, action)
            return
        struck = self._faults.on((action.type, ALIASES.get(action.type, action.type)))
        doing = {fault.do for fault in struck}
        at_ns = self._paced(action)
        if "drop" in doing:
            pass
        elif "reorder" in doing and self._held is None:
            self._held = action
        else:
            late = sum(fault.ns or 0 for fault in struck if fault.do == "delay")
            self._push(at_ns + late, action)
            if "duplicate" in doing:
                self._push(at_ns + late, action)
            self._release(at_ns)
        for fault in struck:
            self._strike(fault, at_ns)

    def take(self, now_ns: int) -> list[Deed]:
        """What goes out now, in order."""
        if self._held is not None and now_ns >= self._held.due_ns + HELD_NS:
            self._release(now_ns)
        out: list[Deed] = []
        while (
            self._queue and not self.closed and now_ns >= max(self._queue[0][0], self._stalled_ns)
        ):
            deed = heapq.heappop(self._queue)[2]
            if isinstance(deed, Stall):
                length = deed.until_ns
                until_ns = FOREVER_NS if length >= FOREVER_NS else now_ns + length
                self._stalled_ns = until_ns
                deed = Stall(until_ns)
            self.closed = isinstance(deed, Close)
            out.append(deed)
        return out

    def is_full(self, now_ns: int | None) -> bool:
        """Whether nothing more should be put in: it stalls (now, or as far as is known), is
        closed, or holds much already.
        """
        stalled = self._stalled_ns > (FOREVER_NS - 1 if now_ns is None else now_ns)
        return self.closed or stalled or len(self._queue) >= MOST

    @property
    def stalled_ns(self) -> int:
        """Until when it stalls, or did."""
        return self._stalled_ns

    def next_at(self) -> int | None:
        """When there is something to take; None: not unless something is put in."""
        if self.closed or self._stalled_ns >= FOREVER_NS:
            return None
        times = [self._queue[0][0]] if self._queue else []
        if self._held is not None:
            times.append(self._held.due_ns + HELD_NS)
        return max(min(times), self._stalled_ns) if times else None

    def _paced(self, action: Send) -> int:
        """When it may go out: audio no faster than the faults allow, the rest not before it."""
        at_ns = max(action.due_ns, self._floor_ns)
        if self._faults.pace is not None and action.audio_ns:
            at_ns = max(at_ns, self._audio_ns)
            self._audio_ns = at_ns + round(action.audio_ns / self._faults.pace)
            self._floor_ns = at_ns
        return at_ns

    def _release(self, at_ns: int) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._push(at_ns, held)

    def _strike(self, fault: Fault, at_ns: int) -> None:
        """Do what follows an event, or comes at a time."""
        match fault.do:
            case "error":
                self._push(at_ns, Send(at_ns, self._error(fault), "error"))
            case "close":
                self._push(at_ns, Close(at_ns, fault.number, "a fault was asked for"))
            case "abort":
                self._push(at_ns, Close(at_ns, 1006, ""))
            case "stall":
                self._push(at_ns, Stall(FOREVER_NS if fault.ns is None else fault.ns))

    def _error(self, fault: Fault) -> bytes:
        self._errors += 1
        kind = "server_error" if fault.name == "server_error" else "invalid_request_error"
        error = {"type": kind, "code": fault.name, "message": f"asked for by --fault {fault.text}"}
        more = {"param": None, "event_id": None}
        event_id = f"event_fault_{self._errors}"
        return orjson.dumps({"type": "error", "event_id": event_id, "error": error | more})

    def _push(self, at_ns: int, deed: Deed) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_ns, self._count, deed))

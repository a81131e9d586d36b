"""The recorder, sans-IO: what passed goes in, numbered events without secrets come out.

Laws:

1. An event gets its number when it is admitted, and is then never given up by this side. What
   the buffer had no room for gets no number; one `recorder.gap` event stands for all of it.
2. Secrets are replaced before an event exists.
3. `at_ns` never decreases: a stamp that lies before the last one is lifted to it.
4. No clock, no file, no socket: times come in as values, and who writes is told by calling
   `admit` with the room that is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from . import wire
from .capturing import CAPTURES, reduced
from .errors import UsageError
from .events import BINARY, NO_FRAME, TEXT, Event, Origin, Session
from .secrets import may_hold_secret, redact_message

if TYPE_CHECKING:
    from collections.abc import Sequence

OVERHEAD: Final = 200
"""Bytes that an event weighs in the buffer beside its payload."""


def weight(event: Event) -> int:
    """About how many bytes the event holds in memory."""
    return len(event.head) + (len(event.audio) if event.audio else 0) + OVERHEAD


class Recorder:
    """One session's side of the log: redacts, splits, numbers, and counts what was lost."""

    def __init__(self, session: Session, *, known_secrets: Sequence[str] = ()) -> None:
        if session.capture not in CAPTURES:
            raise UsageError(f"capture is one of {', '.join(CAPTURES)}, not {session.capture!r}")
        self.session = session
        self.last_seq = 0
        self.last_at = 0
        self.lost = 0
        self._secrets = tuple(secret.encode() for secret in known_secrets if secret)
        self._gap: _Gap | None = None

    def admit(
        self, origin: Origin, at_ns: int, payload: bytes, opcode: int = TEXT, *, room: int
    ) -> Event | None:
        """The event for what passed at `at_ns`, or None if `room` bytes cannot hold it.

        `at_ns` counts from the opening of the session. `room` is what the buffer still takes.
        """
        if room < len(payload) + OVERHEAD:
            self._lose(origin, at_ns, len(payload))
            return None
        part = self._sealed(payload, opcode)
        return self._numbered(origin, at_ns, part, opcode)

    def note(self, kind: str, at_ns: int, fields: dict[str, Any]) -> Event:
        """A fact of our own, of type `recorder.KIND`. Always admitted: these are small and few."""
        body = orjson.dumps({"type": f"recorder.{kind}", **fields})
        if may_hold_secret(body, self._secrets):
            body, _ = redact_message(body, self._secrets)
        part = wire.Split(f"recorder.{kind}", body, None, None)
        return self._numbered(Origin.RECORDER, at_ns, part, NO_FRAME)

    def gap(self) -> Event | None:
        """The event that stands for what was lost since the last one; None if nothing was."""
        if self._gap is None:
            return None
        gap, self._gap = self._gap, None
        return self.note("gap", gap.last_ns, gap.told())

    def blame(self, why: str) -> None:
        """Say why what is being lost is being lost."""
        if self._gap is not None:
            self._gap.why = why

    @property
    def losing(self) -> bool:
        """Whether something was lost that no gap event tells of yet."""
        return self._gap is not None

    def learn(self, secret: str) -> None:
        """From now on this is a secret too: replaced wherever it turns up."""
        if secret and secret.encode() not in self._secrets:
            self._secrets = (*self._secrets, secret.encode())

    def _lose(self, origin: Origin, at_ns: int, size: int) -> None:
        self.lost += 1
        if self._gap is None:
            self._gap = _Gap(at_ns)
        self._gap.add(origin, at_ns, size)

    def _sealed(self, payload: bytes, opcode: int) -> wire.Split:
        if opcode not in (TEXT, BINARY, NO_FRAME):
            return self._control(payload)
        part = wire.split(payload)
        if may_hold_secret(part.head, self._secrets):
            clean, names = redact_message(payload, self._secrets)
            if names:
                part = wire.with_redactions(wire.split(clean), names)
        if self.session.capture == "full":
            return part
        return reduced(part, self.session.capture, binary=opcode == BINARY)

    def _control(self, payload: bytes) -> wire.Split:
        """A ping, pong or close: bytes and no message, but a close may tell a reason."""
        if not may_hold_secret(payload, self._secrets):
            return wire.Split("", payload, None, None)
        clean, names = redact_message(payload, self._secrets)
        part = wire.Split("", clean, None, None)
        return wire.with_redactions(part, names) if names else part

    def _numbered(self, origin: Origin, at_ns: int, part: wire.Split, opcode: int) -> Event:
        self.last_seq += 1
        self.last_at = max(self.last_at, at_ns)
        kind, head, meta, audio = part
        return Event(self.last_seq, self.last_at, origin, kind, opcode, head, meta, audio)


class _Gap:
    """What was lost: how much, of whom, from when to when."""

    def __init__(self, first_ns: int) -> None:
        self.first_ns = self.last_ns = first_ns
        self.why = "the buffer was full: the store did not keep up"
        self.by_origin: dict[str, dict[str, int]] = {}

    def add(self, origin: Origin, at_ns: int, size: int) -> None:
        self.last_ns = max(self.last_ns, at_ns)
        name = origin.name.lower()
        side = self.by_origin.setdefault(name, {"count": 0, "bytes": 0, "first_ns": at_ns})
        side["count"] += 1
        side["bytes"] += size
        side["last_ns"] = max(side.get("last_ns", at_ns), at_ns)

    def told(self) -> dict[str, Any]:
        sides = self.by_origin.values()
        return {
            "count": sum(side["count"] for side in sides),
            "bytes": sum(side["bytes"] for side in sides),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "origins": self.by_origin,
            "why": self.why,
        }

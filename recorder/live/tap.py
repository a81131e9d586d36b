"""The tap: one session's way from what passes to what is written.

It ties a `Recorder` (numbers, redaction, gaps) to the `Writer` (buffer, commits), and turns
clock readings into times since the session was opened.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from ..events import TEXT, Event, Origin, Session, new_session_id
from ..recording import Recorder
from ..secrets import redact_headers, redact_url

if TYPE_CHECKING:
    from .writer import Writer

log = logging.getLogger("recorder.tap")

OnStall = Literal["gap", "wait"]

FORMAT = "1"
"""Of the recorder's own events and of `meta`; raised when their meaning changes."""


def versions() -> dict[str, str]:
    """What made the log."""
    return {
        "realtime-recorder": metadata.version("realtime-recorder"),
        "format": FORMAT,
        "python": platform.python_version(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be recorded, as the application or the person says it."""

    url: str
    kind: str = "websocket"
    """`websocket`, or `http` for one request and its answer."""
    model: str = ""
    call: str = ""
    tags: Sequence[str] = ()
    vantage: str = "client"
    capture: str = "full"
    headers: Sequence[tuple[str, str]] = ()
    secrets: Sequence[str] = field(default=(), repr=False)
    """Known keys: replaced wherever they turn up, whatever they look like."""
    labels: dict[str, str] = field(default_factory=dict)


class Tap:
    """Records one session. Call `open` first, `end` last; all else is synchronous."""

    def __init__(
        self,
        writer: Writer,
        subject: Subject,
        *,
        on_stall: OnStall = "gap",
        clock: Callable[[], int] = time.monotonic_ns,
        listener: Callable[[Event], None] | None = None,
    ) -> None:
        self.writer, self.on_stall, self.clock, self.listener = writer, on_stall, clock, listener
        self._tags = list(subject.tags)
        self.opened_ns = clock()
        wall_ns = time.time_ns()
        self.session = Session(
            id=new_session_id(wall_ns, os.urandom(10)),
            wall_ns=wall_ns,
            mono_ns=self.opened_ns,
            kind=subject.kind,
            vantage=subject.vantage,
            url=redact_url(subject.url, subject.secrets)[0],
            model=subject.model,
            call=subject.call,
            capture=subject.capture,
            headers=redact_headers(subject.headers, subject.secrets)[0],
            recorder=writer.process.id,
            versions=versions(),
            labels=subject.labels,
        )
        self.recorder = Recorder(self.session, known_secrets=subject.secrets)
        self.ended = False
        self.before_note: Callable[[], None] | None = None
        """Records what passed before a note that is about to be taken."""

    async def open(self) -> None:
        """Enter the session in the store and note that it was opened. Raises `StoreError`."""
        await self.writer.begin(self.session)
        self.note_opened()

    def note_opened(self) -> None:
        """Note that the session, which is in the store by now, was opened."""
        session = self.session
        self.note(
            "opened",
            at_ns=self.opened_ns,
            url=session.url,
            model=session.model,
            call=session.call,
            tags=self._tags,
            capture=session.capture,
            vantage=session.vantage,
        )

    def frame(self, origin: Origin, at_ns: int, payload: bytes, opcode: int = TEXT) -> int | None:
        """Record what passed at this clock reading; its number, or None if it was lost."""
        room = self.writer.room
        if self.on_stall == "wait":
            room = len(payload) + self.writer.options.buffer_bytes
        elif self.recorder.losing:
            # Once something is lost, wait for real room: better one long gap than a thousand.
            if room < self.writer.options.buffer_bytes // 2:
                room = 0
            else:
                self._tell_gap()
        event = self.recorder.admit(origin, at_ns - self.opened_ns, payload, opcode, room=room)
        if event is None:
            return None
        self._put(event)
        return event.seq

    def note(self, kind: str, /, *, at_ns: int | None = None, **fields: Any) -> int:
        """Record a fact of our own, now or at this clock reading; its number."""
        if self.before_note is not None:
            self.before_note()
        reading = self.clock() if at_ns is None else at_ns
        event = self.recorder.note(kind, reading - self.opened_ns, fields)
        self._put(event)
        return event.seq

    @property
    def full(self) -> bool:
        """Whether the session has to be held back: under `--on-stall wait`, with a full buffer."""
        return self.on_stall == "wait" and self.writer.room <= 0

    async def hold(self) -> None:
        """Under `--on-stall wait`, wait while the buffer is full."""
        if self.on_stall == "wait":
            await self.writer.wait_for_room()

    def end(self, **fields: Any) -> None:
        """Note that the session was closed, and how. Further calls do nothing."""
        if self.ended:
            return
        if self.before_note is not None:
            self.before_note()
        self.ended = True
        self._tell_gap()
        self.note("closed", **fields)

    @property
    def lost(self) -> int:
        """Messages that passed and are not in the log."""
        return self.recorder.lost + self.writer.lost

    def _tell_gap(self) -> None:
        if self.writer.trouble:
            self.recorder.blame(self.writer.trouble)
        if gap := self.recorder.gap():
            self._put(gap)

    def _put(self, event: Event) -> None:
        self.writer.put(self.session.id, event)
        if self.listener is not None:
            try:
                self.listener(event)
            except Exception as error:  # whoever looks on must not end the call
                self.listener = None
                log.warning("the listener failed and is not called any more: %r", error)

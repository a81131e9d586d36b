"""Errors that were said on the wire: which client event each is about, and what followed it.

An error was survived if the server went on working after it: it said anything but another
error. It was fatal if the session ended first and the client had not simply closed it. Where
the log ends too soon to say, it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dialects import facts
from ..dialects.facts import Closed, CloseSeen, ErrorSeen
from ..events import Origin
from .base import Fold, on
from .model import ErrorNote

if TYPE_CHECKING:
    from ..dialects.facts import ErrorBody
    from ..events import Event

_CLIENT = (
    facts.SessionAsked,
    facts.CommitAsked,
    facts.ClearAsked,
    facts.OutputClearAsked,
    facts.ItemAsked,
    facts.RetrieveAsked,
    facts.DeleteAsked,
    facts.TruncateAsked,
    facts.ResponseAsked,
    facts.CancelAsked,
)
_AT_WORK = (
    facts.SessionStated,
    facts.ItemAdded,
    facts.ItemDone,
    facts.ItemTruncated,
    facts.ItemDeleted,
    facts.InputCommitted,
    facts.InputCleared,
    facts.SpeechStarted,
    facts.SpeechStopped,
    facts.ResponseCreated,
    facts.ResponseDone,
    facts.OutputItemAdded,
    facts.OutputItemDone,
    facts.TextDelta,
    facts.TranscriptDelta,
    facts.AudioDelta,
    facts.TranscriptionCompleted,
    facts.RateLimits,
)


class Troubles(Fold[tuple[ErrorNote, ...]]):
    """The errors of a session."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: list[tuple[int, int, ErrorBody]] = []
        self._asked: dict[str, int] = {}
        self._working_seq = 0
        self._closed: bool | None = None

    @on(*_CLIENT)
    def _client(self, event: Event, fact: Any) -> None:
        if fact.event_id:
            self._asked[fact.event_id] = event.seq

    @on(*_AT_WORK)
    def _at_work(self, event: Event, fact: Any) -> None:
        self._working_seq = event.seq

    @on(ErrorSeen)
    def _error(self, event: Event, fact: ErrorSeen) -> None:
        self._errors.append((event.seq, event.at_ns, fact.error))

    @on(Closed)
    def _ended(self, event: Event, fact: Closed) -> None:
        self._closed = fact.initiator != "client" or not fact.clean

    @on(CloseSeen)
    def _close_frame(self, event: Event, fact: CloseSeen) -> None:
        if self._closed is None:
            self._closed = event.origin == Origin.SERVER

    def result(self) -> tuple[ErrorNote, ...]:
        return tuple(
            ErrorNote(
                seq,
                at_ns,
                error.code,
                error.type,
                error.message,
                False if seq < self._working_seq else self._closed,
                self._asked.get(error.event_id) if error.event_id else None,
            )
            for seq, at_ns, error in self._errors
        )

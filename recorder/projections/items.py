"""Items of the conversation: asked for, added, done, transcribed, truncated, deleted.

A client's item is there from the moment it was sent. The server's confirmation gives it its
final id and place; it is recognised by its id, or, where the client gave none, as the oldest
one waiting of the same kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dialects.facts import (
    ErrorSeen,
    InputCommitted,
    ItemAdded,
    ItemAsked,
    ItemBody,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailed,
    TranscriptionSegment,
    TruncateAsked,
)
from .base import Part, on
from .board import Board, moment

if TYPE_CHECKING:
    from ..events import Event
    from .entries import ItemState
    from .inputs import Moment
    from .words import PartState


class ItemsFold(Part):
    """Fills in the items of the board."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self._waiting: list[ItemState] = []
        self._unnamed: list[str] = []
        """Commits that named no item, and that no item has named yet."""
        self._nameless: list[str] = []
        """The same, but for good."""

    @on(ItemAsked)
    def _asked(self, event: Event, fact: ItemAsked) -> None:
        at, body = moment(event), fact.item
        if body.id in self._board.items:
            return  # an id that is taken: the server refuses it, or states the item itself
        state = self._board.item(at, body.id or f"item@{event.seq}")
        state.by, state.acknowledged, state.event_id = "client", False, fact.event_id
        state.state(body, "item")
        if fact.audio_size:
            state.audio_ns = self._board.formats.input.ns_of_bytes(fact.audio_size)
        self._waiting.append(state)
        self._board.order.put(state.id, fact.previous)
        self._board.calls.answered(at, body)

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        """An item that the server refused was never a part of the conversation."""
        about = fact.error.event_id
        refused = [state for state in self._waiting if about and state.event_id == about]
        for state in refused:
            self._waiting.remove(state)
            self._board.order.remove(state.id)
            del self._board.items[state.id]

    @on(InputCommitted)
    def _committed(self, event: Event, fact: InputCommitted) -> None:
        at = moment(event)
        name = fact.item or f"input@{event.seq}"
        if not fact.item:
            self._unnamed.append(name)
            self._nameless.append(name)
        state = self._spoken(at, name)
        state.committed = state.committed or at
        self._board.order.put(name, fact.previous)

    def _spoken(self, at: Moment, item: str) -> ItemState:
        """An item of user speech."""
        state = self._board.item(at, item)
        state.role, state.spoken = "user", True
        state.type = state.type or "message"
        return state

    @on(ItemAdded)
    def _added(self, event: Event, fact: ItemAdded) -> None:
        at = moment(event)
        state = self._confirmed(at, fact.item)
        state.state(fact.item, "item")
        state.deleted = None
        if fact.item.status in ("completed", "incomplete"):
            state.done = state.done or at
        if not state.out_of_band:
            self._board.order.put(state.id, fact.previous)
        self._board.call_stated(at, state.response, fact.item, done=False)
        self._board.calls.answered(at, fact.item)

    @on(ItemDone)
    def _done(self, event: Event, fact: ItemDone) -> None:
        at = moment(event)
        state = self._confirmed(at, fact.item)
        state.state(fact.item, "item")
        state.done = state.done or at
        if not state.out_of_band:
            self._board.order.put(state.id, fact.previous)
        self._board.call_stated(at, state.response, fact.item, done=True)
        self._board.calls.answered(at, fact.item)

    @on(ItemRetrieved)
    def _retrieved(self, event: Event, fact: ItemRetrieved) -> None:
        if fact.item.id in self._board.items:
            self._board.items[fact.item.id].state(fact.item, "item")

    def _confirmed(self, at: Moment, body: ItemBody) -> ItemState:
        """The item that the server's object is about."""
        items = self._board.items
        if body.id in items:
            state = items[body.id]
        elif waiting := self._waiting_like(body):
            state = self._renamed(waiting.id, body.id or waiting.id)
        elif not body.id and (name := self._nameless_one(body)):
            state = items[name]
        elif self._unnamed and body.id and _is_speech(body):
            name = self._unnamed.pop(0)
            self._nameless.remove(name)
            state = self._renamed(name, body.id)
        else:
            state = self._board.item(at, body.id or f"item@{at.seq}")
        state.acknowledged = True
        self._waiting = [other for other in self._waiting if other is not state]
        return state

    def _nameless_one(self, body: ItemBody) -> str:
        """What an item without an id is: the speech, or the part of a response, of just now."""
        if _is_speech(body):
            return self._nameless[-1] if self._nameless else ""
        latest = self._board.streams.latest_item
        known = self._board.items.get(latest)
        return latest if known and body.role == "assistant" and "@" in latest else ""

    def _waiting_like(self, body: ItemBody) -> ItemState | None:
        """The oldest item of the client's without an id of its own that this may confirm."""
        for state in self._waiting:
            same = (state.type, state.call_id) == (body.type, body.call_id)
            if same and "@" in state.id and state.role in ("", body.role):
                return state
        return None

    def _renamed(self, old: str, new: str) -> ItemState:
        board = self._board
        state = board.items.pop(old)
        state.id = new
        board.items[new] = state
        board.order.rename(old, new)
        return state

    @on(TranscriptionDelta)
    def _transcription_delta(self, event: Event, fact: TranscriptionDelta) -> None:
        part = self._heard(event, fact.item, fact.part)[1]
        part.transcript.deltas.append(fact.delta)
        part.transcription = part.transcription or "partial"

    @on(TranscriptionCompleted)
    def _transcription_completed(self, event: Event, fact: TranscriptionCompleted) -> None:
        """It may come several times, each longer: the last one counts."""
        state, part = self._heard(event, fact.item, fact.part)
        if fact.final or part.transcription != "completed":
            part.transcript.told["done"] = fact.transcript
            part.transcription = "completed" if fact.final else "partial"
            state.transcribed = moment(event)
        if fact.final and not fact.transcript.strip():
            part.transcript.deltas.clear()

    @on(TranscriptionFailed)
    def _transcription_failed(self, event: Event, fact: TranscriptionFailed) -> None:
        state, part = self._heard(event, fact.item, fact.part)
        part.transcription = "failed"
        state.transcribed = moment(event)

    @on(TranscriptionSegment)
    def _transcription_segment(self, event: Event, fact: TranscriptionSegment) -> None:
        """Diarised speech, piece by piece: its words, until `completed` says them all."""
        part = self._heard(event, fact.item, fact.part)[1]
        said = f"{part.transcript.told.get('segments', '')} {fact.text.strip()}"
        part.transcript.told["segments"] = said.strip()
        part.transcription = part.transcription or "partial"

    def _heard(self, event: Event, item: str, index: int) -> tuple[ItemState, PartState]:
        at = moment(event)
        name = item or self._next_to_hear() or f"input@{event.seq}"
        state = self._spoken(at, name)
        self._board.order.put(name)
        part = state.part(index)
        part.kind = "audio"
        return state, part

    def _next_to_hear(self) -> str:
        """Of commits without names: the first whose transcript is not complete, else the last."""
        for name in self._nameless:
            parts = self._board.items[name].parts.values()
            if not any(part.transcription in ("completed", "failed") for part in parts):
                return name
        return self._nameless[-1] if self._nameless else ""

    @on(TruncateAsked)
    def _truncate_asked(self, event: Event, fact: TruncateAsked) -> None:
        if state := self._board.items.get(fact.item):
            state.truncated, state.truncated_ms = moment(event), fact.audio_end_ms

    @on(ItemTruncated)
    def _truncated(self, event: Event, fact: ItemTruncated) -> None:
        if state := self._board.items.get(fact.item):
            state.truncated = state.truncated or moment(event)
            if fact.audio_end_ms is not None:
                state.truncated_ms = fact.audio_end_ms
            state.truncated_text = fact.transcript

    @on(ItemDeleted)
    def _deleted(self, event: Event, fact: ItemDeleted) -> None:
        if state := self._board.items.get(fact.item):
            state.deleted = moment(event)


def _is_speech(body: ItemBody) -> bool:
    return body.role == "user" and any(part.kind == "audio" for part in body.parts)

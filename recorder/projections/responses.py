"""Responses: asked for, created, streamed, done; and which request each of them answers.

`response.created` does not echo the client's event. Requests are matched in order, by their
metadata where they have some; one that was refused is forgotten. A response that no request
waits for was begun by the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..dialects.facts import (
    ArgumentsDelta,
    ArgumentsDone,
    AudioDelta,
    CancelAsked,
    ErrorSeen,
    McpCallState,
    OutputItemAdded,
    OutputItemDone,
    PartAdded,
    PartDone,
    ResponseAsked,
    ResponseBody,
    ResponseCreated,
    ResponseDone,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
)
from .base import Part, on
from .board import Board, moment

if TYPE_CHECKING:
    from ..events import Event
    from .entries import ItemState, ResponseState
    from .inputs import Moment

_REFUSED = "conversation_already_has_active_response"


@dataclass(slots=True)
class _Ask:
    at: Moment
    fact: ResponseAsked


class ResponsesFold(Part):
    """Fills in the responses of the board, and the items that they stream."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self._asks: list[_Ask] = []
        self._conversation_seen = False
        self._any_ask = False

    # From asking to done.

    @on(ResponseAsked)
    def _asked(self, event: Event, fact: ResponseAsked) -> None:
        self._any_ask = True
        self._asks.append(_Ask(moment(event), fact))
        if not fact.out_of_band:
            self._board.asked.append(moment(event))

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        about = fact.error.event_id
        for row, ask in enumerate(self._asks):
            unnamed = not about and fact.error.code == _REFUSED
            if unnamed or (about and about == ask.fact.event_id):
                del self._asks[row]
                return

    @on(CancelAsked)
    def _cancelled(self, event: Event, fact: CancelAsked) -> None:
        names = [fact.response] if fact.response else list(self._board.streams.open)
        for name in names:
            if (state := self._board.responses.get(name)) and state.cancel is None:
                state.cancel = moment(event)

    @on(ResponseCreated)
    def _created(self, event: Event, fact: ResponseCreated) -> None:
        at = moment(event)
        name = self._board.streams.created(event.seq, fact)
        state = self._board.response(at, name)
        if state.created is not None or state.done is not None:
            state.created = state.created or at
            return  # told twice, or late: what came since stands
        state.created = at
        self._answers(state, fact.response)
        self._take(state, fact.response)

    def _answers(self, state: ResponseState, body: ResponseBody) -> None:
        """Which request it answers, and what follows from that."""
        ask = self._matching(body)
        if ask is not None:
            state.asked = ask.at
            if ask.at in self._board.asked:
                self._board.asked.remove(ask.at)
        state.form = body.format or (ask.fact.format if ask else None)
        state.out_of_band = self._is_out_of_band(body, ask)

    def _matching(self, body: ResponseBody) -> _Ask | None:
        for row, ask in enumerate(self._asks):
            if body.metadata and ask.fact.metadata == body.metadata:
                return self._asks.pop(row)
        for row, ask in enumerate(self._asks):
            if body.conversation == "" or ask.fact.out_of_band == (body.conversation is None):
                return self._asks.pop(row)
        return self._asks.pop(0) if self._asks else None

    def _is_out_of_band(self, body: ResponseBody, ask: _Ask | None) -> bool:
        """A null conversation means it only where the request, or another response, bears it out:
        some servers never name a conversation."""
        if body.conversation:
            self._conversation_seen = True
        if ask is not None:
            return ask.fact.out_of_band
        return body.conversation is None and self._conversation_seen and not self._any_ask

    @on(ResponseDone)
    def _done(self, event: Event, fact: ResponseDone) -> None:
        at = moment(event)
        name = self._board.streams.done(event.seq, fact)
        state = self._board.response(at, name)
        if state.created is None and state.done is None and not state.items:
            self._answers(state, fact.response)
        state.done = state.done or at
        self._take(state, fact.response)
        if state.status == "in_progress":
            state.status = "completed"
        for row, body in enumerate(fact.response.output):
            known = state.items[row] if row < len(state.items) else f"{name}/output@{row}"
            item = self._board.of_response(at, name, body.id or known)
            item.state(body, "response.done")
            item.done = item.done or at
            self._board.call_stated(at, name, body, done=True)

    def _take(self, state: ResponseState, body: ResponseBody) -> None:
        if state.done is None or body.status != "in_progress":  # `created` may come after `done`
            state.status = body.status or state.status
        state.reason = body.reason or state.reason
        state.error = body.error or state.error
        state.modalities = body.modalities or state.modalities
        state.voice = body.voice or state.voice
        state.usage = body.usage or state.usage
        state.metadata = body.metadata or state.metadata
        state.form = state.form or body.format

    # What it streams.

    @on(OutputItemAdded)
    def _item_added(self, event: Event, fact: OutputItemAdded) -> None:
        at = moment(event)
        response, item = self._board.streams.item_added(event.seq, fact)
        self._board.of_response(at, response, item).state(fact.item, "item")
        self._board.call_stated(at, response, fact.item, done=False)

    @on(OutputItemDone)
    def _item_done(self, event: Event, fact: OutputItemDone) -> None:
        at = moment(event)
        response, item = self._board.streams.of(event.seq, fact.response, fact.item.id)
        state = self._board.of_response(at, response, item)
        state.state(fact.item, "item")
        state.done = state.done or at
        self._board.call_stated(at, response, fact.item, done=True)

    @on(PartAdded, PartDone)
    def _part(self, event: Event, fact: PartAdded | PartDone) -> None:
        """What `content_part.done` states ranks with what the item states."""
        item = self._item(event, fact)
        item.spoken |= fact.content.kind == "audio"
        item.part(fact.part).state(fact.content, "item")

    @on(TextDelta)
    def _text_delta(self, event: Event, fact: TextDelta) -> None:
        self._streamed(event, fact).part(fact.part).text.deltas.append(fact.delta)

    @on(TranscriptDelta)
    def _transcript_delta(self, event: Event, fact: TranscriptDelta) -> None:
        self._streamed(event, fact).part(fact.part).transcript.deltas.append(fact.delta)

    @on(TextDone)
    def _text_done(self, event: Event, fact: TextDone) -> None:
        self._item(event, fact).part(fact.part).text.told["done"] = fact.text

    @on(TranscriptDone)
    def _transcript_done(self, event: Event, fact: TranscriptDone) -> None:
        self._item(event, fact).part(fact.part).transcript.told["done"] = fact.text

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        item = self._item(event, fact)
        item.spoken = True
        state = self._board.responses[item.response]
        state.audio_bytes += fact.size
        state.form = state.form or self._board.formats.output
        if fact.size:
            at = moment(event)
            state.first_delta = state.first_delta or at
            state.first_audio = state.first_audio or at
            state.last_audio = at

    @on(ArgumentsDelta)
    def _arguments_delta(self, event: Event, fact: ArgumentsDelta) -> None:
        item = self._item(event, fact)
        item.type = item.type or "function_call"
        self._board.calls.delta(moment(event), item.response, item.id, fact)

    @on(ArgumentsDone)
    def _arguments_done(self, event: Event, fact: ArgumentsDone) -> None:
        item = self._item(event, fact)
        item.type = item.type or "function_call"
        key = self._board.calls.done(moment(event), item.response, item.id, fact)
        owner = self._board.responses[item.response]
        if key not in owner.calls:
            owner.calls.append(key)

    @on(McpCallState)
    def _mcp(self, event: Event, fact: McpCallState) -> None:
        self._board.calls.mcp(moment(event), fact)

    def _item(self, event: Event, fact: Any) -> ItemState:
        response, item = self._board.streams.of(event.seq, fact.response, fact.item)
        state = self._board.items.get(item)
        if state is not None and state.response:
            return state
        return self._board.of_response(moment(event), response, item)

    def _streamed(self, event: Event, fact: TextDelta | TranscriptDelta) -> ItemState:
        item = self._item(event, fact)
        state = self._board.responses[item.response]
        if state.first_delta is None and fact.delta:
            state.first_delta = moment(event)
        return item

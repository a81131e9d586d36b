"""Tool calls: told of by several events, counted once, joined with their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .entries import CallState
from .words import joined

if TYPE_CHECKING:
    from ..dialects.facts import ArgumentsDelta, ArgumentsDone, ItemBody, McpCallState
    from .inputs import Moment
    from .model import ToolCall

CALL_TYPES = ("function_call", "mcp_call")


class Calls:
    """All calls of a session, by call id, or by item where there is none."""

    def __init__(self) -> None:
        self._by_item: dict[str, CallState] = {}
        self._by_call: dict[str, CallState] = {}
        self._waiting: dict[int, CallState] = {}

    def all(self) -> tuple[ToolCall, ...]:
        """In the order in which they were first heard of."""
        states = dict.fromkeys(id(state) for state in self._by_item.values())
        found = {id(state): state for state in self._by_item.values()}
        return tuple(found[key].call() for key in states)

    def waiting(self) -> tuple[ToolCall, ...]:
        """Those without an output, whether their arguments are complete or not."""
        self._waiting = {key: s for key, s in self._waiting.items() if s.answered is None}
        return tuple(state.call() for state in self._waiting.values())

    def told_as(self, item: str) -> list[str]:
        """The items that are the same call as this one, itself included; none if it is no call."""
        state = self._by_item.get(item)
        return [] if state is None else state.items

    def of_item(self, item: str) -> ToolCall | None:
        """The call that an item is."""
        state = self._by_item.get(item)
        return None if state is None else state.call()

    def _call(self, at: Moment, item: str, call_id: str, response: str) -> CallState:
        state = self._by_item.get(item) or (self._by_call.get(call_id) if call_id else None)
        if state is None:
            state = CallState(call_id or item, item, response, at)
            self._waiting[id(state)] = state
        if item not in self._by_item:
            self._by_item[item] = state
            state.items.append(item)
        if call_id:
            state.call_id = call_id
            self._by_call.setdefault(call_id, state)
        return state

    def stated(self, at: Moment, response: str, body: ItemBody, *, done: bool) -> str | None:
        """An item that is a call; its key, None where the item is none."""
        if body.type not in CALL_TYPES:
            return None
        state = self._call(at, body.id or body.call_id or f"call@{at.seq}", body.call_id, response)
        state.kind = "mcp" if body.type == "mcp_call" else "function"
        state.name = body.name or state.name
        if done:
            state.arguments = body.arguments if state.arguments is None else state.arguments
            state.complete = state.complete or at
            if body.output is not None or body.error:
                state.output, state.error = body.output, body.error
                state.answered = state.answered or at
        return state.call_id or state.key

    def delta(self, at: Moment, response: str, item: str, fact: ArgumentsDelta) -> None:
        """A piece of the arguments."""
        self._call(at, item, fact.call, response).pieces.append(fact.delta)

    def done(self, at: Moment, response: str, item: str, fact: ArgumentsDone) -> str:
        """All arguments are there; the call's key."""
        state = self._call(at, item, fact.call, response)
        state.kind = state.kind if fact.call else "mcp"
        state.name = fact.name or state.name
        state.arguments = fact.arguments or joined(state.pieces)
        state.complete = state.complete or at
        return state.call_id or state.key

    def mcp(self, at: Moment, fact: McpCallState) -> None:
        """The server ran an MCP call."""
        state = self._by_item.get(fact.item)
        if state is not None and fact.state in ("completed", "failed"):
            state.answered = state.answered or at
            state.error = state.error or ("failed" if fact.state == "failed" else "")

    def answered(self, at: Moment, body: ItemBody) -> None:
        """An output: from the client when it sends it, else from the server's item."""
        if body.type != "function_call_output":
            return
        state = self._by_call.get(body.call_id)
        if state is not None and state.answered is None:
            state.output, state.answered = body.output, at

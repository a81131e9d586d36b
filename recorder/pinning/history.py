"""What was said before the chosen turns, as items that a client creates.

Speech becomes the words of its transcript: an item that a client creates may not hold the
assistant's voice, and the user's was not kept. What an interrupted answer left unheard is left out
where the server said what is left of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from .. import wire
from ..events import TEXT, Event, Origin
from ..projections.model import reckoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..projections.model import Conversation, Item, ToolCall

UNTOLD: Final = "[speech without a transcript]"
"""Stands for what was said and never transcribed."""

_CONTENT: Final = {"user": "input_text", "system": "input_text", "assistant": "output_text"}


def items_before(
    conversation: Conversation, is_before: Callable[[str, int], bool], begun_ns: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The items, in the order of the conversation; and remarks on what could not be kept."""
    calls = {call.call_id: call for call in conversation.calls}
    items, untold, other = [], 0, 0
    for item in conversation.items:
        deleted = item.deleted_seq is not None and reckoned(item.deleted_ns) <= begun_ns
        if deleted or not is_before(item.id, item.seq):
            continue
        made = _made(item, calls)
        if made is None:
            other += 1
            continue
        untold += made.get("content", [{}])[0].get("text") == UNTOLD
        items.append({"id": item.id, **made} if 0 < len(item.id) <= 32 else made)
    notes = []
    if untold:
        notes.append(f"speech without a transcript stands in the history ({untold} of its items)")
    if other:
        notes.append(f"items that no client can create are missing in the history ({other})")
    return items, notes


def _made(item: Item, calls: dict[str, ToolCall]) -> dict[str, Any] | None:
    """The item as a client may create it; None where it may not."""
    if item.type == "message" and item.role in _CONTENT:
        said = item.text if item.truncated_text is None else item.truncated_text
        content = [{"type": _CONTENT[item.role], "text": said or UNTOLD}]
        return {"type": "message", "role": item.role, "content": content}
    call = calls.get(item.call_id)
    if item.type == "function_call" and call is not None:
        named = {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        return {"type": "function_call", **named}
    if item.type == "function_call_output":
        output = call.output if call is not None and call.output is not None else item.text
        return {"type": "function_call_output", "call_id": item.call_id, "output": output}
    return None


def answered(items: list[dict[str, Any]], at_ns: int, *, beta: bool) -> Iterator[Event]:
    """The client creates each item, and the server says that it did. Unnumbered."""
    previous: str | None = None
    count = 0
    for item in items:
        spoken = _in_beta(item) if beta else item
        yield _event(Origin.CLIENT, at_ns, {"type": "conversation.item.create", "item": spoken})
        whole = {"object": "realtime.item", "status": "completed", **spoken}
        whole.setdefault("id", f"item_history_{count + 1}")
        for kind in ("created",) if beta else ("added", "done"):
            count += 1
            told = {"type": f"conversation.item.{kind}", "event_id": f"event_history_{count}"}
            place = {"previous_item_id": previous, "item": whole}
            yield _event(Origin.SERVER, at_ns, told | place)
        previous = str(whole["id"])


def _in_beta(item: dict[str, Any]) -> dict[str, Any]:
    """The beta calls the assistant's words `text`."""
    content = item.get("content")
    if not content or content[0]["type"] != "output_text":
        return item
    return {**item, "content": [{**content[0], "type": "text"}]}


def _event(origin: Origin, at_ns: int, body: dict[str, Any]) -> Event:
    part = wire.split(orjson.dumps(body))
    return Event(0, at_ns, origin, part.type, TEXT, part.head, part.meta, part.audio)

"""What an endpoint says of the MCP servers that a client names: their tools are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.sandbox.agenda import MS, Steps
from recorder.sandbox.conversation import Item
from recorder.sandbox.script import McpCall
from recorder.sandbox.state import State

LOOKUP_MS = 100


def list_tools(state: State, server: Mapping[str, Any]) -> Steps:
    """Look up the tools of that server: those that the script calls."""
    label = str(server["server_label"])
    body = {"id": state.ids.new("item"), "type": "mcp_list_tools", "server_label": label}
    item = Item({**body, "tools": []}, state.config.output_format)
    previous_id = state.conversation.insert(item)
    state.line.send("conversation.item.added", previous_item_id=previous_id, item=item.body)
    state.line.send("mcp_list_tools.in_progress", item_id=item.id)
    yield LOOKUP_MS * MS
    item.body["tools"] = [
        {"name": name, "input_schema": {"type": "object"}} for name in _called(state, label)
    ]
    state.line.send("conversation.item.done", previous_item_id=previous_id, item=item.body)
    state.line.send("mcp_list_tools.completed", item_id=item.id)


def _called(state: State, label: str) -> list[str]:
    """The tools of that server that the script calls, each once."""
    answers = (*state.script.answers, *state.script.otherwise)
    items = [item for answer in answers for item in answer.items]
    calls = [item for item in items if isinstance(item, McpCall) and item.server == label]
    return list(dict.fromkeys(call.mcp for call in calls))

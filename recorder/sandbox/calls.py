"""Function calls and MCP calls being given."""

from __future__ import annotations

import re

import orjson

from recorder.sandbox.agenda import MS, Steps
from recorder.sandbox.output import Output, Scene
from recorder.sandbox.script import Call, JsonObject, McpCall

_PIECE = re.compile(r"\s*[^\s:,]+[:,]?|.", re.DOTALL)


class FunctionCall(Output):
    """A call that the client is to carry out."""

    def __init__(self, scene: Scene, index: int, call: Call) -> None:
        self._call, self._call_id = call, scene.state.ids.new("call")
        named = {"name": call.call, "call_id": self._call_id, "arguments": ""}
        super().__init__(scene, index, {"type": "function_call", "status": "in_progress", **named})

    def perform(self) -> Steps:
        """The arguments, piece by piece."""
        yield self._call.first_delta_ms * MS
        self.begin()
        for piece in _PIECE.findall(_json_text(self._call.arguments)):
            self.send("response.function_call_arguments.delta", call_id=self._call_id, delta=piece)
            self.item.body["arguments"] += piece
            yield self._call.gap_ms * MS
        self.finish("completed")

    def finish(self, status: str) -> None:
        """The arguments as far as they came."""
        self.send(
            "response.function_call_arguments.done",
            call_id=self._call_id,
            name=self._call.call,
            arguments=self.item.body["arguments"],
        )
        self.end(status)


class ServerCall(Output):
    """A call that the endpoint carries out itself, over MCP."""

    def __init__(self, scene: Scene, index: int, call: McpCall) -> None:
        self._call = call
        named = {"server_label": call.server, "name": call.mcp, "arguments": ""}
        super().__init__(scene, index, {"type": "mcp_call", "status": "in_progress", **named})

    def perform(self) -> Steps:
        """The arguments at once, then the tool's own time."""
        yield self._call.first_delta_ms * MS
        self.begin()
        arguments = _json_text(self._call.arguments)
        self.item.body["arguments"] = arguments
        self.send("response.mcp_call_arguments.delta", delta=arguments)
        self.send("response.mcp_call_arguments.done", arguments=arguments)
        self._tell("in_progress")
        yield self._call.run_ms * MS
        failed = bool(self._call.error)
        self._tell("failed" if failed else "completed")
        result = {"type": "tool_execution_error", "message": self._call.error}
        self.item.body |= {"error": result} if failed else {"output": self._call.output}
        self.finish("incomplete" if failed else "completed")

    def finish(self, status: str) -> None:
        """The call with its result, if there is one."""
        self.end(status)

    def _tell(self, phase: str) -> None:
        # These three carry no response_id; readers must join them by the item.
        line = self.scene.state.line
        line.send(f"response.mcp_call.{phase}", item_id=self.item.id, output_index=self.index)


def _json_text(arguments: JsonObject | str) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(dict(arguments)).decode()

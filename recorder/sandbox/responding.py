"""A response from `response.created` to `response.done`.

Laws:

1. `response.created` comes first and `response.done` last, once each, whatever happens between.
2. A response that is stopped closes what it had open, as far as it came: its item is
   `incomplete`, and its output holds only what was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recorder.sandbox.agenda import MS, Steps, Task
from recorder.sandbox.answers import Situation
from recorder.sandbox.calls import FunctionCall, ServerCall
from recorder.sandbox.conversation import Item
from recorder.sandbox.message import Message
from recorder.sandbox.output import Output, Scene
from recorder.sandbox.response_json import Json, read_tokens, response_json
from recorder.sandbox.script import Answer, Call, Failure, McpCall, Say
from recorder.sandbox.script import Item as ScriptItem
from recorder.sandbox.state import State
from recorder.sandbox.usage import tokens_of, usage_json

REQUESTS_A_MINUTE, TOKENS_A_MINUTE = 5_000, 2_000_000
"""The rate limits that the sandbox pretends to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, by a client or by the VAD."""

    situation: Situation
    context: tuple[Item, ...]
    """What the model reads."""
    metadata: Mapping[str, str] | None = None
    tool_output: str = ""


class Response:
    """One answer being given; calls `ended` with itself when it is done."""

    def __init__(
        self, state: State, request: Request, answer: Answer, ended: Callable[[Response], None]
    ) -> None:
        situation = request.situation
        self.id = state.ids.new("resp")
        self.out_of_band = situation.out_of_band
        self._state, self._request, self._answer, self._ended = state, request, answer, ended
        limit = situation.config.max_output_tokens
        self._scene = Scene(
            state=state,
            response_id=self.id,
            config=situation.config,
            out_of_band=situation.out_of_band,
            user_words=situation.user_words,
            tool_output=request.tool_output,
            budget=float(limit),
        )
        self._outputs: list[Output] = []
        self._is_created = False
        self._task: Task | None = None

    def begin(self) -> None:
        """Start giving the answer."""
        self._task = self._state.agenda.start(self._perform())

    def stop(self, reason: str) -> None:
        """Cancel it: `turn_detected` or `client_cancelled`."""
        if self._task is not None:
            self._state.agenda.cancel(self._task)
        if not self._is_created:
            self._create()
        for output in self._begun:
            if output.item.body["status"] == "in_progress":
                output.finish("incomplete")
        self._finish("cancelled", {"reason": reason})

    @property
    def _begun(self) -> list[Output]:
        return [output for output in self._outputs if output.is_begun]

    def _perform(self) -> Steps:
        yield self._answer.created_ms * MS
        self._create()
        for index, item in enumerate(self._answer.items):
            output = _output(self._scene, index, item)
            self._outputs.append(output)
            yield from output.perform()
            if self._scene.is_cut:
                break
        yield self._answer.done_ms * MS
        self._finish(*self._conclusion())

    def _conclusion(self) -> tuple[str, Json | None]:
        """Status and details of an answer that was given to its end."""
        if self._scene.is_cut:
            return "incomplete", {"reason": "max_output_tokens"}
        if self._answer.fail is not None:
            return "failed", {"error": error_json(self._answer.fail)}
        if self._answer.content_filter:
            return "incomplete", {"reason": "content_filter"}
        return "completed", None

    def _create(self) -> None:
        self._is_created = True
        self._state.responses += 1
        self._state.line.send("response.created", response=self._shown("in_progress", None, None))
        self._send_rate_limits("before")

    def _finish(self, status: str, details: Json | None) -> None:
        shown_details = None if details is None else {"type": status, **details}
        usage = self._usage()
        place = self._state.script.usage
        within = {"response": usage, "top": None, "none": None}[place]
        shown = self._shown(status, shown_details, within)
        beside = {"usage": usage} if place == "top" else {}
        self._state.line.send("response.done", response=shown, **beside)
        self._send_rate_limits("after")
        self._ended(self)

    def _shown(self, status: str, details: Json | None, usage: Json | None) -> Json:
        state = self._state
        head = {
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [state.dialect.item(output.item.body) for output in self._begun],
            "conversation_id": None if self.out_of_band else state.conversation_id,
        }
        tail = {"usage": usage, "metadata": self._request.metadata}
        return response_json(state.dialect, self._request.situation.config, head, tail)

    def _usage(self) -> Json:
        """Counts this response, and remembers what it read."""
        read = read_tokens(self._request.situation.config, self._request.context)
        written = tokens_of(output.item for output in self._begun)
        cached = read.cached_of(self._state.context)
        if not self.out_of_band:
            self._state.context = read
        return usage_json(read, cached, written, images=self._state.dialect.nested)

    def _send_rate_limits(self, now: str) -> None:
        usual = "after" if self._state.dialect.nested else "before"
        if (self._state.script.rate_limits or usual) != now:
            return
        used = {"requests": self._state.responses, "tokens": self._state.context.total}
        limits = {"requests": REQUESTS_A_MINUTE, "tokens": TOKENS_A_MINUTE}
        shown = [
            {
                "name": name,
                "limit": limit,
                "remaining": max(limit - used[name], 0),
                "reset_seconds": round(used[name] * 60 / limit, 3),
            }
            for name, limit in limits.items()
        ]
        self._state.line.send("rate_limits.updated", rate_limits=shown)


def _output(scene: Scene, index: int, item: ScriptItem) -> Output:
    match item:
        case Say():
            return Message(scene, index, item)
        case Call():
            return FunctionCall(scene, index, item)
        case McpCall():
            return ServerCall(scene, index, item)


def error_json(failure: Failure) -> Json:
    """The `error` object of something that failed."""
    return {"type": failure.type, "code": failure.code, "message": failure.message}

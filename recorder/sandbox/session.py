"""One Realtime session, without sockets: messages and the time go in, actions come out.

Laws:

1. Deterministic: the same script, seed, messages and times give the same actions.
2. No message of a client raises: what cannot be done is answered with `error`, and it goes on.
3. Time only passes in `receive` and `poll`; what was due by then happens first, each at its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from recorder.errors import UsageError
from recorder.sandbox import checks
from recorder.sandbox.actions import Action
from recorder.sandbox.agenda import MS, Agenda, Steps
from recorder.sandbox.checks import Invalid
from recorder.sandbox.client_items import read_item
from recorder.sandbox.config import Config, default_config, merged_session, session_json
from recorder.sandbox.conversation import duplicate
from recorder.sandbox.dialect import GA, Dialect
from recorder.sandbox.faults import Faults
from recorder.sandbox.ids import Ids
from recorder.sandbox.line import Line, base64_text
from recorder.sandbox.listening import Listening
from recorder.sandbox.mcp import list_tools
from recorder.sandbox.script import Script
from recorder.sandbox.state import State

Event = Mapping[str, Any]


class Refusal(NamedTuple):
    """Why a connection is closed as soon as it is open."""

    close_code: int
    code: str
    message: str


BETA_IS_OFF = Refusal(
    4000,
    "beta_api_shape_disabled",
    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
)


class SandboxSession:
    """The core of the sandbox: one connection."""

    def __init__(
        self,
        script: Script,
        dialect: Dialect = GA,
        *,
        model: str = "sandbox",
        seed: str = "",
        wall_s: int = 0,
        config: Config | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        """`wall_s`: seconds since 1970, for `expires_at`. `config`: where a token brings one."""
        agenda, ids = Agenda(), Ids(seed)
        line = Line(agenda, ids, dialect, Faults(script.faults))
        self._state = State(
            script=script,
            dialect=dialect,
            agenda=agenda,
            ids=ids,
            line=line,
            config=config or first_config(script, dialect),
            conversation_id=ids.new("conv"),
        )
        self._refusal = BETA_IS_OFF if script.refuse_beta and dialect.name == "beta" else refusal
        expires_at = wall_s + script.max_duration_ms // 1000
        self._head = {"id": ids.new("sess"), "model": model, "expires_at": expires_at}
        self._listening = Listening(self._state)
        self._answering = self._listening.answering

    @property
    def closed(self) -> bool:
        """Nothing will happen any more."""
        return self._state.line.closed

    def open(self, now_ns: int) -> None:
        """The connection is there."""
        state = self._state
        state.agenda.now_ns = now_ns
        state.line.open()
        if self._refusal is not None:
            code, reason, message = self._refusal
            state.line.error(message, code=reason)
            state.line.close(code, f"invalid_request_error.{reason}")
            return
        state.line.send("session.created", session=self._shown())
        if not state.dialect.item_done:
            about = {"id": state.conversation_id, "object": "realtime.conversation"}
            state.line.send("conversation.created", conversation=about)
        state.agenda.start(self._expire(state.script.max_duration_ms))

    def receive(self, message: str | bytes, now_ns: int) -> None:
        """A message came."""
        self._state.agenda.run(now_ns)
        if self.closed:
            return
        event_id = None
        try:
            event = _parse(message)
            event_id = event["event_id"] if isinstance(event.get("event_id"), str) else None
            self._handle(event)
        except Invalid as problem:
            self._state.line.refuse(problem, event_id)

    def poll(self, now_ns: int) -> list[Action]:
        """What is to be done to the connection by now, in order."""
        self._state.agenda.run(now_ns)
        return self._state.line.take()

    def next_at(self) -> int | None:
        """When to poll next, if nothing comes before."""
        times = [self._state.line.next_at(), None if self.closed else self._state.agenda.next_at()]
        return min((each for each in times if each is not None), default=None)

    def _handle(self, event: Event) -> None:
        kind = checks.text(checks.required(event, "type"), "type")
        acts = _ACTS if self._state.dialect.name != "ga" else _GA_ACTS
        checks.one_of(kind, "type", acts)
        if self._state.line.receive(kind):
            acts[kind](self, event)

    def _update(self, event: Event) -> None:
        patch = checks.record(checks.required(event, "session"), "session")
        old = self._state.config
        new = merged_session(old, patch, self._state.dialect)
        if self._state.has_spoken and new.voice != old.voice:
            raise Invalid(
                "Cannot update a conversation's voice if assistant audio is present.",
                code="cannot_update_voice",
            )
        self._state.config = new
        self._listening.configure(new)
        is_old_name = event["type"].startswith("transcription")
        name = "transcription_session.updated" if is_old_name else "session.updated"
        self._state.line.send(name, session=self._shown())
        for tool in new.tools:
            if tool["type"] == "mcp" and tool not in old.tools:
                self._state.agenda.start(list_tools(self._state, tool))

    def _append(self, event: Event) -> None:
        self._listening.append(checks.audio(checks.required(event, "audio"), "audio"))

    def _commit(self, event: Event) -> None:
        self._listening.commit()

    def _clear(self, event: Event) -> None:
        self._listening.clear()

    def _clear_output(self, event: Event) -> None:
        raise Invalid("output_audio_buffer.clear is only available over WebRTC and SIP.")

    def _create_item(self, event: Event) -> None:
        state = self._state
        given = checks.required(event, "item")
        new_id = state.ids.new("item")
        item = read_item(given, new_id, state.config.input_format, state.dialect)
        call_id = item.body.get("call_id", "")
        is_output = item.body["type"] == "function_call_output"
        if is_output and state.conversation.call_name(call_id) is None:
            raise Invalid(
                f"Tool call ID '{call_id}' not found in conversation.",
                code="invalid_tool_call_id",
                param="item.call_id",
            )
        previous_id = event.get("previous_item_id")
        if previous_id is not None:
            checks.text(previous_id, "previous_item_id")
        if item.id != new_id and state.ids.is_taken(item.id):
            raise duplicate(item.id)
        after_id = state.conversation.insert(item, previous_id)
        state.ids.take(item.id)
        state.show_item(item, after_id)

    def _retrieve_item(self, event: Event) -> None:
        item = self._state.conversation.get(_item_id(event), "retrieve")
        shown = self._state.dialect.item(item.body)
        content = [
            part | ({"audio": base64_text(bytes(item.audio[at]))} if at in item.audio else {})
            for at, part in enumerate(shown.get("content", []))
        ]
        if content:
            shown["content"] = content
        self._state.line.send("conversation.item.retrieved", item=shown)

    def _truncate_item(self, event: Event) -> None:
        item_id = _item_id(event)
        index = checks.required(event, "content_index")
        end_ms = checks.required(event, "audio_end_ms")
        index = checks.integer(index, "content_index", 0, 1 << 31)
        end_ms = checks.integer(end_ms, "audio_end_ms", 0, 1 << 53)
        self._state.conversation.truncate(item_id, index, end_ms)
        place = {"item_id": item_id, "content_index": index, "audio_end_ms": end_ms}
        self._state.line.send("conversation.item.truncated", **place)

    def _delete_item(self, event: Event) -> None:
        item_id = _item_id(event)
        self._state.conversation.delete(item_id)
        self._state.ids.release(item_id)
        self._state.line.send("conversation.item.deleted", item_id=item_id)

    def _create_response(self, event: Event) -> None:
        given = event.get("response")
        self._answering.create({} if given is None else checks.record(given, "response"))

    def _cancel_response(self, event: Event) -> None:
        given = event.get("response_id")
        self._answering.cancel(None if given is None else checks.text(given, "response_id"))

    def _shown(self) -> dict[str, Any]:
        return session_json(self._state.config, self._state.dialect, self._head)

    def _expire(self, limit_ms: int) -> Steps:
        yield limit_ms * MS
        length = f"{limit_ms // 60_000} minutes" if limit_ms >= 60_000 else f"{limit_ms / 1000:g} s"
        message = f"Your session hit the maximum duration of {length}."
        self._state.line.error(message, code="session_expired")
        self._state.line.close(1001, message)


_GA_ACTS: Mapping[str, Callable[[SandboxSession, Event], None]] = {
    "session.update": SandboxSession._update,
    "input_audio_buffer.append": SandboxSession._append,
    "input_audio_buffer.commit": SandboxSession._commit,
    "input_audio_buffer.clear": SandboxSession._clear,
    "output_audio_buffer.clear": SandboxSession._clear_output,
    "conversation.item.create": SandboxSession._create_item,
    "conversation.item.retrieve": SandboxSession._retrieve_item,
    "conversation.item.truncate": SandboxSession._truncate_item,
    "conversation.item.delete": SandboxSession._delete_item,
    "response.create": SandboxSession._create_response,
    "response.cancel": SandboxSession._cancel_response,
}
_ACTS = {**_GA_ACTS, "transcription_session.update": SandboxSession._update}
"""What each client event does; beta had one more."""


def _parse(message: str | bytes) -> Event:
    try:
        event = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise Invalid(
            f"We could not parse the JSON of your event: {error}", code="invalid_json"
        ) from error
    return checks.record(event, "event")


def _item_id(event: Event) -> str:
    return checks.text(checks.required(event, "item_id"), "item_id")


def first_config(script: Script, dialect: Dialect, kind: str = "realtime") -> Config:
    """What a session starts with: the dialect's defaults, and what the script sets."""
    config = replace(default_config(dialect), type=kind)
    try:
        return merged_session(config, {"type": kind, **script.session}, GA)
    except Invalid as problem:
        raise UsageError(f"script.session: {problem.message}") from problem

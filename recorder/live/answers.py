"""What a response brought, gathered event by event while it comes in, in either dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pybase64

_TEXT = frozenset({"response.output_text.delta", "response.text.delta"})
_TRANSCRIPT = frozenset(
    {"response.output_audio_transcript.delta", "response.audio_transcript.delta"}
)
_AUDIO = frozenset({"response.output_audio.delta", "response.audio.delta"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model asks for."""

    call_id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(slots=True)
class Answer:
    """One response, from `response.created` to `response.done`."""

    id: str = ""
    status: str = ""
    """`completed`, `cancelled`, `incomplete`, `failed`; empty while it is under way."""
    text: str = ""
    transcript: str = ""
    audio: bytearray = field(default_factory=bytearray, repr=False)
    """As it came: decode it with the session's output format."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    """`status_details` of the response: why it did not complete."""
    usage: dict[str, Any] = field(default_factory=dict)

    def feed(self, data: dict[str, Any]) -> bool:
        """Take in one server event; whether the response is over with it."""
        kind = data.get("type")
        if kind == "response.created":
            self.id = _object(data, "response").get("id") or ""
        elif kind == "response.done":
            return self._finish(_object(data, "response"), data)
        elif self.id and data.get("response_id") not in (None, self.id):
            return False  # another response's: out of band, or one that was given up
        elif kind in _TEXT:
            self.text += data.get("delta") or ""
        elif kind in _TRANSCRIPT:
            self.transcript += data.get("delta") or ""
        elif kind in _AUDIO:
            self.audio += decoded(data.get("delta"))
        elif kind == "response.output_item.done":
            self._call(_object(data, "item"))
        return False

    def _finish(self, response: dict[str, Any], data: dict[str, Any]) -> bool:
        done = response.get("id")
        if self.id and done and done != self.id:
            return False
        self.id = self.id or done or ""
        self.status = response.get("status") or "completed"
        details = response.get("status_details")
        self.details = (
            details if isinstance(details, dict) else {"reason": details} if details else {}
        )
        self.usage = response.get("usage") or data.get("usage") or {}
        for item in response.get("output") or ():
            self._call(item)
        return True

    def _call(self, item: dict[str, Any]) -> None:
        if item.get("type") != "function_call":
            return
        call = ToolCall(
            item.get("call_id") or "", item.get("name") or "", item.get("arguments") or "{}"
        )
        if all(known.call_id != call.call_id for known in self.tool_calls):
            self.tool_calls.append(call)


def _object(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def decoded(text: object) -> bytes:
    """Audio from base64; empty where the text is none."""
    if not isinstance(text, str):
        return b""
    try:
        return pybase64.b64decode(text)
    except ValueError:
        return b""

"""What was said and done: items, responses, tool calls, configuration. Part of `model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..dialects import SessionConfig
    from .model_values import ErrorNote


@dataclass(frozen=True, slots=True)
class Part:
    """One content part of an item."""

    kind: str
    """`text`, `audio`, `image`, or what the wire called it."""
    text: str = ""
    source: str = ""
    """Where the text is from: `done`, `deltas`, `item`, `response.done`, `transcription`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the conversation."""

    id: str
    type: str
    """`message`, `function_call`, `function_call_output`, `mcp_call` …"""
    role: str
    """`user`, `assistant`, `system`, or empty."""
    status: str
    """`completed`, `incomplete`, `in_progress`; empty where the wire said nothing."""
    text: str
    """What was said or written, once, with the authority rules applied."""
    parts: tuple[Part, ...]
    by: str
    """Who made it: `client`, `server`."""
    seq: int
    """The event that brought it first (for client items: the client's own)."""
    at_ns: int | None
    done_ns: int | None = None
    done_seq: int | None = None
    response_id: str = ""
    call_id: str = ""
    spoken: bool = False
    """It has audio, whether that was kept or not."""
    audio_ns: int | None = None
    """Length of audio that the client sent inside the item itself."""
    transcript: str = ""
    """Of user speech: `completed`, `partial`, `failed`, `none`; empty for everything else."""
    transcript_ns: int | None = None
    transcript_seq: int | None = None
    committed_ns: int | None = None
    """Of user speech: when the buffer became this item."""
    committed_seq: int | None = None
    truncated_ms: int | None = None
    """`audio_end_ms` of the last truncation: what the client believed had been played."""
    truncated_seq: int | None = None
    truncated_text: str | None = None
    """What the server says is left of it (xAI); the others do not say."""
    cut: bool = False
    """The text is known to be incomplete: cancelled, incomplete, or only deltas came."""
    deleted_ns: int | None = None
    deleted_seq: int | None = None
    out_of_band: bool = False
    acknowledged: bool = True
    """False: the client asked for it and the server never confirmed it."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function or MCP call, counted once, with its output where it came."""

    call_id: str
    name: str
    arguments: str
    item_id: str
    response_id: str
    kind: str
    """`function` or `mcp`."""
    at_ns: int | None
    """When the call was complete: all its arguments were there."""
    seq: int
    output: str | None = None
    output_ns: int | None = None
    """When the application sent the output (for MCP: when the server said it was done)."""
    output_seq: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """One response of the model, from `created` to `done`."""

    id: str
    seq: int
    """The event that brought it first."""
    status: str
    """`completed`, `cancelled`, `incomplete`, `failed`; `in_progress` where it never ended."""
    reason: str
    error: str
    """Code or message of a failure."""
    created_ns: int | None
    done_ns: int | None
    done_seq: int | None
    asked_ns: int | None
    """When the client's `response.create` for it was sent; None where the server began it."""
    asked_seq: int | None
    cancel_ns: int | None
    """When the client asked to cancel it."""
    cancel_seq: int | None
    items: tuple[str, ...]
    calls: tuple[str, ...]
    """Call ids of its tool calls."""
    first_delta_ns: int | None
    """First non-empty text, transcript or audio delta."""
    first_delta_seq: int | None
    first_audio_ns: int | None
    """First non-empty audio delta."""
    first_audio_seq: int | None
    last_audio_ns: int | None
    last_audio_seq: int | None
    audio_ns: int
    """Length of the audio that arrived."""
    out_of_band: bool = False
    modalities: tuple[str, ...] = ()
    voice: str = ""
    usage: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """The session's configuration as it stood from this event on."""

    seq: int
    at_ns: int | None
    by: str
    """`server`: stated; `client`: asked for, not confirmed yet."""
    config: SessionConfig


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything that was said and done, in conversation order."""

    items: tuple[Item, ...]
    """The default conversation, deleted items included (`deleted_seq`)."""
    out_of_band: tuple[Item, ...]
    responses: tuple[Response, ...]
    """In order of creation, out-of-band ones included and marked."""
    calls: tuple[ToolCall, ...]
    configs: tuple[ConfigChange, ...]
    errors: tuple[ErrorNote, ...]
    rate_limits: tuple[dict[str, Any], ...]
    """Every `rate_limits.updated`: {seq, at_ns, limits: [{name, limit, remaining, …}]}."""

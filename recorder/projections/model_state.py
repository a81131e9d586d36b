"""What a session was at one instant: everything that was in force, waiting or playing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from .model_conversation import ToolCall
    from .model_summary import Tokens
    from .model_values import ErrorNote


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of the session's configuration, and the event that set it."""

    path: str
    """Where it stands in the session object, as the wire spells it: `audio.input.format.rate`."""
    value: Any
    seq: int
    """The event that set it: the client's where it asked for this value, else the server's."""
    at_ns: int | None
    by: str
    """`client` or `server`."""
    stated_seq: int | None
    """The event in which the server first stated it; None: it was asked for, not confirmed yet."""


@dataclass(frozen=True, slots=True)
class StateItem:
    """An item of the conversation as it stood."""

    id: str
    type: str
    role: str
    status: str
    """`asked` (by the client, not confirmed), `in_progress`, `completed`, `incomplete`; empty where
    the wire said nothing."""
    text: str
    """Its words so far; of a tool call `name(arguments)`, of an output what came back."""
    by: str
    seq: int
    at_ns: int | None
    spoken: bool
    transcript: str
    """Of user speech: `completed`, `partial`, `failed`, `none`; empty for everything else."""
    response_id: str
    call_id: str
    truncated_ms: int | None


@dataclass(frozen=True, slots=True)
class InputBuffer:
    """The user's audio that had been appended and was in no item yet."""

    audio_ns: int
    bytes: int
    format: AudioFormat
    since_seq: int | None
    """The append that brought its first sample; None where it is empty."""
    since_ns: int | None
    commit_seq: int | None = None
    """A commit of the client's that was not answered yet."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A response that had begun and was not done."""

    id: str
    seq: int
    created_ns: int | None
    asked_seq: int | None
    """The `response.create` that it answers; None where the server began it."""
    cancel_seq: int | None
    """The client had asked to cancel it."""
    items: tuple[str, ...]
    calls: tuple[str, ...]
    audio_ns: int
    """Audio of it that had arrived."""
    out_of_band: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A `response.create` that nothing had answered yet."""

    seq: int
    at_ns: int | None


@dataclass(frozen=True, slots=True)
class Playing:
    """An item's audio in the playback queue, by the playback model."""

    item_id: str
    response_id: str
    position_ns: int
    """How much of it had been played."""
    received_ns: int
    """How much of it had arrived."""
    since_ns: int | None
    """When its first sample was played; None where it waits."""
    label: str
    """`reported` where the application or the buffer events told, else `estimated`."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """The user, by the server's voice detection."""

    item_id: str
    seq: int
    since_ns: int | None
    """Arrival of `speech_started`."""
    audio_start_ms: int | None
    """On the axis of appended audio, prefix padding included."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What was left of one limit, by the last event that named it."""

    name: str
    limit: Any
    remaining: Any
    reset_seconds: Any
    seq: int
    at_ns: int | None


@dataclass(frozen=True, slots=True)
class State:
    """A session at one instant. Ready for JSON."""

    seq: int
    """The last event that had passed; 0 before the first."""
    at_ns: int | None
    phase: str
    """`dialing`, `open`, `refused`, `closed`."""
    config: tuple[Setting, ...]
    """What the server had stated, by path."""
    asked: tuple[Setting, ...]
    """What the client had asked for and the server had not confirmed."""
    items: tuple[StateItem, ...]
    """The default conversation in its order, without what was deleted."""
    deleted: tuple[str, ...]
    out_of_band: tuple[StateItem, ...]
    buffer: InputBuffer
    responses: tuple[InFlight, ...]
    requests: tuple[Asked, ...]
    calls: tuple[ToolCall, ...]
    """Tool calls without an output, as far as their arguments had come."""
    playing: Playing | None
    queue: tuple[Playing, ...]
    """What waited to be played, in order; what stood still for want of audio too."""
    speaking: Speaking | None
    rate_limits: tuple[RateLimit, ...]
    errors: tuple[ErrorNote, ...]
    tokens: Tokens
    timed: bool = True
    """False: the session was imported without times. All that needs one is None, and nothing is
    known of what was playing."""

"""What the sandbox says and how: data, nothing else.

A script is a list of answers. For each response the first answer is taken that fits and is not
used up; if there is none, the answers of `otherwise` take turns. All times are milliseconds.

The same classes are the format of a script file (`script_file`): an object's members are the
fields below; where several kinds may stand, an object is known by its first member.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recorder.sandbox.signals import Segment

JsonObject = Mapping[str, Any]

RAMP_MS = (100, 200, 400, 600, 800, 1000)
"""Lengths of audio deltas as real servers send them: short first, then longer."""


def _must(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Say:
    """An assistant message."""

    say: str
    """Its words; `{user}` and `{output}` stand for the user's last words and the tool's output."""
    sound: tuple[Segment, ...] = ()
    """What is heard, in an audio response; without it each word is a hum."""
    lead_silence_ms: int = 0
    """Silence before the sound, within the audio."""
    both: bool = False
    """Send the words as text too, in a content part of their own, beside the audio."""
    transcript: bool = True
    """Whether audio comes with a transcript."""
    first_delta_ms: int = 200
    """From the beginning of the response, or from the end of the item before, to the first delta
    of text or transcript."""
    first_audio_ms: int = 300
    """The same to the first delta of audio."""
    speed: float = 4.0
    """How much faster than real time the audio comes. Below 1 it stutters."""
    chunks_ms: tuple[int, ...] = RAMP_MS
    """Lengths of the audio deltas; the last one repeats."""
    text_gap_ms: int = 15
    """Between two deltas of text. Transcript deltas are spread over the audio."""

    def __post_init__(self) -> None:
        _must(self.speed > 0, "speed must be above 0")
        _must(bool(self.chunks_ms) and min(self.chunks_ms) > 0, "chunks_ms must be above 0")


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    call: str
    """The function's name."""
    arguments: JsonObject | str = field(default_factory=dict)
    """An object, or the very text that is sent."""
    first_delta_ms: int = 150
    gap_ms: int = 10
    """Between two deltas of the arguments."""


@dataclass(frozen=True, slots=True)
class McpCall:
    """A call that the endpoint makes itself, over MCP. GA only."""

    mcp: str
    """The tool's name."""
    server: str
    """The label of the MCP server."""
    arguments: JsonObject | str = field(default_factory=dict)
    output: str = ""
    error: str = ""
    """If it is not empty, the call fails with it."""
    first_delta_ms: int = 150
    run_ms: int = 200
    """How long the tool takes."""


Item = Say | Call | McpCall


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What must hold for an answer to fit. Every condition that is given counts."""

    contains: str = ""
    """The user's last words contain this, in any case. Never holds after a tool's output."""
    turn: int | None = None
    """It answers the user's nth turn, from 1. A tool's continuation belongs to its turn."""
    tool: str = ""
    """The client declared this function and may have it called; not after a tool's output."""
    after_tool: str | None = None
    """The newest item is the output of this function; `*`: of any."""
    modality: Literal["text", "audio"] | None = None
    out_of_band: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a response fails, in place of `completed`."""

    type: str = "server_error"
    code: str = "server_error"
    message: str = "The server had an error while processing your request."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response."""

    items: tuple[Item, ...] = ()
    when: When = When()
    times: int | None = 1
    """How often it can be used; null: always."""
    created_ms: int = 10
    """From the trigger to `response.created`."""
    done_ms: int = 0
    """From the last item to `response.done`."""
    fail: Failure | None = None
    """Fail after the items."""
    content_filter: bool = False
    """End as `incomplete`, reason `content_filter`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the transcription model makes of one spoken turn."""

    text: str | None = None
    """None: how long it was, in words. The sandbox understands no speech."""
    delay_ms: int = 400
    """From `committed` to the first delta."""
    spread_ms: int = 200
    """From the first delta to `completed`."""
    deltas: bool = True
    fail: Failure | None = None


FAULTS = {
    "event": "send `event`, a JSON object, as it stands (without an event_id it gets one)",
    "text": "send `text` as it stands, JSON or not",
    "binary": "send `text` in a binary frame",
    "ping": "send a WebSocket ping",
    "close": "close with `code` and `reason`",
    "abort": "break the connection without a close frame",
    "stall": "send and read nothing for `ms`, or for ever",
    "drop": "do not send it (from the client: do not see it)",
    "delay": "send it `ms` later; what follows overtakes it",
    "duplicate": "send it twice",
    "without": "take the members `keys` out of it, at any depth",
    "with": "put the members of `event` into it",
}
"""What `Fault.do` may be. The last five change the event that `on` names, the others follow it."""

_CHANGES = frozenset({"drop", "delay", "duplicate", "without", "with"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong: at a time, or on an event."""

    do: str
    on: str = ""
    """An event type, the client's or the server's, by its GA name or as it is on the wire; `*` and
    `?` as in file names."""
    nth: int | None = 1
    """The how manieth of these, from 1; null: each."""
    at_ms: int | None = None
    """Since the session was opened, instead of `on`."""
    ms: int | None = None
    event: JsonObject = field(default_factory=dict)
    text: str = ""
    code: int = 1011
    reason: str = ""
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _must(self.do in FAULTS, f"do must be one of {', '.join(FAULTS)}")
        _must(bool(self.on) != (self.at_ms is not None), "give either on or at_ms")
        _must(self.do not in _CHANGES or bool(self.on), f"{self.do} needs on")
        _must(1000 <= self.code <= 4999, "code must be 1000 to 4999")
        _must(self.do != "delay" or self.ms is not None, "delay needs ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that a session does of its own."""

    name: str = "script"
    answers: tuple[Answer, ...] = ()
    otherwise: tuple[Answer, ...] = (
        Answer(items=(Say("I have nothing more to say."),), times=None),
    )
    """Answers for everything else, in turn."""
    heard: tuple[Heard, ...] = ()
    """The user's spoken turns, in order."""
    heard_otherwise: Heard = Heard()
    """The spoken turns after these."""
    faults: tuple[Fault, ...] = ()
    max_duration_ms: int = 3_600_000
    """Then `session_expired` and close 1001."""
    session: JsonObject = field(default_factory=dict)
    """A `session.update` in GA form that holds from the start."""
    rate_limits: Literal["before", "after", "never"] | None = None
    """Where `rate_limits.updated` comes; null: after a response in GA, before its items in beta."""
    usage: Literal["response", "top", "none"] = "response"
    """Where `response.done` carries usage: xAI has it at the top level."""
    refuse_beta: bool = False
    """Close a beta client with 4000, as OpenAI does now."""

    def __post_init__(self) -> None:
        _must(bool(self.otherwise), "otherwise must hold at least one answer")

"""Turns, and what was measured and found in them. Part of `model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model_values import Value


@dataclass(frozen=True, slots=True)
class Turn:
    """A trigger and every response that answers it."""

    index: int
    """1, 2, 3 …"""
    trigger: str
    """`vad_commit`, `client_create`, `idle_timeout`."""
    trigger_ns: int | None
    """When the trigger passed: commit, or the client's `response.create`."""
    trigger_seq: int
    start_ns: int | None
    """Onset of the user's speech, else the trigger."""
    end_ns: int | None
    """Start of the next turn, else the last event."""
    status: str
    """`answered`; `unanswered`: no response at all; `failed`; `cancelled`: before anything was
    heard; `unheard`: it ended, but nothing reached the user; `open`: the log ends before it did."""
    user_items: tuple[str, ...]
    responses: tuple[str, ...]
    calls: tuple[str, ...]
    greeting: bool = False
    flags: tuple[str, ...] = ()
    """`not_stopped`, `merged`, `tools`, `interrupted` …"""

    def holds(self, at_ns: int) -> bool:
        """Whether a moment lies in it; none does in a session without times."""
        if self.start_ns is None or self.end_ns is None:
            return False
        return self.start_ns <= at_ns < self.end_ns


@dataclass(frozen=True, slots=True)
class WaterfallPart:
    """One part of a turn's latency. May be negative; none is clamped."""

    name: str
    owner: str
    """`caller`, `vad`, `network`, `network and server`, `application`, `provider`, `tool`,
    `playback`."""
    ns: int
    value_ms: float
    evidence: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Where the time went: parts that add up exactly to `total_ns`."""

    of: str
    """The metric that is split: `v2v_audible`, else `commit_to_audio` or `create_to_audio`."""
    start_ns: int
    total_ns: int
    parts: tuple[WaterfallPart, ...]
    round_trip_ns: int | None = None
    """By ping and pong: what each crossing counts as `network`. None: no pings passed, so network
    and server are one part."""


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """The latencies of one turn, under the names of the metric table (`METRICS`)."""

    turn: int
    trigger: str
    at_ns: int | None
    """None where the session has no times."""
    values: dict[str, Value]
    waterfall: Waterfall | None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long everything took."""

    turns: tuple[TurnLatency, ...]
    session: dict[str, Value]
    """`connect`, `ready`, `config_rtt`, and by ping and pong `ping_rtt`, from the recorder to the
    endpoint and back, and at a proxy `client_rtt`, to the client. Of each trip the shortest."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """How the audio of one item arrived."""

    item_id: str
    response_id: str
    deltas: int
    gap_p50_ms: float | None
    gap_p95_ms: float | None
    gap_max_ms: float | None
    speed: float | None
    """Delivered ÷ real time; over 1 is faster than playback. None under two deltas."""
    underruns: dict[str, dict[str, float | None]]
    """By prebuffer in ms (`0`, `100`, `200`): {count, stalled_ms, margin_ms}; the margin is the
    least that was left to play when audio arrived, None under two deltas."""
    audio_ms: float = 0.0
    window_ms: float | None = None
    """From the first delta to the last. None under two deltas."""
    jitter_ms: float | None = None
    """Mean of how far a gap is from the length of the delta before it."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How fast one response was made; None where it was not seen or not told."""

    response_id: str
    status: str
    duration_ms: float | None
    """`response.created` to `response.done`."""
    audio_ms: float
    output_tokens: int | None
    tokens_per_s: float | None
    """Of completed responses only."""


@dataclass(frozen=True, slots=True)
class InputCadence:
    """How the user's audio was sent."""

    chunks: int
    chunk_p50_ms: float
    chunk_p95_ms: float
    gap_max_ms: float | None
    """None where the session has no times."""
    gap_max_seq: int


@dataclass(frozen=True, slots=True)
class TurnQuality:
    """How well one turn went."""

    turn: int
    values: dict[str, Value]
    """Under the names of the table `QUALITIES`."""
    flags: tuple[str, ...]
    """`false_barge_in`, `premature_response`, `backchannel`, `not_stopped`, `user_second` …"""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the call went."""

    turns: tuple[TurnQuality, ...]
    cadence: tuple[Cadence, ...]
    input: InputCadence | None
    overlap_ns: int | None
    """None where the session has no times, as for the next."""
    unheard_ns: int | None
    generation: tuple[Generation, ...] = ()
    """Every response, out-of-band ones included."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was wrong in the call, in one sentence."""

    rule: str
    severity: str
    """`error`, `warning`, `notice`; findings are sorted worst first."""
    sentence: str
    owner: str
    at_ns: int | None
    """None where the session has no times."""
    turn: int | None
    evidence: tuple[int, ...]
    command: str
    """The command that shows more, without the session's name: `latency --turn 7`."""

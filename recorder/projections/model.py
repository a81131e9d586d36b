"""The nouns of what was understood: the results of the projections, ready for JSON.

Everything here is frozen data. Times are nanoseconds on the session's clock (`*_ns`), lengths
of audio are nanoseconds too. `orjson.dumps` takes every one of these as it is.

Laws:

1. N/A is never 0: a `Value` without a number says why it has none.
2. Every number names its evidence: the sequence numbers of the events it was computed from.
3. What was modelled is labelled `estimated`, what an application said is `reported`, what the
   recorder saw pass is `measured`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..dialects import SessionConfig

MEASURED, REPORTED, ESTIMATED = "measured", "reported", "estimated"


@dataclass(frozen=True, slots=True)
class Value:
    """A length of time with its label and evidence, or the reason why there is none."""

    ns: int | None
    label: str = MEASURED
    evidence: tuple[int, ...] = ()
    reason: str = ""
    """Why it is N/A: `text_only`, `non_realtime_input`, `unanswered` …; empty otherwise."""
    flags: tuple[str, ...] = ()
    """`suspect`: under 50 ms, nearly always a mis-joined turn; left out of percentiles."""
    value_ms: float | None = field(init=False)
    """The same in milliseconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_ms", None if self.ns is None else self.ns / 1e6)

    @classmethod
    def missing(cls, reason: str) -> Value:
        """N/A, and why."""
        return cls(None, "", (), reason)


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """Something that went wrong and was said on the wire, and what followed it."""

    seq: int
    at_ns: int
    code: str
    type: str
    message: str
    fatal: bool | None = None
    """True: the session ended with it; False: it went on; None: the log ends too soon to say."""
    about_seq: int | None = None
    """The client event that caused it, where the error names one."""


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
    at_ns: int
    done_ns: int | None = None
    done_seq: int | None = None
    response_id: str = ""
    call_id: str = ""
    spoken: bool = False
    """It has audio, whether that was kept or not."""
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
    at_ns: int
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
    at_ns: int
    by: str
    """`server`: stated; `client`: asked for, not confirmed yet."""
    config: SessionConfig


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything that was said and done, in conversation order."""

    items: tuple[Item, ...]
    """The default conversation, deleted items included (`deleted_ns`)."""
    out_of_band: tuple[Item, ...]
    responses: tuple[Response, ...]
    """In order of creation, out-of-band ones included and marked."""
    calls: tuple[ToolCall, ...]
    configs: tuple[ConfigChange, ...]
    errors: tuple[ErrorNote, ...]
    rate_limits: tuple[dict[str, Any], ...]
    """Every `rate_limits.updated`: {seq, at_ns, limits: [{name, limit, remaining, …}]}."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of user speech found in the recorded audio."""

    start_ns: int
    end_ns: int
    offset_ns: int
    """Where it starts on the axis of appended audio."""
    evidence: tuple[int, ...]
    """The appends that carried its first and its last sample."""
    realtime: bool = True
    """False: the audio was not sent as it was captured; the times are those of arrival."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the user said in one item: when it began and ended, and by whose measure."""

    item_id: str
    anchor: str
    """`audio`: found in the recorded audio; `server_vad`: projected from the server's offsets."""
    onset: Value
    """On the session's clock."""
    end: Value
    start_ns: int
    """Where it stands in transcripts and tracks, as well as that is known."""
    end_ns: int
    arrival_ns: int | None
    """When the audio at its end reached the recorder: end + input backlog."""
    arrival_seq: int | None
    server_onset: Value
    """The server's offset, prefix padding taken off, on the session's clock."""
    server_end: Value
    """The server's offset, silence window taken off; N/A where the window is not known."""
    silence_ns: int | None
    """The silence window of `server_vad` that was in force."""
    started_ns: int | None
    """Arrival of `speech_started`."""
    started_seq: int | None
    stopped_ns: int | None
    """Arrival of `speech_stopped`."""
    stopped_seq: int | None
    start_offset_ns: int
    """The slice of the axis of appended audio that became the item."""
    end_offset_ns: int
    flags: tuple[str, ...] = ()
    """`disagreement`: audio and server differ by over 100 ms; `non_realtime_input`; `no_speech`."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The user's speech."""

    segments: tuple[Segment, ...]
    utterances: tuple[Utterance, ...]
    """One for each item of user speech, in order; speech that became no item has none."""
    input_ns: int
    """Length of all audio that was appended."""
    realtime: bool | None
    """Whether the input was sent as it was captured; None without input."""
    detector: dict[str, float] | None
    """Threshold and hangover that were used; None where no audio could be looked at."""
    clipped_ns: int = 0
    """How much of the user's audio stood at full scale."""
    uncaptured_ns: int = 0
    """How much of the input was not kept, so that nothing could be found in it."""


@dataclass(frozen=True, slots=True)
class Run:
    """Audio that was played without a break."""

    start_ns: int
    first_sample: int
    """Position in the item's own audio."""
    samples: int


@dataclass(frozen=True, slots=True)
class Played:
    """One item's audio: what arrived, and what the playback model says was heard of it."""

    item_id: str
    response_id: str
    format: AudioFormat
    received_samples: int
    heard_samples: int
    received_ns: int
    heard_ns: int
    arrived_ns: int
    """When its first audio arrived."""
    start_ns: int | None
    """When its first sample was played; None where nothing of it was."""
    end_ns: int | None
    """When its last heard sample was."""
    audible_ns: int | None
    """When its first audible sample was played: `start_ns` and leading silence; None where the
    audio could not be looked at or was cut before."""
    leading_ns: int | None
    """Length of the silence before the first audible sample, of all of it where it is silent;
    None where the audio could not be looked at."""
    runs: tuple[Run, ...]
    """What was heard, in order."""
    stalls: int
    """Under-runs."""
    stalled_ns: int
    label: str
    """`reported` where the application or the buffer events said so, else `estimated`."""
    stopped_by: str
    """The evidence that cut it: `marked`, `buffer`, `truncated`, `cancelled`, `assumed`; empty
    where it played to its end."""
    stop_ns: int | None
    """When that evidence passed."""
    claimed_ms: int | None
    """`audio_end_ms` or `played_ms` as the client said it, where it did."""
    evidence: tuple[int, ...]
    flags: tuple[str, ...] = ()
    """`not_stopped`, `inconsistent`."""


@dataclass(frozen=True, slots=True)
class Playback:
    """What was played, by the model of the playback queue and the evidence that was seen."""

    items: tuple[Played, ...]
    """In the order in which their audio arrived."""
    reported: tuple[dict[str, Any], ...]
    """WebRTC and SIP: what `output_audio_buffer.*` said, {response_id, start_ns, end_ns, how}."""
    heard_ns: int
    unheard_ns: int
    prebuffer_ms: int
    assume_stop_on_speech: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A trigger and every response that answers it."""

    index: int
    """1, 2, 3 …"""
    trigger: str
    """`vad_commit`, `client_create`, `idle_timeout`."""
    trigger_ns: int
    """When the trigger passed: commit, or the client's `response.create`."""
    trigger_seq: int
    start_ns: int
    """Onset of the user's speech, else the trigger."""
    end_ns: int
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


@dataclass(frozen=True, slots=True)
class WaterfallPart:
    """One part of a turn's latency. May be negative; none is clamped."""

    name: str
    owner: str
    """`caller`, `vad`, `network`, `application`, `provider`, `tool`, `playback`."""
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


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """The latencies of one turn, under the names of the metric table (`METRICS`)."""

    turn: int
    trigger: str
    at_ns: int
    values: dict[str, Value]
    waterfall: Waterfall | None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long everything took."""

    turns: tuple[TurnLatency, ...]
    session: dict[str, Value]
    """`connect`, `ready`, `config_rtt`, `ping_rtt` (the last two: the shortest seen)."""


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
    underruns: dict[str, dict[str, float]]
    """By prebuffer in ms (`0`, `100`, `200`): {count, stalled_ms}."""


@dataclass(frozen=True, slots=True)
class InputCadence:
    """How the user's audio was sent."""

    chunks: int
    chunk_p50_ms: float
    chunk_p95_ms: float
    gap_max_ms: float
    gap_max_seq: int


@dataclass(frozen=True, slots=True)
class TurnQuality:
    """How well one turn went."""

    turn: int
    values: dict[str, Value]
    """`overlap`, `barge_in_stop`, `interrupt_server`, `leak`, `unheard`, `dead_air` …"""
    flags: tuple[str, ...]
    """`false_barge_in`, `premature_response`, `backchannel`, `not_stopped`, `user_second` …"""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the call went."""

    turns: tuple[TurnQuality, ...]
    cadence: tuple[Cadence, ...]
    input: InputCadence | None
    overlap_ns: int
    unheard_ns: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was wrong in the call, in one sentence."""

    rule: str
    severity: str
    """`error`, `warning`, `notice`; findings are sorted worst first."""
    sentence: str
    owner: str
    at_ns: int
    turn: int | None
    evidence: tuple[int, ...]
    command: str
    """The command that shows more, without the session's name: `latency --turn 7`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript."""

    kind: str
    """`speech`, `text`, `tool`, `note`, `error`, `gap`."""
    speaker: str
    """`user`, `assistant`, `system`, `tool`, `recorder`, `server`."""
    start_ns: int
    end_ns: int | None
    text: str
    """What was said; for speech without transcript empty (see `speech_ns`)."""
    heard: str | None = None
    """What was heard of it, where playback was cut; an estimate. None: all of it."""
    speech_ns: int | None = None
    """Length of the speech, where it is known."""
    transcribed: bool = True
    item_id: str = ""
    response_id: str = ""
    turn: int | None = None
    seq: int = 0
    out_of_band: bool = False
    detail: dict[str, Any] | None = None
    """Of a tool call: {name, arguments, output, exec_ms, call_id}."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The call in the order in which things were said."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Handshaken:
    """What became of the upgrade."""

    seq: int
    at_ns: int
    status: int | None
    reason: str
    subprotocol: str
    request_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Closing:
    """How the session ended, as the recorder wrote it down."""

    seq: int
    at_ns: int
    code: int | None
    reason: str
    initiator: str
    """`client`, `server`, `network`, `recorder`."""
    clean: bool
    error: str


@dataclass(frozen=True, slots=True)
class GapNote:
    """Events that passed and were not recorded."""

    seq: int
    at_ns: int
    count: int
    bytes: int
    first_ns: int | None
    last_ns: int | None
    why: str


@dataclass(frozen=True, slots=True)
class NoteTaken:
    """A free note: what somebody said about a moment of the session."""

    seq: int
    at_ns: int
    """The moment it is about."""
    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Usage as the provider reported it."""

    input: dict[str, int]
    """`total`, and by modality `text`, `audio`, `image`; `cached` is a subset of total."""
    output: dict[str, int]
    transcription: dict[str, float]
    """`input`, `output` tokens or `seconds`: a separate model, a separate price."""
    responses: int
    """Responses whose usage was reported."""
    unknown: int
    """Responses that were still open at the end or reported nothing: unknown, not 0."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a session was, without looking at its audio."""

    dialect: str
    """Names that were seen: `ga`, `beta`, `mixed`; empty where nothing tells."""
    model: str
    """As the server stated it, else as it was asked for."""
    model_asked: str
    voice: str
    modalities: tuple[str, ...]
    input_format: AudioFormat
    output_format: AudioFormat
    vad: str
    """`server_vad`, `semantic_vad`, `none`; empty where nobody said."""
    transcription: str
    """The model that transcribes the user; empty where none does."""
    url: str
    call: str
    capture: str
    tags: tuple[str, ...]
    notes: tuple[NoteTaken, ...]
    handshake: Handshaken | None
    closed: Closing | None
    duration_ns: int
    """Time of the last event."""
    events: int
    last_seq: int
    by_origin: dict[str, int]
    by_type: dict[str, int]
    unknown: dict[str, int]
    """Types that mean nothing to us, with their counts."""
    user_turns: int
    """Commits and user messages."""
    responses: dict[str, int]
    """By status."""
    tool_calls: int
    errors: tuple[ErrorNote, ...]
    gaps: tuple[GapNote, ...]
    redactions: dict[str, int]
    tombstones: dict[str, int]
    """Events whose audio is gone, by reason."""
    tokens: Tokens
    user_audio_ns: int
    assistant_audio_ns: int
    server_session: str
    """The server's own id of the session."""

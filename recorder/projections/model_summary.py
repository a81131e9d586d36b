"""A session at a glance, and in words. Part of `model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from .model_values import ErrorNote


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript."""

    kind: str
    """`speech`, `text`, `tool`, `note`, `error`, `gap` (in the log), `reconnect`."""
    speaker: str
    """`user`, `assistant`, `system`, `tool`, `recorder`, `server`."""
    start_ns: int | None
    """None where the session has no times."""
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
    """Of a tool call {name, call_id, arguments, output, error, exec_ms}; of an error {code,
    about_seq, fatal}; of a reconnect {gap_ms, exact, resent}."""
    session: str = ""
    """Which connection it belongs to; empty where the transcript names none."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One session of a call, and where it lies on the call's clock."""

    session: str
    wall_ns: int
    """Nanoseconds since 1970 at its open."""
    start_ns: int
    """On the call's clock, which starts with the first connection."""
    end_ns: int
    """Its last event."""
    gap_ns: int | None = None
    """From the end of everything before it to its open; None for the first. Negative: it was
    opened while another was still up."""
    exact: bool = True
    """Both clocks are the same machine's monotonic one; else the gap is a difference of wall
    clocks."""
    model: str = ""
    ended: str = ""
    """How it ended, in a few words; empty where the log does not say."""
    resent: int = 0
    """Items of earlier connections that the client sent again, and that are shown only once."""
    turns_before: int = 0
    """Turns of the call before this connection's first."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The call in the order in which things were said."""

    lines: tuple[Line, ...]
    connections: tuple[Connection, ...] = ()
    """The sessions it is made of, in order; empty where nobody said."""
    turns: int = 0
    """How many turns the whole call has."""


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

    @property
    def words(self) -> str:
        """What is missing, and why."""
        what = "1 event" if self.count == 1 else f"{self.count} events"
        were = "was" if self.count == 1 else "were"
        return f"{what} ({self.bytes} bytes) {were} not recorded: {self.why}"


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
    """`total`, and by modality `text`, `audio`, `image`; `cached` is a subset of total, and by
    modality `cached_text`, `cached_audio`, `cached_image` where the provider says."""
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
    timed: bool = True
    """False: it was imported without times, and only the order of its events is known."""

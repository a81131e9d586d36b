"""When the user spoke, and what was played of the assistant's audio. Part of `model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from .model_values import Value


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
    arrived_ns: int | None
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

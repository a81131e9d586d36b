"""The nouns of running again: what the recorded caller did, what it waited for, what is sent."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..events import Event
    from .book import Book

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000

JSON: TypeAlias = "dict[str, Any]"
Name: TypeAlias = "tuple[str | int, ...]"
"""What something is called in every run: by what caused it, never by the server's ids."""

Vad = Literal["none", "server", "semantic"]

# What a caller may have waited for. The first is the session itself.
START, ACK, MADE, INPUT = "session.created", "an answer to session.update", "the item", "the commit"
SPEECH, STOPPED = "speech_started", "speech_stopped"
BEGUN, SOUND, DONE = "response.created", "the first of the answer", "response.done"
REST, PLAYED = "the answer's end", "the answer having been played"

PERCEIVED: Final = frozenset({START, SOUND, PLAYED})
"""What a person notices: speech waits for these and for nothing else."""

OF_ANSWERS: Final = frozenset({BEGUN, SOUND, DONE})
"""What cannot come any more once the server has nothing left to do."""

OF_SPEECH: Final = frozenset({SPEECH, STOPPED, INPUT})
"""What comes, if it comes, soon after the audio that it is about."""


SKIP: Final = "skip"
"""The kind of an act that turns out to be none."""


class Cue(NamedTuple):
    """Something that was waited for, and when it came."""

    kind: str
    name: Name
    at_ns: int

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that the recorded caller did, appended audio and answers to tools excepted."""

    seq: int
    kind: str
    """Its type, by its GA name; empty for what is no message of the protocol."""
    event: Event
    cue: Cue | None
    """What it reacted to; None: it only follows what the caller did before."""
    delay_ns: int
    """How long after its cue, after the act before it, or after the audio before it."""
    voice: int | None = None
    """It follows so many chunks of audio, and is timed from the last of them."""
    heard: int = 0
    """So many chunks of audio had been sent when it was done."""
    idle: bool = False
    """No response was in progress: it waits for that."""


class Hold(NamedTuple):
    """A place in the audio where the caller may have waited: somebody begins to speak."""

    turn: int
    cue: Cue | None
    delay_ns: int
    acts: int
    """So many acts come before it."""
    committed: bool
    """The server committed this speech by itself."""
    answered: bool
    """The server answered it by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """The appended audio: one entry a chunk."""

    ends: array[int]
    """Where each ends on the axis of appended audio, in nanoseconds."""
    rests: array[int]
    """When each is due on the recording's clock, if nothing held it back (`pacing`)."""
    starts: array[int]
    """1 where a new stretch begins, after a pause, a commit or a hold; else 0."""
    pauses: array[int]
    """1 where the microphone was closed before it, or what was said had been committed."""
    holds: Mapping[int, Hold]
    gates: array[int]
    """How many acts must have been done before each goes out."""

    @property
    def length_ns(self) -> int:
        """All of it."""
        return self.ends[-1] if self.ends else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the recorded caller did, ready to be done again."""

    acts: tuple[Act, ...]
    voice: Voice
    book: Book
    names: Mapping[str, Name]
    """What the ids of the recording stand for."""
    first_sound: Mapping[Name, int]
    """When the first audio of an item arrived."""
    aliases: Mapping[Name, Name]
    """What is caused in another way than it was in the recording: its name here and there."""
    audio_ns: int
    """The caller's audio, inside items too."""
    mixed: bool
    """The recorded endpoint stated a beta session and was spoken to as GA (xAI)."""
    start_ns: int
    """When the recorded session was there."""
    tail_ns: int = 0
    """How long the caller stayed when all was over."""
    refused: bool = False
    """The recorded endpoint refused a configuration, so that this one may too."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.acts and not self.voice.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be otherwise than in the recording."""

    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    vad: Vad | None = None
    session: Mapping[str, Any] = field(default_factory=dict)
    """A session object in the endpoint's own shape, laid over everything else."""
    silence: bool = False
    """Audio that is gone is replaced by silence of its length."""

    def __str__(self) -> str:
        told = {name: getattr(self, name) for name in ("model", "voice", "vad")}
        words = [f"{name} {value}" for name, value in told.items() if value is not None]
        words += ["instructions"] if self.instructions is not None else []
        words += [f"session {', '.join(self.session)}"] if self.session else []
        return "; ".join([*words, *(["silence for missing audio"] if self.silence else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a session is run again."""

    speed: float = 1.0
    """How many times as fast as it was recorded."""
    patience_ns: int = 30 * SECOND
    """How long the server may do nothing while it is waited for."""
    transcripts_ns: int = 3 * SECOND
    """How long the end waits for the user's last transcripts."""

    def __post_init__(self) -> None:
        if not 0 < self.speed < float("inf"):
            raise UsageError(f"a speed is a number above 0, not {self.speed:g}")
        if self.patience_ns <= 0:
            raise UsageError("patience is a time above 0")

    def scaled(self, ns: int) -> int:
        """How long a recorded interval lasts now; never less than nothing."""
        if ns <= 0:
            return 0
        return ns if self.speed == 1 else round(ns / self.speed)


class Send(NamedTuple):
    """Send this message."""

    due_ns: int
    """When it was due, exactly."""
    message: bytes
    binary: bool = False
    audio_ns: int = 0
    """How long the audio in it lasts."""


class Remark(NamedTuple):
    """Where this run is not as the recorded one: to be said, and noted in the log."""

    text: str


class End(NamedTuple):
    """Nothing more is to be done; `why` is empty where it came to its end."""

    why: str = ""
    refused: JSON | None = None
    """The error with which the endpoint refused it."""


Deed: TypeAlias = Send | Remark | End

Read: TypeAlias = "Callable[..., Iterator[Event]]"
"""`EventStore.read` of one session: takes `audio`, `types`, `after`, `until`."""

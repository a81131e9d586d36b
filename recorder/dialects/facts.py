"""What a message can mean: one small immutable fact for each meaning, whatever the dialect.

Ids that the wire left out are empty strings, numbers that it left out are None. `item` and
`response` are ids, `part` is the content index. Sizes are bytes of audio in the format in force.
NamedTuples, because an hour's call makes a few hundred thousand of the hot ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .bodies import JSON as JSON
from .bodies import ContentPart as ContentPart
from .bodies import ErrorBody as ErrorBody
from .bodies import ItemBody as ItemBody
from .bodies import ResponseBody as ResponseBody
from .bodies import SessionConfig as SessionConfig

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat

# What clients send.


class SessionAsked(NamedTuple):
    config: SessionConfig
    event_id: str


class InputAppended(NamedTuple):
    size: int


class CommitAsked(NamedTuple):
    event_id: str


class ClearAsked(NamedTuple):
    event_id: str


class OutputClearAsked(NamedTuple):
    event_id: str


class ItemAsked(NamedTuple):
    item: ItemBody
    previous: str
    event_id: str
    audio_size: int


class RetrieveAsked(NamedTuple):
    item: str
    event_id: str = ""


class DeleteAsked(NamedTuple):
    item: str
    event_id: str = ""


class TruncateAsked(NamedTuple):
    item: str
    part: int
    audio_end_ms: int | None
    event_id: str = ""


class ResponseAsked(NamedTuple):
    out_of_band: bool
    format: AudioFormat | None
    modalities: tuple[str, ...]
    metadata: JSON | None
    event_id: str


class CancelAsked(NamedTuple):
    response: str
    event_id: str = ""


# What servers say about the session and its input.


class SessionStated(NamedTuple):
    config: SessionConfig
    created: bool


class ConversationCreated(NamedTuple):
    id: str


class ItemAdded(NamedTuple):
    item: ItemBody
    previous: str


class ItemDone(NamedTuple):
    item: ItemBody
    previous: str


class ItemRetrieved(NamedTuple):
    item: ItemBody
    audio_size: int


class ItemTruncated(NamedTuple):
    item: str
    part: int
    audio_end_ms: int | None
    transcript: str | None


class ItemDeleted(NamedTuple):
    item: str


class TranscriptionDelta(NamedTuple):
    item: str
    part: int
    delta: str


class TranscriptionCompleted(NamedTuple):
    item: str
    part: int
    transcript: str
    final: bool
    """False for a partial result under the same name (xAI)."""
    usage: JSON | None


class TranscriptionFailed(NamedTuple):
    item: str
    part: int
    error: ErrorBody


class TranscriptionSegment(NamedTuple):
    item: str
    part: int
    text: str
    speaker: str
    start_s: float | None
    end_s: float | None


class InputCommitted(NamedTuple):
    item: str
    previous: str


class InputCleared(NamedTuple):
    pass


class SpeechStarted(NamedTuple):
    item: str
    audio_start_ms: int | None


class SpeechStopped(NamedTuple):
    item: str
    audio_end_ms: int | None


class TimeoutTriggered(NamedTuple):
    item: str
    audio_start_ms: int | None
    audio_end_ms: int | None


class DtmfReceived(NamedTuple):
    digit: str


class OutputBuffer(NamedTuple):
    """WebRTC and SIP: what became of the playback of a response."""

    response: str
    state: str
    """`started`, `stopped`, `cleared`."""


class RateLimits(NamedTuple):
    limits: tuple[JSON, ...]


class ErrorSeen(NamedTuple):
    error: ErrorBody


# What servers say in a response.


class ResponseCreated(NamedTuple):
    response: ResponseBody


class ResponseDone(NamedTuple):
    response: ResponseBody


class OutputItemAdded(NamedTuple):
    response: str
    item: ItemBody


class OutputItemDone(NamedTuple):
    response: str
    item: ItemBody


class PartAdded(NamedTuple):
    response: str
    item: str
    part: int
    content: ContentPart


class PartDone(NamedTuple):
    response: str
    item: str
    part: int
    content: ContentPart


class TextDelta(NamedTuple):
    response: str
    item: str
    part: int
    delta: str


class TextDone(NamedTuple):
    response: str
    item: str
    part: int
    text: str


class TranscriptDelta(NamedTuple):
    response: str
    item: str
    part: int
    delta: str


class TranscriptDone(NamedTuple):
    response: str
    item: str
    part: int
    text: str


class AudioDelta(NamedTuple):
    response: str
    item: str
    part: int
    size: int


class AudioDone(NamedTuple):
    response: str
    item: str
    part: int


class ArgumentsDelta(NamedTuple):
    """Of a function call; of an MCP call where `call` is empty."""

    response: str
    item: str
    call: str
    delta: str


class ArgumentsDone(NamedTuple):
    response: str
    item: str
    call: str
    name: str
    arguments: str


class McpCallState(NamedTuple):
    item: str
    state: str
    """`in_progress`, `completed`, `failed`."""


class McpToolsState(NamedTuple):
    item: str
    state: str


# What the recorder wrote down itself.


class Opened(NamedTuple):
    url: str
    model: str
    call: str
    tags: tuple[str, ...]
    capture: str
    body: JSON

    @property
    def timed(self) -> bool:
        """Whether events have times; a session that was imported may have none."""
        return self.body.get("times") != "none"


class Handshake(NamedTuple):
    status: int | None
    reason: str
    subprotocol: str
    headers: tuple[tuple[str, str], ...]
    error: str
    body: JSON


class Closed(NamedTuple):
    code: int | None
    reason: str
    initiator: str
    clean: bool
    error: str


class Gap(NamedTuple):
    events: int
    size: int
    first_ns: int | None
    last_ns: int | None
    origins: JSON
    why: str


class Note(NamedTuple):
    text: str
    at_ns: int | None


class Tagged(NamedTuple):
    add: tuple[str, ...]
    remove: tuple[str, ...]


class PlaybackMark(NamedTuple):
    """What the application says it played of an item.

    Without a `state`, `played_ms` is all that was played of it so far; the last such mark is the
    application's last word. `started` and `playing` say where playback is at this moment;
    `stopped` says that it ended there.
    """

    item: str
    played_ms: float | None
    state: str


class Mark(NamedTuple):
    """Any other `recorder.*` event: a free mark of the application."""

    kind: str
    body: JSON


# Frames that are no messages, and messages that mean nothing to us.


class Pinged(NamedTuple):
    payload: bytes


class Ponged(NamedTuple):
    payload: bytes


class CloseSeen(NamedTuple):
    code: int | None
    reason: str


class PassedOn(NamedTuple):
    """A type that is known and deliberately has no meaning for us."""

    type: str


class Unknown(NamedTuple):
    """A type that is not known: recorded, counted, passed through everything."""

    type: str


Fact: TypeAlias = NamedTuple
"""Any of the above. Folds dispatch on the class and ignore what they do not name."""

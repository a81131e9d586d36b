"""What servers say about the session, its input and its items: protocol.md §3.1."""

from __future__ import annotations

from ..events import Event, Origin
from ..wire import audio_bytes, parse
from .facts import (
    ConversationCreated,
    DtmfReceived,
    ErrorSeen,
    InputCleared,
    InputCommitted,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    McpToolsState,
    OutputBuffer,
    RateLimits,
    SessionStated,
    SpeechStarted,
    SpeechStopped,
    TimeoutTriggered,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailed,
    TranscriptionSegment,
)
from .reading import (
    error_body,
    index,
    integer,
    item_body,
    mapping,
    number,
    optional_mapping,
    optional_text,
    sequence,
    text,
)
from .sessions import session_config
from .table import decodes

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


@decodes(Origin.SERVER, "session.created", "session.updated")
def session_stated(event: Event) -> SessionStated:
    body = parse(event)
    kind = "transcription" if event.type.startswith("transcription_session") else None
    config = session_config(mapping(body, "session"), kind=kind)
    return SessionStated(config, event.type.endswith(".created"))


@decodes(Origin.SERVER, "conversation.created")
def conversation_created(event: Event) -> ConversationCreated:
    return ConversationCreated(text(mapping(parse(event), "conversation"), "id"))


@decodes(Origin.SERVER, "conversation.item.added")
def item_added(event: Event) -> ItemAdded:
    body = parse(event)
    return ItemAdded(item_body(body.get("item")), text(body, "previous_item_id"))


@decodes(Origin.SERVER, "conversation.item.done")
def item_done(event: Event) -> ItemDone:
    body = parse(event)
    return ItemDone(item_body(body.get("item")), text(body, "previous_item_id"))


@decodes(Origin.SERVER, "conversation.item.retrieved")
def item_retrieved(event: Event) -> ItemRetrieved:
    return ItemRetrieved(item_body(parse(event).get("item")), audio_bytes(event) or 0)


@decodes(Origin.SERVER, "conversation.item.truncated")
def item_truncated(event: Event) -> ItemTruncated:
    body = parse(event)
    return ItemTruncated(
        text(body, "item_id"),
        index(body),
        integer(body, "audio_end_ms"),
        optional_text(body, "transcript"),
    )


@decodes(Origin.SERVER, "conversation.item.deleted")
def item_deleted(event: Event) -> ItemDeleted:
    return ItemDeleted(text(parse(event), "item_id"))


@decodes(Origin.SERVER, f"{_TRANSCRIPTION}.delta")
def transcription_delta(event: Event) -> TranscriptionDelta:
    body = parse(event)
    return TranscriptionDelta(text(body, "item_id"), index(body), text(body, "delta"))


@decodes(Origin.SERVER, f"{_TRANSCRIPTION}.completed", f"{_TRANSCRIPTION}.updated")
def transcription_completed(event: Event) -> TranscriptionCompleted:
    """xAI sends partial results under the same name, with a status, and as `updated`."""
    body = parse(event)
    final = event.type.endswith(".completed") and text(body, "status") != "in_progress"
    return TranscriptionCompleted(
        text(body, "item_id"),
        index(body),
        text(body, "transcript"),
        final,
        optional_mapping(body, "usage"),
    )


@decodes(Origin.SERVER, f"{_TRANSCRIPTION}.failed")
def transcription_failed(event: Event) -> TranscriptionFailed:
    body = parse(event)
    return TranscriptionFailed(text(body, "item_id"), index(body), error_body(body.get("error")))


@decodes(Origin.SERVER, f"{_TRANSCRIPTION}.segment")
def transcription_segment(event: Event) -> TranscriptionSegment:
    body = parse(event)
    return TranscriptionSegment(
        text(body, "item_id"),
        index(body),
        text(body, "text"),
        text(body, "speaker"),
        number(body, "start"),
        number(body, "end"),
    )


@decodes(Origin.SERVER, "input_audio_buffer.committed")
def input_committed(event: Event) -> InputCommitted:
    body = parse(event)
    return InputCommitted(text(body, "item_id"), text(body, "previous_item_id"))


@decodes(Origin.SERVER, "input_audio_buffer.cleared")
def input_cleared(event: Event) -> InputCleared:
    return InputCleared()


@decodes(Origin.SERVER, "input_audio_buffer.speech_started")
def speech_started(event: Event) -> SpeechStarted:
    body = parse(event)
    return SpeechStarted(text(body, "item_id"), integer(body, "audio_start_ms"))


@decodes(Origin.SERVER, "input_audio_buffer.speech_stopped")
def speech_stopped(event: Event) -> SpeechStopped:
    body = parse(event)
    return SpeechStopped(text(body, "item_id"), integer(body, "audio_end_ms"))


@decodes(Origin.SERVER, "input_audio_buffer.timeout_triggered")
def timeout_triggered(event: Event) -> TimeoutTriggered:
    body = parse(event)
    return TimeoutTriggered(
        text(body, "item_id"), integer(body, "audio_start_ms"), integer(body, "audio_end_ms")
    )


@decodes(Origin.SERVER, "input_audio_buffer.dtmf_event_received")
def dtmf_received(event: Event) -> DtmfReceived:
    return DtmfReceived(text(parse(event), "event"))


@decodes(
    Origin.SERVER,
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
)
def output_buffer(event: Event) -> OutputBuffer:
    return OutputBuffer(text(parse(event), "response_id"), event.type.rpartition(".")[2])


@decodes(Origin.SERVER, "rate_limits.updated")
def rate_limits(event: Event) -> RateLimits:
    limits = sequence(parse(event), "rate_limits")
    return RateLimits(tuple(limit for limit in limits if isinstance(limit, dict)))


@decodes(Origin.SERVER, "error")
def error_seen(event: Event) -> ErrorSeen:
    body = parse(event)
    return ErrorSeen(error_body(body.get("error") or body))


@decodes(
    Origin.SERVER,
    "mcp_list_tools.in_progress",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
)
def mcp_tools_state(event: Event) -> McpToolsState:
    return McpToolsState(text(parse(event), "item_id"), event.type.rpartition(".")[2])

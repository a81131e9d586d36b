"""What servers say in a response: protocol.md §3.2, under both names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..audio.formats import parse_format
from ..events import Event, Origin
from ..wire import audio_bytes, parse
from .facts import (
    ArgumentsDelta,
    ArgumentsDone,
    AudioDelta,
    AudioDone,
    ErrorBody,
    McpCallState,
    OutputItemAdded,
    OutputItemDone,
    PartAdded,
    PartDone,
    ResponseBody,
    ResponseCreated,
    ResponseDone,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
)
from .reading import (
    base64_size,
    content_part,
    error_body,
    index,
    item_body,
    mapping,
    name_of,
    optional_mapping,
    sequence,
    strings,
    text,
)
from .table import decodes

if TYPE_CHECKING:
    from .facts import JSON


def response_body(body: JSON) -> ResponseBody:
    """The response that a `created` or `done` carries, wherever it puts its members."""
    response = mapping(body, "response")
    spoken = mapping(mapping(response, "audio"), "output")
    reason, error = _status_details(response)
    conversation = response.get("conversation_id", "")
    return ResponseBody(
        text(response, "id") or text(body, "response_id"),
        text(response, "status"),
        reason,
        error,
        tuple(item_body(item) for item in sequence(response, "output")),
        None if conversation is None else text(response, "conversation_id"),
        strings(response, "output_modalities") or strings(response, "modalities"),
        name_of(spoken.get("voice")) or name_of(response.get("voice")) or "",
        parse_format(spoken.get("format")) or parse_format(response.get("output_audio_format")),
        optional_mapping(response, "usage") or optional_mapping(body, "usage"),
        optional_mapping(response, "metadata"),
    )


def _status_details(response: JSON) -> tuple[str, ErrorBody | None]:
    """Reason and error; xAI says `unimplemented` as a bare string, which means nothing."""
    details = response.get("status_details")
    if isinstance(details, str):
        return ("" if details == "unimplemented" else details), None
    if not isinstance(details, dict):
        return "", None
    error = details.get("error")
    return text(details, "reason"), error_body(error) if error else None


def _place(body: JSON) -> tuple[str, str, int]:
    """(response, item, part) that a delta is about: as `text` and `index` read them, in less."""
    response, item = body.get("response_id"), body.get("item_id")
    part = body.get("content_index")
    return (
        response if type(response) is str else "",
        item if type(item) is str else "",
        part if type(part) is int else index(body),
    )


@decodes(Origin.SERVER, "response.created")
def response_created(event: Event) -> ResponseCreated:
    return ResponseCreated(response_body(parse(event)))


@decodes(Origin.SERVER, "response.done")
def response_done(event: Event) -> ResponseDone:
    return ResponseDone(response_body(parse(event)))


@decodes(Origin.SERVER, "response.output_item.added")
def output_item_added(event: Event) -> OutputItemAdded:
    body = parse(event)
    return OutputItemAdded(text(body, "response_id"), item_body(body.get("item")))


@decodes(Origin.SERVER, "response.output_item.done")
def output_item_done(event: Event) -> OutputItemDone:
    body = parse(event)
    return OutputItemDone(text(body, "response_id"), item_body(body.get("item")))


@decodes(Origin.SERVER, "response.content_part.added")
def part_added(event: Event) -> PartAdded:
    body = parse(event)
    content = content_part(body.get("part") or body.get("content"))
    return PartAdded(text(body, "response_id"), text(body, "item_id"), index(body), content)


@decodes(Origin.SERVER, "response.content_part.done")
def part_done(event: Event) -> PartDone:
    body = parse(event)
    content = content_part(body.get("part") or body.get("content"))
    return PartDone(text(body, "response_id"), text(body, "item_id"), index(body), content)


@decodes(Origin.SERVER, "response.output_text.delta")
def text_delta(event: Event) -> TextDelta:
    body = parse(event)
    return TextDelta(*_place(body), text(body, "delta"))


@decodes(Origin.SERVER, "response.output_text.done")
def text_done(event: Event) -> TextDone:
    body = parse(event)
    response, item = text(body, "response_id"), text(body, "item_id")
    return TextDone(response, item, index(body), text(body, "text"))


@decodes(Origin.SERVER, "response.output_audio_transcript.delta")
def transcript_delta(event: Event) -> TranscriptDelta:
    body = parse(event)
    return TranscriptDelta(*_place(body), text(body, "delta"))


@decodes(Origin.SERVER, "response.output_audio_transcript.done")
def transcript_done(event: Event) -> TranscriptDone:
    body = parse(event)
    response, item = text(body, "response_id"), text(body, "item_id")
    return TranscriptDone(response, item, index(body), text(body, "transcript"))


_sizes: dict[str | None, int] = {}
_SIZES_LIMIT = 4096  # deltas of one size have one `meta`; servers use a few dozen sizes


@decodes(Origin.SERVER, "response.output_audio.delta")
def audio_delta(event: Event) -> AudioDelta:
    body = parse(event)
    size = _sizes.get(event.meta)
    if size is None:
        size = audio_bytes(event)
        if size is None:
            size = base64_size(body.get("delta"))
        elif len(_sizes) < _SIZES_LIMIT:
            _sizes[event.meta] = size
    return AudioDelta(*_place(body), size)


@decodes(Origin.SERVER, "response.output_audio.done")
def audio_done(event: Event) -> AudioDone:
    body = parse(event)
    return AudioDone(text(body, "response_id"), text(body, "item_id"), index(body))


@decodes(
    Origin.SERVER,
    "response.function_call_arguments.delta",
    "response.mcp_call_arguments.delta",
)
def arguments_delta(event: Event) -> ArgumentsDelta:
    body = parse(event)
    response, item = text(body, "response_id"), text(body, "item_id")
    return ArgumentsDelta(response, item, text(body, "call_id"), text(body, "delta"))


@decodes(
    Origin.SERVER,
    "response.function_call_arguments.done",
    "response.mcp_call_arguments.done",
)
def arguments_done(event: Event) -> ArgumentsDone:
    body = parse(event)
    return ArgumentsDone(
        text(body, "response_id"),
        text(body, "item_id"),
        text(body, "call_id"),
        text(body, "name"),
        text(body, "arguments"),
    )


@decodes(
    Origin.SERVER,
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
)
def mcp_call_state(event: Event) -> McpCallState:
    return McpCallState(text(parse(event), "item_id"), event.type.rpartition(".")[2])

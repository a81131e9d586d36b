"""What clients send: protocol.md §2, beta and GA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..audio.formats import parse_format
from ..events import Event, Origin
from ..wire import audio_bytes, parse
from .facts import (
    CancelAsked,
    ClearAsked,
    CommitAsked,
    DeleteAsked,
    InputAppended,
    ItemAsked,
    OutputClearAsked,
    ResponseAsked,
    RetrieveAsked,
    SessionAsked,
    TruncateAsked,
)
from .reading import (
    base64_size,
    index,
    integer,
    item_body,
    mapping,
    optional_mapping,
    sequence,
    strings,
    text,
)
from .sessions import session_config
from .table import decodes

if TYPE_CHECKING:
    from .facts import JSON


_seen: dict[str | None, InputAppended] = {}
_SEEN_LIMIT = 4096  # chunks of one size have one `meta`; real clients use a handful of sizes


@decodes(Origin.CLIENT, "input_audio_buffer.append")
def input_appended(event: Event) -> InputAppended:
    """The commonest event of all: no JSON is parsed where the audio was cut out."""
    fact = _seen.get(event.meta)
    if fact is not None:
        return fact
    size = audio_bytes(event)
    if size is None:
        return InputAppended(base64_size(parse(event).get("audio")))
    fact = InputAppended(size)
    if len(_seen) < _SEEN_LIMIT:
        _seen[event.meta] = fact
    return fact


@decodes(Origin.CLIENT, "session.update")
def session_asked(event: Event) -> SessionAsked:
    body = parse(event)
    kind = "transcription" if event.type.startswith("transcription_session") else None
    config = session_config(mapping(body, "session"), kind=kind)
    return SessionAsked(config, text(body, "event_id"))


@decodes(Origin.CLIENT, "input_audio_buffer.commit")
def commit_asked(event: Event) -> CommitAsked:
    return CommitAsked(text(parse(event), "event_id"))


@decodes(Origin.CLIENT, "input_audio_buffer.clear")
def clear_asked(event: Event) -> ClearAsked:
    return ClearAsked(text(parse(event), "event_id"))


@decodes(Origin.CLIENT, "output_audio_buffer.clear")
def output_clear_asked(event: Event) -> OutputClearAsked:
    return OutputClearAsked(text(parse(event), "event_id"))


@decodes(Origin.CLIENT, "conversation.item.create")
def item_asked(event: Event) -> ItemAsked:
    body = parse(event)
    item = mapping(body, "item")
    previous = text(body, "previous_item_id")
    return ItemAsked(item_body(item), previous, text(body, "event_id"), _audio_in(event, item))


def _audio_in(event: Event, item: JSON) -> int:
    """Bytes of audio in the item's content, cut out of the message or still in it."""
    parts = [part for part in sequence(item, "content") if isinstance(part, dict)]
    left = sum(base64_size(part.get("audio")) for part in parts)
    return left + (audio_bytes(event) or 0)


@decodes(Origin.CLIENT, "conversation.item.retrieve")
def retrieve_asked(event: Event) -> RetrieveAsked:
    body = parse(event)
    return RetrieveAsked(text(body, "item_id"), text(body, "event_id"))


@decodes(Origin.CLIENT, "conversation.item.delete")
def delete_asked(event: Event) -> DeleteAsked:
    body = parse(event)
    return DeleteAsked(text(body, "item_id"), text(body, "event_id"))


@decodes(Origin.CLIENT, "conversation.item.truncate")
def truncate_asked(event: Event) -> TruncateAsked:
    body = parse(event)
    return TruncateAsked(
        text(body, "item_id"),
        index(body),
        integer(body, "audio_end_ms"),
        text(body, "event_id"),
    )


@decodes(Origin.CLIENT, "response.create")
def response_asked(event: Event) -> ResponseAsked:
    body = parse(event)
    asked = mapping(body, "response")
    spoken = mapping(mapping(asked, "audio"), "output")
    return ResponseAsked(
        asked.get("conversation") == "none",
        parse_format(spoken.get("format")) or parse_format(asked.get("output_audio_format")),
        strings(asked, "output_modalities") or strings(asked, "modalities"),
        optional_mapping(asked, "metadata"),
        text(body, "event_id"),
    )


@decodes(Origin.CLIENT, "response.cancel")
def cancel_asked(event: Event) -> CancelAsked:
    body = parse(event)
    return CancelAsked(text(body, "response_id"), text(body, "event_id"))

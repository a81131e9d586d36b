"""Items, responses and tool calls while they come in: the mutable side of `model`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .model import Item, Part, Response, ToolCall
from .words import PartState, joined, once

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..dialects.facts import JSON, ErrorBody, ItemBody
    from .inputs import Moment


@dataclass(slots=True)
class ItemState:
    """An item while it comes in."""

    id: str
    first: Moment
    by: str = "server"
    type: str = ""
    role: str = ""
    status: str = ""
    parts: dict[int, PartState] = field(default_factory=dict)
    done: Moment | None = None
    response: str = ""
    call_id: str = ""
    output: str | None = None
    spoken: bool = False
    audio_ns: int | None = None
    transcribed: Moment | None = None
    committed: Moment | None = None
    truncated: Moment | None = None
    truncated_ms: int | None = None
    truncated_text: str | None = None
    deleted: Moment | None = None
    out_of_band: bool = False
    acknowledged: bool = True
    event_id: str = ""
    """The client's own, of the event that asked for it."""

    def part(self, index: int) -> PartState:
        """The content part at this index, made if it is new."""
        if index not in self.parts:
            self.parts[index] = PartState()
        return self.parts[index]

    def state(self, body: ItemBody, source: str) -> None:
        """Take what an item object says about it."""
        self.type = body.type or self.type
        if body.role in ("user", "assistant", "system") and not self.role:
            self.role = body.role
        self.status = body.status or self.status
        self.call_id = body.call_id or self.call_id
        if body.output is not None:
            self.output = body.output
        for index, content in enumerate(body.parts):
            part = self.part(index)
            if part.transcription and content.text is None:
                continue
            part.state(content, source)
            self.spoken |= content.kind == "audio"

    def _is_cut(self, response: ResponseState | None) -> bool:
        if self.status == "incomplete":
            return True
        if self.role != "assistant" or response is None or response.status == "completed":
            return False
        return self.done is None or response.status == "failed"

    def _transcript(self) -> str:
        if self.role != "user" or not self.spoken:
            return ""
        states = {part.transcription for part in self.parts.values()}
        for state in ("completed", "partial", "failed"):
            if state in states:
                return state
        return "completed" if any(p.part().text for p in self.parts.values()) else "none"

    def item(self, response: ResponseState | None) -> Item:
        """The item as it stands."""
        parts: tuple[Part, ...] = tuple(self.parts[index].part() for index in sorted(self.parts))
        return Item(
            id=self.id,
            type=self.type or "message",
            role=self.role,
            status=self.status,
            text=_joined(parts),
            parts=parts,
            by=self.by,
            seq=self.first.seq,
            at_ns=self.first.at_ns,
            done_ns=self.done.at_ns if self.done else None,
            done_seq=self.done.seq if self.done else None,
            response_id=self.response,
            call_id=self.call_id,
            spoken=self.spoken,
            audio_ns=self.audio_ns,
            transcript=self._transcript(),
            transcript_ns=self.transcribed.at_ns if self.transcribed else None,
            transcript_seq=self.transcribed.seq if self.transcribed else None,
            committed_ns=self.committed.at_ns if self.committed else None,
            committed_seq=self.committed.seq if self.committed else None,
            truncated_ms=self.truncated_ms,
            truncated_seq=self.truncated.seq if self.truncated else None,
            truncated_text=self.truncated_text,
            cut=self._is_cut(response),
            deleted_ns=self.deleted.at_ns if self.deleted else None,
            deleted_seq=self.deleted.seq if self.deleted else None,
            out_of_band=self.out_of_band,
            acknowledged=self.acknowledged,
        )


def _joined(parts: tuple[Part, ...]) -> str:
    """The words of all parts, the same ones once."""
    words = ""
    for part in parts:
        words = once(words, part.text) if words and part.text else words or part.text
    return words


@dataclass(slots=True)
class ResponseState:
    """A response while it comes in."""

    id: str
    first: Moment
    created: Moment | None = None
    done: Moment | None = None
    asked: Moment | None = None
    cancel: Moment | None = None
    status: str = "in_progress"
    reason: str = ""
    error: ErrorBody | None = None
    items: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    first_delta: Moment | None = None
    first_audio: Moment | None = None
    last_audio: Moment | None = None
    audio_bytes: int = 0
    form: AudioFormat | None = None
    out_of_band: bool = False
    modalities: tuple[str, ...] = ()
    voice: str = ""
    usage: JSON | None = None
    metadata: JSON | None = None

    def response(self, default: AudioFormat) -> Response:
        """The response as it stands."""
        error = self.error
        return Response(
            id=self.id,
            seq=self.first.seq,
            status=self.status,
            reason=self.reason,
            error=(error.code or error.message or error.type) if error else "",
            created_ns=self.created.at_ns if self.created else None,
            done_ns=self.done.at_ns if self.done else None,
            done_seq=self.done.seq if self.done else None,
            asked_ns=self.asked.at_ns if self.asked else None,
            asked_seq=self.asked.seq if self.asked else None,
            cancel_ns=self.cancel.at_ns if self.cancel else None,
            cancel_seq=self.cancel.seq if self.cancel else None,
            items=tuple(self.items),
            calls=tuple(self.calls),
            first_delta_ns=self.first_delta.at_ns if self.first_delta else None,
            first_delta_seq=self.first_delta.seq if self.first_delta else None,
            first_audio_ns=self.first_audio.at_ns if self.first_audio else None,
            first_audio_seq=self.first_audio.seq if self.first_audio else None,
            last_audio_ns=self.last_audio.at_ns if self.last_audio else None,
            last_audio_seq=self.last_audio.seq if self.last_audio else None,
            audio_ns=(self.form or default).ns_of_bytes(self.audio_bytes),
            out_of_band=self.out_of_band,
            modalities=self.modalities,
            voice=self.voice,
            usage=self.usage,
            metadata=self.metadata,
        )


@dataclass(slots=True)
class CallState:
    """A tool call while it comes in; it counts from the moment its arguments are complete."""

    key: str
    item: str
    response: str
    first: Moment
    kind: str = "function"
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    arguments: str | None = None
    complete: Moment | None = None
    output: str | None = None
    answered: Moment | None = None
    error: str = ""
    items: list[str] = field(default_factory=list)
    """Every item that it was told of as."""

    def call(self) -> ToolCall:
        """The call as it stands."""
        at = self.complete or self.first
        return ToolCall(
            call_id=self.call_id or self.key,
            name=self.name,
            arguments=joined(self.pieces) if self.arguments is None else self.arguments,
            item_id=self.item,
            response_id=self.response,
            kind=self.kind,
            at_ns=at.at_ns,
            seq=at.seq,
            output=self.output,
            output_ns=self.answered.at_ns if self.answered else None,
            output_seq=self.answered.seq if self.answered else None,
            error=self.error,
        )

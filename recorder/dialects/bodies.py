"""The objects that messages carry, in one shape for all dialects: sessions, items, responses.

Ids that the wire left out are empty strings; what else it left out is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat

JSON: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """A session's configuration, beta and GA shapes alike. None: it was not said."""

    id: str = ""
    kind: str | None = None
    """`realtime` or `transcription`."""
    model: str | None = None
    voice: str | None = None
    modalities: tuple[str, ...] | None = None
    instructions: str | None = None
    input_format: AudioFormat | None = None
    output_format: AudioFormat | None = None
    vad: str | None = None
    """`server_vad`, `semantic_vad`, another name, or `none` where it was switched off."""
    silence_ms: int | None = None
    """The silence window after which `server_vad` calls the end of speech."""
    prefix_ms: int | None = None
    """Padding that `audio_start_ms` contains before the onset."""
    create_response: bool | None = None
    interrupt_response: bool | None = None
    transcription: str | None = None
    """The model that transcribes the user; `none` where it was switched off."""
    tools: tuple[str, ...] | None = None
    """Names of the tools."""
    raw: JSON = field(default_factory=dict)
    """The session object as it came."""

    def merged(self, later: SessionConfig) -> SessionConfig:
        """This configuration with what `later` says laid over it."""
        values = {
            name: new if (new := getattr(later, name)) not in (None, "") else getattr(self, name)
            for name in SessionConfig.__dataclass_fields__
            if name != "raw"
        }
        return SessionConfig(**values, raw={**self.raw, **later.raw})


class ContentPart(NamedTuple):
    """A content part as an item or `content_part.*` states it."""

    kind: str
    """`text`, `audio`, `image`, or what the wire called it."""
    text: str | None
    """Text or transcript; None where there is none (yet)."""


class ItemBody(NamedTuple):
    """A conversation item as a message states it."""

    id: str
    type: str
    role: str
    status: str
    parts: tuple[ContentPart, ...]
    call_id: str
    name: str
    arguments: str | None
    output: str | None
    error: str


class ErrorBody(NamedTuple):
    """An inner `error` object."""

    type: str
    code: str
    message: str
    param: str
    event_id: str
    """The client event it is about; empty where the server does not say."""


class ResponseBody(NamedTuple):
    """A response object as `created` or `done` states it."""

    id: str
    status: str
    reason: str
    error: ErrorBody | None
    output: tuple[ItemBody, ...]
    conversation: str | None
    """Id, None for out-of-band, empty where nothing was said."""
    modalities: tuple[str, ...]
    voice: str
    format: AudioFormat | None
    usage: JSON | None
    metadata: JSON | None

"""Session objects, flat (beta) or nested (GA) or both at once (xAI), as one configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..audio.formats import parse_format
from .facts import SessionConfig
from .reading import flag, integer, mapping, name_of, optional_text, sequence, strings, text

if TYPE_CHECKING:
    from .facts import JSON

_ABSENT = object()


def session_config(session: JSON, *, kind: str | None = None) -> SessionConfig:
    """What the session object says; the nested member wins where both shapes stand in it."""
    audio = mapping(session, "audio")
    heard, spoken = mapping(audio, "input"), mapping(audio, "output")
    detection = _either(heard, "turn_detection", session, "turn_detection")
    details = detection if isinstance(detection, dict) else {}
    rate = session.get("input_audio_sampling_rate")
    return SessionConfig(
        id=text(session, "id"),
        kind=kind or optional_text(session, "type"),
        model=name_of(session.get("model")),
        voice=name_of(spoken.get("voice")) or name_of(session.get("voice")),
        modalities=_modalities(session),
        instructions=optional_text(session, "instructions"),
        input_format=parse_format(heard.get("format"))
        or parse_format(session.get("input_audio_format"), rate),
        output_format=parse_format(spoken.get("format"))
        or parse_format(session.get("output_audio_format")),
        vad=_kind_of(detection, "type"),
        silence_ms=integer(details, "silence_duration_ms"),
        prefix_ms=integer(details, "prefix_padding_ms"),
        create_response=flag(details, "create_response"),
        interrupt_response=flag(details, "interrupt_response"),
        transcription=_kind_of(
            _either(heard, "transcription", session, "input_audio_transcription"), "model"
        ),
        tools=_tools(session),
        raw=session,
    )


def _modalities(body: JSON) -> tuple[str, ...] | None:
    for key in ("output_modalities", "modalities"):
        if isinstance(body.get(key), list):
            return strings(body, key)
    return None


def _either(first: JSON, key: str, second: JSON, other: str) -> Any:
    value = first.get(key, _ABSENT)
    return second.get(other, _ABSENT) if value is _ABSENT else value


def _kind_of(value: Any, key: str) -> str | None:
    """None: not said. `none`: switched off, whether by null or by {"type": null}."""
    if value is _ABSENT:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value:
        default = "none" if key in value else "unnamed"
        return name_of(value.get(key)) or default
    return "none"


def _tools(session: JSON) -> tuple[str, ...] | None:
    if not isinstance(session.get("tools"), list):
        return None
    tools = [tool for tool in sequence(session, "tools") if isinstance(tool, dict)]
    return tuple(
        text(tool, "name") or text(mapping(tool, "function"), "name") or text(tool, "server_label")
        for tool in tools
    )

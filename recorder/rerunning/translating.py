"""A beta client's words as GA endpoints take them (protocol.md §3.4, §4.5).

Laws:

1. What has one shape in both dialects stays as it is; translating twice changes nothing more.
2. What GA has no word for is left out, and said.
3. Nothing is ever translated the other way: `only_ga` says what a beta endpoint cannot take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..audio.formats import ALAW, PCM16, ULAW, parse_format
from ..dialects.reading import mapping, sequence, text
from ..replaying import causes
from .overriding import merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from .nouns import JSON

_GA_FORMATS: Final = {PCM16: "audio/pcm", ULAW: "audio/pcmu", ALAW: "audio/pcma"}
_BETA_PARTS: Final = {"text": "output_text", "audio": "output_audio"}
"""Content of assistants: of users it is called the same in both."""

_DROPPED: Final = frozenset({"temperature", "client_secret", "input_audio_sampling_rate"})
"""What GA sessions and responses have no word for."""

_BETA_SESSION: Final = frozenset(
    {
        "modalities", "voice", "speed", "input_audio_format", "output_audio_format",
        "input_audio_transcription", "input_audio_noise_reduction", "turn_detection",
        "max_response_output_tokens", *_DROPPED,
    }
)  # fmt: skip


def to_ga(kind: str, body: JSON) -> tuple[JSON, list[str]]:
    """The event in GA's shape, and what was left out of it; `kind` is its type as it was sent."""
    canonical = causes.canonical(kind)
    if canonical == causes.UPDATE:
        return _update(kind, body)
    if canonical == causes.RESPOND and isinstance(body.get("response"), dict):
        response, lost = _members(body["response"], _response_member)
        if isinstance(response.get("input"), list):
            response["input"] = [_item(each) for each in response["input"]]
        return {**body, "response": response}, lost
    if canonical == causes.CREATE_ITEM and isinstance(body.get("item"), dict):
        return {**body, "item": _item(body["item"])}, []
    return body, []


def only_ga(kind: str, body: JSON) -> str:
    """What in the event a beta endpoint does not understand; empty where it understands all."""
    session = mapping(body, "session") if causes.canonical(kind) == causes.UPDATE else {}
    if kind == causes.UPDATE:
        found = [name for name in ("audio", "output_modalities", "type") if name in session]
        return f"session.{found[0]}" if found else ""
    response = mapping(body, "response")
    found = [name for name in ("audio", "output_modalities") if name in response]
    if kind == causes.RESPOND and found:
        return f"response.{found[0]}"
    parts = sequence(mapping(body, "item"), "content") if kind == causes.CREATE_ITEM else []
    kinds = [text(part, "type") for part in parts if isinstance(part, dict)]
    foreign = [each for each in kinds if each in _BETA_PARTS.values()]
    return f"content of type {foreign[0]}" if foreign else ""


def _update(kind: str, body: JSON) -> tuple[JSON, list[str]]:
    session = mapping(body, "session")
    transcribing = kind.startswith("transcription_session")
    if not transcribing and not _BETA_SESSION & session.keys():
        return body, []
    changed, lost = _members(session, _session_member)
    kept = {"type": "transcription" if transcribing else "realtime", **changed}
    return {**body, "type": causes.UPDATE, "session": kept}, lost


def _members(
    members: JSON, place: Callable[[str, Any], tuple[tuple[str, ...], Any]]
) -> tuple[JSON, list[str]]:
    """Every member where GA has it."""
    found: JSON = {}
    lost = []
    for name, value in members.items():
        if name in _DROPPED:
            lost.append(name)
            continue
        path, told = place(name, value)
        within = found
        for step in path[:-1]:
            there = within.get(step)
            within[step] = dict(there) if isinstance(there, dict) else {}
            within = within[step]
        old = within.get(path[-1])
        both = isinstance(old, dict) and isinstance(told, dict)
        within[path[-1]] = merged(told, old) if both and isinstance(old, dict) else told
    return found, lost


def _session_member(name: str, value: Any) -> tuple[tuple[str, ...], Any]:
    match name:
        case "input_audio_format":
            return ("audio", "input", "format"), _format(value)
        case "input_audio_transcription":
            return ("audio", "input", "transcription"), value
        case "input_audio_noise_reduction":
            return ("audio", "input", "noise_reduction"), value
        case "turn_detection":
            off = isinstance(value, dict) and value.get("type") == "none"
            return ("audio", "input", "turn_detection"), None if off else value
        case "speed":
            return ("audio", "output", "speed"), value
    return _response_member(name, value)


def _response_member(name: str, value: Any) -> tuple[tuple[str, ...], Any]:
    match name:
        case "modalities":
            # GA's audio always comes with its transcript: both together are called audio.
            spoken = isinstance(value, list) and "audio" in value
            return ("output_modalities",), ["audio"] if spoken else ["text"]
        case "voice":
            return ("audio", "output", "voice"), value
        case "output_audio_format":
            return ("audio", "output", "format"), _format(value)
        case "max_response_output_tokens":
            return ("max_output_tokens",), value
    return (name,), value


def _format(value: Any) -> Any:
    form = parse_format(value)
    if form is None:
        return value
    name = _GA_FORMATS[form.encoding]
    return {"type": name, "rate": form.rate} if form.encoding == PCM16 else {"type": name}


def _item(item: Any) -> Any:
    """Content of an assistant is called otherwise in GA."""
    if not isinstance(item, dict) or text(item, "role") != "assistant":
        return item
    content = item.get("content")
    if not isinstance(content, list):
        return item
    return {**item, "content": [_part(each) for each in content]}


def _part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") in _BETA_PARTS:
        return {**part, "type": _BETA_PARTS[part["type"]]}
    return part

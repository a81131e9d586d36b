"""Client events in the shape that an endpoint understands: GA (nested) or beta (flat).

Which one is decided by what `session.created` looks like (protocol: GA sessions have `audio` and
`output_modalities`, beta sessions `modalities` and `input_audio_format` at the top level).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..audio.formats import DEFAULT_FORMAT, AudioFormat, parse_format
from ..errors import UsageError

Json = dict[str, Any]
Vad = Literal["none", "server", "semantic"]

BETA_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a caller wants of its session; what is None is left to the endpoint."""

    vad: Vad | None = None
    voice: str | None = None
    modalities: Sequence[str] | None = None
    """`("audio",)`, `("text",)`, or both."""
    instructions: str | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    transcribe: str | None = None
    """Model that transcribes the input; "" switches transcription off."""
    input_format: str | None = None
    """`audio/pcm`, `audio/pcmu` or `audio/pcma`."""
    output_format: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """A session object in the endpoint's own shape, laid over all of the above."""


def is_beta(session: Mapping[str, Any]) -> bool:
    """Whether a session object, as the server sent it, has the beta's flat shape."""
    if "audio" in session or "output_modalities" in session:
        return False
    return any(key in session for key in ("modalities", "input_audio_format", "turn_detection"))


def session_update(options: SessionOptions, *, beta: bool) -> Json | None:
    """The `session.update` that asks for these options; None if they ask for nothing."""
    session = _beta_session(options) if beta else _ga_session(options)
    if not session and not options.extra:
        return None
    if not beta:
        session = {"type": "realtime", **session}
    return {"type": "session.update", "session": _merged(session, options.extra)}


def _turn_detection(vad: Vad | None) -> Json | None:
    return None if vad == "none" else {"type": f"{vad}_vad"}


def _plain(options: SessionOptions) -> Json:
    wanted: Json = {}
    if options.instructions is not None:
        wanted["instructions"] = options.instructions
    if options.tools is not None:
        wanted["tools"] = [dict(tool) for tool in options.tools]
        wanted["tool_choice"] = "auto"
    return wanted


def _ga_session(options: SessionOptions) -> Json:
    wanted = _plain(options)
    if options.modalities is not None:
        # GA audio always comes with its transcript: asking for both is asking for audio.
        wanted["output_modalities"] = ["audio"] if "audio" in options.modalities else ["text"]
    heard: Json = {}
    if options.input_format is not None:
        heard["format"] = _ga_format(options.input_format)
    if options.transcribe is not None:
        heard["transcription"] = {"model": options.transcribe} if options.transcribe else None
    if options.vad is not None:
        heard["turn_detection"] = _turn_detection(options.vad)
    spoken: Json = {}
    if options.output_format is not None:
        spoken["format"] = _ga_format(options.output_format)
    if options.voice is not None:
        spoken["voice"] = options.voice
    audio = {name: part for name, part in (("input", heard), ("output", spoken)) if part}
    return {**wanted, "audio": audio} if audio else wanted


def _ga_format(name: str) -> Json:
    return {"type": name, "rate": 24000} if name == "audio/pcm" else {"type": name}


def _beta_session(options: SessionOptions) -> Json:
    wanted = _plain(options)
    if options.modalities is not None:
        both = ["text", "audio"] if "audio" in options.modalities else ["text"]
        wanted["modalities"] = both
    if options.voice is not None:
        wanted["voice"] = options.voice
    if options.input_format is not None:
        wanted["input_audio_format"] = BETA_FORMATS[options.input_format]
    if options.output_format is not None:
        wanted["output_audio_format"] = BETA_FORMATS[options.output_format]
    if options.transcribe is not None:
        model = {"model": options.transcribe} if options.transcribe else None
        wanted["input_audio_transcription"] = model
    if options.vad is not None:
        wanted["turn_detection"] = _turn_detection(options.vad)
    return wanted


def _merged(base: Json, over: Mapping[str, Any]) -> Json:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(dict(old), value) if both and isinstance(old, Mapping) else value
    return merged


def user_text(text: str) -> Json:
    """A user message of text, as `conversation.item.create`; the same in both dialects."""
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content},
    }


def tool_output(call_id: str, output: str) -> Json:
    """The result of a function call, as `conversation.item.create`."""
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return {"type": "conversation.item.create", "item": item}


def audio_part(session: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    """`audio.input` or `audio.output` of a GA session object; empty where it says none."""
    audio = session.get("audio")
    part = audio.get(side) if isinstance(audio, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def input_format(session: Mapping[str, Any]) -> AudioFormat:
    """How a session takes audio, from what the server said of it; else PCM16 at 24 kHz.

    Raises `UsageError` for a format that is not known here.
    """
    stated: Any = session.get("input_audio_format")
    if not is_beta(session):
        stated = audio_part(session, "input").get("format")
    if not stated:
        return DEFAULT_FORMAT
    found = parse_format(stated, session.get("input_audio_sampling_rate"))
    if found is None:
        raise UsageError(f"the session takes audio as {stated!r}, which is not known here")
    return found

"""The table of a session's settings: where each stands in both dialects, how it is read and shown.

A *shape* is how the object at hand is built: `ga` (nested) or `beta` (flat).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from recorder.audio.formats import PCM16
from recorder.sandbox import checks, turn_detection
from recorder.sandbox.formats import ALAW, PCM24, ULAW, AudioFormat

Json = dict[str, Any]
Read = Callable[[object, str], Any]


class Codec(NamedTuple):
    """How a value is read from a client (value, parameter, shape), and shown to it."""

    read: Callable[[object, str, str], Any]
    show: Callable[[Any, str], Any] = lambda value, shape: value


class Field(NamedTuple):
    """One setting."""

    name: str
    """As `Config` calls it."""
    ga: str
    """Its path in a GA object; empty: it has none."""
    beta: str
    """Its name in a beta object; empty: it has none."""
    codec: Codec


def _plain(read: Read) -> Codec:
    return Codec(lambda value, param, shape: read(value, param))


def _nullable(read: Read) -> Codec:
    return _plain(lambda value, param: None if value is None else read(value, param))


def _name_or_record(value: object, param: str) -> str | Json:
    return value if isinstance(value, dict) else checks.text(value, param)


def _texts(value: object, param: str) -> tuple[str, ...]:
    return tuple(checks.text(each, param) for each in checks.array(value, param))


_BETA_FORMATS = {"pcm16": PCM24, "g711_ulaw": ULAW, "g711_alaw": ALAW}
_GA_FORMATS = {"audio/pcm": PCM24, "audio/pcmu": ULAW, "audio/pcma": ALAW}
_GA_NAMES = {audio.encoding: name for name, audio in _GA_FORMATS.items()}


def _read_format(value: object, param: str, shape: str) -> AudioFormat:
    if shape == "beta":
        return _BETA_FORMATS[checks.one_of(value, param, _BETA_FORMATS)]
    members = checks.record(value, param)
    checks.only(members, ("type", "rate"), f"{param}.")
    kind = checks.required(members, "type", f"{param}.")
    audio = _GA_FORMATS[checks.one_of(kind, f"{param}.type", _GA_FORMATS)]
    if audio.encoding != PCM16 or members.get("rate") is None:
        return audio
    # OpenAI takes 24000 only; compatible servers speak other rates.
    return AudioFormat(PCM16, checks.integer(members["rate"], f"{param}.rate", 8_000, 48_000))


def _show_format(audio: AudioFormat, shape: str) -> str | Json:
    if shape == "beta":
        return audio.encoding
    rate = {"rate": audio.rate} if audio.encoding == PCM16 else {}
    return {"type": _GA_NAMES[audio.encoding], **rate}


def _read_modalities(value: object, param: str, shape: str) -> tuple[str, ...]:
    names = sorted(_texts(value, param))
    allowed = (["text"], ["audio"]) if shape == "ga" else (["text"], ["audio", "text"])
    if names not in allowed:
        choices = f"{allowed[0]} and {allowed[1]}"
        message = f"Invalid modalities: {names}. Supported combinations are: {choices}."
        raise checks.Invalid(message, param=param)
    return ("audio",) if "audio" in names else ("text",)


def _show_modalities(names: tuple[str, ...], shape: str) -> list[str]:
    return ["audio", "text"] if shape == "beta" and "audio" in names else list(names)


def _read_turns(value: object, param: str, shape: str) -> turn_detection.TurnDetection | None:
    if shape == "beta" and isinstance(value, dict) and "idle_timeout_ms" in value:
        raise checks.unknown(f"{param}.idle_timeout_ms")
    return turn_detection.read(value, param, silence_ms=500 if shape == "beta" else 200)


def _show_turns(value: turn_detection.TurnDetection | None, shape: str) -> Json | None:
    return None if value is None else value.shown(idle=shape == "ga")


def _read_transcription(value: object, param: str) -> Json:
    """`delay` and its like are taken but not shown again, as live servers do."""
    members = checks.record(value, param)
    shown = ("model", "language", "prompt")
    checks.only(members, (*shown, "languages", "keywords", "delay"), f"{param}.")
    for name in shown:
        if members.get(name) is not None:
            checks.text(members[name], f"{param}.{name}")
    return {name: members.get(name) for name in shown} | {
        "model": members.get("model") or "whisper-1"
    }


def _read_tools(value: object, param: str) -> tuple[Json, ...]:
    return tuple(_read_tool(t, f"{param}[{i}]") for i, t in enumerate(checks.array(value, param)))


def _read_tool(value: object, param: str) -> Json:
    tool = checks.record(value, param)
    kind = checks.one_of(tool.get("type", "function"), f"{param}.type", ("function", "mcp"))
    name = "name" if kind == "function" else "server_label"
    checks.text(checks.required(tool, name, f"{param}."), f"{param}.{name}")
    # What opens an MCP server is taken, and not told to anybody again.
    return {"type": kind} | {n: v for n, v in tool.items() if n not in ("authorization", "headers")}


def _read_tool_choice(value: object, param: str) -> str | Json:
    if isinstance(value, dict):
        return value
    return checks.one_of(value, param, ("auto", "none", "required"))


def _read_max_tokens(value: object, param: str) -> int | str:
    return "inf" if value == "inf" else checks.integer(value, param, 1, 4096)


MODALITIES = Codec(_read_modalities, _show_modalities)
FORMAT = Codec(_read_format, _show_format)
TURNS = Codec(_read_turns, _show_turns)
TOOLS = Codec(lambda value, param, shape: _read_tools(value, param), lambda tools, _: list(tools))
TEXT = _plain(checks.text)
FLAG = _plain(checks.flag)
NAME = _plain(_name_or_record)
MAYBE_NAME = _nullable(_name_or_record)
MAYBE_RECORD = _nullable(checks.record)
MAYBE_TEXTS = _nullable(_texts)
TRANSCRIPTION = _nullable(_read_transcription)
TOOL_CHOICE = _plain(_read_tool_choice)
MAX_TOKENS = _plain(_read_max_tokens)
TEMPERATURE = _plain(lambda value, param: checks.number(value, param, 0.0, 2.0))
SPEED = _plain(lambda value, param: checks.number(value, param, 0.25, 1.5))

FIELDS = (
    Field("output_modalities", "output_modalities", "modalities", MODALITIES),
    Field("instructions", "instructions", "instructions", TEXT),
    Field("tools", "tools", "tools", TOOLS),
    Field("tool_choice", "tool_choice", "tool_choice", TOOL_CHOICE),
    Field("parallel_tool_calls", "parallel_tool_calls", "", FLAG),
    Field("max_output_tokens", "max_output_tokens", "max_response_output_tokens", MAX_TOKENS),
    Field("temperature", "", "temperature", TEMPERATURE),
    Field("tracing", "tracing", "tracing", MAYBE_NAME),
    Field("truncation", "truncation", "", NAME),
    Field("prompt", "prompt", "", MAYBE_RECORD),
    Field("reasoning", "reasoning", "", MAYBE_RECORD),
    Field("include", "include", "include", MAYBE_TEXTS),
    Field("input_format", "audio.input.format", "input_audio_format", FORMAT),
    Field(
        "transcription",
        "audio.input.transcription",
        "input_audio_transcription",
        TRANSCRIPTION,
    ),
    Field(
        "noise_reduction",
        "audio.input.noise_reduction",
        "input_audio_noise_reduction",
        MAYBE_RECORD,
    ),
    Field("turn_detection", "audio.input.turn_detection", "turn_detection", TURNS),
    Field("output_format", "audio.output.format", "output_audio_format", FORMAT),
    Field("voice", "audio.output.voice", "voice", NAME),
    Field("speed", "audio.output.speed", "speed", SPEED),
)

PER_RESPONSE = frozenset(
    {
        "output_modalities",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "prompt",
        "reasoning",
        "output_format",
        "voice",
    }
)
"""What `response.create` may set for one response."""

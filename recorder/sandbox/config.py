"""What a session, or one response, is set to.

`merged` puts what a client sent into a configuration, or refuses all of it; `session_json` shows
the whole of it. Both walk the table of `fields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recorder.sandbox import checks
from recorder.sandbox.dialect import Dialect
from recorder.sandbox.fields import FIELDS, PER_RESPONSE, Field, Json
from recorder.sandbox.formats import PCM24, AudioFormat
from recorder.sandbox.turn_detection import TurnDetection

INSTRUCTIONS = "You are a sandbox. You answer from a script, briefly, and you do not listen."

SERVER_VAD = TurnDetection()

_TYPES = ("realtime", "transcription")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration. One attribute for each row of `FIELDS`, and `type`."""

    type: str = "realtime"
    """`realtime` or `transcription`."""
    output_modalities: tuple[str, ...] = ("audio",)
    instructions: str = INSTRUCTIONS
    tools: tuple[Json, ...] = ()
    tool_choice: str | Json = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: int | str = "inf"
    temperature: float = 0.8
    tracing: str | Json | None = None
    truncation: str | Json = "auto"
    prompt: Json | None = None
    reasoning: Json | None = None
    include: tuple[str, ...] | None = None
    input_format: AudioFormat = PCM24
    transcription: Json | None = None
    noise_reduction: Json | None = None
    turn_detection: TurnDetection | None = SERVER_VAD
    output_format: AudioFormat = PCM24
    voice: str | Json = "marin"
    speed: float = 1.0

    @property
    def speaks(self) -> bool:
        """Answers have audio."""
        return "audio" in self.output_modalities

    def may_call(self, function: str) -> bool:
        """The client declared that function and did not forbid to call it."""
        return self.tool_choice != "none" and any(t.get("name") == function for t in self.tools)


def default_config(dialect: Dialect) -> Config:
    """What a session starts with."""
    detection = TurnDetection(silence_duration_ms=dialect.silence_ms)
    return Config(turn_detection=detection, voice="marin" if dialect.nested else "alloy")


def merged_session(config: Config, patch: Mapping[str, Any], dialect: Dialect) -> Config:
    """After a `session.update`: what it names changes, the rest stays."""
    shape = _shape(patch, dialect)
    rest = {name: value for name, value in patch.items() if name != "model"}
    kind = config.type
    if shape == "ga":
        given = rest.pop("type", kind) if dialect.name == "mixed" else None
        given = given or checks.required(rest, "type", "session.")
        kind = checks.one_of(given, "session.type", _TYPES)
        rest.pop("type", None)
    return replace(config, type=kind, **_read(rest, shape, "session.", frozenset(_NAMES)))


def merged_response(config: Config, patch: Mapping[str, Any], dialect: Dialect) -> Config:
    """The configuration of one response: the session's, and what `response.create` overrides."""
    shape = _shape(patch, dialect)
    rest = dict(patch)
    if shape == "beta" and "max_output_tokens" in rest:  # both names were in use
        rest["max_response_output_tokens"] = rest.pop("max_output_tokens")
    return replace(config, **_read(rest, shape, "response.", PER_RESPONSE))


def session_json(config: Config, dialect: Dialect, head: Mapping[str, Any]) -> Json:
    """The session object: `head` (id, model, expiry), then every setting in the dialect's shape."""
    shape = "ga" if dialect.nested else "beta"
    shown: Json = {"type": config.type} if dialect.nested else {}
    kind = "session" if config.type == "realtime" else "transcription_session"
    shown["object"] = f"realtime.{kind}"
    shown.update(head)
    for field in FIELDS:
        path = field.ga if dialect.nested else field.beta
        if path and _is_shown(field, config):
            _put(shown, path, field.codec.show(getattr(config, field.name), shape))
    return shown


_UNTOUCHED = Config()
_NAMES = tuple(field.name for field in FIELDS)
_BETA_ONLY = {f.beta for f in FIELDS} - {f.ga for f in FIELDS}


def _shape(patch: Mapping[str, Any], dialect: Dialect) -> str:
    """How that object of a client is built; only a mixed gateway takes both."""
    if dialect.name == "mixed":
        return "beta" if _BETA_ONLY & patch.keys() else "ga"
    return dialect.name


def _read(
    patch: Mapping[str, Any], shape: str, prefix: str, allowed: frozenset[str]
) -> dict[str, Any]:
    """The values by the names that `Config` has for them."""
    fields = [field for field in FIELDS if field.name in allowed]
    known = {path: f for f in fields if (path := f.ga if shape == "ga" else f.beta)}
    return {
        known[path].name: known[path].codec.read(value, prefix + path, shape)
        for path, value in _leaves(patch, "", known, prefix)
    }


def _leaves(
    members: Mapping[str, Any], above: str, known: Mapping[str, Field], prefix: str
) -> Iterator[tuple[str, Any]]:
    """The settings in an object, however deep they lie."""
    for name, value in members.items():
        path = f"{above}{name}"
        if path in known:
            yield path, value
        elif any(each.startswith(f"{path}.") for each in known):
            yield from _leaves(checks.record(value, prefix + path), f"{path}.", known, prefix)
        else:
            raise checks.unknown(prefix + path)


def _is_shown(field: Field, config: Config) -> bool:
    """A transcription session has no output; some settings show only once they were made."""
    if field.name in ("parallel_tool_calls", "reasoning"):
        return bool(getattr(config, field.name) != getattr(_UNTOUCHED, field.name))
    return config.type == "realtime" or field.ga.startswith(("audio.input", "include"))


def _put(members: Json, path: str, value: Any) -> None:
    *above, name = path.split(".")
    for each in above:
        members = members.setdefault(each, {})
    members[name] = value

"""The configuration that a turn was answered under, as a fingerprint and in words.

A fingerprint stands for instructions, tools, turn detection and voice, so that calls can be
grouped by what the application asked for. It is made from what the server stated; from what the
client asked for only where the server stated nothing. Members that are null are as good as absent.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..dialects.reading import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dialects import SessionConfig
    from ..projections.model import ConfigChange, Conversation, Turn

DIGITS: Final = 8
"""Hexadecimal digits of a fingerprint: 2,000 configurations collide with one chance in 2,000."""

TOOLS_NAMED: Final = 4
"""So many tools are called by their names."""


class Configuration(NamedTuple):
    """What a turn was answered under."""

    fingerprint: str
    """Empty where nobody said anything of the session."""
    says: str
    """What it stands for: `voice marin, server_vad 500 ms, tools: find, instructions …`."""


UNKNOWN: Final = Configuration("", "")


def configurations(conversation: Conversation, turns: Sequence[Turn]) -> list[Configuration]:
    """The configuration of each turn: what was stated last when its first response was made."""
    made = {response.id: response.seq for response in conversation.responses}
    known: dict[int, Configuration] = {}
    found = []
    for turn in turns:
        until = next((made[name] for name in turn.responses if name in made), turn.trigger_seq)
        change = _in_force(conversation.configs, until)
        if change is None:
            found.append(UNKNOWN)
            continue
        if change.seq not in known:
            known[change.seq] = configuration(change.config)
        found.append(known[change.seq])
    return found


def configuration(config: SessionConfig) -> Configuration:
    """The fingerprint of one configuration, and what it stands for."""
    tools = _without_null(sequence(config.raw, "tools"))
    facts = [config.instructions or "", tools, _detection(config), config.voice or ""]
    return Configuration(_digest(facts, DIGITS), ", ".join(_words(config, tools)))


def _in_force(changes: Sequence[ConfigChange], until: int) -> ConfigChange | None:
    before = [change for change in changes if change.seq <= until]
    stated = [change for change in before if change.by == "server"]
    return next(reversed(stated or before), None)


def _detection(config: SessionConfig) -> Any:
    """Everything that was said of turn detection; else the little that was understood of it."""
    heard = mapping(mapping(config.raw, "audio"), "input")
    said = mapping(heard, "turn_detection") or mapping(config.raw, "turn_detection")
    return _without_null(said) or {"type": config.vad or ""}


def _words(config: SessionConfig, tools: Any) -> list[str]:
    words = [f"voice {config.voice}" if config.voice else "no voice stated"]
    window = f" {config.silence_ms} ms" if config.silence_ms is not None else ""
    detection = "no turn detection" if config.vad == "none" else config.vad
    words.append(f"{detection or 'turn detection not stated'}{window}")
    words.append(_tools(config.tools or (), tools) if tools else "no tools")
    if not config.instructions:
        return [*words, "no instructions"]
    text = config.instructions
    return [*words, f"instructions {_digest(text, 4)} ({len(text):,} characters)"]


def _tools(names: Sequence[str], tools: Any) -> str:
    shown = ", ".join(name or "unnamed" for name in names[:TOOLS_NAMED]) or "unnamed"
    more = f" and {len(names) - TOOLS_NAMED} more" if len(names) > TOOLS_NAMED else ""
    return f"tools {_digest(tools, 4)} ({shown}{more})"


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(each) for name, each in value.items() if each is not None}
    return [_without_null(each) for each in value] if isinstance(value, list) else value


def _digest(value: Any, digits: int) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:digits]

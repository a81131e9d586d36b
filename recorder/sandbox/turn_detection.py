"""The `turn_detection` object: its defaults, what it may hold, how it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from recorder.sandbox import checks

_COMMON = ("create_response", "interrupt_response")
_MEMBERS = {
    "server_vad": ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"),
    "semantic_vad": ("eagerness",),
}
EAGERNESS = {"low": 8000, "medium": 4000, "high": 2000, "auto": 4000}
"""The longest a semantic VAD waits for the user to go on, milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetection:
    """When the user's turn begins and ends, and what the server then does by itself."""

    type: str = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 200
    idle_timeout_ms: int | None = None
    eagerness: str = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    def shown(self, *, idle: bool) -> dict[str, Any]:
        """As it stands in a session object; the beta knew no `idle_timeout_ms`."""
        members = asdict(self)
        names = ("type", *_MEMBERS[self.type], *_COMMON)
        return {name: members[name] for name in names if idle or name != "idle_timeout_ms"}


def read(value: object, param: str, *, silence_ms: int) -> TurnDetection | None:
    """What a client asked for; members that are missing take their defaults."""
    if value is None:
        return None
    members = checks.record(value, param)
    kind = checks.one_of(checks.required(members, "type", f"{param}."), f"{param}.type", _MEMBERS)
    checks.only(members, ("type", *_MEMBERS[kind], *_COMMON), f"{param}.")
    read_members = {name: _member(name, each, f"{param}.{name}") for name, each in members.items()}
    return TurnDetection(**{"silence_duration_ms": silence_ms, **read_members})


def _member(name: str, value: object, param: str) -> Any:
    match name:
        case "type":
            return value
        case "threshold":
            return checks.number(value, param, 0.0, 1.0)
        case "eagerness":
            return checks.one_of(value, param, EAGERNESS)
        case "create_response" | "interrupt_response":
            return checks.flag(value, param)
        case "idle_timeout_ms":
            return None if value is None else checks.integer(value, param, 5_000, 30_000)
        case _:
            return checks.integer(value, param, 0, 10_000)

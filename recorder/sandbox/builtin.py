"""The scripts that come with the sandbox: small talk, and the call of `recorder demo`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from recorder.sandbox.script import Answer, Call, Heard, Item, Say, Script, When
from recorder.sandbox.signals import Clip
from recorder.sandbox.voices import TEXTS

WEATHER, ORDER = "get_weather", "order_status"
"""Functions that the sandbox calls where a client declares them."""


def said(clip: str) -> Say:
    """A message that one of the clips says."""
    return Say(TEXTS[clip], (Clip(clip),))


def _always(*items: Item, when: When | None = None) -> Answer:
    return Answer(items=items, when=when or When(), times=None)


_CALL_ORDER = Call(ORDER, {"order_id": "427"})
_CALL_WEATHER = Call(WEATHER, {"city": "London"})

SMALL_TALK = Script(
    name="small talk",
    answers=(
        _always(said("assistant_check"), _CALL_ORDER, when=When(tool=ORDER, contains="order")),
        _always(_CALL_WEATHER, when=When(tool=WEATHER, contains="weather")),
        # A voice says nothing that the sandbox understands: its second turn calls the function.
        _always(_CALL_ORDER, when=When(tool=ORDER, turn=2, modality="audio")),
        _always(_CALL_WEATHER, when=When(tool=WEATHER, turn=2, modality="audio")),
        _always(Say("Here is what I found: {output}"), when=When(after_tool="*", modality="text")),
        _always(said("assistant_weather"), when=When(after_tool=WEATHER)),
        _always(said("assistant_order"), when=When(after_tool="*")),
        _always(said("assistant_hello"), when=When(contains="hello")),
        _always(said("assistant_hours"), when=When(contains="open")),
        _always(said("assistant_order"), when=When(contains="order")),
        _always(said("assistant_returns"), when=When(contains="back")),
        _always(said("assistant_how"), when=When(contains="how")),
        _always(Say("You said: {user}"), when=When(modality="text")),
        _always(said("assistant_hello"), when=When(turn=1)),
    ),
    otherwise=tuple(
        _always(said(f"assistant_{name}")) for name in ("hours", "returns", "how", "hello")
    ),
)
"""Answers a few words that it knows, says the rest back as text, talks on in voice."""


@dataclass(frozen=True, slots=True)
class CallerLine:
    """What the caller of the demo says, and when."""

    clip: str
    pause_ms: int = 100
    """After all that the assistant said was played."""
    over_ms: int | None = None
    """Instead: so long after the answer began to be played, over it."""


DEMO_CALLER = (
    CallerLine("caller_hours"),
    CallerLine("caller_order"),
    CallerLine("caller_returns"),
    CallerLine("caller_how"),
    CallerLine("caller_stop", over_ms=800),
)
"""The demo's caller: a question, a function call, a slow turn, and an answer talked over."""

DEMO_TOOLS: tuple[Mapping[str, Any], ...] = (
    MappingProxyType(
        {
            "type": "function",
            "name": ORDER,
            "description": "Where an order is and when it arrives.",
            "parameters": {
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "required": ["order_id"],
            },
        }
    ),
)
DEMO_TOOL_OUTPUT = '{"status": "shipped", "arrives": "Thursday"}'
DEMO_TOOL_MS = 300
"""How long the demo's application takes to answer the call."""

DEMO_REACTION_MS = 900
"""How long it goes on playing when the caller talks over it: its mistake."""

DEMO = Script(
    name="demo",
    answers=(
        Answer(items=(said("assistant_hours"),)),
        Answer(items=(said("assistant_check"), _CALL_ORDER)),
        Answer(items=(said("assistant_order"),), when=When(after_tool=ORDER)),
        Answer(
            items=(replace(said("assistant_returns"), first_delta_ms=2400, first_audio_ms=2500),)
        ),
        # Still being generated when the caller talks over it, and far ahead of what is played.
        Answer(items=(replace(said("assistant_how"), speed=2.2, chunks_ms=(100, 200)),)),
    ),
    otherwise=(Answer(items=(replace(said("assistant_bye"), lead_silence_ms=120),), times=None),),
    heard=tuple(
        Heard(text=TEXTS[line.clip], delay_ms=delay_ms)
        for line, delay_ms in zip(DEMO_CALLER, (350, 900, 300, 400, 250), strict=True)
    ),
)
"""About 14 s: see `DEMO_CALLER` for what is said to it."""

SCRIPTS: Mapping[str, Script] = MappingProxyType({"small-talk": SMALL_TALK, "demo": DEMO})
"""By the names that the command line has for them."""

"""What is asked for instead of what was recorded: model, voice, instructions, turn detection.

Laws:

1. The first configuration of the run holds all overrides; later ones of the recording are
   changed only in what they state themselves.
2. Overrides are said in the shape that the endpoint has, GA or beta.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..dialects.reading import mapping
from ..replaying import causes

if TYPE_CHECKING:
    from .nouns import JSON, Options

_ABSENT: Final = object()


def overrides(options: Options, *, beta: bool) -> JSON:
    """The session object that asks for what is to be otherwise; empty where nothing is."""
    session: JSON = {}
    heard: JSON = {}
    spoken: JSON = {}
    if options.model is not None:
        session["model"] = options.model
    if options.instructions is not None:
        session["instructions"] = options.instructions
    if options.vad is not None:
        kind = None if options.vad == "none" else {"type": f"{options.vad}_vad"}
        (session if beta else heard)["turn_detection"] = kind
    if options.voice is not None:
        (session if beta else spoken)["voice"] = options.voice
    audio = {name: part for name, part in (("input", heard), ("output", spoken)) if part}
    if audio:
        session["audio"] = audio
    return merged(session, options.session)


def first_update(session: JSON, over: JSON, *, beta: bool) -> JSON:
    """The session object of the first configuration: all overrides laid over it.

    The model is in the URL; beside it, it is stated only where the recording stated it.
    """
    over = over if "model" in session else {n: v for n, v in over.items() if n != "model"}
    found = merged(session, over)
    return found if beta or not found else {"type": "realtime", **found}


def later(kind: str, body: JSON, over: JSON) -> JSON:
    """A later event of the recording, overridden in what it states itself."""
    if not over:
        return body
    if causes.canonical(kind) == causes.UPDATE:
        return {**body, "session": _replaced(mapping(body, "session"), over)}
    if kind == causes.RESPOND and isinstance(body.get("response"), dict):
        spoken: JSON = {name: over[name] for name in ("audio", "voice") if name in over}
        return {**body, "response": _replaced(body["response"], spoken)}
    return body


def merged(base: JSON, over: Mapping[str, Any]) -> JSON:
    """Objects within are filled up; everything else is replaced."""
    found = dict(base)
    for name, value in over.items():
        old = found.get(name)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        found[name] = merged(old, value) if both and isinstance(old, dict) else value
    return found


def _replaced(members: JSON, over: JSON) -> JSON:
    """The members that both have as the override says; nothing is added."""
    found = dict(members)
    for name, value in over.items():
        old = found.get(name, _ABSENT)
        if old is _ABSENT:
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        found[name] = _replaced(old, value) if both and isinstance(old, dict) else value
    return found

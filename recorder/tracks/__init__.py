"""The sound of a session as tracks, streamed: user, assistant, both as stereo; pieces and clips.

    layout = lay_out(events)                        # one pass without audio
    write_sound("call.wav", stereo(events, layout, 24_000), 24_000, channels=2)

Laws:

1. Two passes: the first, without audio, finds where everything lies (`Layout`); the second only
   streams. Memory does not grow with the call.
2. Both channels are on the session's clock, which starts with sample 0. User audio lies where it
   was captured; the assistant's where its timeline says (`TIMELINES`).
3. What a track does not hold is told: `Layout.cuts`, `Layout.gone_ns`, `Layout.inside`.
4. Audio that was not kept, or was erased, is silence of the same length.
5. `item_audio` gives the bytes of an item exactly as they came. Positions are counted in samples.
"""

from __future__ import annotations

from .layout import TIMELINES, Cut, EventSource, Layout, Placement, lay_out, layout_of
from .pieces import (
    Piece,
    item_audio,
    item_pieces,
    response_pieces,
    stream_pieces,
    turn_pieces,
    user_audio,
)
from .streaming import TRACKS, assistant, clip, stereo, user

__all__ = [
    "TIMELINES",
    "TRACKS",
    "Cut",
    "EventSource",
    "Layout",
    "Piece",
    "Placement",
    "assistant",
    "clip",
    "item_audio",
    "item_pieces",
    "lay_out",
    "layout_of",
    "response_pieces",
    "stereo",
    "stream_pieces",
    "turn_pieces",
    "user",
    "user_audio",
]

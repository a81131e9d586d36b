"""The nouns of what was understood: the results of the projections, ready for JSON.

Everything here is frozen data. Times are nanoseconds on the session's clock (`*_ns`), lengths
of audio are nanoseconds too. `orjson.dumps` takes every one of these as it is.

Laws:

1. N/A is never 0: a `Value` without a number says why it has none.
2. Every number names its evidence: the sequence numbers of the events it was computed from.
3. What was modelled is labelled `estimated`, what an application said is `reported`, what the
   recorder saw pass is `measured`.
"""

from __future__ import annotations

from .model_conversation import ConfigChange, Conversation, Item, Part, Response, ToolCall
from .model_sound import Playback, Played, Run, Segment, Speech, Utterance
from .model_summary import (
    Closing,
    Connection,
    GapNote,
    Handshaken,
    Line,
    NoteTaken,
    Summary,
    Tokens,
    Transcript,
)
from .model_turns import (
    Cadence,
    Finding,
    Generation,
    InputCadence,
    Latency,
    Quality,
    Turn,
    TurnLatency,
    TurnQuality,
    Waterfall,
    WaterfallPart,
)
from .model_values import ESTIMATED, MEASURED, REPORTED, ErrorNote, Value, reckoned

__all__ = [
    "ESTIMATED",
    "MEASURED",
    "REPORTED",
    "Cadence",
    "Closing",
    "ConfigChange",
    "Connection",
    "Conversation",
    "ErrorNote",
    "Finding",
    "GapNote",
    "Generation",
    "Handshaken",
    "InputCadence",
    "Item",
    "Latency",
    "Line",
    "NoteTaken",
    "Part",
    "Playback",
    "Played",
    "Quality",
    "Response",
    "Run",
    "Segment",
    "Speech",
    "Summary",
    "Tokens",
    "ToolCall",
    "Transcript",
    "Turn",
    "TurnLatency",
    "TurnQuality",
    "Utterance",
    "Value",
    "Waterfall",
    "WaterfallPart",
    "reckoned",
]

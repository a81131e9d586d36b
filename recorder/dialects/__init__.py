"""What the bytes mean: `decode(event)` gives a fact, whatever dialect the message was in.

Meaning is decided event by event: a gateway may mix the beta's names with GA's in one session.
`facts` holds the meanings, `names` the names, `client`, `server`, `responses` and `own` the
decode functions, one a type. Nothing here raises on what passed, and nothing is refused: what
has no decode function is `Unknown`, and everything downstream carries it along.
"""

from __future__ import annotations

from . import client, own, responses, server
from .facts import Fact, SessionConfig
from .names import ALIASES, PASSED_ON, dialect_of
from .sound import audio_of, item_audio_of, pieces_of
from .table import KINDS, TABLES, decode

DECODERS = (client, own, responses, server)
"""The modules whose decode functions fill the table."""

__all__ = [
    "ALIASES",
    "DECODERS",
    "KINDS",
    "PASSED_ON",
    "TABLES",
    "Fact",
    "SessionConfig",
    "audio_of",
    "decode",
    "dialect_of",
    "item_audio_of",
    "pieces_of",
]

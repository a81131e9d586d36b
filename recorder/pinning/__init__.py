"""A recorded call as a cassette: a file that a test is played from, kept beside the test.

`choosing` says which events of a call are in it, `history` what stands for the turns before,
`trimming` makes it small, `sidecars` keeps its sound beside it, `cassette` writes and reads it,
`rehearsing` plays it to its own caller, and `starter` writes a test to start from.

A cassette is a file of our own JSONL (`recorder.exporters.jsonl`): it can be imported, exported
and played as any other.
"""

from __future__ import annotations

from .cassette import VERSION, Pinned, pin, read, sealed, write
from .choosing import Excerpt, Turns, choose, read_turns
from .rehearsing import rehearse

__all__ = [
    "VERSION",
    "Excerpt",
    "Pinned",
    "Turns",
    "choose",
    "pin",
    "read",
    "read_turns",
    "rehearse",
    "sealed",
    "write",
]

"""What a session can be written as: a table of formats. To add one, write a module and a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..events import Event, Session
from . import jsonl


@dataclass(frozen=True, slots=True)
class Exporter:
    """One format."""

    suffix: str
    """Of files in this format."""
    help: str
    """What it is, in a line."""
    write: Callable[[Session, Iterable[Event]], Iterator[bytes]]
    """The session in this format, in pieces."""


EXPORTERS: Final = {
    "jsonl": Exporter(".jsonl", "every event a line, byte for byte; can be imported", jsonl.lines),
}
"""By the name that people use for it."""

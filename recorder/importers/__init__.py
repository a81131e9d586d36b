"""What sessions can be imported from: a table of formats. To add one: a module and a row.

report = take_in(store, items(file, asked), asked, as_new=False)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from . import har, messages, ours
from .intake import Report, Taken, take_in
from .nouns import Asked, Damaged, File, Item, Remark, Unreadable
from .raw import HEAD, recognised, unpacked


@dataclass(frozen=True, slots=True)
class Importer:
    """One format."""

    help: str
    """What it is, in a line."""
    read: Callable[[File, Asked], Iterator[Item]]
    """The sessions of a file, each followed by its events."""
    twice: bool = False
    """The file is read twice, so it must be one that can be."""


IMPORTERS: Final = {
    "jsonl": Importer("our own export: the same session again, byte for byte", ours.read),
    "events": Importer("JSON Lines or a JSON array of events, bare or wrapped", messages.read),
    "har": Importer("a HAR file with its WebSocket messages", har.read, twice=True),
}
"""By the name that people use for it."""


def format_of(file: File) -> str:
    """The format of the file by its first bytes, a name of the table. Raises `Unreadable`."""
    head = b""
    try:
        for piece in unpacked(file()):
            head += piece
            if len(head) >= HEAD:
                break
    except Damaged:
        if not head:
            raise
    return recognised(head[:HEAD])


def items(file: File, asked: Asked, name: str | None = None) -> Iterator[Item]:
    """What the file holds, in this format or the one that it seems to be in."""
    return IMPORTERS[name or format_of(file)].read(file, asked)


__all__ = [
    "IMPORTERS",
    "Asked",
    "Damaged",
    "File",
    "Importer",
    "Item",
    "Remark",
    "Report",
    "Taken",
    "Unreadable",
    "format_of",
    "items",
    "take_in",
]

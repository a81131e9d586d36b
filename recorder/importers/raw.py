"""A file's bytes before they mean anything: unpacked, cut into lines, recognised.

Laws:

1. No more is held than one piece, one line, or `LINE_LIMIT` bytes of a line that has no end.
2. Whatever cannot be a file of events is refused by its first bytes, with what it seems to be.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from .nouns import Damaged, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one line or one JSON value; no endpoint takes longer messages."""

HEAD: Final = 65536
"""Bytes by which a format is recognised."""

PIECE: Final = 1 << 18
"""Bytes that are unpacked at once: what they unpack to is what is held."""

BOM: Final = b"\xef\xbb\xbf"

_PACKED: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
"""How gzip and zlib begin (mitmproxy packs its `.zhar` files with zlib)."""


_new: Final = tuple.__new__


class Line(NamedTuple):
    """One line, without its end."""

    number: int
    """From 1."""
    byte: int
    """Where it begins."""
    text: bytes


def unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes, unpacked where they are gzip or zlib.

    Raises `Damaged` where a packed file breaks off; what could be unpacked has been given.
    """
    pieces = iter(pieces)
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 2:
            break
    if first.startswith(_PACKED):
        yield from _inflated(first, pieces)
    else:
        yield first
        yield from pieces


def _inflated(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer, given = zlib.decompressobj(wbits=47), 0  # 47: gzip or zlib, whichever it is
    todo: bytes | None = first
    while todo is not None:
        try:
            piece = packer.decompress(todo, PIECE)
        except zlib.error as error:
            raise Damaged(f"it cannot be unpacked any further ({error})", byte=given) from None
        if piece:
            given += len(piece)
            yield piece
        todo = packer.unconsumed_tail
        if packer.eof and packer.unused_data:  # gzip files may follow each other
            todo, packer = packer.unused_data, zlib.decompressobj(wbits=47)
        elif not todo and len(piece) < PIECE:
            todo = next(pieces, None)
    if not packer.eof:
        raise Damaged("the packed file breaks off", byte=given)


def lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """The lines; the last one may lack its end. Raises `Damaged` at one that is too long."""
    number, byte = 1, 0
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for text in whole:
            if waiting:
                text = b"".join([*waiting, text])
                waiting.clear()
                size = 0
            yield _new(Line, (number, byte, text))
            number += 1
            byte += len(text) + 1
        if rest:
            waiting.append(rest)
            size += len(rest)
        if size > LINE_LIMIT:
            raise Damaged(f"a line of over {LINE_LIMIT >> 20} MiB", byte=byte, line=number)
    if waiting:
        yield Line(number, byte, b"".join(waiting))


# ---- what it is

_STRANGERS: Final = (
    (b"SQLite format 3\x00", "a database: name it with --db"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"RIFF", "a sound file: `recorder record --audio` sends it"),
    (b"OggS", "a sound file: `recorder record --audio` sends it"),
    (b"fLaC", "a sound file: `recorder record --audio` sends it"),
    (b"\xff\xfe", "UTF-16 text: convert it to UTF-8 first"),
    (b"\xfe\xff", "UTF-16 text: convert it to UTF-8 first"),
)

_OURS = re.compile(rb'\s*+\{\s*+"realtime_recorder"\s*+:')
_HAR = re.compile(rb'\s*+\{\s*+"log"\s*+:\s*+\{')
_FLOWS = re.compile(rb"\d{1,12}:\d{1,12}:")
_JSON = re.compile(rb"\s*+[\[{]")


def recognised(head: bytes) -> str:
    """The name of the format that begins with these bytes. Raises `Unreadable`."""
    head = head.removeprefix(BOM)
    if not head.strip():
        raise Unreadable("there is nothing in it")
    for begin, what in _STRANGERS:
        if head.startswith(begin):
            raise Unreadable(f"it is {what}")
    if _FLOWS.match(head):
        raise Unreadable("it is a file of mitmproxy flows: export them as HAR first")
    if b"\x00" in head.lstrip().partition(b"\n")[0]:  # later on it is damage
        raise Unreadable("it is binary, or text in another encoding than UTF-8")
    if _OURS.match(head):
        return "jsonl"
    if _HAR.match(head):
        return "har"
    if _JSON.match(head):
        return "events"
    raise Unreadable(
        f"it begins with {head.lstrip()[:20]!r}; expected JSON Lines, a JSON array, or HAR"
    )

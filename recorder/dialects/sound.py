"""The audio that a message carries, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..wire import audio_bytes, cuts_of, parse
from .reading import base64_bytes, mapping, sequence

if TYPE_CHECKING:
    from ..events import Event


def audio_of(event: Event, key: str) -> bytes | None:
    """The audio that stood at the top level under `key` (`audio` or `delta`).

    None where it was not read or is gone; its length is still in the fact. Base64 that was too
    odd to be cut out is decoded leniently.
    """
    if audio_bytes(event) is not None:
        return event.audio
    return base64_bytes(parse(event).get(key))


def pieces_of(event: Event) -> list[bytes] | None:
    """The pieces of audio that were cut out of the message, in order; None where they are gone."""
    if event.audio is None:
        return None
    pieces, begin = [], 0
    for _, size in cuts_of(event):
        pieces.append(event.audio[begin : begin + size])
        begin += size
    return pieces


def item_audio_of(event: Event) -> bytes | None:
    """All audio in the content of the message's item, in order; None where it is gone.

    What was cut out of the message stands in it as empty strings. Base64 that was too odd for
    that is decoded leniently.
    """
    cut = pieces_of(event)
    if cut is None and cuts_of(event):
        return None
    rest = iter(cut or ())
    pieces = []
    for part in sequence(mapping(parse(event), "item"), "content"):
        text = part.get("audio") if isinstance(part, dict) else None
        if isinstance(text, str):
            pieces.append(base64_bytes(text) if text else next(rest, b""))
    return b"".join(pieces)

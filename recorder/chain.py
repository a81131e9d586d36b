"""The digest chain over committed groups: was the log changed since it was written?

The digest of a group is SHA-256 over the digest of the group before it (of 32 zero bytes for
the first), the envelopes of its events as compact JSON, their heads, and the SHA-256 of each
piece of audio. Audio enters by its digest, so the chain still holds after audio was erased: the
tombstone keeps that digest. It shows damage and careless edits; whoever can rewrite the whole
file can also rewrite the chain.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson

from .wire import tombstone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .events import Event

GENESIS = bytes(32)
"""What the first group of every session follows."""


def audio_digests(pieces: Iterable[bytes | None]) -> list[bytes]:
    """SHA-256 of every piece that is there, in order."""
    return [hashlib.sha256(piece).digest() for piece in pieces if piece is not None]


def group_digest(
    previous: bytes, events: Sequence[Event], audio: Sequence[bytes] | None = None
) -> bytes:
    """The digest of one group of events that follows `previous`.

    `audio` are the digests of their audio where these are known already.
    """
    seqs, ats, origins, types, opcodes, heads, metas, pieces = zip(*events, strict=True)
    envelope = orjson.dumps(
        [seqs[0], ats, bytes(origins).hex(), types, bytes(opcodes).hex(), metas, [*map(len, heads)]]
    )
    total = hashlib.sha256(previous)
    total.update(envelope)
    total.update(b"".join(heads))
    total.update(b"".join(audio_digests(pieces) if audio is None else audio))
    return total.digest()


def as_appended(events: Sequence[Event]) -> tuple[list[Event], list[bytes]]:
    """The events and audio digests as they were when appended, before any erasure."""
    originals, digests = [], []
    for event in events:
        stone = tombstone(event)
        if stone and "sha256" in stone:
            meta = orjson.loads(event.meta or "{}")
            del meta["tombstone"]
            originals.append(event._replace(meta=orjson.dumps(meta).decode()))
            digests.append(bytes.fromhex(stone["sha256"]))
            continue
        originals.append(event)
        digests += audio_digests([event.audio])
    return originals, digests

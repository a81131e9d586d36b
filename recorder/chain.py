"""The digest chain over committed groups: was the log changed since it was written?

The digest of a group is SHA-256 over the digest of the group before it (for the first: over the
facts of its session), the envelopes of its events, their heads, and the SHA-256 of each piece of
audio. Audio enters by its digest, so the chain still holds after audio was
erased: the tombstone keeps that digest.

It shows damage and careless edits. It cannot show that the last groups are missing altogether,
and whoever can rewrite the whole file can also rewrite the chain.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .events import Event, Session


def genesis(session: Session) -> bytes:
    """What the first group of a session follows: a digest of everything its row says."""
    facts = [
        session.id, session.wall_ns, session.mono_ns, session.kind, session.vantage, session.url,
        session.model, session.call, session.capture, session.headers, session.recorder,
        dict(session.versions), dict(session.labels),
    ]  # fmt: skip
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).digest()


def group_digest(previous: bytes, events: Sequence[Event]) -> bytes:
    """The digest of one group of events that follows `previous`."""
    return columns_digest(previous, tuple(zip(*events, strict=True)))


def columns_digest(previous: bytes, columns: tuple[Any, ...]) -> bytes:
    """The same of a group that is at hand by columns, in the order of `Event`."""
    seqs, ats, origins, types, opcodes, heads, metas, audios = columns
    sha256 = hashlib.sha256
    digests = [b"" if audio is None else sha256(audio).digest() for audio in audios]
    if '"sha256"' in "".join(filter(None, metas)):
        metas, digests = _as_appended(metas, digests)
    total = sha256(previous)
    total.update(orjson.dumps([seqs[0], ats, types, metas, [*map(len, heads)]]))
    total.update(bytes(origins) + bytes(opcodes) + bytes(map(len, digests)))
    total.update(b"".join(heads))
    total.update(b"".join(digests))
    return total.digest()


def _as_appended(
    metas: Sequence[str | None], digests: Sequence[bytes]
) -> tuple[list[str | None], list[bytes]]:
    """The metas and audio digests as they were before any audio was erased.

    A tombstone of audio that was erased has its digest; one that came with the event has none.
    """
    whole, known = list(metas), list(digests)
    for index, meta in enumerate(metas):
        members = orjson.loads(meta) if meta and '"sha256"' in meta else {}
        if "sha256" in (members.get("tombstone") or {}):
            known[index] = bytes.fromhex(members.pop("tombstone")["sha256"])
            whole[index] = orjson.dumps(members).decode()
    return whole, known

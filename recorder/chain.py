"""The digest chain over committed groups: was the log changed since it was written?

The digest of a group is SHA-256 over the digest of the group before it (for the first: over the
facts of its session), the envelopes of its events as compact JSON, their heads, and the SHA-256
of each piece of audio. Audio enters by its digest, so the chain still holds after audio was
erased: the tombstone keeps that digest.

It shows damage and careless edits. It cannot show that the last groups are missing altogether,
and whoever can rewrite the whole file can also rewrite the chain.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

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


def audio_digests(events: Sequence[Event]) -> list[bytes]:
    """For each event the SHA-256 of its audio, erased or not; empty where it has none."""
    return [
        _erased(event.meta) if event.audio is None else hashlib.sha256(event.audio).digest()
        for event in events
    ]


def group_digest(
    previous: bytes, events: Sequence[Event], audio: Sequence[bytes] | None = None
) -> bytes:
    """The digest of one group of events that follows `previous`.

    `audio` is what `audio_digests` gives, where that is known already.
    """
    digests = audio_digests(events) if audio is None else audio
    seqs, ats, origins, types, opcodes, heads, metas, _ = zip(*events, strict=True)
    envelope = [
        seqs[0],
        ats,
        bytes(origins).hex(),
        types,
        bytes(opcodes).hex(),
        [*map(_as_appended, metas)],
        [*map(len, heads)],
        bytes(map(len, digests)).hex(),
    ]
    total = hashlib.sha256(previous)
    total.update(orjson.dumps(envelope))
    total.update(b"".join(heads))
    total.update(b"".join(digests))
    return total.digest()


def _as_appended(meta: str | None) -> str | None:
    """The meta as it was before its audio was erased."""
    if meta is None or '"tombstone"' not in meta or not _erased(meta):
        return meta
    whole = orjson.loads(meta)
    del whole["tombstone"]
    return orjson.dumps(whole).decode()


def _erased(meta: str | None) -> bytes:
    """The digest that a tombstone keeps of audio that was erased; empty where there is none."""
    if meta is None or '"tombstone"' not in meta:
        return b""
    stone = orjson.loads(meta).get("tombstone") or {}
    return bytes.fromhex(stone.get("sha256", ""))

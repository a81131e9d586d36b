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
    digests = audio_digests(audios, metas)
    envelope = orjson.dumps([seqs[0], ats, types, _as_appended(metas), [*map(len, heads)]])
    total = hashlib.sha256(previous)
    total.update(envelope)
    total.update(bytes(origins) + bytes(opcodes) + bytes(map(len, digests)))
    total.update(b"".join(heads))
    total.update(b"".join(digests))
    return total.digest()


def audio_digests(audios: Sequence[bytes | None], metas: Sequence[str | None]) -> list[bytes]:
    """For each event the SHA-256 of its audio, erased or not; empty where it has none."""
    sha256 = hashlib.sha256
    digests = [b"" if audio is None else sha256(audio).digest() for audio in audios]
    if _any_erased(metas):
        for index, meta in enumerate(metas):
            if meta and audios[index] is None:
                digests[index] = _erased(meta)
    return digests


def _as_appended(metas: Sequence[str | None]) -> Sequence[str | None]:
    """The metas as they were before any audio was erased."""
    if not _any_erased(metas):
        return metas
    whole = []
    for meta in metas:
        if meta and _erased(meta):
            members = orjson.loads(meta)
            del members["tombstone"]
            meta = orjson.dumps(members).decode()
        whole.append(meta)
    return whole


def _any_erased(metas: Sequence[str | None]) -> bool:
    return '"sha256"' in "".join(filter(None, metas))


def _erased(meta: str) -> bytes:
    """The digest that a tombstone keeps of audio that was erased; empty where there is none."""
    if '"sha256"' not in meta:
        return b""
    stone = orjson.loads(meta).get("tombstone") or {}
    return bytes.fromhex(stone.get("sha256", ""))

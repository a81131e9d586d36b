"""Importing in tests: files as bytes, into a store in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from recorder import wire
from recorder.events import Event, Origin, Session, new_session_id
from recorder.importers import Asked, Report, items, take_in
from recorder.importers.nouns import File, Item
from recorder.store import MemoryStore

WALL_NS = 1_760_000_000_000_000_000
"""A day in October 2025."""

_count = itertools.count(1)


def asked(**said: Any) -> Asked:
    """What the person says, and nothing of it twice."""

    def new_id(wall_ns: int) -> str:
        return new_session_id(wall_ns, next(_count).to_bytes(10, "big"))

    return Asked(**{"name": "file", "wall_ns": WALL_NS, "new_id": new_id, **said})


def file_of(data: bytes, size: int = 1000) -> File:
    """A file with these bytes, read in pieces of this size."""

    def pieces() -> Iterator[bytes]:
        yield from (data[at : at + size] for at in range(0, len(data), size))

    return pieces


def read_items(data: bytes, size: int = 1000, **said: Any) -> list[Item]:
    """All that a file gives. Raises as importers do."""
    return list(items(file_of(data, size), asked(**said)))


def messages(found: list[Item]) -> list[tuple[str, bytes]]:
    """(who, message) of all messages, without what the import itself noted."""
    events = [item for item in found if isinstance(item, Event)]
    return [(e.origin.name.lower(), wire.join(e)) for e in events if e.origin != Origin.RECORDER]


def times_ms(found: list[Item]) -> list[float]:
    """When each message passed."""
    events = [item for item in found if isinstance(item, Event)]
    return [event.at_ns / 1e6 for event in events if event.origin != Origin.RECORDER]


def sessions(found: list[Item]) -> list[Session]:
    """The sessions among these."""
    return [item for item in found if isinstance(item, Session)]


def json_lines(*records: Any) -> bytes:
    """One JSON value a line."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


@dataclass
class Imported:
    """A file in a store."""

    report: Report
    store: MemoryStore = field(default_factory=MemoryStore)

    @property
    def id(self) -> str:
        return self.report.taken[0].session.id

    @property
    def events(self) -> list[Event]:
        return list(self.store.read(self.id))

    def source(self, audio: bool) -> Iterator[Event]:
        """Of the first session, as projections take it."""
        return self.store.read(self.id, audio=audio)


def imported(
    data: bytes, store: MemoryStore | None = None, *, as_new: bool = False, **said: Any
) -> Imported:
    """Import a file with these bytes."""
    store = store or MemoryStore()
    given = asked(**said)
    report = take_in(store, items(file_of(data), given), given, as_new=as_new)
    return Imported(report, store)

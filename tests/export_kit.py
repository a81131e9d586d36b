"""What tests of exports share: sessions as sources, and what was written of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from recorder.events import Event, Session
from recorder.exporters import EXPORTERS, Source
from recorder.sharing import Sharing
from recorder.store import MemoryStore
from tests import talks
from tests.log_kit import session


def stored(*fills: Any) -> MemoryStore:
    """A store with these sessions."""
    store = MemoryStore()
    for seed, fill in enumerate(fills, 1):
        fill(store, seed=seed, wall_ns=talks.NOW + (seed - 1) * 20 * talks.SECOND)
    return store


def sources(store: MemoryStore, *, share: str = "full") -> list[Source]:
    """All sessions of the store."""
    sharing = Sharing() if share == "metadata" else None

    def source(name: str, facts: Session) -> Source:
        return Source(facts, lambda audio: store.read(name, audio=audio), sharing=sharing)

    return [source(facts.id, facts) for facts in store.sessions()]


def of_events(events: Sequence[Event], **facts: Any) -> Source:
    """A session with these events."""

    def read(audio: bool) -> Sequence[Event]:
        return events if audio else [event._replace(audio=None) for event in events]

    return Source(session(1, **facts), read)


def written(form: str, *what: Source) -> bytes:
    """The file in this format."""
    file = io.BytesIO()
    EXPORTERS[form].write(iter(what), file)
    return file.getvalue()

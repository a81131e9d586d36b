"""Adding a fact to a session that is over: a note, a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recorder.errors import SequenceConflict
from recorder.recording import Recorder

if TYPE_CHECKING:
    from recorder.events import Session
    from recorder.store import EventStore

TRIES: Final = 5
"""How often somebody else may have been first."""


def append_fact(store: EventStore, session: Session, kind: str, fields: dict[str, Any]) -> int:
    """Append an event of type `recorder.KIND` after the last one; its number.

    Only to a session that is over: one that is being recorded belongs to its recorder alone.
    """
    for _ in range(TRIES):
        recorder = Recorder(session)
        recorder.last_seq = store.last_seq(session.id)
        recorder.last_at = last_at(store, session, recorder.last_seq)
        event = recorder.note(kind, recorder.last_at, fields)
        try:
            store.append([(session.id, [event])])
        except SequenceConflict as error:
            conflict = error
        else:
            return event.seq
    raise conflict


def last_at(store: EventStore, session: Session, last_seq: int) -> int:
    """When the session's last event was; 0 where it has none."""
    found = store.read(session.id, after=last_seq - 1, audio=False, limit=1)
    return next((event.at_ns for event in found), 0)

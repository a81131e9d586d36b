"""Adding a fact to a session that is over: a note, a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.errors import UsageError
from recorder.sql.afterwards import append_fact, last_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorder.events import Session

    from .shared import Shared

__all__ = ["append_fact", "last_at", "refuse_live", "refuse_live_ones"]


def refuse_live(shared: Shared, session: Session, instead: str) -> None:
    """A session that is being recorded belongs to its recorder alone. Raises `UsageError`."""
    if shared.views.is_live(session.id):
        name = shared.directory.tail(session.id)
        raise UsageError(f"session {name} is being recorded right now; {instead}")


def refuse_live_ones(shared: Shared, sessions: Sequence[Session], instead: str) -> None:
    """The same of several, before any of them is changed."""
    for session in sessions:
        refuse_live(shared, session, instead)

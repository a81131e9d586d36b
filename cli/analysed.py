"""The one place where a command has a session folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .player import assumed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.events import Event, Session
    from recorder.projections import Analysis

    from .output import Report
    from .shared import Shared


def analysed(shared: Shared, session: Session) -> Analysis:
    """Everything that can be said of the session; a progress bar where that takes long."""
    from recorder.library import RecordedSession

    with shared.out.progress("reading the session") as report:
        return RecordedSession(shared.store, session).analyse(report=report, **assumed())


def reported(
    shared: Shared, session: Session, report: Report, *, audio: bool = True
) -> Iterator[Event]:
    """The session's events, reporting how far it is through them."""
    from recorder.library import RecordedSession

    return RecordedSession(shared.store, session).events.read(audio=audio, report=report)

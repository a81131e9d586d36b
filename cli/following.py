"""Watching a session that another process records: its transcript, line by line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorder.events import Session
    from recorder.projections.model import Line

    from .shared import Shared

POLL_SECONDS: Final = 0.2
LEASE_SECONDS: Final = 2.0
"""How often it is asked whether the recorder is still there, while nothing comes."""


def follow_lines(shared: Shared, session: Session, give: Callable[[Line], None]) -> None:
    """Give each line once it is final, until the session ends or its recorder is gone."""
    from recorder.projections.following import Follower

    shared.out.as_it_comes()
    follower, seq, live = Follower(), 0, True
    heard, asked = time.monotonic(), -LEASE_SECONDS
    while live:
        now = time.monotonic()
        if now - asked >= LEASE_SECONDS:
            asked, live = now, _is_live(shared, session)
        for event in shared.store.read(session.id, after=seq):
            follower.feed(event)
            seq, heard = event.seq, now
        live = live and not follower.ended
        quiet_ns = round((now - heard) * 1e9)
        for line in follower.lines(follower.last_ns + quiet_ns, over=not live):
            give(line)
        if live:
            time.sleep(POLL_SECONDS)
    if not follower.ended:
        shared.out.say("the recording stopped without a close; what there is was printed")


def _is_live(shared: Shared, session: Session) -> bool:
    """As of now: the command itself may run for hours."""
    from recorder.sql.views import Views

    return Views(shared.store, time.time_ns()).is_live(session.id)

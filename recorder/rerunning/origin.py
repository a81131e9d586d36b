"""Whose rerun a session is: kept in its labels, so it lasts as long as the session does.

    original_of(session) -> Origin | None     # Origin(session_id, turn, number, overrides)
    reruns_of(sessions, session_id) -> list[Session]
    labels_of(origin) -> dict[str, str]

Labels are fixed facts that a session is entered with: they travel with exports and imports and
need no place of their own in the log. Beside them every rerun has the tag `rerun`, so that
`recorder ls tag:rerun` finds them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..events import Session

TAG: Final = "rerun"
"""The tag that every rerun has."""

RERUN_OF: Final = "rerun_of"
RERUN_TURN: Final = "rerun_turn"
RERUN_NUMBER: Final = "rerun_number"
RERUN_OVERRIDES: Final = "rerun_overrides"


class Origin(NamedTuple):
    """What a session is the rerun of."""

    session_id: str
    """The session that was run again. A rerun of a rerun names the rerun."""
    turn: int | None = None
    """The only turn of it that was run, as `Analysis.turns` counts them; None: all of it."""
    number: int = 1
    """Which of several reruns: 1, 2, 3 …"""
    overrides: str = ""
    """What was asked for instead of what was recorded, in words; empty: nothing."""


def labels_of(origin: Origin) -> dict[str, str]:
    """The labels that a rerun is entered with."""
    labels = {RERUN_OF: origin.session_id, RERUN_NUMBER: str(origin.number)}
    if origin.turn is not None:
        labels[RERUN_TURN] = str(origin.turn)
    if origin.overrides:
        labels[RERUN_OVERRIDES] = origin.overrides
    return labels


def original_of(session: Session) -> Origin | None:
    """What the session is the rerun of; None where it is none."""
    name = session.labels.get(RERUN_OF, "")
    if not name:
        return None
    return Origin(
        name,
        _number(session.labels.get(RERUN_TURN)),
        _number(session.labels.get(RERUN_NUMBER)) or 1,
        session.labels.get(RERUN_OVERRIDES, ""),
    )


def reruns_of(sessions: Iterable[Session], session_id: str) -> list[Session]:
    """The reruns of this session among these, in the order in which they come."""
    found = ((session, original_of(session)) for session in sessions)
    return [session for session, origin in found if origin and origin.session_id == session_id]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None

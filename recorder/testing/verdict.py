"""What is said when an application did something else than the recorded one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from recorder.replaying import FREE, STRICT

if TYPE_CHECKING:
    from recorder.events import Session
    from recorder.mocking.choosing import Played
    from recorder.replaying import Outcome

_SHOWN: Final = 10
"""Lines of a kind that are told; of the rest, how many they are."""

ADVICE: Final = (
    "If the application is right, record or pin the cassette again: "
    "pytest --realtime-record=all, or recorder pin … --force."
)


POINT: Final = (
    "point it at realtime_mock.http_url (OPENAI_BASE_URL says the same while the test runs)"
)


def verdict(name: str, played: Sequence[Played], sessions: Sequence[Session], match: str) -> str:
    """What was not as it was recorded, for people; empty where all was."""
    told: list[str] = []
    got = {each.session.id for each in played}
    for number, each in enumerate(played, 1):
        lines = _of(each.outcome, match)
        if lines and len(played) > 1:
            told.append(f"connection {number}:")
        told += lines
    unplayed = [session for session in sessions if session.id not in got]
    if not played:
        return f"no client connected, so nothing of {name} was played: {POINT}"
    if unplayed and match != FREE:
        told.append(f"{len(unplayed)} of {len(sessions)} recorded sessions: nobody connected")
    if not told:
        return ""
    return "\n".join([f"not as it was recorded in {name}", "", *map(_safe, told), "", ADVICE])


def _safe(line: str) -> str:
    """The line with all that a terminal would obey made visible."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _of(outcome: Outcome, match: str) -> list[str]:
    """What one connection did otherwise, and what it left."""
    told: list[str] = []
    if match == STRICT:
        for divergence in outcome.divergences[:_SHOWN]:
            told += divergence.lines()
        if len(outcome.divergences) > _SHOWN:
            told.append(f"and {len(outcome.divergences) - _SHOWN} more")
    if match == FREE or outcome.consumed:
        return told
    if told:  # it was ended there: of course the rest is left
        return [*told, f"not played: the {sum(outcome.left.values())} server events after that"]
    if outcome.unasked:
        told.append("left: the recorded client also sent")
        told += _listed(outcome.unasked)
    if outcome.left:
        count = sum(outcome.left.values())
        told.append(f"left: {count} recorded server events were not sent, as nothing caused them")
        told += _listed([f"{number} {kind}" for kind, number in outcome.left.items()])
    return told


def _listed(lines: Sequence[str]) -> list[str]:
    told = [f"  {line}" for line in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        told.append(f"  and {len(lines) - _SHOWN} more")
    return told

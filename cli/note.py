"""`recorder note`: say something about a moment of a session, or about several sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recorder.errors import UsageError

from .shared import Shared, one_selection_argument
from .shared import command as in_table
from .text import counted, position

if TYPE_CHECKING:
    from recorder.events import Session


@in_table("note")
@one_selection_argument
@click.argument("text")
@click.option(
    "--at", metavar="TIME", help="The moment it is about: 12.5s, 850ms, 1:02; else the end."
)
def command(shared: Shared, selection: str, text: str, at: str | None) -> None:
    """The first word says which sessions, a selection of several terms in quotes. The note becomes
    an event of each, and stands in its transcript. What was recorded before stays as it is.
    """  # fmt: skip
    from recorder.selecting import parse_offset

    from .afterwards import append_fact, refuse_live_ones

    if not text.strip():
        raise UsageError("a note needs a text")
    at_ns = parse_offset(at) if at else None
    found = shared.chosen_sessions(selection, "write a note to")
    refuse_live_ones(shared, found, 'the application can say it: session.mark("note", text=\u2026)')
    moments = [_moment(shared, session, at, at_ns) for session in found]
    for session, moment in zip(found, moments, strict=True):
        seq = append_fact(shared.store, session, "note", {"text": text, "at_ns": moment})
        if len(found) == 1:
            name = shared.directory.tail(session.id)
            shared.out.say(f"session {name}: noted at {position(moment)} (event {seq})")
    if len(found) > 1:
        shared.out.say(f"noted in {counted(len(found), 'session')}")


def _moment(shared: Shared, session: Session, at: str | None, at_ns: int | None) -> int:
    """When in the session it is. Raises `UsageError` before anything was written."""
    from .afterwards import last_at

    end = last_at(shared.store, session, shared.store.last_seq(session.id))
    if at_ns is not None and at_ns > end:
        name = shared.directory.tail(session.id)
        raise UsageError(
            f"--at {at} lies after the end of the session, which is at {position(end)} "
            f"(session {name}); nothing was noted"
        )
    return end if at_ns is None else at_ns

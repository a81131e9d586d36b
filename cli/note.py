"""`recorder note`: say something about a moment of a session."""

from __future__ import annotations

import click

from recorder.errors import UsageError

from .shared import Shared
from .shared import command as in_table
from .text import position


@in_table("note")
@click.argument("session")
@click.argument("text")
@click.option(
    "--at", metavar="TIME", help="The moment it is about: 12.5s, 850ms, 1:02; else the end."
)
def command(shared: Shared, session: str, text: str, at: str | None) -> None:
    """The note becomes an event of the session, and stands in its transcript. What was recorded
    before stays as it is.
    """  # fmt: skip
    from recorder.selecting import parse_offset

    from .afterwards import append_fact, last_at, refuse_live

    if not text.strip():
        raise UsageError("a note needs a text")
    at_ns = parse_offset(at) if at else None
    found = shared.session(session)
    refuse_live(shared, found, 'the application can say it: session.mark("note", text=\u2026)')
    end = last_at(shared.store, found, shared.store.last_seq(found.id))
    if at_ns is not None and at_ns > end:
        raise UsageError(
            f"--at {at} lies after the end of the session, which is at {position(end)}"
        )
    moment = end if at_ns is None else at_ns
    seq = append_fact(shared.store, found, "note", {"text": text, "at_ns": moment})
    name = shared.directory.tail(found.id)
    shared.out.say(f"session {name}: noted at {position(moment)} (event {seq})")

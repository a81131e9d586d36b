"""`recorder tag`: mark a session for later."""

from __future__ import annotations

import click

from recorder.errors import UsageError

from .shared import Shared
from .shared import command as in_table


@in_table("tag")
@click.argument("session")
@click.argument("tags", nargs=-1, metavar="TAG...")
@click.option("--remove", is_flag=True, help="Take these tags off instead.")
def command(shared: Shared, session: str, tags: tuple[str, ...], remove: bool) -> None:
    """Tags choose sessions: `recorder ls --tag slow`. Without a TAG it prints those there are."""
    from .afterwards import append_fact, refuse_live

    words = tuple(dict.fromkeys(tag.strip() for tag in tags))
    if any(not word or len(word.split()) > 1 for word in words):
        raise UsageError("a tag is one word without spaces")
    found = shared.session(session)
    if words:
        refuse_live(shared, found, "its tags are given when it is begun")
        fields = {"add": [], "remove": words} if remove else {"add": words, "remove": []}
        append_fact(shared.store, found, "tag", fields)
    for tag in shared.views.row(found.id).tags:
        shared.out.line(tag)

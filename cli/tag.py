"""`recorder tag`: mark sessions for later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recorder.errors import UsageError

from .shared import Shared, one_selection_argument
from .shared import command as in_table
from .text import counted

if TYPE_CHECKING:
    from recorder.events import Session


@in_table("tag")
@one_selection_argument
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", is_flag=True, help="Take these tags off instead.")
def command(shared: Shared, selection: str, tags: tuple[str, ...], remove: bool) -> None:
    """The first word says which sessions, a selection of several terms in quotes; the others are
    tags. Tags choose sessions: `recorder ls tag:slow`. Without a TAG it prints those there are.
    """  # fmt: skip
    from .afterwards import append_fact, refuse_live_ones

    words = _checked(tags)
    found = shared.chosen_sessions(selection, "tag")
    if words:
        refuse_live_ones(shared, found, "its tags are given when it is begun")
        fields = {"add": [], "remove": words} if remove else {"add": words, "remove": []}
        with shared.out.progress("tagging") as report:
            for done, session in enumerate(found, 1):
                append_fact(shared.store, session, "tag", fields)
                report(done, len(found))
    _tell(shared, found, bool(words))


def _checked(tags: tuple[str, ...]) -> list[str]:
    from recorder.selecting import is_term

    words = list(dict.fromkeys(tag.strip() for tag in tags))
    if any(not word or len(word.split()) > 1 for word in words):
        raise UsageError("a tag is one word without spaces")
    for word in filter(is_term, words):
        raise UsageError(
            f"{word} would choose sessions, and is no tag; put the whole selection in one pair of "
            "quotes: recorder tag 'since:7d status:interrupted' to-check"
        )
    return words


def _tell(shared: Shared, found: list[Session], changed: bool) -> None:
    if len(found) == 1:
        for tag in shared.views.row(found[0].id).tags:
            shared.out.line(tag)
    elif changed:
        shared.out.say(f"tags of {counted(len(found), 'session')} changed")
    else:
        for session in found:
            tags = " ".join(shared.views.row(session.id).tags)
            shared.out.line(f"{session.id}  {tags}")

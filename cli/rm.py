"""`recorder rm`: take sessions away for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from recorder.errors import UsageError

from .output import Column
from .shared import Shared, filter_options, selection_argument
from .shared import command as in_table
from .text import counted, iso

if TYPE_CHECKING:
    from recorder.sql.entries import Entry

_COLUMNS: Final = (
    Column("id"),
    Column("when"),
    Column("events", right=True),
    Column("model", least=8),
    Column("call", least=5, optional=True),
)


@in_table("rm")
@selection_argument
@filter_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(shared: Shared, selection: tuple[str, ...], yes: bool) -> int:
    """It shows what would go, and asks. A call label means all sessions of the call; without a
    selection nothing is removed.

    Nothing of them stays: events, audio, what was derived from them, and the bytes on disk.
    """  # fmt: skip
    doomed = shared.chosen_entries(selection, "remove")
    if not doomed:
        shared.out.say("no session is meant; nothing was removed")
        return 0
    _show(shared, doomed)
    _refuse_live(shared, doomed)
    if not yes:
        _ask(len(doomed))
    return _remove(shared, doomed)


def _show(shared: Shared, doomed: list[Entry]) -> None:
    name = shared.directory.tail if shared.out.terminal else str
    rows = [(name(e.id), iso(e.wall_ns), f"{e.last_seq:,}", e.model, e.call) for e in doomed]
    shared.out.table(_COLUMNS, rows)


def _refuse_live(shared: Shared, doomed: list[Entry]) -> None:
    live = [shared.directory.tail(e.id) for e in doomed if shared.views.is_live(e.id)]
    if live:
        raise UsageError(
            f"being recorded right now: {', '.join(live)}; end these first. Nothing was removed"
        )


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask; add --yes to remove them. Nothing was removed")
    if not click.confirm(f"Remove {counted(count, 'session')} for good?", err=True):
        raise UsageError("nothing was removed")


def _remove(shared: Shared, doomed: list[Entry]) -> int:
    from recorder.sql.erasing import free_pages

    with shared.out.progress("removing") as report:
        for done, entry in enumerate(doomed, 1):
            shared.store.remove(entry.id)
            report(done, len(doomed))
    shared.out.say(f"removed {counted(len(doomed), 'session')}")
    if free_pages(shared.store):
        return 0
    shared.out.say(
        "Another process is using the database, so the bytes are still in its write-ahead log. "
        "They go when the last of them closes it, or with the next `recorder rm`."
    )
    return 1

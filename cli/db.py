"""`recorder db`: the database itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import Column
from .shared import Selecting, Shared, global_options, json_option, selection_argument
from .table import COMMANDS
from .text import counted, iso, size

if TYPE_CHECKING:
    from recorder.sql.opening import Location

_ROW = COMMANDS["db"]


@click.group("db", help=_ROW.help, short_help=_ROW.help,
             epilog=f"\b\nFor example:\n  {_ROW.example}")  # fmt: skip
@global_options
def command() -> None:
    """The group."""


@command.command(epilog='\b\nFor example:\n  sqlite3 "$(recorder db path)" .tables')
@global_options
@click.pass_obj
def path(shared: Shared) -> None:
    """Print where the database is, whether it is there or not."""
    from recorder.sql.opening import locate

    shared.out.line(str(locate(shared.db, shared.environ)))


@command.command(cls=Selecting, epilog="\b\nFor example:\n  recorder db verify since:7d")
@selection_argument
@global_options
@click.pass_obj
def verify(shared: Shared, selection: tuple[str, ...]) -> int:
    """Check that every event is as it was recorded; of all sessions where none is chosen.

    It computes the digests of all groups of events again and compares them. Damage is named,
    and ends it with exit code 1.
    """
    from recorder.errors import StoreError

    with shared.out.progress("reading sessions") as report:
        entries = shared.views.entries(shared.selection(selection), report)
    names = [entry.id for entry in entries]
    damaged = events = 0
    with shared.out.progress("verifying") as report:
        for done, name in enumerate(names, 1):
            try:
                events += shared.store.verify(name)
            except StoreError as error:
                damaged += 1
                shared.out.say(f"DAMAGED {error}")
            report(done, len(names))
    if damaged:
        shared.out.say(f"{damaged} of {counted(len(names), 'session')} damaged")
        return 1
    shared.out.line(f"{counted(events, 'event')} of {counted(len(names), 'session')}: as recorded")
    return 0


@command.command(epilog="\b\nFor example:\n  recorder db info --json")
@json_option
@global_options
@click.pass_obj
def info(shared: Shared, as_json: bool) -> None:
    """Print what the database is and what it holds."""
    facts = _facts(shared)
    if as_json:
        shared.out.json(facts)
        return
    shown = {
        "size_bytes": lambda v: size(v),
        "wal_bytes": lambda v: size(v),
        "free_bytes": lambda v: size(v),
        "page_bytes": lambda v: size(v),
        "sessions": lambda v: f"{v:,}",
        "events": lambda v: f"{v:,}",
    }
    rows = [
        (name.removesuffix("_bytes").replace("_", " "), shown.get(name, str)(value))
        for name, value in facts.items()
        if value is not None
    ]
    shared.out.table((Column("what"), Column("is", least=20)), rows)


def _facts(shared: Shared) -> dict[str, str | int | None]:
    from recorder.sql.schema import HEAD

    store, entries = shared.store, shared.views.entries()
    times = [entry.wall_ns for entry in entries]
    return {
        "database": str(store.location),
        **_file_facts(store.location),
        **shared.views.engine_facts(),
        "revision": HEAD,
        "sessions": len(entries),
        "events": sum(entry.last_seq for entry in entries),
        "oldest": iso(min(times)) if times else None,
        "newest": iso(max(times)) if times else None,
    }


def _file_facts(location: Location) -> dict[str, str | int | None]:
    file = location.path
    if file is None:
        return {}
    wal = Path(f"{file}-wal")
    return {
        "size_bytes": os.stat(file).st_size,
        "wal_bytes": wal.stat().st_size if wal.exists() else 0,
        "mode": f"{os.stat(file).st_mode & 0o777:04o}",
    }


@command.command(epilog="\b\nFor example:\n  recorder db rebuild --jobs 2")
@click.option("--drop", is_flag=True, help="Only take them away; who first asks builds them again.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many processes at once; else as many as there are processors.",
)
@global_options
@click.pass_obj
def rebuild(shared: Shared, drop: bool, jobs: int | None) -> None:
    """Build the read models again: what lists, selections, reports and the search for ids and
    words keep beside the log. What the pages of `recorder ui` keep is taken away; whoever opens
    one makes it again.

    It may be stopped at any time: what was built stays, and who first asks builds the rest.
    """  # fmt: skip
    if drop:
        shared.views.drop()
        shared.out.say("the read models were taken away")
        return
    with shared.out.progress("reading sessions") as report:
        done = shared.views.rebuild(report, jobs or _processors())
    shared.out.say(f"the read models of {counted(done, 'session')} were built again")


def _processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

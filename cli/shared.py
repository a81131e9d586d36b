"""What all commands share: the global options, the database, and finding a session."""

from __future__ import annotations

import inspect
import os
import shlex
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from recorder.errors import UsageError

from .output import Out
from .table import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recorder.events import Session
    from recorder.selecting import Directory, Filter, Moment
    from recorder.sql.opening import Durability, Location
    from recorder.sql.store import SqlStore
    from recorder.sql.views import Views

DURABILITIES: Final = ("full", "normal")


class Shared:
    """The global options, and what is opened on first use. It is every command's `ctx.obj`."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.db: str | None = None
        self.durability: Durability = "full"
        self.color = not self.environ.get("NO_COLOR")
        self.debug = bool(self.environ.get("RECORDER_DEBUG"))
        self.now_ns = time.time_ns()
        """Wall clock: one moment for the whole command."""
        self._opened = False

    @cached_property
    def out(self) -> Out:
        """Where answers and remarks go."""
        return Out(color=self.color)

    @cached_property
    def store(self) -> SqlStore:
        """The database, which must be there. Raises `UsageError` where it is not."""
        return self.open_store(create=False)

    def location(self) -> Location:
        """Where the database is; says so on stderr, if that was not obvious."""
        from recorder.sql.opening import locate

        location = locate(self.db, self.environ)
        if not location.obvious:
            self.out.say(f"database: {location} (from RECORDER_DB)")
        return location

    def open_store(self, *, create: bool = True) -> SqlStore:
        """The database, made where it is missing unless `create` says otherwise."""
        from recorder.sql.store import SqlStore

        return SqlStore.open(self.location(), durability=self.durability, create=create)

    @cached_property
    def views(self) -> Views:
        """The read models of the database."""
        from recorder.sql.views import Views

        return Views(self.store, self.now_ns)

    @cached_property
    def directory(self) -> Directory:
        """Every session there is, by everything that people call them."""
        from recorder.selecting import Directory

        return Directory(self.views.known(), self.find)

    @property
    def db_option(self) -> str:
        """What a command that is proposed needs, so that it finds the same database.

        A password in its URL is not repeated: it has to be filled in again.
        """
        if not self.db:
            return ""
        from recorder.sql.opening import locate

        url = locate(self.db, {}).url
        shown = url.render_as_string(hide_password=True) if url.password else self.db
        return f" --db {shlex.quote(shown)}"

    def find(self, server_id: str) -> list[str]:
        """The sessions in which an id of the server stands."""
        with self.out.progress("reading sessions") as report:
            return self.views.find(server_id, report)

    @property
    def moment(self) -> Moment:
        """What `7d` and `today` are relative to."""
        from recorder.selecting import Moment

        return Moment(self.now_ns)

    def session(self, reference: str | None) -> Session:
        """The session that is meant; the newest where none is named."""
        found = self.store.session(self.directory.one(reference or "latest"))
        if reference is None and self.out.watched:
            self.out.say(f"session {self.directory.tail(found.id)} (the latest)")
        return found

    def close(self) -> None:
        """Let go of what was opened."""
        if store := self.__dict__.pop("store", None):
            store.close()


Function = TypeVar("Function", bound="Callable[..., Any]")


def _store_option(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep a global option, wherever it stood; the last one wins."""
    shared = context.ensure_object(Shared)
    if value is None or value is False:
        return
    match parameter.name:
        case "no_color":
            shared.color = False
        case "debug":
            shared.debug = True
        case "durability":
            shared.durability = value
        case "db":
            shared.db = value


def global_options(function: Function) -> Function:
    """The options that stand before or after the command's name."""
    kept: dict[str, Any] = {"expose_value": False, "callback": _store_option}
    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks.", **kept),
        click.option("--no-color", is_flag=True, help="No colours, on terminals too.", **kept),
        click.option(
            "--durability",
            type=click.Choice(DURABILITIES),
            help="What a commit survives: full, power loss too; normal, a crash of the program.",
            **kept,
        ),
        click.option(
            "--db",
            metavar="PATH-OR-URL",
            help="The database; else RECORDER_DB, else a file in your data directory.",
            **kept,
        ),
    ):
        function = option(function)
    return function


def command(
    name: str, cls: type[click.Command] = click.Command
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function the command of this row of the table.

    The row's help comes first, then the function's docstring, then the row's example. The
    function gets the `Shared` first. What it returns is the exit code; None is 0.
    """
    row = COMMANDS[name]

    def make(function: Callable[..., Any]) -> click.Command:
        more = inspect.cleandoc(function.__doc__ or "")
        return click.command(
            name,
            cls,
            help=f"{row.help}\n\n{more}",
            short_help=row.help,
            epilog=f"\b\nFor example:\n  {row.example}",
        )(global_options(click.pass_obj(function)))

    return make


session_argument = click.argument("session", required=False, metavar="[SESSION]")
"""The session to look at; `latest` where none is named."""

json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


def filter_options(function: Function) -> Function:
    """The options that choose sessions, from the table of `recorder.selecting`.

    The function gets them as one argument, `chosen`, a list of (term, word).
    """
    from recorder.selecting import TERMS

    def collect(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        words = value if isinstance(value, tuple) else () if value is None else (value,)
        pairs = context.meta.setdefault("recorder.chosen", [])
        pairs += [(str(parameter.name), word) for word in words]

    for term in reversed(list(TERMS.values())):
        function = click.option(
            f"--{term.name}",
            metavar=term.metavar,
            help=term.help,
            multiple=term.many,
            expose_value=False,
            callback=collect,
        )(function)
    return function


def chosen_filter(shared: Shared) -> Filter:
    """The filter that this command's options say. Raises `UsageError` naming option and word."""
    from recorder.selecting import make_filter

    pairs = click.get_current_context().meta.get("recorder.chosen", [])
    try:
        return make_filter(pairs, shared.moment)
    except UsageError as error:
        raise UsageError(f"--{error}") from None

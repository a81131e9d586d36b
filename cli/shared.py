"""What all commands share: the global options, the database, and finding a session."""

from __future__ import annotations

import inspect
import os
import shlex
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from recorder.errors import SessionNotFound, UsageError

from .output import Out
from .table import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recorder.events import Session
    from recorder.selecting import Directory, Moment, Selection
    from recorder.sql.entries import Entry, Row
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

    def selection(self, words: Sequence[str]) -> Selection:
        """What these words, and the options of `filter_options`, mean, looked up.

        Raises `UsageError`, `SessionNotFound`.
        """
        from recorder.selecting import Named, parse, resolved

        context = click.get_current_context(silent=True)
        options = context.meta.get("recorder.chosen", []) if context else []
        found = parse(words, self.moment, options)
        named = any(isinstance(test, Named) for need in found.needs for test in need.tests)
        return resolved(found, self.directory) if named else found

    def chosen(self, words: Sequence[str]) -> list[Row]:
        """The sessions that these words, and the options of `filter_options`, mean; oldest first.

        Without any: all of them. Raises `UsageError`, `SessionNotFound`.
        """
        selection = self.selection(words)
        with self.out.progress("reading sessions") as report:
            rows = self.views.selected(selection, report)
        return sorted(rows, key=lambda row: (row.wall_ns, row.id))

    def chosen_entries(self, words: Sequence[str], what: str) -> list[Entry]:
        """The same, oldest first, for a command that changes them: no words are no sessions.

        Nothing is folded if the words are ids and times only. Raises `UsageError` where nothing
        was chosen; `what` is what the command does.
        """
        selection = self.selection(words)
        if not selection:
            raise UsageError(
                f"say which sessions to {what}, by name or by terms such as tag:test; all that "
                "there are would be since:2000-01-01"
            )
        with self.out.progress("reading sessions") as report:
            entries = self.views.entries(selection, report)
        return sorted(entries, key=lambda entry: (entry.wall_ns, entry.id))

    def chosen_sessions(self, word: str, what: str) -> list[Session]:
        """The same as `chosen_entries`, of one word, which must mean at least one session."""
        entries = self.chosen_entries([word], what)
        if not entries:
            raise SessionNotFound(f"no session is meant by {word!r}; nothing was changed")
        return [self.store.session(entry.id) for entry in entries]

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


class Selecting(click.Command):
    """A command with a selection among its words: its help explains the language."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Words such as `-tag:test` are ours, and no options: a space before them says so."""
        from recorder.selecting import is_exclusion

        end = args.index("--") if "--" in args else len(args)
        words = [f" {word}" if is_exclusion(word) else word for word in args[:end]]
        return super().parse_args(context, words + args[end:])

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The language comes before the options."""
        from recorder.selecting import RULES, guide

        with formatter.section("Selection"):
            formatter.write_text(RULES)
            formatter.write_paragraph()
            formatter.write_dl([(line.example, line.meaning) for line in guide()])
        super().format_options(context, formatter)


def command(
    name: str, cls: type[click.Command] = click.Command
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function the command of this row of the table.

    The row's help comes first, then the function's docstring, then the row's example. The
    function gets the `Shared` first. What it returns is the exit code; None is 0.
    """
    row = COMMANDS[name]

    def make(function: Callable[..., Any]) -> click.Command:
        parameters = getattr(function, "__click_params__", ())
        selects = any(each.name == "selection" for each in parameters)
        more = inspect.cleandoc(function.__doc__ or "")
        return click.command(
            name,
            Selecting if selects and cls is click.Command else cls,
            help=f"{row.help}\n\n{more}",
            short_help=row.help,
            epilog=f"\b\nFor example:\n  {row.example}",
        )(global_options(click.pass_obj(function)))

    return make


session_argument = click.argument("session", required=False, metavar="[SESSION]")
"""The session to look at; `latest` where none is named."""

selection_argument = click.argument("selection", nargs=-1, metavar="[SELECTION]...")
"""Which sessions, in the words of `recorder.selecting`; `Shared.chosen` finds them."""

one_selection_argument = click.argument("selection", metavar="SELECTION")
"""The same in one word, or in quotes: for commands that take other words too."""

json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


def filter_options(function: Function) -> Function:
    """The options that choose sessions, as in `--since 7d`, from the table of terms.

    `Shared.chosen` takes them into account.
    """
    from recorder.selecting import TERMS

    def collect(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        pairs = context.meta.setdefault("recorder.chosen", [])
        pairs += [(str(parameter.name), word) for word in value]

    for term in reversed(list(TERMS.values())):
        function = click.option(
            f"--{term.name}",
            metavar=term.metavar,
            help=f"As {term.name}:{term.metavar} in the selection.",
            multiple=True,
            expose_value=False,
            callback=collect,
        )(function)
    return function

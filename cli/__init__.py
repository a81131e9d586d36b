"""The command line.

Exit codes: 0 fine; 1 a gate failed, or a difference or a loss was found; 2 usage, or it could
not be told; 3 the endpoint refused or failed; 130 interrupted; 141 the reader of a pipe went
away. They and the messages of errors are made here and nowhere else.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from recorder.errors import RecorderError

from .output import forget_stdout, open_missing_streams
from .shared import Shared, global_options
from .table import COMMANDS, ROWS
from .text import safe

if TYPE_CHECKING:
    from collections.abc import Callable

UNTOLD, INTERRUPTED, PIPE_CLOSED = 2, 130, 141

COMPLETION = "_RECORDER_COMPLETE"
"""Set by a shell that asks for completions: click answers it."""


class _Commands(click.Group):
    """The commands of the table, each loaded when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Its module is imported here, not before."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{COMMANDS[name].module}")
        found: click.Command = module.command
        return found

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Under the table's headings, without loading any."""
        for section in dict.fromkeys(row.section for row in ROWS):
            with formatter.section(section):
                formatter.write_dl([(r.name, r.help) for r in ROWS if r.section == section])

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name where there is no such command."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            context.fail(f"there is no command {name!r}{_nearest(name)}")
        return super().resolve_command(context, args)

    def main(  # type: ignore[override] # click's other parameters are never given here
        self,
        args: Any = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """As click's own, which would swallow a closed pipe; ends the process."""
        if not standalone_mode or COMPLETION in os.environ:
            return super().main(args, prog_name, standalone_mode=standalone_mode, **extra)
        shared = extra.setdefault("obj", Shared())
        words = list(sys.argv[1:] if args is None else args)

        def work() -> Any:
            with self.make_context(prog_name or "recorder", words, **extra) as context:
                return self.invoke(context)

        sys.exit(_guarded(shared, work))


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from importlib import metadata

        click.echo(f"recorder {metadata.version('realtime-recorder')}")
        context.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A SESSION is any unique part of its id, latest (latest~1 is the one before), a call "
    "label, or any id that the server sent. Where none is named, it is the latest.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Show the version.")  # fmt: skip
@global_options
def cli() -> None:
    """A flight recorder for Realtime voice sessions.

    It writes down every event that passes between an application and a Realtime endpoint, and
    rebuilds from that what was said, what was heard, and how long it took.
    """


def main() -> NoReturn:
    """Run the command line."""
    open_missing_streams()
    cli.main(args=sys.argv[1:] or ["--help"], prog_name="recorder")
    raise AssertionError("unreachable")


def _guarded(shared: Shared, work: Callable[[], Any]) -> int:
    """The exit code of the work; whatever goes wrong in it is told in one line on stderr."""
    try:
        result = work()
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        forget_stdout()
        return PIPE_CLOSED
    except Exception as error:
        return _told(shared, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        shared.close()
    return result if isinstance(result, int) else 0


def _told(shared: Shared, error: Exception) -> int:
    if shared.debug and not isinstance(error, click.exceptions.ClickException | click.Abort):
        _traceback(error)
    match error:
        case click.Abort():
            return INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case click.ClickException():
            _complain(error.format_message() + _where_to_look(error))
            return UNTOLD
        case RecorderError():
            _complain(str(error))
            return error.exit_code
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            _complain(f"{where}{error.strerror or error}")
            return UNTOLD
    _complain(
        f"this is a mistake in recorder itself: {type(error).__name__}: {error}\n"
        "Please report it, with what you typed and what --debug adds."
    )
    return UNTOLD


def _where_to_look(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"\n`{context.command_path} --help` shows what there is." if context else ""


def _complain(message: str) -> None:
    from recorder.secrets import redact_text

    with suppress(OSError):  # nobody can read it: the exit code has to do
        click.echo(f"recorder: {safe(redact_text(message)[0], lines=True)}", err=True)


def _traceback(error: Exception) -> None:
    import traceback

    from recorder.secrets import redact_text

    text = "".join(traceback.format_exception(error))
    click.echo(safe(redact_text(text)[0], lines=True), err=True, nl=False)

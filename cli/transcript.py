"""`recorder transcript`: what was said, of a session or of a whole call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from recorder.errors import UsageError

from .player import detector_option, player_options
from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .text import counted, one_line, position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorder.events import Session
    from recorder.projections.model import Line, Transcript

    from .output import Out

FORMATS: Final = ("txt", "md", "json", "srt", "vtt", "csv")
"""Those of `recorder.projections.RENDERERS`, which takes too long to import for a line of help."""


@in_table("transcript")
@session_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Else what the name of the output asks for, else txt. srt and vtt hold what was heard.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to; - is stdout.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only this turn.")
@click.option(
    "--follow",
    is_flag=True,
    help="Of a session that is being recorded: each line once it is final, until it ends.",
)
@detector_option
@player_options
@json_option
def command(
    shared: Shared,
    session: str | None,
    form: str | None,
    output: str | None,
    force: bool,
    turn: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """In the order in which things were said. Of an answer that was talked over, only what was
    heard stands as said (an estimate), and the rest as not heard. Speech that nobody transcribed
    is shown as its length.

    A call label gives the whole call, all its sessions as one conversation: the gaps between
    them are marked, and history that the client sent again is shown once.
    """
    form = _format(form, output, as_json)
    if follow:
        if form not in ("txt", "json") or turn or output not in (None, "-"):
            raise UsageError("--follow prints lines as they come, as txt or --json, and no file")
        _follow(shared, sessions_of(shared, session)[-1], as_json=form == "json")
        return
    found = sessions_of(shared, session)
    whole = transcript_of(shared, found)
    chosen = whole if turn is None else _of_turn(whole, turn)
    if output not in (None, "-"):
        _write(shared, Path(str(output)), chosen, form, force=force)
    else:
        _print(shared, found, chosen, form)


def _follow(shared: Shared, session: Session, *, as_json: bool) -> None:
    """The lines of a session that is being recorded, as they become final."""
    from .following import follow_lines

    def give(line: Line) -> None:
        if as_json:
            shared.out.json(line, indent=False)
        else:
            print_line(shared.out, line)

    follow_lines(shared, session, give)


def _format(form: str | None, output: str | None, as_json: bool) -> str:
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json is --format json; --format {form} was asked for as well")
    suffix = Path(output or "").suffix.lower().removeprefix(".")
    return form or ("json" if as_json else suffix if suffix in FORMATS else "txt")


def sessions_of(shared: Shared, reference: str | None) -> list[Session]:
    """The session that is meant, or all of the call that is; oldest first."""
    ids = shared.directory.all(reference or "latest")
    if len(ids) == 1:
        return [shared.session(reference)]
    found = [shared.store.session(each) for each in ids]
    return [each for each in found if each.kind != "http"] or found


def transcript_of(shared: Shared, sessions: Sequence[Session]) -> Transcript:
    """What was said in these sessions, as one conversation."""
    from recorder.projections.joining import Leg, joined

    from .analysed import analysed

    processes = shared.store.processes()
    boots = {name: process.boot_id for name, process in processes.items()}
    return joined(
        Leg(session, boots.get(session.recorder, ""), analysed(shared, session))
        for session in sessions
    )


def _of_turn(whole: Transcript, turn: int) -> Transcript:
    """The lines of one turn. Raises `UsageError` where there is no such turn."""
    if turn > whole.turns:
        what = "call" if len(whole.connections) > 1 else "session"
        raise UsageError(f"there is no turn {turn}: this {what} has {counted(whole.turns, 'turn')}")
    return replace(whole, lines=tuple(line for line in whole.lines if line.turn == turn))


def _write(shared: Shared, path: Path, transcript: Transcript, form: str, *, force: bool) -> None:
    from recorder.projections import RENDERERS

    from .private_file import write_private

    write_private(path, (piece.encode() for piece in RENDERERS[form](transcript)), force=force)
    shared.out.say(f"{path}: {counted(len(transcript.lines), 'line')}")


def _print(shared: Shared, sessions: Sequence[Session], found: Transcript, form: str) -> None:
    from recorder.projections import RENDERERS
    from recorder.projections.transcript_formats import as_json

    if form == "json":
        named = {"id": sessions[0].id} if len(sessions) == 1 else {"call": sessions[0].call}
        shared.out.json({**named, **as_json(found)})
    elif form == "txt":
        print_lines(shared.out, found)
    else:
        shared.out.raw("".join(RENDERERS[form](found)).encode())
    if not found.lines:
        shared.out.say("nothing was said")


_STYLES: Final = {
    "user": "cyan",
    "assistant": "green",
    "tool": "magenta",
    "server": "red",
    "recorder": "yellow",
}


def print_lines(out: Out, transcript: Transcript) -> None:
    """A line for each line; on a terminal its text wraps beside the speaker."""
    for line in transcript.lines:
        print_line(out, line)


def print_line(out: Out, line: Line) -> None:
    """One line, as it stands among the others."""
    from recorder.projections.transcript_text import name_of, text_line, words_of

    if out.width is None:
        out.line(text_line(line))
        return
    apart = " (out of band)" if line.out_of_band else ""
    style = _STYLES.get(line.speaker, "")
    marks = ((position(line.start_ns), "dim"), (f"{name_of(line):<9}", style))
    out.hanging(marks, one_line(words_of(line)) + apart)

"""`recorder transcript`: what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .text import one_line, position

if TYPE_CHECKING:
    from recorder.projections.model import Transcript

    from .output import Out


@in_table("transcript")
@session_argument
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only this turn.")
@json_option
def command(shared: Shared, session: str | None, turn: int | None, as_json: bool) -> None:
    """In the order in which things were said. Of an answer that was talked over, only what was
    heard stands as said (an estimate), and the rest as not heard. Speech that nobody transcribed
    is shown as its length.
    """
    from recorder.projections import render_json
    from recorder.projections.model import Transcript

    from .analysed import analysed

    found = shared.session(session)
    whole = analysed(shared, found).transcript
    lines = tuple(line for line in whole.lines if turn is None or line.turn == turn)
    if as_json:
        shared.out.json({"id": found.id, **render_json(Transcript(lines))})
        return
    print_lines(shared.out, Transcript(lines))
    if not lines:
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
    from recorder.projections import render_txt
    from recorder.projections.transcript import words_of

    if out.width is None:
        for text in render_txt(transcript):
            out.line(text)
        return
    for line in transcript.lines:
        name = line.speaker if line.kind in ("speech", "text") else line.kind
        apart = " (out of band)" if line.out_of_band else ""
        marks = ((position(line.start_ns), "dim"), (f"{name:<9}", _STYLES.get(line.speaker, "")))
        out.hanging(marks, one_line(words_of(line)) + apart)

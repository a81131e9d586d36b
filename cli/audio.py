"""`recorder audio`: what was heard, as sound files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError

from .player import player_options
from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .sounding import CLOCK, PIECES, TRACKS, Sound, Wanted, to_stdout

if TYPE_CHECKING:
    from recorder.events import Session

    from .output import Out
    from .sounding import Sounding

TIMELINES: Final = ("heard", "received", "generated")
"""Those of `recorder.tracks`, which takes too long to import for a line of help."""


@in_table("audio")
@session_argument
@click.option(
    "--track",
    type=click.Choice([*CLOCK, *PIECES]),
    help="Only this; else user, assistant and stereo, as far as they are there.",
)
@click.option("--item", metavar="ID", help="Only this item, by itself.")
@click.option("--response", metavar="ID", help="Only this response, by itself.")
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only this turn.")
@click.option("--pad", metavar="TIME", help="With --turn: so much before and after, as in 3s.")
@click.option(
    "--timeline",
    type=click.Choice(TIMELINES),
    default="heard",
    show_default=True,
    help="The assistant as it was played; all that arrived; or as the model made it.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to, for one file; - is stdout.")
@click.option(
    "-d",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where the files go; else the current directory.",
)
@click.option(
    "--rate",
    type=click.IntRange(8000, 192000),
    metavar="HZ",
    help="Samples a second; else the highest rate that was spoken in.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["wav", "flac"]),
    help="Of the files; else what their name asks for, else wav.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@player_options
@json_option
def command(
    shared: Shared,
    session: str | None,
    output: str | None,
    folder: str | None,
    pad: str | None,
    form: str | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """user is the caller's whole input, assistant what was played of the answers, stereo both on
    one clock: user left, assistant right. turns, items and responses are a file each. What a
    file does not hold is said: where the assistant was cut, by what evidence, and audio that was
    not kept, which is silence of the same length.

    A call label gives the whole call: its sessions as one set of files on the call's clock, the
    time between them as silence, which is told. Pieces stay with their session.

    \b
    heard      as it was played: cut where evidence says that playback stopped
    received   all that arrived, as if nothing had stopped it
    generated  each item whole, without the network's gaps, from its arrival on
    """  # fmt: skip
    from recorder.selecting import parse_offset

    _check(options, output, folder, pad, as_json=as_json)
    named = "flac" if output and output.lower().endswith(".flac") else "wav"
    wanted = Wanted(form=form or named, pad_ns=parse_offset(pad) if pad else 0, **options)
    sound = _sound(shared, session, wanted)
    if output == "-":
        to_stdout(sound)
        _tell(shared.out, sound)
        return
    files = sound.to_files(
        Path(folder or "."), force=force, output=Path(output) if output else None
    )
    if as_json:
        shared.out.json(sound.told(files))
        return
    for file in files:
        shared.out.line(str(file.path))
    _tell(shared.out, sound)


def _sound(shared: Shared, reference: str | None, wanted: Wanted) -> Sounding:
    """That of the session that is meant, or of all of the call that is."""
    from .sounding_call import CallSound
    from .transcript import sessions_of

    sessions = sessions_of(shared, reference)
    if len(sessions) == 1:
        return Sound(shared, sessions[0], wanted)
    return CallSound(shared, sessions, wanted)


def _check(
    options: dict[str, Any], output: str | None, folder: str | None, pad: str | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Refuse what contradicts itself. Raises `UsageError`."""
    named = [f"--{name}" for name in ("track", "item", "response") if options[name] is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} exclude each other")
    if output is not None and not named:
        raise UsageError(f"--output {output}: say which --track, as in --track stereo")
    if output is not None and folder is not None:
        raise UsageError("--output and -d exclude each other")
    if output == "-" and as_json:
        raise UsageError("--json and the sound cannot both go to stdout")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("sound is not written to a terminal; redirect it, or give --output FILE")
    if pad is not None and options["turn"] is None:
        raise UsageError(f"--pad {pad}: say which --turn")


def write_tracks(shared: Shared, session: Session, folder: Path) -> list[Path]:
    """All tracks that there are as WAV files in the folder, which is made if it is missing."""
    files = Sound(shared, session, Wanted()).to_files(folder, force=True)
    return [file.path for file in files]


def _tell(out: Out, sound: Sounding) -> None:
    """What the files do not hold, on stderr."""
    for remark in sound.remarks():
        out.say(remark)


__all__ = ["TRACKS", "command", "write_tracks"]

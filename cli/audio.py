"""`recorder audio`: what was heard, as sound files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError

from .analysed import analysed, reported
from .shared import Shared, session_argument
from .shared import command as in_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.audio.codecs import Samples
    from recorder.events import Session

TRACKS: Final = ("user", "assistant", "stereo")
"""Those of `recorder.tracks`, which takes too long to import for a line of help."""

RATE: Final = 24_000
"""Hz of the files unless said otherwise: what most sessions speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written."""

    track: str | None = None
    timeline: str = "heard"
    turn: int | None = None
    pad_ns: int = 0
    rate: int = RATE
    form: str = "wav"


@in_table("audio")
@session_argument
@click.option("--track", type=click.Choice(TRACKS), help="Only this one; else all that there are.")
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only this turn.")
@click.option("--pad", default="0", metavar="TIME", help="With --turn: so much before and after.")
@click.option(
    "--timeline",
    type=click.Choice(["heard", "received"]),
    default="heard",
    show_default=True,
    help="The assistant as it was played, or all that arrived.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to, with --track; - is stdout.")
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
    default=RATE,
    show_default=True,
    metavar="HZ",
    help="Samples a second.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["wav", "flac"]),
    help="Of the files; else what their name asks for, else wav.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(
    shared: Shared,
    session: str | None,
    track: str | None,
    output: str | None,
    folder: str | None,
    pad: str,
    form: str | None,
    force: bool,
    **options: Any,
) -> None:
    """user is the caller's whole input, assistant what was played of the answers, stereo both on
    one clock: user left, assistant right. Audio that was not kept is silence of the same length.
    """  # fmt: skip
    from recorder.selecting import parse_offset

    if output is not None and track is None:
        raise UsageError(f"--output {output}: say which --track, as in --track stereo")
    if output is not None and folder is not None:
        raise UsageError("--output and -d exclude each other")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("sound is not written to a terminal; redirect it, or give --output FILE")
    named = "flac" if output and output.endswith(".flac") else "wav"
    wanted = Wanted(track=track, form=form or named, pad_ns=parse_offset(pad), **options)
    sound = _Sound(shared, shared.session(session), wanted)
    if output == "-":
        _to_stdout(sound, str(track))
        return
    name = Path(output) if output else None
    for path in _to_files(sound, Path(folder or "."), force=force, output=name):
        shared.out.line(str(path))


def write_tracks(shared: Shared, session: Session, folder: Path) -> list[Path]:
    """All tracks that there are as WAV files in the folder, which is made if it is missing."""
    return _to_files(_Sound(shared, session, Wanted()), folder, force=True)


def _to_files(
    sound: _Sound, folder: Path, *, force: bool, output: Path | None = None
) -> list[Path]:
    from recorder.audio.writing import write_sound
    from recorder.sql.opening import make_private_folder

    paths = {name: output or folder / sound.file_name(name) for name in sound.names()}
    there = [path for path in paths.values() if path.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} is there already; --force overwrites it")
    for name, path in paths.items():
        make_private_folder(path.parent)
        with sound.blocks(name) as blocks:
            write_sound(
                path, blocks, sound.wanted.rate, channels=_channels(name), form=sound.wanted.form
            )
    return list(paths.values())


def _to_stdout(sound: _Sound, name: str) -> None:
    """A header is only right once all is written, so stdout gets a finished file."""
    from recorder.audio.writing import write_sound

    wanted = sound.wanted
    with tempfile.TemporaryFile() as file:
        with sound.blocks(*sound.names()) as blocks:
            write_sound(file, blocks, wanted.rate, channels=_channels(name), form=wanted.form)
        file.seek(0)
        sys.stdout.flush()
        shutil.copyfileobj(file, sys.stdout.buffer)


def _channels(name: str) -> int:
    return 2 if name == "stereo" else 1


class _Sound:
    """The sound of one session: laid out once, then streamed once a track."""

    def __init__(self, shared: Shared, session: Session, wanted: Wanted) -> None:
        self._shared, self._session, self.wanted = shared, session, wanted
        self._span = self._turn_span() if wanted.turn else None
        from recorder.tracks import lay_out

        with shared.out.progress("reading the session") as report:
            self._layout = lay_out(
                lambda audio: reported(shared, session, report, audio=audio),
                timeline=wanted.timeline,
            )

    def names(self) -> list[str]:
        """The tracks to write: the one that was asked for, else those with sound in them.

        Raises `UsageError` where there is none.
        """
        sides = {
            "user": bool(self._layout.epochs),
            "assistant": any(item.runs for item in self._layout.playback.items),
        }
        there = {
            **sides,
            "stereo": any(sides.values()) if self.wanted.track else all(sides.values()),
        }
        name = self._shared.directory.tail(self._session.id)
        if not any(sides.values()):
            raise UsageError(f"there is no sound in session {name}")
        if self.wanted.track is None:
            return [track for track in TRACKS if there[track]]
        if not there[self.wanted.track]:
            raise UsageError(f"there is no sound of the {self.wanted.track} in session {name}")
        return [self.wanted.track]

    def file_name(self, track: str) -> str:
        """What the track's file is called."""
        name = self._shared.directory.tail(self._session.id)
        turn = f"-turn{self.wanted.turn}" if self.wanted.turn else ""
        return f"{name}{turn}-{track}.{self.wanted.form}"

    @contextmanager
    def blocks(self, name: str) -> Iterator[Iterator[Samples]]:
        """The track as it streams by, with a progress bar where that takes long."""
        from recorder.tracks import TRACKS as MAKERS
        from recorder.tracks import clip

        with self._shared.out.progress(f"writing {name}") as report:
            stream = MAKERS[name][0](
                lambda audio: reported(self._shared, self._session, report, audio=audio),
                self._layout,
                self.wanted.rate,
            )
            yield clip(stream, self.wanted.rate, *self._span) if self._span else stream

    def _turn_span(self) -> tuple[int, int]:
        """From when to when the turn was, with the padding."""
        turns = analysed(self._shared, self._session).turns
        for turn in turns:
            if turn.index == self.wanted.turn:
                return turn.start_ns - self.wanted.pad_ns, turn.end_ns + self.wanted.pad_ns
        raise UsageError(f"there is no turn {self.wanted.turn}; the session has {len(turns)}")

"""`recorder audio`: what was heard, as sound files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from recorder.errors import UsageError

from .shared import Shared, session_argument
from .shared import command as in_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recorder.audio.codecs import Samples
    from recorder.events import Event, Session
    from recorder.tracks import Layout

    from .output import Report

TRACKS: Final = ("user", "assistant", "stereo")

RATE: Final = 24_000
"""Hz of the files unless said otherwise: what most sessions speak."""


@in_table("audio")
@session_argument
@click.option("--track", type=click.Choice(TRACKS), help="Only this one; else all three.")
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
    default="wav",
    show_default=True,
    help="Of the files.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(
    shared: Shared,
    session: str | None,
    track: str | None,
    timeline: str,
    output: str | None,
    folder: str | None,
    rate: int,
    form: str,
    force: bool,
) -> None:
    """user is the caller's whole input, assistant what was played of the answers, stereo both on
    one clock: user left, assistant right. Audio that was not kept is silence of the same length.
    """
    found = shared.session(session)
    if output is not None and track is None:
        raise UsageError(f"--output {output}: say which --track, as in --track stereo")
    if output is not None and folder is not None:
        raise UsageError("--output and -d exclude each other")
    if output == "-":
        _to_stdout(shared, found, str(track), timeline, rate, form)
        return
    names = (track,) if track else TRACKS
    where = Path(folder or ".")
    tail = shared.directory.tail(found.id)
    paths = {name: where / f"{tail}-{name}.{form}" for name in names}
    if output is not None:
        paths = {str(track): Path(output)}
        form = "flac" if output.endswith(".flac") else form
    if not force:
        _refuse_to_overwrite(paths.values())
    for path in _write(shared, found, paths, timeline, rate, form):
        shared.out.line(str(path))


def _refuse_to_overwrite(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} is there already; --force overwrites it")


def write_tracks(shared: Shared, session: Session, folder: Path) -> list[Path]:
    """All three tracks as WAV files in the folder, which is made if it is missing."""
    tail = shared.directory.tail(session.id)
    paths = {name: folder / f"{tail}-{name}.wav" for name in TRACKS}
    return _write(shared, session, paths, "heard", RATE, "wav")


def _write(
    shared: Shared,
    session: Session,
    paths: dict[str, Path],
    timeline: str,
    rate: int,
    form: str,
) -> list[Path]:
    from recorder.audio.writing import write_sound
    from recorder.sql.opening import make_private_folder
    from recorder.tracks import lay_out

    with shared.out.progress("writing sound") as report:
        sound = _Sound(shared, session, report, passes=1 + len(paths))
        layout = lay_out(sound.events, timeline=timeline)
        for name, path in paths.items():
            make_private_folder(path.parent)
            channels = 2 if name == "stereo" else 1
            blocks = sound.track(name, layout, rate)
            if not write_sound(path, blocks, rate, channels=channels, form=form):
                path.unlink()
                raise UsageError(f"session {session.id} is empty: there is no sound to write")
    return list(paths.values())


def _to_stdout(
    shared: Shared, session: Session, track: str, timeline: str, rate: int, form: str
) -> None:
    from recorder.audio.writing import write_sound
    from recorder.tracks import lay_out

    if sys.stdout.isatty():
        raise UsageError("sound is not written to a terminal; redirect it, or give --output FILE")
    with shared.out.progress("writing sound") as report, tempfile.TemporaryFile() as file:
        sound = _Sound(shared, session, report, passes=2)
        layout = lay_out(sound.events, timeline=timeline)
        channels = 2 if track == "stereo" else 1
        write_sound(file, sound.track(track, layout, rate), rate, channels=channels, form=form)
        _copy(file)


def _copy(file: IO[bytes]) -> None:
    """A header is only right once all is written, so stdout gets a finished file."""
    file.seek(0)
    sys.stdout.flush()
    shutil.copyfileobj(file, sys.stdout.buffer)


class _Sound:
    """The session's events, pass after pass, reporting how far all passes are."""

    def __init__(self, shared: Shared, session: Session, report: Report, passes: int) -> None:
        self._store, self._id, self._report = shared.store, session.id, report
        self._last = shared.store.last_seq(session.id)
        self._passes, self._done = passes, 0

    def events(self, audio: bool) -> Iterator[Event]:
        """One pass."""
        before = self._done * self._last
        for event in self._store.read(self._id, until=self._last, audio=audio):
            if event.seq % 500 == 0:
                self._report(before + event.seq, self._passes * self._last)
            yield event
        self._done += 1

    def track(self, name: str, layout: Layout, rate: int) -> Iterator[Samples]:
        """The blocks of this track."""
        from recorder import tracks

        make = {"user": tracks.user, "assistant": tracks.assistant, "stereo": tracks.stereo}[name]
        return make(self.events, layout, rate)

"""`recorder export`: sessions as files, for other programs and other people."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from recorder.errors import UsageError
from recorder.exporters import EXPORTERS, bundle, html
from recorder.exporters.base import Source
from recorder.page import SOUNDS
from recorder.sharing import SHARES

from .private_file import private_file
from .shared import Shared, selection_argument
from .shared import command as in_table
from .text import counted, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recorder.events import Event, Session
    from recorder.exporters.base import Exporter
    from recorder.sharing import Sharing

    from .output import Report

REFUSED: Final = 1
_TOLD: Final = 5
"""Problems that are told one by one."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written."""

    name: str
    sessions: tuple[Session, ...]
    share: str
    force: bool
    audio: str | None = None
    """What the sound of a page is in."""

    @property
    def exporter(self) -> Exporter:
        """The row of the format."""
        row = EXPORTERS[self.name]
        return row if self.audio is None else replace(row, write=html.writer(self.audio))

    @property
    def checked(self) -> bool:
        """Whether the file is read again before it is given out of hand."""
        return self.share == "metadata" or self.name == "bundle"


def _formats() -> str:
    return "\n".join(f"  {name:<15} {row.help}" for name, row in EXPORTERS.items())


@in_table("export")
@click.argument("form", metavar="FORMAT", type=click.Choice(list(EXPORTERS)))
@selection_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR|-",
    help="Where to: a file, a folder, or - for stdout; else a file in the current folder.",
)
@click.option(
    "--share",
    type=click.Choice(SHARES),
    help="metadata: types, ids, sizes, times and figures, no content; full: everything. "
    "A bundle and a page hold metadata unless told otherwise, every other format everything.",
)
@click.option("--full", is_flag=True, help="The same as --share full. It asks once.")
@click.option("--yes", is_flag=True, help="With --full: do not ask.")
@click.option(
    "--audio",
    type=click.Choice(SOUNDS),
    help="The sound in an html page with --full: flac and wav are exact, opus is small and lossy. "
    "[default: flac]",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(
    shared: Shared,
    form: str,
    selection: tuple[str, ...],
    output: str | None,
    share: str | None,
    full: bool,
    yes: bool,
    audio: str | None,
    force: bool,
) -> int:
    """Without a SELECTION it is the latest session. What is without content is read again after
    it was written: if anything of the content is found in it, the file is deleted.

    \b
    FORMAT is one of:
    """
    if full and share == "metadata":
        raise UsageError("--full and --share metadata exclude each other")
    share = "full" if full else share or EXPORTERS[form].share
    _check_audio(form, share, audio)
    sessions = _meant(shared, selection)
    wanted = Wanted(name=form, sessions=sessions, share=share, force=force, audio=audio)
    if output == "-":
        _check_stdout(wanted)
    files = {} if output == "-" else _files(shared, wanted, output)
    if wanted.share != wanted.exporter.share and share == "full":
        _ask(shared, wanted, yes=yes)
    if output == "-":
        return _to_stdout(shared, wanted)
    return _to_files(shared, wanted, files)


command.help = f"{command.help}\n{_formats()}"


# ---- what is meant


def _check_audio(form: str, share: str, audio: str | None) -> None:
    if audio is not None and form != "html":
        raise UsageError("--audio is for html; other formats hold what they hold")
    if audio not in (None, "none") and share == "metadata":
        raise UsageError("a page without content holds no sound; add --full, or leave --audio out")


def _meant(shared: Shared, selection: Sequence[str]) -> tuple[Session, ...]:
    if not selection:
        return (shared.session(None),)
    found = tuple(shared.store.session(row.id) for row in shared.chosen(selection))
    if not found:
        raise UsageError(f"no session is meant by {' '.join(selection)!r}; nothing was written")
    return found


def _check_stdout(wanted: Wanted) -> None:
    exporter = wanted.exporter
    if len(wanted.sessions) > 1 and not exporter.many:
        raise _one_a_file(wanted)
    if not exporter.text and sys.stdout.isatty():
        raise UsageError(f"{wanted.name} is not written to a terminal; redirect it, or name a file")


def _one_a_file(wanted: Wanted) -> UsageError:
    return UsageError(
        f"{wanted.name} holds one session a file, and {len(wanted.sessions)} are meant; "
        "name a folder, as in -o calls/"
    )


def _files(shared: Shared, wanted: Wanted, output: str | None) -> dict[Path, tuple[Session, ...]]:
    """What goes into which file. Raises `UsageError` where one of them is there already."""
    path = Path(output or ".")
    folder = path if output is None or path.is_dir() or output.endswith(os.sep) else None
    if folder is None:
        if len(wanted.sessions) > 1 and not wanted.exporter.many:
            raise _one_a_file(wanted)
        files = {path: wanted.sessions}
    elif wanted.exporter.many:
        files = {folder / _file_name(shared, wanted, wanted.sessions): wanted.sessions}
    elif output is None and len(wanted.sessions) > 1:
        raise _one_a_file(wanted)
    else:
        files = {folder / _file_name(shared, wanted, (each,)): (each,) for each in wanted.sessions}
    there = [path for path in files if path.exists()]
    if there and not wanted.force:
        raise UsageError(f"{there[0]} is there already; --force overwrites it")
    return files


def _file_name(shared: Shared, wanted: Wanted, sessions: tuple[Session, ...]) -> str:
    """By the session's short name, the call's label, or how many they are."""
    calls = {session.call for session in sessions}
    if len(sessions) == 1:
        stem = shared.directory.tail(sessions[0].id)
    elif wanted.share == "full" and len(calls) == 1 and _PLAIN.fullmatch(call := calls.pop()):
        stem = f"call-{call}"
    else:
        stem = f"{len(sessions)}-sessions"
    return stem + wanted.exporter.suffix


def _ask(shared: Shared, wanted: Wanted, *, yes: bool) -> None:
    """Once, before everything leaves in a format that is meant for others."""
    lines = html.HOLDS if wanted.name == "html" else bundle.HOLDS["full"]
    holds = "".join(f"  {line}\n" for line in lines)
    shared.out.say(f"With --full, {counted(len(wanted.sessions), 'session')} in whole:\n{holds}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask; add --yes. Nothing was written")
    if not click.confirm("Write it?", err=True):
        raise UsageError("nothing was written")


# ---- writing


def _to_stdout(shared: Shared, wanted: Wanted) -> int:
    """At once where that can be; what must be checked or rewound goes by a temporary file."""
    sys.stdout.flush()
    if wanted.exporter.text and not wanted.checked:
        _write(shared, wanted, wanted.sessions, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    with tempfile.TemporaryFile() as file:
        _write(shared, wanted, wanted.sessions, file)
        if _refused(shared, wanted, wanted.sessions, file):
            return REFUSED
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    return 0


def _to_files(shared: Shared, wanted: Wanted, files: dict[Path, tuple[Session, ...]]) -> int:
    from recorder.exporters.sound import NoSound
    from recorder.sql.opening import make_private_folder

    code = written = 0
    for path, sessions in files.items():
        try:
            make_private_folder(path.parent)
            with private_file(path, force=True) as file:
                _write(shared, wanted, sessions, file)
                if _refused(shared, wanted, sessions, file):
                    raise _Refused
            written += 1
        except _Refused:
            code = REFUSED
        except NoSound as error:
            if len(files) == 1:
                raise
            shared.out.say(str(error))
        else:
            told = f"{counted(len(sessions), 'session')}, {size(path.stat().st_size)}"
            shared.out.say(f"{path}: {told}")
    if not written and not code:
        raise UsageError("there is no sound in any of these sessions; nothing was written")
    if written and wanted.share == "metadata":
        shared.out.say("It holds no content: types, ids, sizes, times and figures only.")
    return code


class _Refused(Exception):
    """The check found something: the file must not stay."""


def _write(shared: Shared, wanted: Wanted, sessions: Sequence[Session], file: IO[bytes]) -> None:
    from recorder.sharing import Sharing

    sharing = Sharing() if wanted.share == "metadata" else None
    with shared.out.progress("exporting") as report:
        wanted.exporter.write(_sources(shared, sessions, report, sharing), file)


def _sources(
    shared: Shared, sessions: Sequence[Session], report: Report, sharing: Sharing | None = None
) -> Iterator[Source]:
    """One after the other, so that no more than one is held."""
    for session in sessions:
        yield _source(shared, session, report, sharing)


def _source(shared: Shared, session: Session, report: Report, sharing: Sharing | None) -> Source:
    """The session up to its last event now: one that is being recorded grows on meanwhile."""
    from recorder.library import Events

    last = shared.store.last_seq(session.id)

    def events(audio: bool) -> Iterator[Event]:
        return Events(shared.store, session.id).read(until=last, audio=audio, report=report)

    return Source(session, events, sharing=sharing)


def _refused(shared: Shared, wanted: Wanted, sessions: Sequence[Session], file: IO[bytes]) -> bool:
    """Whether the file holds what it must not; says what."""
    if not wanted.checked:
        return False
    from recorder.exporters.checking import problems

    with shared.out.progress("checking") as report:
        suffix = wanted.exporter.suffix
        found = problems(suffix, file, _sources(shared, sessions, report), wanted.share)
    for line in found[:_TOLD]:
        shared.out.say(line)
    if len(found) > _TOLD:
        shared.out.say(f"\u2026 and {len(found) - _TOLD} more")
    if found:
        shared.out.say("The check of what was written failed, so nothing was kept.")
    return bool(found)

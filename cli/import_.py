"""`recorder import`: bring in sessions that were recorded elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from recorder.errors import UsageError

from .shared import Shared, json_option
from .shared import command as in_table
from .text import counted

if TYPE_CHECKING:
    from recorder.importers import Asked, File, Report

    from .output import Report as Progress

DAMAGED, REFUSED = 1, 2

PIECE: Final = 1 << 18
"""Bytes that are read at once."""
HELD: Final = 32 * 1024 * 1024
"""Bytes of stdin that are held in memory where it must be read twice; more goes to a file."""

FORMATS: Final = ("jsonl", "events", "har")
TIMES: Final = ("auto", "s", "ms", "us", "ns", "none")


@in_table("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--call", metavar="LABEL", default="", help="The call that the sessions belong to.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag them. Repeatable.")
@click.option("--model", metavar="NAME", default="", help="The model that was asked for.")
@click.option(
    "--format", "name", type=click.Choice(FORMATS), help="What the files are, if not as they look."
)
@click.option(
    "--times",
    type=click.Choice(TIMES),
    default="auto",
    show_default=True,
    help="What times are in, if not as their names and sizes tell; none: do without.",
)
@click.option("--as-new", is_flag=True, help="Give another id to a session that is there already.")
@click.option("--all-sockets", is_flag=True, help="Of a HAR: sockets that are not Realtime too.")
@json_option
def command(shared: Shared, files: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """It takes its own export (the same session again, byte for byte); JSON Lines or a JSON array
    of events, bare or wrapped, with the direction named or told by the type, and times in
    seconds, milliseconds, nanoseconds, ISO 8601 or none; and HAR files of browsers, Playwright
    and mitmproxy. Files may be gzipped; - reads stdin. What is recognised is not asked for.

    A damaged file is imported up to the damage, which is said; the exit code is then 1.
    """  # fmt: skip
    options["tags"] = _checked_tags(options["tags"])
    code, told = 0, []
    for file in files:
        try:
            report = _imported(shared, file, options)
        except UsageError as error:
            shared.out.say(f"{file}: {error}")
            told.append({"file": file, "sessions": [], "error": str(error)})
            code = REFUSED
            continue
        told.append(_as_json(file, report))
        if not as_json:
            _print(shared, file, report)
        if report.damage is not None:
            code = max(code, DAMAGED)
    if as_json:
        shared.out.json(told)
    return code


def _checked_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(tag.strip() for tag in tags))
    if any(not word or len(word.split()) > 1 for word in words):
        raise UsageError("a tag is one word without spaces")
    return words


def _imported(shared: Shared, name: str, options: dict[str, Any]) -> Report:
    """One file. The database is opened, and made, only when there is something to write."""
    from recorder.importers import IMPORTERS, format_of, take_in
    from recorder.sql.behind import Behind

    title = f"importing {Path(name).name}"
    with shared.out.progress(title) as progress, contextlib.ExitStack() as closing:
        file, wall_ns = _opened(shared, name, progress)
        form = options["name"] or format_of(file)
        if isinstance(file, _Stdin):
            file.holds = False  # its beginning was looked at; from here on it streams
            file = _spooled(file, closing) if IMPORTERS[form].twice else file
        asked = _asked(shared, name, wall_ns, options)
        items = IMPORTERS[form].read(file, asked)
        first = next(items, None)
        if first is None:
            raise UsageError("there is no event in it")
        if "store" not in shared.__dict__:
            shared.store = shared.open_store()
        with Behind(shared.store) as store:
            return take_in(store, chain([first], items), asked, as_new=options["as_new"])


def _asked(shared: Shared, name: str, wall_ns: int, options: dict[str, Any]) -> Asked:
    from importlib import metadata

    from recorder.events import new_session_id
    from recorder.importers import Asked

    keys = [v for k, v in shared.environ.items() if k.endswith("_API_KEY") and v]
    return Asked(
        name="stdin" if name == "-" else Path(name).name,
        wall_ns=wall_ns,
        new_id=lambda moment: new_session_id(moment, os.urandom(10)),
        versions={"realtime-recorder": metadata.version("realtime-recorder")},
        call=options["call"],
        model=options["model"],
        tags=options["tags"],
        times=options["times"],
        all_sockets=options["all_sockets"],
        secrets=tuple(keys),
    )


# ---- reading


def _opened(shared: Shared, name: str, progress: Progress) -> tuple[File, int]:
    """The file, and when it was written. Raises `UsageError`."""
    if name == "-":
        return _Stdin(sys.stdin.buffer), shared.now_ns
    path = Path(name)
    if path.is_dir():
        raise UsageError("it is a folder; name the files in it")
    try:
        with path.open("rb"):
            facts = path.stat()
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}") from None
    return partial(_pieces, path, facts.st_size, progress), facts.st_mtime_ns


def _pieces(path: Path, total: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
                done += len(piece)
                progress(done, total)
    except OSError as error:
        raise UsageError(f"it cannot be read any further: {error.strerror}") from None


class _Stdin:
    """Stdin as a file that can be begun again, as long as it holds what was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held: list[bytes] = []
        self.holds = True

    def __call__(self) -> Iterator[bytes]:
        held, self._held = self._held, []
        for piece in chain(held, iter(partial(self._stream.read, PIECE), b"")):
            if self.holds:
                self._held.append(piece)
            yield piece


def _spooled(file: File, closing: contextlib.ExitStack) -> File:
    """The same, and it can be read as often as one likes."""
    spool = closing.enter_context(tempfile.SpooledTemporaryFile(max_size=HELD))  # noqa: SIM115
    for piece in file():
        spool.write(piece)

    def again() -> Iterable[bytes]:
        spool.seek(0)
        return iter(partial(spool.read, PIECE), b"")

    return again


# ---- telling


def _as_json(file: str, report: Report) -> dict[str, Any]:
    damage = report.damage
    return {
        "file": file,
        "sessions": [
            {"id": each.session.id, "events": each.events, "already_there": each.known}
            for each in report.taken
        ],
        "remarks": report.remarks,
        "damage": damage and {"what": str(damage), "line": damage.line, "byte": damage.byte},
    }


def _print(shared: Shared, file: str, report: Report) -> None:
    source = "stdin" if file == "-" else file
    for each in report.taken:
        name = each.session.id
        if each.known:
            words = f"is there already, the same; nothing was imported from {source}"
        else:
            words = f"imported from {source}, {counted(each.events, 'event')}"
        shared.out.line(("session ", "dim"), (name, "bold"), f" {words}")
    for remark in report.remarks:
        shared.out.say(f"{file}: {remark}")
    if report.damage is not None:
        shared.out.say(f"{file}: {report.damage}; what stood before that was imported")

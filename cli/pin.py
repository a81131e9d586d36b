"""`recorder pin`: a recorded call becomes a cassette, and a test to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import RecorderError, UsageError

from .shared import Shared, json_option
from .shared import command as in_table
from .text import counted, safe, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.events import Event, Session
    from recorder.pinning import Pinned

DIFFERED: Final = 1
_FOLDER: Final = "cassettes"
"""What the folder of cassettes is called, unless the project says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where everything goes."""

    folder: Path
    name: str
    test: Path | None
    """None: no test is written."""

    @property
    def cassette(self) -> Path:
        """The file that is the cassette."""
        return self.folder / f"{self.name}.jsonl"

    @property
    def marker(self) -> str:
        """What names it in the test."""
        assert self.test is not None
        if self.folder == self.test.parent / _FOLDER:
            return self.name
        if self.folder.is_relative_to(self.test.parent):
            return f"./{self.cassette.relative_to(self.test.parent)}"
        return str(self.cassette.resolve())


@in_table("pin")
@click.argument("session")
@click.argument("target", metavar="CASSETTE", type=click.Path(path_type=Path))
@click.option("--turns", metavar="N|N-M|N-", help="Only these turns; what was said before them "
              "is kept as items. They count from 1, as in `recorder latency`.")  # fmt: skip
@click.option("--audio", type=click.Choice(["keep", "cut"]), default="keep", show_default=True,
              help="keep: as FLAC beside the cassette, without loss; cut: silence of the same "
              "length stands for it, and the cassette says so.")  # fmt: skip
@click.option("--test", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Where the test goes; else beside the folder of cassettes.")  # fmt: skip
@click.option("--no-test", is_flag=True, help="Write no test.")
@click.option("--force", is_flag=True,
              help="Overwrite the cassette. A test that is there is always kept.")  # fmt: skip
@json_option
def command(shared: Shared, session: str, target: Path, as_json: bool, **options: Any) -> int:
    """CASSETTE is a path without suffix, as in tests/cassettes/greeting. What is written holds
    what was said, in words and, unless it is cut, in voice; no secrets, hosts, headers, labels.
    The cassette is played to its own caller before the test is written: exit code 1 if that does
    not go as it was recorded.

    Tests play it by the pytest plugin, which is installed with this package:
    @pytest.mark.realtime_cassette("greeting") and the fixture realtime_mock.
    """
    from recorder.pinning.writing import check_free, put, remove_stale

    place = _place(target, options["test"], no_test=options["no_test"])
    check_free(place.folder, place.name, force=options["force"])
    found = shared.session(session)
    pinned = _pinned(shared, found, place.name, options)
    put(place.folder, pinned.files)
    remove_stale(place.folder, place.name, pinned.files)
    transcript, trouble = _played(place.cassette)
    kept = place.test is not None and place.test.exists()
    if place.test is not None and not kept:
        put(place.test.parent, {place.test.name: _test(place, found, pinned, transcript).encode()})
    told = _Told(shared, place, pinned, trouble=trouble, kept=kept)
    told.as_json() if as_json else told.for_people()
    return DIFFERED if trouble else 0


def _place(target: Path, test: Path | None, *, no_test: bool) -> _Place:
    from recorder.pinning.starter import slug
    from recorder.pinning.writing import checked_name

    if test is not None and no_test:
        raise UsageError("--test and --no-test exclude each other")
    if test is not None and test.suffix != ".py":
        raise UsageError(f"--test {test}: a test is a Python file, as in tests/test_greeting.py")
    name, folder = checked_name(target), target.parent
    if test is None and not no_test:
        above = folder.parent if folder.name == _FOLDER else folder
        test = above / f"test_{slug(name)}.py"
    return _Place(folder=folder, name=name, test=test)


def _pinned(shared: Shared, session: Session, name: str, options: dict[str, Any]) -> Pinned:
    from recorder.mocking.cassettes import from_store
    from recorder.mocking.choosing import check_playable
    from recorder.pinning import pin, read_turns
    from recorder.projections.analysis import analyse

    for note in check_playable(from_store(shared.store, session)):
        shared.out.say(note)
    last = shared.store.last_seq(session.id)
    with shared.out.progress("reading") as report:

        def source(audio: bool) -> Iterator[Event]:
            for event in shared.store.read(session.id, until=last, audio=audio):
                if event.seq % 500 == 0:
                    report(event.seq, last)
                yield event

        analysis = analyse(source)
        turns = options["turns"]
        keys = [v for k, v in shared.environ.items() if k.endswith("_API_KEY") and v]
        return pin(
            session,
            source,
            analysis,
            name=name,
            turns=read_turns(turns, len(analysis.turns)) if turns is not None else None,
            audio=options["audio"],
            secrets=tuple(keys),
        )


def _played(cassette: Path) -> tuple[list[str], str]:
    """What is said when the cassette is played to its own caller; what was otherwise."""
    from recorder.testing import CassetteMismatch, mocked

    transcript: list[str] = []
    try:
        with mocked(cassette) as mock:
            mock.repeat_caller()
            transcript += mock.run.transcript
    except (CassetteMismatch, RecorderError) as error:
        return transcript, str(error)
    return transcript, ""


def _test(place: _Place, session: Session, pinned: Pinned, transcript: list[str]) -> str:
    from recorder.pinning.starter import starter

    span = pinned.session.labels["turns"]
    which = "" if span == "all" else f", turns {span}"
    about = f"A recorded call as a test: session {session.id}{which}."
    return starter(place.name, place.marker, about, transcript, history=pinned.history > 0)


class _Told:
    """What was done, and what to do next."""

    def __init__(
        self, shared: Shared, place: _Place, pinned: Pinned, *, trouble: str, kept: bool
    ) -> None:
        self._shared, self._place, self._pinned = shared, place, pinned
        self._trouble, self._kept = trouble, kept

    def as_json(self) -> None:
        """For machines."""
        place, labels = self._place, self._pinned.session.labels
        self._shared.out.json(
            {
                "cassette": str(place.cassette),
                "files": [str(place.folder / name) for name in self._pinned.files],
                "test": None if place.test is None else str(place.test),
                "test_kept": self._kept,
                "session": labels["pinned_from"],
                "turns": labels["turns"],
                "history": self._pinned.history,
                "audio": labels["audio"],
                "events": len(self._pinned.events),
                "notes": list(self._pinned.notes),
                "trouble": self._trouble,
            }
        )

    def for_people(self) -> None:
        """In lines."""
        out, place, pinned = self._shared.out, self._place, self._pinned
        labels = pinned.session.labels
        for name, data in reversed(pinned.files.items()):
            more = f", {counted(len(pinned.events), 'event')}" if name.endswith(".jsonl") else ""
            out.line(f"{place.folder / name}: {size(len(data))}{more}")
        if pinned.history:
            out.line(f"  {counted(pinned.history, 'item')} stand for what was said before")
        if labels["audio"] == "cut":
            out.line("  the audio was cut: silence of the same length is played")
        for note in pinned.notes:
            out.say(note)
        if self._trouble:
            out.say("played to its own caller, it does not go as it was recorded:")
            out.say(safe(self._trouble, lines=True))
        if place.test is not None and self._kept:
            out.say(f"{place.test} is there already, and was kept as it is")
        elif place.test is not None:
            out.line(f"{place.test}: a test to start from")
        out.say("It holds what was said: read it before it is committed.")
        if place.test is not None:
            out.say(f"try: pytest {place.test}")

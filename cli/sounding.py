"""Sound files of one session: laid out once, then streamed once a track, or once for all pieces."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recorder.errors import UsageError

from .analysed import analysed, reported
from .player import assumed
from .text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recorder.audio.codecs import Samples
    from recorder.events import Event, Session
    from recorder.projections import Analysis
    from recorder.tracks import Cut, Layout, Piece

    from .output import Report
    from .shared import Shared

CLOCK: Final = ("user", "assistant", "stereo")
"""Tracks on the session's clock."""
TRACKS: Final = CLOCK
"""Those of `recorder.tracks`, which takes too long to import for a line of help."""
PIECES: Final = ("turns", "items", "responses")
"""A file for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written."""

    track: str | None = None
    item: str | None = None
    response: str | None = None
    timeline: str = "heard"
    turn: int | None = None
    pad_ns: int = 0
    rate: int | None = None
    form: str = "wav"

    @property
    def pieces(self) -> str:
        """Which pieces are wanted; empty for tracks on the clock."""
        if self.item is not None:
            return "items"
        if self.response is not None:
            return "responses"
        return self.track if self.track in PIECES else ""


class Written(NamedTuple):
    """A file that stands now."""

    path: Path
    track: str
    name: str
    """Of the turn, item or response; empty for a track on the clock."""
    rate: int
    channels: int
    samples: int
    start_ns: int | None
    """The session's time at its first sample; None for a piece, which is on no clock."""

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {**self._asdict(), "path": str(self.path), "seconds": self.samples / self.rate}


class Sound:
    """The sound of one session, as far as it is wanted."""

    def __init__(self, shared: Shared, session: Session, wanted: Wanted) -> None:
        self._shared, self._session, self.wanted = shared, session, wanted
        needed = wanted.turn is not None or wanted.pieces in ("turns", "items")
        self._analysis = analysed(shared, session) if needed else None
        self._span = self._turn_span() if wanted.turn and not wanted.pieces else None
        self.layout = self._lay_out()
        self.rate = wanted.rate or self.layout.rate

    def _lay_out(self) -> Layout:
        from recorder.tracks import lay_out, layout_of

        if self._analysis is not None and self.wanted.timeline == "heard":
            return layout_of(self._analysis)
        with self._shared.out.progress("reading the session") as report:
            return lay_out(
                lambda audio: self._events(report, audio=audio),
                timeline=self.wanted.timeline,
                **assumed(),
            )

    def _events(self, report: Report, *, audio: bool = True) -> Iterator[Event]:
        return reported(self._shared, self._session, report, audio=audio)

    @property
    def _tail(self) -> str:
        return self._shared.directory.tail(self._session.id)

    @property
    def _found(self) -> Analysis:
        assert self._analysis is not None
        return self._analysis

    def _turn_span(self) -> tuple[int, int]:
        """From when to when the turn was, with the padding."""
        turns = self._found.turns
        for turn in turns:
            if turn.index == self.wanted.turn:
                start, end = turn.start_ns or 0, turn.end_ns or 0
                return max(0, start - self.wanted.pad_ns), end + self.wanted.pad_ns
        raise UsageError(f"there is no turn {self.wanted.turn}; the session has {len(turns)}")

    # What there is.

    def names(self) -> list[str]:
        """The tracks to write: the one that was asked for, else those with sound in them.

        Raises `UsageError` where there is none.
        """
        sides = {"user": self.layout.has_user, "assistant": self.layout.has_assistant}
        asked = self.wanted.track
        there = {**sides, "stereo": any(sides.values()) if asked else all(sides.values())}
        if not any(sides.values()):
            raise UsageError(f"there is no sound in session {self._tail}")
        if asked is None:
            return [track for track in CLOCK if there[track]]
        if not there[asked]:
            raise UsageError(f"there is no sound of the {asked} in session {self._tail}")
        return [asked]

    def pieces(self) -> list[Piece]:
        """The pieces to write. Raises `UsageError` where there is none."""
        from recorder.tracks import item_pieces, response_pieces, turn_pieces

        wanted, found = self.wanted, []
        if wanted.pieces == "turns":
            turns = [t for t in self._found.turns if wanted.turn in (None, t.index)]
            found = turn_pieces(self.layout, turns, self._found.speech.utterances)
        elif wanted.pieces == "items":
            found = item_pieces(self.layout, self._found.speech.utterances)
        else:
            found = response_pieces(self.layout)
        if wanted.turn is not None and wanted.pieces != "turns":
            names = self._names_in_turn()
            found = [piece for piece in found if piece.name in names]
        if name := wanted.item or wanted.response:
            found = _named(found, name)
        if not found:
            of = wanted.item or wanted.response or wanted.pieces
            cut = " that was heard" if wanted.timeline == "heard" else ""
            raise UsageError(f"there is no sound of {of} in session {self._tail}{cut}")
        return found

    def _names_in_turn(self) -> set[str]:
        """Items and responses of the turn."""
        self._turn_span()
        (turn,) = (turn for turn in self._found.turns if turn.index == self.wanted.turn)
        mine = {r.id: r for r in self._found.conversation.responses if r.id in turn.responses}
        items = {item for response in mine.values() for item in response.items}
        return {*turn.user_items, *turn.responses, *items}

    def cuts(self) -> list[Cut]:
        """What of the assistant nobody heard, as far as these files are about it."""
        wanted, cuts = self.wanted, list(self.layout.cuts)
        if wanted.track in ("user", "turns"):
            return []
        if wanted.item is not None:
            return [cut for cut in cuts if cut.item_id == wanted.item]
        if wanted.response is not None:
            return [cut for cut in cuts if cut.response_id == wanted.response]
        if self._span is not None:
            return [cut for cut in cuts if self._span[0] <= cut.at_ns < self._span[1]]
        if wanted.turn is not None:
            names = self._names_in_turn()
            return [cut for cut in cuts if {cut.item_id, cut.response_id} & names]
        return cuts

    def told(self, files: Sequence[Written]) -> dict[str, Any]:
        """All of it, for machines: the files, and what they do not hold."""
        layout = self.layout
        user_gone, assistant_gone = layout.gone_ns
        return {
            "id": self._session.id,
            "timeline": self.wanted.timeline,
            "files": [file.told() for file in files],
            "cuts": [asdict(cut) for cut in self.cuts()],
            "not_kept_ns": {"user": user_gone, "assistant": assistant_gone},
            "inside_items": [_inside(found) for found in layout.inside],
            "input": {
                "silences": [each._asdict() for each in layout.clock.silences],
                "stalls": [each._asdict() for each in layout.clock.stalls],
                "bursts": [each._asdict() for each in layout.clock.bursts],
            },
        }

    # Writing.

    def to_files(self, folder: Path, *, force: bool, output: Path | None = None) -> list[Written]:
        """Write what is wanted. Raises `UsageError` for files that are there already."""
        if self.wanted.pieces:
            return self._pieces_to_files(folder, force=force, output=output)
        paths = {name: output or folder / self._file_name(name) for name in self.names()}
        _refuse_to_overwrite(paths.values(), force=force)
        return [self._track_to(name, path) for name, path in paths.items()]

    def _track_to(self, name: str, path: Path) -> Written:
        from recorder.audio.writing import write_sound
        from recorder.sql.opening import make_private_folder

        make_private_folder(path.parent)
        channels, start = 2 if name == "stereo" else 1, self._span[0] if self._span else 0
        with self._blocks(name) as blocks:
            count = write_sound(path, blocks, self.rate, channels=channels, form=self.wanted.form)
        return Written(path, name, "", self.rate, channels, count, start)

    def to_stdout(self) -> None:
        """A header is only right once all is written, so stdout gets a finished file."""
        with tempfile.TemporaryDirectory(prefix="recorder-") as folder:
            path = Path(folder) / f"sound.{self.wanted.form}"
            self.to_files(path.parent, force=True, output=path)
            sys.stdout.flush()
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)

    def _file_name(self, track: str) -> str:
        turn = f"-turn{self.wanted.turn}" if self.wanted.turn else ""
        return f"{self._tail}{turn}-{track}.{self.wanted.form}"

    @contextmanager
    def _blocks(self, name: str) -> Iterator[Iterator[Samples]]:
        """The track as it streams by, with a progress bar where that takes long."""
        from recorder.tracks import TRACKS as MAKERS
        from recorder.tracks import clip

        with self._shared.out.progress(f"writing {name}") as report:
            make, _ = MAKERS[name]
            stream = make(lambda audio: self._events(report, audio=audio), self.layout, self.rate)
            yield clip(stream, self.rate, *self._span) if self._span else stream

    def _pieces_to_files(self, folder: Path, *, force: bool, output: Path | None) -> list[Written]:
        from recorder.sql.opening import make_private_folder

        pieces = self.pieces()
        if output is not None and len(pieces) > 1:
            raise UsageError(
                f"--output {output}: these are {counted(len(pieces), 'file')}; give -d"
            )
        single = bool(self.wanted.item or self.wanted.response)
        where = folder if single else folder / f"{self._tail}-{self.wanted.pieces}"
        paths = [
            output or where / self._piece_name(row, piece, single=single)
            for row, piece in enumerate(pieces, 1)
        ]
        _refuse_to_overwrite(paths, force=force)
        for parent in dict.fromkeys(path.parent for path in paths):
            make_private_folder(parent)
        counts = self._write_pieces(pieces, paths)
        return [
            Written(
                path, self.wanted.pieces, piece.name, self.wanted.rate or piece.rate, 1, count, None
            )
            for path, piece, count in zip(paths, pieces, counts, strict=True)
        ]

    def _piece_name(self, row: int, piece: Piece, *, single: bool) -> str:
        """Ids come from strangers: what a file's name can do without is left out."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", piece.name)[:60]
        if piece.kind == "turn":
            return f"{int(piece.name):04d}-user.{self.wanted.form}"
        if single:
            return f"{self._tail}-{name}.{self.wanted.form}"
        return f"{row:04d}-{piece.speaker}-{name}.{self.wanted.form}"

    def _write_pieces(self, pieces: Sequence[Piece], paths: Sequence[Path]) -> list[int]:
        """All of them in one pass; a file is open from its first sample to its last."""
        from recorder.audio.writing import open_sound
        from recorder.tracks import stream_pieces

        counts = [0] * len(pieces)
        files: dict[int, tuple[ExitStack, Any]] = {}
        with ExitStack() as all_files, self._shared.out.progress("writing") as report:
            events = lambda audio: self._events(report, audio=audio)  # noqa: E731
            for part in stream_pieces(events, self.layout, pieces, self.wanted.rate):
                if part.piece not in files:
                    own = all_files.enter_context(ExitStack())
                    sound = open_sound(paths[part.piece], part.rate, form=self.wanted.form)
                    files[part.piece] = own, own.enter_context(sound)
                own, write = files[part.piece]
                write(part.samples)
                counts[part.piece] += len(part.samples)
                if part.last:
                    own.close()
        return counts


def _named(pieces: list[Piece], name: str) -> list[Piece]:
    """The one with this id, or with this in its id. Raises `UsageError` for several."""
    found = [piece for piece in pieces if piece.name == name]
    found = found or [piece for piece in pieces if name in piece.name]
    if len(found) > 1:
        names = ", ".join(one_line(piece.name) for piece in found[:5])
        raise UsageError(f"{name!r} is in {counted(len(found), 'id')}: {names}")
    return found


def _refuse_to_overwrite(paths: Any, *, force: bool) -> None:
    there = [path for path in paths if path.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} is there already; --force overwrites it")


def _inside(found: Any) -> dict[str, Any]:
    audio = found.audio
    return {
        "item_id": audio.item,
        "role": audio.role,
        "by": audio.by,
        "seq": audio.at.seq,
        "at_ns": audio.at.at_ns,
        "length_ns": audio.form.ns(audio.samples),
        "start_ns": found.start_ns,
    }

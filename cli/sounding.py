"""Sound files of one session: laid out once, then streamed once a track, or once for all pieces."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from recorder.errors import UsageError

from .analysed import analysed, reported
from .player import assumed
from .text import counted, length, one_line, position

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
UNPLACED: Final = (
    "this session was imported without times: when the assistant was heard is not known"
)
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


class Sounding(Protocol):
    """The sound of a session, or of a call."""

    wanted: Wanted

    def to_files(self, folder: Path, *, force: bool, output: Path | None = None) -> list[Written]:
        """Write what is wanted. Raises `UsageError` for files that are there already."""

    def told(self, files: Sequence[Written]) -> dict[str, Any]:
        """All of it, for machines: the files, and what they do not hold."""

    def remarks(self) -> Iterator[str]:
        """What the files do not hold, for people."""


class Sound:
    """The sound of one session, as far as it is wanted."""

    def __init__(self, shared: Shared, session: Session, wanted: Wanted) -> None:
        self._shared, self._session, self.wanted = shared, session, wanted
        needed = wanted.turn is not None or wanted.pieces in ("turns", "items")
        self._analysis = analysed(shared, session) if needed else None
        self.span = self._turn_span() if wanted.turn and not wanted.pieces else None
        self.layout = self._lay_out()
        self.rate = wanted.rate or self.layout.rate

    def _lay_out(self) -> Layout:
        from recorder.tracks import lay_out, layout_of

        if self._analysis is not None and self.wanted.timeline == "heard":
            return layout_of(self._analysis)
        with self._shared.out.progress("reading the session") as report:
            return lay_out(
                lambda audio: self.events(report, audio=audio),
                timeline=self.wanted.timeline,
                **assumed(),
            )

    def events(self, report: Report, *, audio: bool = True) -> Iterator[Event]:
        """The session's events, reporting how far it is through them."""
        return reported(self._shared, self._session, report, audio=audio)

    @property
    def tail(self) -> str:
        """The session's short name."""
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
        if self.layout.is_too_long:
            raise UsageError(
                f"session {self.tail} lasts {length(self.layout.end_ns)} by its times: as one file "
                "that would be silence without end; --track items has each item by itself"
            )
        sides = {"user": self.layout.has_user, "assistant": self.layout.has_assistant}
        asked = self.wanted.track
        there = {**sides, "stereo": any(sides.values()) if asked else all(sides.values())}
        if self.unplaced and (asked == "assistant" or not any(sides.values())):
            raise UsageError(f"{UNPLACED}; --track items has each item by itself")
        if not any(sides.values()):
            raise UsageError(f"there is no sound in session {self.tail}")
        if asked is None:
            return [track for track in CLOCK if there[track]]
        if not there[asked]:
            raise UsageError(f"there is no sound of the {asked} in session {self.tail}")
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
            raise UsageError(f"there is no sound of {of} in session {self.tail}{cut}")
        return found

    def _names_in_turn(self) -> set[str]:
        """Items and responses of the turn."""
        self._turn_span()
        (turn,) = (turn for turn in self._found.turns if turn.index == self.wanted.turn)
        mine = {r.id: r for r in self._found.conversation.responses if r.id in turn.responses}
        items = {item for response in mine.values() for item in response.items}
        return {*turn.user_items, *turn.responses, *items}

    @property
    def unplaced(self) -> bool:
        """Whether there is sound of the assistant of which nobody knows when it was played."""
        played = self.layout.playback.items
        return any(item.heard_samples and not item.runs for item in played)

    def cuts(self) -> list[Cut]:
        """What of the assistant nobody heard, as far as these files are about it."""
        wanted, cuts = self.wanted, list(self.layout.cuts)
        if wanted.track in ("user", "turns"):
            return []
        if wanted.item is not None:
            return [cut for cut in cuts if cut.item_id == wanted.item]
        if wanted.response is not None:
            return [cut for cut in cuts if cut.response_id == wanted.response]
        if self.span is not None:
            return [cut for cut in cuts if self.span[0] <= cut.at_ns < self.span[1]]
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

    def remarks(self) -> Iterator[str]:
        """What the files do not hold, for people."""
        yield from told_cuts(self.cuts())
        yield from self.missing()

    def missing(self) -> Iterator[str]:
        """What is not there to be heard, or has no place."""
        if self.unplaced and not self.wanted.pieces and self.wanted.track != "user":
            yield f"{UNPLACED}; --track items has each item by itself"
        for side, ns in zip(("user", "assistant"), self.layout.gone_ns, strict=True):
            if ns:
                yield f"{length(ns)} of the {side}'s audio was not kept: it is silence"
        for found in self.layout.inside:
            if found.start_ns is None and found.audio.by == "client" and not self.wanted.pieces:
                item = one_line(found.audio.item)
                yield f"the audio inside item {item} has no place on the clock; --item {item}"

    # Writing.

    def to_files(self, folder: Path, *, force: bool, output: Path | None = None) -> list[Written]:
        """Write what is wanted. Raises `UsageError` for files that are there already."""
        if self.wanted.pieces:
            return self._pieces_to_files(folder, force=force, output=output)
        paths = {name: output or folder / self._file_name(name) for name in self.names()}
        refuse_to_overwrite(paths.values(), force=force)
        return [self._track_to(name, path) for name, path in paths.items()]

    def _track_to(self, name: str, path: Path) -> Written:
        start = self.span[0] if self.span else 0
        return write_track(path, name, self._blocks(name), self.rate, self.wanted.form, start)

    def _file_name(self, track: str) -> str:
        turn = f"-turn{self.wanted.turn}" if self.wanted.turn else ""
        return f"{self.tail}{turn}-{track}.{self.wanted.form}"

    @contextmanager
    def _blocks(self, name: str) -> Iterator[Iterator[Samples]]:
        """The track as it streams by, with a progress bar where that takes long."""
        from recorder.tracks import TRACKS as MAKERS
        from recorder.tracks import clip

        with self._shared.out.progress(f"writing {name}") as report:
            make, _ = MAKERS[name]
            stream = make(lambda audio: self.events(report, audio=audio), self.layout, self.rate)
            yield clip(stream, self.rate, *self.span) if self.span else stream

    def _pieces_to_files(self, folder: Path, *, force: bool, output: Path | None) -> list[Written]:
        pieces = self.pieces()
        paths = self.piece_paths(pieces, folder, output)
        refuse_to_overwrite(paths, force=force)
        return self.write_pieces(pieces, paths)

    def piece_paths(self, pieces: Sequence[Piece], folder: Path, output: Path | None) -> list[Path]:
        """Where each piece goes. Raises `UsageError` for several and one name."""
        if output is not None and len(pieces) > 1:
            raise UsageError(
                f"--output {output}: these are {counted(len(pieces), 'file')}; give -d"
            )
        single = bool(self.wanted.item or self.wanted.response)
        where = folder if single else folder / f"{self.tail}-{self.wanted.pieces}"
        return [
            output or where / self._piece_name(row, piece, single=single)
            for row, piece in enumerate(pieces, 1)
        ]

    def write_pieces(self, pieces: Sequence[Piece], paths: Sequence[Path]) -> list[Written]:
        """Write each piece to its path."""
        from recorder.sql.opening import make_private_folder

        for parent in dict.fromkeys(path.parent for path in paths):
            make_private_folder(parent)
        counts = self._write_pieces(pieces, paths)
        kind, rate = self.wanted.pieces, self.wanted.rate
        return [
            Written(path, kind, piece.name, rate or piece.rate, 1, count, None)
            for path, piece, count in zip(paths, pieces, counts, strict=True)
        ]

    def _piece_name(self, row: int, piece: Piece, *, single: bool) -> str:
        """Ids come from strangers: what a file's name can do without is left out."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", piece.name)[:60]
        if piece.kind == "turn":
            return f"{int(piece.name):04d}-user.{self.wanted.form}"
        if single:
            return f"{self.tail}-{name}.{self.wanted.form}"
        return f"{row:04d}-{piece.speaker}-{name}.{self.wanted.form}"

    def _write_pieces(self, pieces: Sequence[Piece], paths: Sequence[Path]) -> list[int]:
        """All of them in one pass; a file is open from its first sample to its last."""
        from recorder.audio.writing import open_sound
        from recorder.tracks import stream_pieces

        counts = [0] * len(pieces)
        files: dict[int, tuple[ExitStack, Any]] = {}
        with ExitStack() as all_files, self._shared.out.progress("writing") as report:
            events = lambda audio: self.events(report, audio=audio)  # noqa: E731
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


def write_track(
    path: Path,
    name: str,
    blocks: AbstractContextManager[Iterator[Samples]],
    rate: int,
    form: str,
    start_ns: int,
) -> Written:
    """A track on a clock as a file."""
    from recorder.audio.writing import write_sound
    from recorder.sql.opening import make_private_folder

    make_private_folder(path.parent)
    channels = 2 if name == "stereo" else 1
    with blocks as stream:
        count = write_sound(path, stream, rate, channels=channels, form=form)
    return Written(path, name, "", rate, channels, count, start_ns)


def to_stdout(sound: Sounding) -> None:
    """A header is only right once all is written, so stdout gets a finished file."""
    with tempfile.TemporaryDirectory(prefix="recorder-") as folder:
        path = Path(folder) / f"sound.{sound.wanted.form}"
        sound.to_files(path.parent, force=True, output=path)
        sys.stdout.flush()
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


def _named(pieces: list[Piece], name: str) -> list[Piece]:
    """The one with this id, or with this in its id. Raises `UsageError` for several."""
    found = [piece for piece in pieces if piece.name == name]
    found = found or [piece for piece in pieces if name in piece.name]
    if len(found) > 1:
        names = ", ".join(one_line(piece.name) for piece in found[:5])
        raise UsageError(f"{name!r} is in {counted(len(found), 'id')}: {names}")
    return found


_SHOWN: Final = 10


def told_cuts(cuts: Sequence[Cut]) -> Iterator[str]:
    """What nobody heard, in words; of many the first."""
    yield from (_words(cut) for cut in cuts[:_SHOWN])
    if len(cuts) > _SHOWN:
        yield f"and {counted(len(cuts) - _SHOWN, 'more cut')}; --json tells them all"


def _words(cut: Cut) -> str:
    why = f"{cut.why or 'never played'} ({cut.label}; events {' '.join(map(str, cut.evidence))})"
    there = "heard by nobody, but here" if cut.in_track else "not in it"
    flags = f" [{' '.join(cut.flags)}]" if cut.flags else ""
    return (
        f"cut at {position(cut.at_ns)}: {length(cut.unheard_ns)} of item {one_line(cut.item_id)} "
        f"{there}: {why}{flags}"
    )


def refuse_to_overwrite(paths: Iterable[Path], *, force: bool) -> None:
    """Raises `UsageError` for a file that is there, if it is not to be overwritten."""
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

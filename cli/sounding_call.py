"""Sound files of a call of several sessions: one set of files on the call's clock."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from recorder.errors import UsageError

from .sounding import (
    CLOCK,
    Sound,
    Wanted,
    Written,
    refuse_to_overwrite,
    told_cuts,
    write_track,
)
from .text import counted, length, one_line, position

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from recorder.audio.codecs import Samples
    from recorder.events import Event, Session
    from recorder.tracks import Cut

    from .output import Report
    from .shared import Shared


class _Leg(NamedTuple):
    """One session of the call."""

    session: Session
    clock: str
    """Sessions with the same one share a monotonic clock."""
    sound: Sound
    ends_ns: int
    """Its last event."""
    start_ns: int = 0
    """Its open on the call's clock."""
    gap_ns: int | None = None
    """From the end of everything before it to its open; None for the first."""
    exact: bool = True
    """Whether that is by the same machine's monotonic clock."""


class CallSound:
    """The sound of all sessions of a call, as far as it is wanted."""

    def __init__(self, shared: Shared, sessions: Sequence[Session], wanted: Wanted) -> None:
        """Raises `UsageError` where there is no such turn."""
        self._shared, self._sessions, self.wanted = shared, sessions, wanted
        self._turn: tuple[str, int] | None = None
        """Session id and number there of the turn that is wanted."""
        if wanted.turn is not None:
            self._turn = self._find_turn(wanted.turn)
        self._legs = self._placed()
        self._span = self._turn_span() if self._turn and not wanted.pieces else None
        rates = [leg.sound.layout.rate for leg in self._legs if _sounds(leg)]
        self.rate = wanted.rate or max(rates, default=24_000)

    def _find_turn(self, number: int) -> tuple[str, int]:
        from .transcript import transcript_of

        whole = transcript_of(self._shared, self._sessions)
        if number > whole.turns:
            there = counted(whole.turns, "turn")
            raise UsageError(f"there is no turn {number}: this call has {there}")
        found = [each for each in whole.connections if each.turns_before < number][-1]
        return found.session, number - found.turns_before

    def _placed(self) -> list[_Leg]:
        """The sessions in order of time, each with its sound and its place."""
        from recorder.projections.joining import placed

        processes = self._shared.store.processes()
        legs: list[_Leg] = []
        for session in self._sessions:
            process = processes.get(session.recorder)
            clock = (process.boot_id if process else "") or session.recorder
            sound = Sound(self._shared, session, self._wanted_of(session))
            legs.append(_Leg(session, clock, sound, self._last_ns(session)))
        found, ends = list[_Leg](), 0
        for leg, start, exact in placed(legs):
            gap = start - ends if found else None
            found.append(leg._replace(start_ns=start, gap_ns=gap, exact=exact))
            ends = max(ends, start + leg.ends_ns)
        return found

    def _wanted_of(self, session: Session) -> Wanted:
        """What is wanted of one session: the turn is its own only where pieces are."""
        here = self._turn is not None and self._turn[0] == session.id
        turn = self._turn[1] if self._turn is not None and here else None
        return replace(self.wanted, turn=turn, pad_ns=0)

    def _last_ns(self, session: Session) -> int:
        store = self._shared.store
        last = store.read(session.id, after=store.last_seq(session.id) - 1, audio=False)
        return max((event.at_ns for event in last), default=0)

    def _turn_span(self) -> tuple[int, int]:
        """From when to when the turn was on the call's clock, with the padding."""
        assert self._turn is not None
        (leg,) = (leg for leg in self._legs if leg.session.id == self._turn[0])
        assert leg.sound.span is not None
        start, end = (leg.start_ns + each for each in leg.sound.span)
        return max(0, start - self.wanted.pad_ns), end + self.wanted.pad_ns

    # What there is.

    def names(self) -> list[str]:
        """The tracks to write. Raises `UsageError` where there is none."""
        sides = {
            "user": any(leg.sound.layout.has_user for leg in self._legs),
            "assistant": any(leg.sound.layout.has_assistant for leg in self._legs),
        }
        asked = self.wanted.track
        there = {**sides, "stereo": any(sides.values()) if asked else all(sides.values())}
        if not any(sides.values()):
            raise UsageError(f"there is no sound in call {self._call}")
        if asked is not None and not there[asked]:
            raise UsageError(f"there is no sound of the {asked} in call {self._call}")
        return [track for track in CLOCK if track == asked or (asked is None and there[track])]

    @property
    def _call(self) -> str:
        return one_line(self._sessions[0].call)

    def cuts(self) -> list[Cut]:
        """What of the assistant nobody heard, on the call's clock."""
        found = [
            replace(cut, at_ns=cut.at_ns + leg.start_ns)
            for leg in self._legs
            for cut in leg.sound.cuts()
        ]
        if self._span is None:
            return found
        return [cut for cut in found if self._span[0] <= cut.at_ns < self._span[1]]

    def remarks(self) -> Iterator[str]:
        """Where there was no connection, and what the files do not hold."""
        if self.wanted.pieces:
            for leg in self._of_the_turn:
                yield from (f"session {leg.sound.tail}: {each}" for each in leg.sound.remarks())
            return
        legs = self._legs if self._span is None else self._of_the_turn
        yield from (_gap(leg) for leg in legs if leg.gap_ns is not None and self._span is None)
        yield from told_cuts(self.cuts())
        for leg in legs:
            yield from (f"session {leg.sound.tail}: {each}" for each in leg.sound.missing())

    def told(self, files: Sequence[Written]) -> dict[str, Any]:
        """All of it, for machines; `at_ns` and `start_ns` are on the call's clock."""
        return {
            "call": self._sessions[0].call,
            "timeline": self.wanted.timeline,
            "files": [file.told() for file in files],
            "cuts": [asdict(cut) for cut in self.cuts()],
            "connections": [self._told(leg) for leg in self._legs],
        }

    def _told(self, leg: _Leg) -> dict[str, Any]:
        """A session; what lies inside it is on its own clock."""
        own = leg.sound.told(())
        return {
            "id": own["id"],
            "start_ns": leg.start_ns,
            "end_ns": leg.start_ns + leg.ends_ns,
            "gap_ns": leg.gap_ns,
            "exact": leg.exact,
            **{name: own[name] for name in ("not_kept_ns", "inside_items", "input")},
        }

    # Writing.

    def to_files(self, folder: Path, *, force: bool, output: Path | None = None) -> list[Written]:
        """Write what is wanted. Raises `UsageError` for files that are there already."""
        if self.wanted.pieces:
            return self._pieces_to_files(folder, force=force, output=output)
        self._check_length()
        paths = {name: output or folder / self._file_name(name) for name in self.names()}
        refuse_to_overwrite(paths.values(), force=force)
        start, form = self._span[0] if self._span else 0, self.wanted.form
        return [
            write_track(path, name, self._blocks(name), self.rate, form, start)
            for name, path in paths.items()
        ]

    def _check_length(self) -> None:
        """Raises `UsageError` for sessions that lie so far apart that the file would be silence."""
        from recorder.tracks.calls import MOST_SILENCE_NS

        for leg in self._legs:
            if leg.sound.layout.is_too_long:
                leg.sound.names()  # says why not
            if (leg.gap_ns or 0) > MOST_SILENCE_NS:
                raise UsageError(
                    f"session {leg.sound.tail} of call {self._call} began {length(leg.gap_ns or 0)}"
                    " after the one before it had ended: name each session by itself"
                )

    def _file_name(self, track: str) -> str:
        """A label comes from strangers: what a file's name can do without is left out."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", self._sessions[0].call)[:60].strip("_") or "call"
        turn = f"-turn{self.wanted.turn}" if self.wanted.turn else ""
        return f"{name}{turn}-{track}.{self.wanted.form}"

    @contextmanager
    def _blocks(self, name: str) -> Iterator[Iterator[Samples]]:
        from recorder.tracks import clip
        from recorder.tracks.calls import Part, call_track

        with self._shared.out.progress(f"writing {name}") as report:
            parts = [
                Part(partial(_read, leg.sound, report), leg.sound.layout, leg.start_ns)
                for leg in self._legs
            ]
            stream = call_track(name, parts, self.rate)
            yield clip(stream, self.rate, *self._span) if self._span else stream

    @property
    def _of_the_turn(self) -> list[_Leg]:
        """The session of the turn that is wanted, else all."""
        if self._turn is None:
            return self._legs
        return [leg for leg in self._legs if leg.session.id == self._turn[0]]

    def _pieces_to_files(self, folder: Path, *, force: bool, output: Path | None) -> list[Written]:
        plans, refused = [], list[UsageError]()
        for leg in self._of_the_turn:
            try:
                pieces = leg.sound.pieces()
            except UsageError as error:
                refused.append(error)
                continue
            plans.append((leg.sound, pieces, leg.sound.piece_paths(pieces, folder, output)))
        if not plans:
            raise refused[0]
        if len(plans) > 1 and (output or self.wanted.item or self.wanted.response):
            names = " and ".join(sound.tail for sound, _, _ in plans)
            raise UsageError(f"that is in sessions {names}: name the one that is meant")
        refuse_to_overwrite([path for _, _, paths in plans for path in paths], force=force)
        return [
            file for sound, pieces, paths in plans for file in sound.write_pieces(pieces, paths)
        ]


def _read(sound: Sound, report: Report, audio: bool) -> Iterator[Event]:
    return sound.events(report, audio=audio)


def _sounds(leg: _Leg) -> bool:
    return leg.sound.layout.has_user or leg.sound.layout.has_assistant


def _gap(leg: _Leg) -> str:
    """What lies between this session and those before it."""
    gap, name = leg.gap_ns or 0, leg.sound.tail
    if gap < 0:
        return (
            f"session {name} was opened at {position(leg.start_ns)}, {length(-gap)} before the end "
            "of the one before it: both are heard"
        )
    about = "" if leg.exact else "about "
    clock = "" if leg.exact else " by the wall clock"
    return (
        f"no connection from {position(leg.start_ns - gap)} for {about}{length(gap)}{clock}, "
        f"until session {name}: silence"
    )

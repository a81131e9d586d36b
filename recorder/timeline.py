"""Pacing and choosing what happened in a session: pure generators over things with a time.

    for due_ns, cue in at_speed(cap_gaps(paced(only(events, wanted)), 2 * SECOND), 2.0): ...

A cue is anything with a time on the session's clock (`at_ns`), a `type` and an origin that has a
name: an event of the log, or something that a view of it adds. A paced cue also has the time at
which it is due, counted from when the playing begins.

Laws:

1. Nothing here sleeps, reads a clock or does I/O: time is a value, so all of it is tested with
   lists.
2. Everything streams. Only `cap_gaps` looks ahead, as far as the next cue that counts.
3. Order is kept; due times never decrease if times do not.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeVar

from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator


class Named(Protocol):
    """Something with a name in capitals, as the members of `Origin` are."""

    @property
    def name(self) -> str:
        """`CLIENT`, `SERVER`, `RECORDER`, or a view's own."""


class Timed(Protocol):
    """Whatever lies on a session's clock."""

    @property
    def at_ns(self) -> int:
        """Nanoseconds since the session was opened."""


class Cue(Timed, Protocol):
    """What can be played: an `Event`, or what a view tells of it."""

    @property
    def origin(self) -> Named:
        """Who made it."""

    @property
    def type(self) -> str:
        """Its name on the wire, or the view's word for it."""


T = TypeVar("T", bound=Timed)
C = TypeVar("C", bound=Cue)


class Paced(NamedTuple, Generic[T]):
    """A cue and when it is due."""

    due_ns: int
    """Nanoseconds since the playing began."""
    cue: T


# ---- choosing


@dataclass(frozen=True, slots=True)
class Wanted:
    """A condition on origin and type, as people write it: `server`, `response.*`, `client:*`."""

    origin: str
    """Empty: any."""
    glob: str

    def __call__(self, cue: Cue) -> bool:
        """Whether the cue fulfils it."""
        if self.origin and cue.origin.name.lower() != self.origin:
            return False
        return self.glob == "*" or fnmatchcase(cue.type, self.glob)


def parse_wanted(word: str, origins: Collection[str]) -> Wanted:
    """What a word asks for: an origin, a glob on types, or both as `ORIGIN:GLOB`.

    Raises `UsageError` for an empty word and for an origin that there is none of.
    """
    text = word.strip()
    if text in origins:
        return Wanted(text, "*")
    head, colon, tail = text.partition(":")
    if colon and head not in origins:
        raise UsageError(f"{word!r}: there is no origin {head!r}; expected {_either(origins)}")
    glob = tail if colon else text
    if not glob:
        raise UsageError(
            f"{word!r} says nothing; expected {_either(origins)}, or a type as in 'response.*'"
        )
    return Wanted(head if colon else "", glob)


def _either(words: Collection[str]) -> str:
    first, last = list(words)[:-1], list(words)[-1]
    return f"{', '.join(first)} or {last}"


def only(cues: Iterable[C], wanted: Collection[Callable[[C], bool]]) -> Iterator[C]:
    """Those that fulfil any of the conditions; without conditions, all."""
    for cue in cues:
        if not wanted or any(holds(cue) for holds in wanted):
            yield cue


def without(cues: Iterable[C], unwanted: Collection[Callable[[C], bool]]) -> Iterator[C]:
    """Those that fulfil none of the conditions."""
    for cue in cues:
        if not any(holds(cue) for holds in unwanted):
            yield cue


def between(cues: Iterable[T], start_ns: int = 0, end_ns: int | None = None) -> Iterator[T]:
    """Those from one time to another, both included; it reads no further than it must."""
    for cue in cues:
        if end_ns is not None and cue.at_ns > end_ns:
            return
        if cue.at_ns >= start_ns:
            yield cue


def until(cues: Iterable[T], holds: Callable[[T], bool]) -> Iterator[T]:
    """All up to the first that fulfils the condition, and that one."""
    for cue in cues:
        yield cue
        if holds(cue):
            return


def merged(*streams: Iterable[T], by: Callable[[T], int] | None = None) -> Iterator[T]:
    """Several streams as one, by time or by another key in which each of them rises; where that
    is the same, the earlier stream comes first.
    """
    return heapq.merge(*streams, key=by or _time)


def _time(cue: Timed) -> int:
    return cue.at_ns


# ---- pacing


def paced(cues: Iterable[T], start_ns: int | None = None) -> Iterator[Paced[T]]:
    """Each with its time as it was recorded, counted from `start_ns`, else from the first."""
    zero = start_ns
    for cue in cues:
        zero = cue.at_ns if zero is None else zero
        yield Paced(max(cue.at_ns - zero, 0), cue)


def cap_gaps(
    cues: Iterable[Paced[T]], limit_ns: int, counts: Callable[[T], bool] | None = None
) -> Iterator[Paced[T]]:
    """No two cues that count are further apart than the limit; what lies between moves along.

    A microphone that sends silence is no reason to wait: cues that do not count (by default, all
    do) share the room of their gap in proportion to the time that they had.
    """
    begin = shifted = 0
    quiet: list[Paced[T]] = []
    for cue in cues:
        quiet.append(cue)
        if counts is None or counts(cue.cue):
            yield from _squeezed(quiet, begin, shifted, limit_ns)
            shifted += min(cue.due_ns - begin, limit_ns)
            begin = cue.due_ns
            quiet.clear()
    yield from _squeezed(quiet, begin, shifted, limit_ns)


def _squeezed(cues: list[Paced[T]], begin: int, shifted: int, limit_ns: int) -> Iterator[Paced[T]]:
    """The cues of one gap that began at `begin` and is to begin at `shifted`."""
    gap = cues[-1].due_ns - begin if cues else 0
    for cue in cues:
        since = cue.due_ns - begin
        yield Paced(shifted + (since if gap <= limit_ns else since * limit_ns // gap), cue.cue)


def at_speed(cues: Iterable[Paced[T]], speed: float) -> Iterator[Paced[T]]:
    """The same so many times as fast. Raises `UsageError` unless it is faster than standing."""
    if not speed > 0:
        raise UsageError(f"a speed of {speed:g} plays nothing; it must be more than 0")
    for cue in cues:
        yield Paced(round(cue.due_ns / speed), cue.cue)


SPEEDS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""The steps of a player's keys."""


def next_speed(speed: float, *, faster: bool) -> float:
    """The next step up or down from any speed; the last one stays."""
    if faster:
        return next((step for step in SPEEDS if step > speed), max(speed, SPEEDS[-1]))
    return next((step for step in reversed(SPEEDS) if step < speed), min(speed, SPEEDS[0]))

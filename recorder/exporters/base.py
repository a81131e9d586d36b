"""What every exporter is given, and what a row of the table of exporters says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from ..events import Event, Session
    from ..projections.analysis import Analysis
    from ..sharing import Sharing
    from ..tracks import Layout

EventSource: TypeAlias = Callable[[bool], "Iterable[Event]"]
"""Gives a session's events from the start, with or without their audio; may be called again."""

Writer: TypeAlias = Callable[["Iterable[Source]", IO[bytes]], None]


class Source:
    """One session that is to be written: its facts, its events, and what they amount to.

    With a `Sharing`, everything that it gives is without content; figures are still those of
    the whole session.
    """

    def __init__(
        self, session: Session, events: EventSource, *, sharing: Sharing | None = None
    ) -> None:
        self._session, self._events, self.sharing = session, events, sharing

    @cached_property
    def session(self) -> Session:
        """Its facts."""
        return self.sharing.session(self._session) if self.sharing else self._session

    def events(self, audio: bool) -> Iterable[Event]:
        """Its events, in order."""
        if self.sharing is None:
            return self._events(audio)
        return map(self.sharing.event, self._events(False))

    @property
    def whole(self) -> Source:
        """The same session with all that it holds, for checking what was made of it."""
        return Source(self._session, self._events)

    @cached_property
    def _analysis(self) -> Analysis:
        from ..projections.analysis import analyse

        return analyse(self._events)

    @property
    def layout(self) -> Layout:
        """Where the sound of the whole session lies; nothing of it is content."""
        from ..tracks import lay_out, layout_of

        if self.sharing or "_analysis" in self.__dict__:
            return layout_of(self._analysis)
        return lay_out(self._events)

    def told(self, name: str) -> Any:
        """One part of what can be said of it: `turns`, `latency`, `transcript` …"""
        part = getattr(self._analysis, name)
        return self.sharing.result(part) if self.sharing else part


@dataclass(frozen=True, slots=True)
class Exporter:
    """One format."""

    suffix: str
    """Of files in this format."""
    help: str
    """What it is, in a line."""
    write: Writer
    """Writes the sessions, which come one by one, to a file that is open."""
    many: bool = False
    """Whether several sessions can stand in one file."""
    text: bool = True
    """Whether it can be looked at, and go through a pipe as it comes; else the file must be one
    in which one can go back."""
    share: str = "full"
    """What of a session is in it unless somebody says otherwise."""


def pieces(make: Callable[[Iterable[Source]], Iterator[bytes]]) -> Writer:
    """A writer made of a function that gives the file piece by piece."""

    def write(sources: Iterable[Source], file: IO[bytes]) -> None:
        for piece in make(sources):
            file.write(piece)

    return write

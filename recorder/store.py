"""`EventStore`, the port to whatever keeps the log; and the one that keeps it in memory.

What every store promises (`tests/test_store.py` holds each of them to it):

1. `append` is all or nothing, and gapless: a group that does not continue its session raises
   `SequenceConflict` and changes nothing.
2. `read` gives events in order of their numbers, in pages: neither a session nor a long reader
   ever holds up a writer, and an hour of audio never has to fit in memory.
3. What was appended never changes; only `remove` takes sessions away, whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

from .errors import SequenceConflict, SessionNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .events import Event, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderProcess:
    """Who records: a process and the lease that says it is still alive."""

    id: str
    """UUIDv7 of this process's run."""
    host: str
    pid: int
    boot_id: str
    """Of the machine: monotonic times of one boot can be compared."""
    started_ns: int
    """Wall clock, nanoseconds since 1970."""
    lease_ns: int
    """Wall clock until which the process counts as alive."""


APPEND: Final = "input_audio_buffer.append"
"""The type of which there is most."""


class Appends(NamedTuple):
    """Appended audio by columns: what most of a call's events are, with next to nothing else in
    them. Only such whose audio was cut out of the message and is still there."""

    seqs: Sequence[int]
    times: Sequence[int]
    sizes: Sequence[int]
    """Bytes of audio."""
    audio: Sequence[bytes]
    """Empty where it was not read."""


class Sound(NamedTuple):
    """Audio by the numbers of the events that carried it, in order."""

    seqs: list[int]
    audio: list[bytes]


@runtime_checkable
class Parted(Protocol):
    """Events that can also be had in two parts, which is quicker for whoever folds them; or as
    nothing but their sound."""

    def apart(self) -> tuple[Iterator[Event], Iterator[Appends]]:
        """All other events, and the appends; each in order of their numbers, from the start."""

    def sound(self) -> Iterator[Sound]:
        """The audio of each event that has any, whatever it is the sound of, in pages."""


class EventStore(Protocol):
    """The verbs of a log. Sessions are named by their id throughout."""

    in_memory: bool
    """Appending is instant and needs no thread of its own."""

    def register(self, process: RecorderProcess) -> None:
        """Make a recording process known, or renew its lease."""

    def processes(self) -> dict[str, RecorderProcess]:
        """All recording processes that were ever registered, by id."""

    def begin(self, session: Session) -> None:
        """Enter a session, before its first event. Raises `UsageError` if the id is taken."""

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        """Append each (session id, events), all in one transaction.

        Raises `SequenceConflict`, `SessionNotFound`, `StoreUnavailable`.
        """

    def read(
        self,
        session_id: str,
        *,
        after: int = 0,
        until: int | None = None,
        audio: bool = True,
        types: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Events with `after < seq <= until`, in order, in pages.

        Without `audio` the column is not touched and stands as None. An unknown session
        raises `SessionNotFound` at once, not at the first event. What is given may be `Parted`.
        """

    def session(self, session_id: str) -> Session:
        """The session with exactly this id. Raises `SessionNotFound`."""

    def sessions(self) -> Iterator[Session]:
        """All sessions, in the order in which they were entered."""

    def last_seq(self, session_id: str) -> int:
        """The number of the session's last event; 0 where it has none."""

    def remove(self, session_id: str) -> None:
        """Take the session away, with everything that was derived from it."""

    def close(self) -> None:
        """Let go of connections and files. Closing twice is fine."""


def check_sequence(session_id: str, last: int, events: Sequence[Event]) -> None:
    """Refuse events that do not continue after `last` without gaps. Raises `SequenceConflict`."""
    if [event[0] for event in events] == list(range(last + 1, last + 1 + len(events))):
        return
    for expected, event in enumerate(events, last + 1):
        if event.seq != expected:
            raise SequenceConflict(session_id, expected, event.seq)


def unknown_session(session_id: str) -> SessionNotFound:
    """The error for an id that is not there."""
    return SessionNotFound(f"no session {session_id} in this store; `recorder ls` shows what is")


class MemoryStore:
    """A store that lasts as long as the process: for tests, trials, and exact clocks."""

    in_memory = True

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._events: dict[str, list[Event]] = {}
        self._processes: dict[str, RecorderProcess] = {}

    def register(self, process: RecorderProcess) -> None:
        """Remember the process; nothing here outlives it anyway."""
        self._processes[process.id] = process

    def processes(self) -> dict[str, RecorderProcess]:
        """All recording processes that were ever registered, by id."""
        return dict(self._processes)

    def begin(self, session: Session) -> None:
        """Enter a session."""
        if session.id in self._sessions:
            raise UsageError(f"session {session.id} is in this store already")
        self._sessions[session.id] = session
        self._events[session.id] = []

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        """Append each group; none, if one of them does not fit."""
        lengths: dict[str, int] = {}
        for session_id, events in groups:
            last = lengths.get(session_id, len(self._log(session_id)))
            check_sequence(session_id, last, events)
            lengths[session_id] = last + len(events)
        for session_id, events in groups:
            self._events[session_id].extend(events)

    def read(
        self,
        session_id: str,
        *,
        after: int = 0,
        until: int | None = None,
        audio: bool = True,
        types: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Events in order, as they stand now."""
        found = self._log(session_id)[max(after, 0) : None if until is None else max(until, 0)]
        if types is not None:
            found = [event for event in found if event.type in types]
        if not audio:
            found = [event._replace(audio=None) for event in found]
        return iter(found[:limit])

    def session(self, session_id: str) -> Session:
        """The session with this id."""
        self._log(session_id)
        return self._sessions[session_id]

    def sessions(self) -> Iterator[Session]:
        """All sessions."""
        return iter(list(self._sessions.values()))

    def last_seq(self, session_id: str) -> int:
        """The number of the last event."""
        return len(self._log(session_id))

    def remove(self, session_id: str) -> None:
        """Forget the session."""
        self._log(session_id)
        del self._sessions[session_id], self._events[session_id]

    def close(self) -> None:
        """Nothing to let go of."""

    def _log(self, session_id: str) -> list[Event]:
        try:
            return self._events[session_id]
        except KeyError:
            raise unknown_session(session_id) from None

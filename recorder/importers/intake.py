"""What importers give, taken into a store.

Laws:

1. A session is begun only when it has an event, and appended to in groups of a few milliseconds:
   a recorder that writes to the same database never waits long.
2. A session that is in the store already, event for event, is skipped; one that is there with
   other content is refused, unless it is asked for as a new one.
3. What stood before the damage of a damaged file stays. What was cut short by anything else (an
   interruption, a store that fails) is taken away again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import RecorderError, SessionNotFound, UsageError
from ..events import Event, Session
from ..recording import Recorder
from .nouns import Asked, Damaged, Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .nouns import Item

GROUP: Final = 1024
"""Events of one commit: some 20 ms, half of what an import may hold up a recorder for."""
GROUP_BYTES: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Taken:
    """One session that was imported, or was there already."""

    session: Session
    events: int = 0
    known: bool = False
    """It was in the store already, and nothing was written."""


@dataclass(slots=True)
class Report:
    """What became of one file."""

    taken: list[Taken] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    damage: Damaged | None = None
    """Where the file broke off; what stood before it was imported."""


class Target(Protocol):
    """The verbs of an `EventStore` that an import needs."""

    def begin(self, session: Session) -> None:
        """Enter a session, before its first event."""

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        """Append each (session id, events)."""

    def session(self, session_id: str) -> Session:
        """The session with exactly this id. Raises `SessionNotFound`."""

    def read(self, session_id: str) -> Iterator[Event]:
        """Its events, in order."""

    def remove(self, session_id: str) -> None:
        """Take the session away."""


def take_in(store: Target, items: Iterable[Item], asked: Asked, *, as_new: bool) -> Report:
    """Write the sessions of one file into the store.

    Raises `UsageError` (`Unreadable`, a session that is there with other content), `StoreError`,
    and `Damaged` where nothing at all was imported.
    """
    intake = _Intake(store, asked, as_new=as_new)
    try:
        intake.take(iter(items))
    except Damaged as damage:
        intake.finish()
        if not intake.report.taken:
            raise
        intake.report.damage = damage
    except BaseException:
        intake.undo()
        raise
    return intake.report


class _Intake:
    """One file on its way into the store."""

    def __init__(self, store: Target, asked: Asked, *, as_new: bool) -> None:
        self._store, self._asked, self._as_new = store, asked, as_new
        self.report = Report()
        self._current: Taken | None = None
        self._group: list[Event] = []
        self._size = 0

    def take(self, items: Iterator[Item]) -> None:
        """All of it."""
        for item in items:
            if isinstance(item, Event):
                self._event(item)
            elif isinstance(item, Remark):
                self.report.remarks.append(item.text)
            else:
                self.finish()
                while (known := self._known(item)) is not None:
                    following = self._compared(known, items)
                    if following is None:
                        return
                    item = following
                self._begin(item)
        self.finish()

    def _event(self, event: Event) -> None:
        assert self._current is not None
        group, audio = self._group, event[7]
        group.append(event)
        self._size += len(event[5])
        if audio is not None:
            self._size += len(audio)
        if len(group) >= GROUP or self._size >= GROUP_BYTES:
            self._commit()

    def _begin(self, session: Session) -> None:
        """The session's row is written with its first group."""
        asked = self._asked
        entered = replace(
            session, call=asked.call or session.call, model=asked.model or session.model
        )
        if self._as_new and self._is_there(session.id):
            labels = {**session.labels, "copy_of": session.id}
            entered = replace(entered, id=asked.new_id(session.wall_ns), labels=labels)
        self._current = Taken(entered)

    def _commit(self) -> None:
        taken = self._current
        if taken is None or not self._group:
            return
        if not taken.events:
            self._store.begin(taken.session)
            self.report.taken.append(taken)
        self._store.append([(taken.session.id, self._group)])
        taken.events = self._group[-1].seq
        self._group, self._size = [], 0

    def finish(self) -> None:
        """The end of a session: what waits is written, and the tags that were asked for."""
        if self._current is not None and self._asked.tags and self._group:
            self._group += self._tags(self._current.session, self._group[-1])
        self._commit()
        self._current = None

    def _tags(self, session: Session, last: Event) -> Iterator[Event]:
        """Sessions of our own come with their tags; what is added is an event after the last."""
        if session.labels.get("imported_from") is not None:
            return
        recorder = Recorder(session)
        recorder.last_seq, recorder.last_at = last.seq, last.at_ns
        yield recorder.note("tag", last.at_ns, {"add": list(self._asked.tags), "remove": []})

    def undo(self) -> None:
        """Take the unfinished session away again."""
        taken, self._current = self._current, None
        if taken is not None and taken.events:
            self.report.taken.remove(taken)
            with contextlib.suppress(RecorderError):
                self._store.remove(taken.session.id)

    # ---- sessions that are there already

    def _is_there(self, session_id: str) -> bool:
        try:
            self._store.session(session_id)
        except SessionNotFound:
            return False
        return True

    def _known(self, session: Session) -> Session | None:
        """The session of this id that is there already, and stands in the way."""
        return session if not self._as_new and self._is_there(session.id) else None

    def _compared(self, session: Session, items: Iterator[Item]) -> Session | None:
        """Compare a session that is there with what the file says of it; the next one, if any.

        Raises `UsageError` where they differ.
        """
        there = self._store.session(session.id)
        if there != session:
            raise self._other(session, "its session says other things")
        following: list[Item] = []
        stored = self._store.read(session.id)
        taken = Taken(there, known=True)
        for offered, kept in zip_longest(_until_next(items, following), stored):
            if offered is None:
                break  # it has gone on since: a note, a tag
            if offered != kept:
                self.report.taken = [each for each in self.report.taken if each is not taken]
                raise self._other(session, f"they differ from event {taken.events + 1} on")
            if not taken.events:
                self.report.taken.append(taken)
            taken.events += 1
        return next((item for item in following if isinstance(item, Session)), None)

    def _other(self, session: Session, how: str) -> UsageError:
        return UsageError(
            f"session {session.id} is in the database already, and not the same: {how}. "
            "Nothing of it was imported; --as-new imports it under another id"
        )


def _until_next(items: Iterator[Item], following: list[Item]) -> Iterator[Event]:
    """The events up to the next session, which is put into `following`."""
    for item in items:
        if isinstance(item, Event):
            yield item
        elif isinstance(item, Session):
            following.append(item)
            return

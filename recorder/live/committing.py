"""Where groups are committed: by the writer's thread, or under load in a process of its own.

The thread shares Python's global lock with live calls. Of a few of them nobody notices; of fifty
the event loop comes late by milliseconds. So from `APART_RATE` events a second on a process of
its own appends, and when it has been quiet for long it ends. It gives way to everybody else:
beside two hundred calls on two processors a message then waits a third as long. Where it falls
behind, another one that does not give way helps; where it gets too little time at all, that one
takes its place for a while.

Law: whatever becomes of these processes, each group is appended once.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from ..sql.apart import GIVES_WAY, SUPPORTED, AppendingLost, AppendingProcess
from ..sql.passage import NoRoom
from ..sql.store import SqlStore
from ..sql.upkeep import file_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..events import Event
    from ..sql.upkeep import FileId
    from ..store import EventStore

    Groups = Sequence[tuple[str, Sequence[Event]]]

log = logging.getLogger("recorder.writer")

APART_RATE: Final = 1000.0
"""Events a second: some fifteen spoken calls."""

RESERVE_RATE: Final = 6000.0
"""Some ninety spoken calls. What waits while another process is started fills the buffer in two
seconds: so one stands by."""

LITTLE_ROOM: Final = 0.3
"""With less of the buffer left, who stands by appends the next group."""

NO_ROOM: Final = 0.15
"""And with less than this one that gives way has had too little time."""

WATCH_SECONDS: Final = 0.25
"""Over which events are counted."""

QUIET_SECONDS: Final = 60.0
"""After so long below a quarter of that rate the process ends; it holds up to 160 MB."""

STARVED_SECONDS: Final = 2.0
"""A process that gives way, and has not answered for so long, gets too little time."""

HUNG_SECONDS: Final = 60.0
"""No answer at all comes after so long from one that does not: the database has refused sooner."""

AGAIN_SECONDS: Final = 10.0
"""After one that failed or was lost none is started for so long; after one that got too little
time, none that gives way."""

LONGEST_AGAIN_SECONDS: Final = 3600.0
"""After each more in a row it is twice as long, up to this: inside of another program, perhaps,
none can ever be started, and beside another one there is never time."""


def identity(store: EventStore) -> FileId | None:
    """Of the file that the store has open, while it stands in its place."""
    if isinstance(store, SqlStore) and store.path is not None:
        return file_id(store.path)
    return None


class Committing:
    """Appends to a store, here or apart. For one thread, but for `give_up`."""

    def __init__(
        self,
        store: EventStore,
        apart_rate: float | None = APART_RATE,
        room: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """Nothing is ever appended apart where `apart_rate` is None. `room`: what share is left
        of the buffer in which events wait for us."""
        self._store, self._rate, self._room = store, apart_rate, room
        self._possible = apart_rate is not None and SUPPORTED and isinstance(store, SqlStore)
        self._apart: AppendingProcess | None = None
        self._next: AppendingProcess | None = None
        """Stands by, and does not give way; or takes the place of the other one, which does not, as
        soon as it can."""
        self._asked: AppendingProcess | None = None
        self._count, self._since = 0, time.monotonic()
        self._not_before, self._busy = 0.0, self._since
        self._doubtful: set[str] = set()
        """Sessions of which it is not known whether their last group was committed."""
        self._failures = 0
        """How often in a row none could be started."""
        self._asked_at, self._too_late = 0.0, False
        self._polite_since, self._polite_again = 0.0, 0.0 if GIVES_WAY else math.inf
        self._eager_seconds = AGAIN_SECONDS
        self._next_not_before = 0.0
        self._file = identity(store)

    @property
    def apart(self) -> bool:
        """Whether a process of its own appends now."""
        return self._apart is not None and self._apart.ready

    def append(self, groups: Groups) -> None:
        """As `EventStore.append` does."""
        self._append(groups)
        if self._possible:
            self._watch(sum(len(events) for _, events in groups))

    def _append(self, groups: Groups) -> None:
        groups = self._undone(groups)
        if self._is_starved() and self._reserve() is None:
            self._be_eager()
        while self.apart:
            try:
                self._append_apart(groups)
                return
            except NoRoom:
                break  # some message has many MB: here
            except AppendingLost as error:
                self._doubtful.update(session_id for session_id, _ in groups)
                self._lost(str(error))
                groups = self._undone(groups)
        self._store.append(groups)

    def _append_apart(self, groups: Groups) -> None:
        assert isinstance(self._store, SqlStore)
        helper = self._reserve() if self._room() < LITTLE_ROOM else None
        self._asked = helper or self._apart
        assert self._asked is not None
        self._asked_at, self._too_late = time.monotonic(), False
        with self._store.alone():
            self._asked.append(groups, self._late)
        self._failures = 0

    def _reserve(self) -> AppendingProcess | None:
        """What stands by."""
        other = self._next
        return other if other is not None and other.ready and other.eager else None

    def _undone(self, groups: Groups) -> Groups:
        """Without those that were in doubt and turn out to stand. Until it could be looked up they
        stay in doubt: the writer asks again with these groups."""
        if not self._doubtful:
            return groups
        left = [each for each in groups if not self._stands(*each)]
        self._doubtful.difference_update(session_id for session_id, _ in groups)
        return left

    def _late(self) -> None:
        """A group takes long over there. It has no time, or the disk is slow: who knows."""
        assert self._asked is not None
        patience = HUNG_SECONDS if self._asked.eager else STARVED_SECONDS
        starved = self._asked is self._apart and self._is_starved()
        if starved or time.monotonic() - self._asked_at >= patience:
            self._too_late = True
            self._asked.kill()  # what it has of this group is undone, unless it is committed

    def _is_starved(self) -> bool:
        """Whether the process gives way to others for so long that the buffer fills up."""
        polite = self._apart is not None and self._apart.ready and not self._apart.eager
        return polite and self._room() < NO_ROOM

    def _stands(self, session_id: str, events: Sequence[Event]) -> bool:
        """Whether this group was committed; if it is in doubt."""
        if session_id not in self._doubtful or not events:
            return False
        last = events[-1]
        found = next(self._store.read(session_id, after=last.seq - 1, limit=1, audio=False), None)
        return found is not None and found[:4] == last[:4]  # its audio may have been erased since

    def rest(self) -> None:
        """Nothing has come for a while."""
        if self._possible:
            self._watch(0)

    def _watch(self, count: int) -> None:
        self._count += count
        now = time.monotonic()
        if now - self._since < WATCH_SECONDS:
            return
        rate, self._count, self._since = self._count / (now - self._since), 0, now
        assert self._rate is not None
        if rate > self._rate / 4:
            self._busy = now
        if self._apart is None:
            if rate >= self._rate and now >= self._not_before:
                log.info(
                    "many calls at once: events are appended by a process of its own from now on"
                )
                self._begin()
        elif self._apart.failed:
            self._failures += 1
            self._forget(self._apart.failed)
        elif now - self._busy > QUIET_SECONDS:
            self.end()
        elif self._next is not None:
            self._look_at(self._next, many=rate >= RESERVE_RATE)
        elif self._apart.ready and now >= self._next_not_before:
            if self._apart.eager:
                if now >= self._polite_again:
                    self._next = self._started()
            elif rate >= RESERVE_RATE:
                self._next = self._started(eager=True)

    def _look_at(self, other: AppendingProcess, *, many: bool) -> None:
        """One that gives way takes over as soon as it can; one that does not stands by."""
        if other.failed:
            log.warning("%s", other.failed)
            self._dismiss(LONGEST_AGAIN_SECONDS)
        elif other.ready and not other.eager:
            self._apart, self._next = other, self._apart
            self._polite_since = time.monotonic()
            if self._next is not None and not many:
                self._next.close()
                self._next = None

    def _lost(self, why: str) -> None:
        assert self._apart is not None
        if self._asked is self._next and self._next is not None:
            self._dismiss(AGAIN_SECONDS)
        elif not self._apart.eager and (self._too_late or self._next is not None):
            self._be_eager()
        else:
            self._forget(why)

    def _dismiss(self, pause: float) -> None:
        """Do without a second process for so many seconds."""
        assert self._next is not None
        self._next_not_before = time.monotonic() + pause
        self._next.close()
        self._next = None

    def _begin(self) -> None:
        """Have one that gives way, or, where there is no time for it, one that does not."""
        now = time.monotonic()
        self._apart = self._started(eager=now < self._polite_again)
        self._polite_since = now

    def _be_eager(self) -> None:
        """No time is left for one that gives way. Another one from now on; until it can, here."""
        assert self._apart is not None
        log.info(
            "the process that appends gets too little time; one that does not give way follows"
        )
        self._apart.close()
        now = time.monotonic()
        if now - self._polite_since > 2 * self._eager_seconds:
            self._eager_seconds = AGAIN_SECONDS
        self._polite_again = now + self._eager_seconds
        self._eager_seconds = min(2 * self._eager_seconds, LONGEST_AGAIN_SECONDS)
        self._apart, self._next = self._next, None
        if self._apart is None:
            self._begin()

    def _started(self, *, eager: bool = False) -> AppendingProcess:
        assert isinstance(self._store, SqlStore)
        return AppendingProcess(self._store, self._file, eager=eager)

    def _forget(self, why: str) -> None:
        log.warning("%s; events are appended in this process again, and none is lost", why)
        pause = min(AGAIN_SECONDS * 2.0 ** min(self._failures, 60), LONGEST_AGAIN_SECONDS)
        self._not_before = time.monotonic() + pause
        self.end()

    def moved(self) -> None:
        """The store has gone over to another file."""
        self._file = identity(self._store)

    def end(self) -> None:
        """Append here again."""
        for process in (self._apart, self._next):
            if process is not None:
                process.close()
        self._apart = self._next = None

    def give_up(self) -> None:
        """From another thread: have an `append` that waits for the process end soon."""
        for process in (self._apart, self._next):
            if process is not None:
                process.kill()

"""What the page of a session draws, made from its log: facts, outlines of the sound, states.

Laws:

1. The facts are those of the exported page (`recorder.page`), cut into tiles; so are the outlines,
   but for less than a bin (`page.placed`).
2. Nothing here is about the time at which it is asked: whether a session is live, or was
   interrupted, is said by `calls.now`.
3. The log is read once, and what was made of it once can be made of what came since (`Making`).
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from recorder.errors import RecorderError
from recorder.page import growing, log
from recorder.sql.outlines import outcome
from recorder.sql.tiles import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recorder.events import Event, Session
    from recorder.store import EventStore

AT_ONCE: Final = 256
"""Events that are held with their audio."""


class Made(NamedTuple):
    """All tiles of one session, compressed."""

    last_seq: int
    tiles: Mapping[Key, bytes]


class Damaged(RecorderError):
    """The session cannot be analysed."""


class Making:
    """The tiles of a session, made anew as it grows from nothing but what is new. For one thread
    at a time."""

    def __init__(self, store: EventStore, session: Session, *, drawn_only: bool = False) -> None:
        self.session = session
        self._store = store
        self._growing = growing.Growing(session, drawn_only=drawn_only)

    @property
    def last_seq(self) -> int:
        """Up to which event they are made."""
        return self._growing.last_seq

    @property
    def grown(self) -> bool:
        """Whether there are any."""
        return self._growing.summary is not None

    def grow(self, last_seq: int) -> None:
        """Take what came up to this event. Raises `SessionNotFound`, `StoreUnavailable`,
        `Damaged`; after that it is good for nothing any more."""
        with analysing(self.session):
            found = self._store.read(self.session.id, after=self.last_seq, until=last_seq)
            for events in _some(found):
                self._growing.feed(events)
            self._growing.grow()

    def tile(self, key: Key) -> bytes | None:
        """A tile, compressed; None where there is none."""
        return self._now() if key.kind == "now" else self._growing.tile(*key)

    def _now(self) -> bytes:
        summary = self._growing.summary
        assert summary is not None
        told = {"outcome": outcome(self.session, summary), "tags": summary.tags}
        return growing.packed(growing.text_of(told))

    def tiles(self) -> dict[Key, bytes]:
        """All of them."""
        found = {Key("now"): self._now()}
        for kind, number in self._growing.tiles():
            if (data := self._growing.tile(kind, number)) is not None:
                found[Key(kind, number)] = data
        return found

    def since(self, seq: int) -> bytes:
        """What is another than after this event, as JSON."""
        return self._growing.since(seq)

    @property
    def is_over(self) -> bool:
        """The log says so."""
        summary = self._growing.summary
        return summary is not None and summary.closed is not None


def made_of(
    store: EventStore, session: Session, last_seq: int, *, drawn_only: bool = False
) -> Made:
    """Fold a session up to this event; with `drawn_only` all but its states. Raises
    `SessionNotFound`, `StoreUnavailable`, `Damaged`."""
    making = Making(store, session, drawn_only=drawn_only)
    making.grow(last_seq)
    return Made(last_seq, making.tiles())


def states_of(store: EventStore, session: Session, last_seq: int) -> dict[Key, bytes]:
    """The tiles of its states, up to this event. Raises like `made_of`."""
    states = growing.States()
    with analysing(session):
        for events in _some(store.read(session.id, until=last_seq, audio=False)):
            states.take(events)
    tiles = ((Key("states", tile), states.tile(tile)) for tile in range(states.tiles))
    return {key: data for key, data in tiles if data is not None}


@contextmanager
def analysing(session: Session) -> Iterator[None]:
    """One session that our own code cannot cope with must not take the server along: it raises
    `Damaged`."""
    try:
        yield
    except RecorderError:
        raise
    except Exception as error:
        raise Damaged(
            f"session {session.id} cannot be analysed ({type(error).__name__}); its "
            "events can still be read: recorder events, recorder db verify"
        ) from error


def _some(source: Iterable[Event]) -> Iterator[list[Event]]:
    events = iter(source)
    while found := list(islice(events, AT_ONCE)):
        yield found


# ---- events


def log_tile(store: EventStore, session_id: str, tile: int) -> log.Lines | None:
    """A tile of the log, read now; None where there is none."""
    after = tile * log.BLOCK
    found = list(store.read(session_id, after=after, until=after + log.BLOCK, audio=False))
    if not found:
        return None
    formats = log.Formats()
    if after:
        for event in _configured(store, session_id, after):
            formats.length(event, 0)
    return log.block(found, formats)


_CONFIGURING: Final = ("session.created", "session.updated", "session.update")


def _configured(store: EventStore, session_id: str, until: int) -> Iterable[Event]:
    return store.read(session_id, until=until, audio=False, types=_CONFIGURING)

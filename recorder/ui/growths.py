"""The calls that are looked at while they are recorded: each is folded on, once for all who look.

Laws:

1. A growth costs what is new: the folds of a call are kept (`making.Making`) and fed on.
2. One thread at a time makes a call grow; whoever asks meanwhile gets what that thread made.
3. A call grows at most once in `PACE` seconds, and `SHARE` times as long as that took is waited;
   but not after the first view, for which all that there was had to be folded.
4. A call that nobody has asked about for `GRACE` seconds is let go, within as long again; so are
   those asked about longest ago where there are more than `MOST` that no page follows, and what
   cannot be folded.
5. A session that is not the one that was folded (removed and imported again, gone back to an
   earlier state) is folded from its beginning.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from recorder.errors import RecorderError, SessionNotFound
from recorder.sql.views import Views, only

from .making import Made, Making

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recorder.sql.store import SqlStore
    from recorder.sql.tiles import Key

PACE: Final = 0.25
SHARE: Final = 3.0
GRACE: Final = 20.0
MOST: Final = 4


class _Watched:
    """One call."""

    def __init__(self, number: int, making: Making) -> None:
        self.number, self.making = number, making
        self.lock = threading.Lock()
        self.due = 0.0
        """When it may grow again, on the monotonic clock."""
        self.asked = 0.0
        """When somebody asked about it last."""


class Growths:
    """The calls of one store that are being watched. Safe to share between threads."""

    def __init__(self, store: SqlStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._watched: dict[str, _Watched] = {}
        self._followers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    # ---- who looks

    @contextmanager
    def following(self, session_id: str) -> Iterator[None]:
        """While a page follows this session, it is not let go."""
        with self._lock:
            self._followers[session_id] = self._followers.get(session_id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._followers[session_id] -= 1
                if not self._followers[session_id]:
                    del self._followers[session_id]
                    if known := self._watched.get(session_id):
                        known.asked = self._clock()

    def holds(self, session_id: str) -> bool:
        """Whether it is being watched."""
        return session_id in self._watched

    def let_go(self) -> None:
        """Forget the calls that nobody looks at any more."""
        with self._lock:
            now = self._clock()
            idle = sorted(
                (each.asked, name)
                for name, each in self._watched.items()
                if name not in self._followers and not each.lock.locked()
            )
            many = len(idle) - MOST
            for row, (asked, name) in enumerate(idle):
                if row < many or now - asked >= GRACE:
                    del self._watched[name]
            self._look_again()

    def _look_again(self) -> None:
        """In a while, as long as there is anything to let go."""
        if self._watched and self._timer is None:
            self._timer = threading.Timer(GRACE, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        with self._lock:
            self._timer = None
        self.let_go()

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._watched.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    # ---- what they see

    def is_live(self, session_id: str) -> bool:
        """Whether it is being recorded at this moment. Raises `SessionNotFound`."""
        views = Views(self._store, time.time_ns())
        known = self._watched.get(session_id)
        if known is None or not known.making.grown:
            return views.is_live(session_id)
        if known.making.is_over or not leased(views, session_id):
            return False
        return not closed_after(self._store, session_id, known.making.last_seq)

    def tile(self, session_id: str, key: Key, known: int | None = None) -> bytes | None:
        """A tile as of now, compressed; None where there is none, or nothing newer than event
        `known`. Raises `SessionNotFound`, `StoreUnavailable`, `Damaged`."""
        with self._grown(session_id) as making:
            return None if known is not None and making.last_seq <= known else making.tile(key)

    def since(self, session_id: str, seq: int) -> bytes | None:
        """What is another than after this event, as JSON; None where nothing is. Raises like
        `tile`."""
        with self._grown(session_id) as making:
            return None if making.last_seq <= seq else making.since(seq)

    def made(self, session_id: str) -> Made:
        """All tiles, up to the last event. Raises like `tile`."""
        with self._grown(session_id, at_once=True) as making:
            return Made(making.last_seq, making.tiles())

    @contextmanager
    def _grown(self, session_id: str, *, at_once: bool = False) -> Iterator[Making]:
        """The folds of a call, grown; nobody else has them meanwhile."""
        watched = self._found(session_id)
        with watched.lock:
            try:
                self._grow(watched, at_once=at_once)
            except RecorderError:
                self._drop(session_id, watched)
                raise
            yield watched.making

    def _found(self, session_id: str) -> _Watched:
        """The call, as it is kept; a new one where it is another than that."""
        try:
            number = self._store.number(session_id)
            last_seq = self._store.last_seq(session_id)
        except SessionNotFound:
            with self._lock:
                self._watched.pop(session_id, None)
            raise
        with self._lock:
            known = self._watched.get(session_id)
            if known is None or known.number != number or known.making.last_seq > last_seq:
                making = Making(self._store, self._store.session(session_id))
                known = self._watched[session_id] = _Watched(number, making)
            known.asked = self._clock()
        self.let_go()
        return known

    def _grow(self, watched: _Watched, *, at_once: bool) -> None:
        session_id, begun = watched.making.session.id, self._clock()
        last_seq = self._store.last_seq(session_id)
        fresh = watched.making.grown and last_seq <= watched.making.last_seq
        early = watched.making.grown and begun < watched.due and not at_once
        if fresh or early:
            return
        first = not watched.making.grown
        watched.making.grow(last_seq)
        end = self._clock()
        watched.due = end + max(PACE, 0 if first else SHARE * (end - begun))

    def _drop(self, session_id: str, watched: _Watched) -> None:
        with self._lock:
            if self._watched.get(session_id) is watched:
                del self._watched[session_id]


def leased(views: Views, session_id: str) -> bool:
    """Whether there is a recorder that may still write to this session. Raises
    `SessionNotFound`."""
    entries = views.entries(only(session_id))
    if not entries:
        raise SessionNotFound("this session has just been removed")
    return entries[0].lease_ns is not None and entries[0].lease_ns > views.now_ns


def closed_after(store: SqlStore, session_id: str, seq: int) -> int:
    """The event after this one that says that the session is over; 0 where none does."""
    kinds = {"recorder.closed"}
    found = store.read(session_id, after=seq, types=kinds, audio=False, limit=1)
    return next((event.seq for event in found), 0)

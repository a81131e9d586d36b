"""The tiles of sessions: stored ones from the database, else made by whoever first asks.

Laws:

1. A session is folded once, however many ask for it at the same time.
2. A long one is folded in processes of their own, so that this server's memory does not grow with
   the sessions that are looked at, and its loop is not held up.
3. What is not stored, because the session still grows or the database cannot be written, is kept
   in memory: of the last `KEPT` sessions.
4. A session that grows is not folded again, but on (`growths`).
"""

from __future__ import annotations

import gzip
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from recorder.sql.tiles import Key, TileStore
from recorder.sql.views import Views

from .growths import Growths
from .helping import helped, is_worth_it, received
from .making import Made, made_of, states_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from recorder.sql.store import SqlStore

KEPT: Final = 4
STRIPES: Final = 32
SHARE: Final = 3.0
"""How many times as long as folding took it is waited before a growing session is folded again."""


class _Grown(NamedTuple):
    made: Made
    due: float
    """When it may be made again, on the monotonic clock."""


class Sheets:
    """Tiles by session. Safe to share between threads."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.growths = Growths(store)
        self._tiles = TileStore(store)
        self._kept: OrderedDict[str, _Grown] = OrderedDict()
        self._lock = threading.Lock()
        self._making = [threading.Lock() for _ in range(STRIPES)]
        """Each for some of the sessions: held by who makes the tiles of one."""

    def tile(self, session_id: str, key: Key, known: int | None = None) -> bytes | None:
        """A tile, compressed; None where there is none, or nothing newer than event `known`.

        Raises `SessionNotFound`, `StoreUnavailable`, `Damaged`.
        """
        if known is None and (stored := self._tiles.fresh(session_id, key)) is not None:
            return stored
        if known is None and self._is_whole(session_id):
            return None
        if known is not None and known >= self.store.last_seq(session_id):
            return None
        with self._making[hash(session_id) % len(self._making)]:
            # Somebody else may have made them while we waited.
            if known is None and (stored := self._tiles.fresh(session_id, key)) is not None:
                return stored
            if self.growths.is_live(session_id):
                return self.growths.tile(session_id, key, known)
            made = self._made(session_id)
        return None if known is not None and made.last_seq <= known else made.tiles.get(key)

    def _is_whole(self, session_id: str) -> bool:
        """Whether all tiles that there can be are stored: so the one that was asked for is none."""
        number = self.store.number(session_id)
        return self._tiles.made_of(number) == self.store.last_seq(session_id)

    def _made(self, session_id: str) -> Made:
        last_seq = self.store.last_seq(session_id)
        known = self._kept.get(session_id)
        if known and (known.made.last_seq >= last_seq or time.monotonic() < known.due):
            return known.made
        begun = time.monotonic()
        live = Views(self.store, time.time_ns()).is_live(session_id)
        made = self._folded(session_id, last_seq, live)
        took = time.monotonic() - begun
        if live or not self._tiles.keep(self.store.number(session_id), last_seq, made.tiles):
            self._keep(session_id, _Grown(made, time.monotonic() + SHARE * took))
        return made

    def _keep(self, session_id: str, grown: _Grown) -> None:
        with self._lock:
            self._kept[session_id] = grown
            self._kept.move_to_end(session_id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _folded(self, session_id: str, last_seq: int, live: bool) -> Made:
        if self.growths.holds(session_id):  # it is over now: what is kept of it is all of it
            return self.growths.made(session_id)
        session = self.store.session(session_id)
        made = None
        if is_worth_it(self.store, last_seq):
            made = _elsewhere(self.store, session_id, last_seq)
        return made or made_of(self.store, session, last_seq)


def unpacked(data: bytes) -> Any:
    """What stands in a tile."""
    return orjson.loads(gzip.decompress(data))


# ---- a process of its own


def _elsewhere(store: SqlStore, session_id: str, last_seq: int) -> Made | None:
    """What helpers make of the session; None where one died. Raises what it raised.

    Its states take as long as all the rest, and nothing of it: they are made beside it.
    """
    with (
        helped(_help, store, session_id, last_seq) as drawn,
        helped(_help_with_states, store, session_id, last_seq) as states,
    ):
        try:
            tiles: dict[Key, bytes] = received(drawn) | received(states)
        except EOFError:
            return None
    return Made(last_seq, tiles)


def _help(store: SqlStore, pipe: Connection, session_id: str, last_seq: int) -> None:
    session = store.session(session_id)
    pipe.send(made_of(store, session, last_seq, drawn_only=True).tiles)


def _help_with_states(store: SqlStore, pipe: Connection, session_id: str, last_seq: int) -> None:
    pipe.send(states_of(store, store.session(session_id), last_seq))

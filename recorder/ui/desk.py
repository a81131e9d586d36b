"""What all handlers of one server share."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Final

import trio

from recorder.errors import SessionNotFound
from recorder.selecting import Directory
from recorder.sql.views import Views

from .hearing import Sounds
from .sheets import Sheets
from .shelf import Shelf
from .side_by_side import Beside

if TYPE_CHECKING:
    from recorder.events import Session
    from recorder.sql.store import SqlStore

THREADS: Final = 8
"""That work at once; further requests wait for one."""


class Desk:
    """The store, what is derived from it, and threads to work in."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.shelf = Shelf(store)
        self.sheets = Sheets(store)
        self.sounds = Sounds(store)

    @cached_property
    def limiter(self) -> trio.CapacityLimiter:
        """How many threads work at once."""
        return trio.CapacityLimiter(THREADS)

    @cached_property
    def listening(self) -> trio.CapacityLimiter:
        """The same for those who wait for sound: they hold up nobody else."""
        return trio.CapacityLimiter(THREADS)

    @cached_property
    def beside(self) -> Beside:
        """Compares sessions."""
        return Beside(self.store)

    def now_ns(self) -> int:
        """The wall clock."""
        return time.time_ns()

    def session(self, name: str) -> Session:
        """The session that is meant: by its id, or as in every command (`latest`, a part of the
        id). Raises `SessionNotFound`."""
        try:
            return self.store.session(name)
        except SessionNotFound:
            views = Views(self.store, self.now_ns())
            return self.store.session(Directory(views.known(), views.find).one(name))

    def close(self) -> None:
        """Let go of what is held beside the store."""
        self.sheets.growths.close()
        self.sounds.close()

"""Appending many events in a row: one sync for all of it, and the WAL copied meanwhile.

Appends stay in the caller's thread: in one of their own, the driver gives up and asks back the
interpreter's lock for each row, and reading a file and writing it take longer side by side than
one after the other. Copying the WAL needs no lock, so that is done in a thread.

Laws:

1. Appends happen in the order in which they were given, one transaction each.
2. When the context is left, all that was committed is safe from a power failure; before that, a
   power failure may take the last groups, never a part of one.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from . import upkeep

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import TracebackType

    from ..events import Event, Session
    from .store import SqlStore


class Behind:
    """The verbs of an `EventStore` that writing many events in a row needs."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._copying = ThreadPoolExecutor(1, "recorder-checkpoint")
        self._copy: Future[None] | None = None
        self._synced = store.synced_late()

    def __enter__(self) -> Behind:
        self._synced.__enter__()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        try:
            self._copying.shutdown()
        finally:
            self._synced.__exit__(None, None, None)

    def append(self, groups: Sequence[tuple[str, Sequence[Event]]]) -> None:
        """Append each (session id, events), all in one transaction."""
        self._store.append(groups)
        if self._copy is None or self._copy.done():
            self._copy = self._copying.submit(upkeep.checkpoint, self._store)

    def begin(self, session: Session) -> None:
        """Enter a session, before its first event."""
        self._store.begin(session)

    def session(self, session_id: str) -> Session:
        """The session with exactly this id. Raises `SessionNotFound`."""
        return self._store.session(session_id)

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
        """Events with `after < seq <= until`, in order, in pages."""
        return self._store.read(
            session_id, after=after, until=until, audio=audio, types=types, limit=limit
        )

    def remove(self, session_id: str) -> None:
        """Take the session away."""
        self._store.remove(session_id)

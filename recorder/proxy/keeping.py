"""How long sessions are kept: the oldest closed ones go first, and each removal is logged.

Runs beside a proxy, in a worker thread, in steps; what is being recorded is never touched.
Several proxies on one database each do this, and all begin with the oldest session: so none goes
that the others have made room for, and each removal is told by the one that it was made by.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from recorder.errors import RecorderError, SessionNotFound
from recorder.selecting import local
from recorder.sql.erasing import free_pages
from recorder.sql.views import Entry, Views

if TYPE_CHECKING:
    from recorder.sql.store import SqlStore

log = logging.getLogger("recorder.proxy")

EVERY_SECONDS: Final = 60.0
SPARED_NS: Final = 60_000_000_000
"""How long a session without a close is left alone after its recorder's lease ran out."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept. None sets no bound."""

    seconds: float | None = None
    """Since the session was opened."""
    size_bytes: int | None = None
    """Of the database, without its free pages."""

    def __bool__(self) -> bool:
        return self.seconds is not None or self.size_bytes is not None


async def keep(store: SqlStore, keeping: Keeping) -> None:
    """Remove what is not kept, now and then again every minute, until cancelled."""
    while True:
        try:
            await trio.to_thread.run_sync(
                sweep, store, keeping, time.time_ns(), abandon_on_cancel=True
            )
        except RecorderError as error:
            log.warning("old sessions could not be removed: %s", error)
        except Exception as error:  # a defect here must not end the calls beside it
            log.error("old sessions could not be removed (%s)", type(error).__name__)
            log.debug("old sessions could not be removed", exc_info=error)
        await trio.sleep(EVERY_SECONDS)


def sweep(store: SqlStore, keeping: Keeping, now_ns: int) -> list[str]:
    """Remove what is not kept as of `now_ns`; the ids that went. Raises `StoreError`."""
    doomed = _doomed(store, keeping, now_ns)
    removed = [entry.id for entry, why in doomed if _remove(store, entry, why)]
    if removed:
        free_pages(store)
    return removed


def _doomed(store: SqlStore, keeping: Keeping, now_ns: int) -> Iterator[tuple[Entry, str]]:
    """What has to go, the oldest first; each is decided on when those before it have gone."""
    views = Views(store, now_ns)
    for entry in sorted(views.entries(), key=lambda entry: (entry.wall_ns, entry.number)):
        why = _why(store, keeping, now_ns, entry)
        if not why:
            return  # the others are younger still
        if _is_over(views, entry):
            yield entry, why


def _why(store: SqlStore, keeping: Keeping, now_ns: int, entry: Entry) -> str:
    """Why a session of this age has to go, as things stand; empty if it may stay."""
    if keeping.seconds is not None and entry.wall_ns < now_ns - int(keeping.seconds * 1e9):
        return f"older than {keeping.seconds:g} s"
    if keeping.size_bytes is not None and (size := store.used_bytes()) > keeping.size_bytes:
        return f"the database holds {size} bytes, over {keeping.size_bytes}"
    return ""


def _is_over(views: Views, entry: Entry) -> bool:
    """Whether nobody records the session any more. A recorder that gave no sign of life for a
    short while may only have been held up, and is given the time."""
    if entry.lease_ns is None or entry.lease_ns + SPARED_NS <= views.now_ns:
        return True
    try:
        closes = views.store.read(entry.id, types={"recorder.closed"}, audio=False, limit=1)
    except SessionNotFound:
        return False  # another proxy has removed it since we asked
    return next(closes, None) is not None


def _remove(store: SqlStore, entry: Entry, why: str) -> bool:
    try:
        store.remove(entry.id)
    except SessionNotFound:
        return False  # another proxy was quicker, and has told of it
    opened = local(entry.wall_ns, None).isoformat(timespec="seconds")
    log.warning(
        "removed session %s, opened %s, %d events: %s", entry.id, opened, entry.last_seq, why
    )
    return True

"""How long sessions are kept: the oldest closed ones go first, and each removal is logged.

Runs beside a proxy, in a worker thread, in steps; what is being recorded is never touched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from recorder.errors import RecorderError
from recorder.selecting import local
from recorder.sql.erasing import free_pages
from recorder.sql.views import Entry, Views

if TYPE_CHECKING:
    from recorder.sql.store import SqlStore

log = logging.getLogger("recorder.proxy")

EVERY_SECONDS: Final = 60.0


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
    removed = [_remove(store, entry, why) for entry, why in _doomed(store, keeping, now_ns)]
    if removed:
        free_pages(store)
    return removed


def _doomed(store: SqlStore, keeping: Keeping, now_ns: int) -> Iterator[tuple[Entry, str]]:
    views = Views(store, now_ns)
    closed = sorted(
        (entry for entry in views.entries() if not views.is_live(entry.id)),
        key=lambda entry: (entry.wall_ns, entry.number),
    )
    oldest = now_ns - int(keeping.seconds * 1e9) if keeping.seconds is not None else None
    for entry in closed:
        if oldest is not None and entry.wall_ns < oldest:
            yield entry, f"older than {keeping.seconds:g} s"
        elif keeping.size_bytes is not None and (size := store.used_bytes()) > keeping.size_bytes:
            yield entry, f"the database holds {size} bytes, over {keeping.size_bytes}"


def _remove(store: SqlStore, entry: Entry, why: str) -> str:
    store.remove(entry.id)
    opened = local(entry.wall_ns, None).isoformat(timespec="seconds")
    log.warning(
        "removed session %s, opened %s, %d events: %s", entry.id, opened, entry.last_seq, why
    )
    return entry.id

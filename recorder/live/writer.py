"""The writer: events go into a bounded buffer, one thread commits them in groups.

Laws:

1. `put` never blocks and never fails. What the buffer has no room for is refused before it gets
   a number (`Recorder.admit` is told the `room`), and told by a gap event.
2. A group that the store refuses is kept and tried again until the store takes it, or until
   closing has waited as long as it was told to.
3. What is given up in the end is counted in `lost`, and why in `trouble`.
4. Nothing is folded or rendered here: the thread shares the GIL with live calls. Under load even
   committing goes to a process of its own (`recorder.live.committing`).

A store in memory is appended to at once, with no thread, so that exact clocks stay exact.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from ..errors import RecorderError, SequenceConflict, SessionNotFound, StoreError
from ..events import new_session_id
from ..recording import weight
from ..sql import upkeep
from ..sql.store import SqlStore
from ..store import RecorderProcess
from .committing import APART_RATE, Committing, identity

if TYPE_CHECKING:
    from ..events import Event, Session
    from ..store import EventStore

    Queued = tuple[str, Event, int]
    """The session, an event of it, and about how many bytes it holds."""

log = logging.getLogger("recorder.writer")

LEASE_SECONDS: Final = 10.0
"""How long a recording process counts as alive without a sign of life."""

RENEW_SECONDS: Final = 2.5
"""How often it gives one."""

FLUSH_SECONDS: Final = 0.05
"""Events are committed this long after the first of them came, or sooner if they are many."""

LONGEST_FLUSH_SECONDS: Final = 0.2
"""The same for a proxy under heavy load: each commit holds up its calls, and a few large ones cost
less than many small ones."""

COMMIT_SHARE: Final = 20
"""Committing is done less often, as far as it may, where it takes more than a twentieth of the
time."""

GROUP_ROWS: Final = 8192
"""Events that are committed without waiting for the flush interval. Of two hundred calls that many
come in 0.6 s: a commit rewrites the last pages of each, however little is new of it."""

GROUP_BYTES: Final = 16 * 1024 * 1024
"""And so many bytes: the buffer must not fill up while the interval lasts."""

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""What waits for a store that stalls: some ten minutes of a spoken call."""

RETRY_SECONDS: Final = (0.05, 1.0)
"""First and longest pause before a store that failed is tried again."""


FULL: Final = "disk is full"
"""How SQLite's message ends when there is no room left, or no page."""

GRACE_SECONDS: Final = 3.0
"""How long closing waits for a thread that was told to give up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """How the writer behaves; the defaults suit a live call."""

    flush_seconds: float = FLUSH_SECONDS
    longest_flush_seconds: float = 0.0
    """How far the interval may grow under load."""
    group_rows: int = GROUP_ROWS
    buffer_bytes: int = BUFFER_BYTES
    close_seconds: float = 10.0
    """How long closing waits for a store that does not answer."""
    apart_rate: float | None = APART_RATE
    """Events a second from which on a process of its own appends; None for never."""
    on_trouble: Callable[[str], None] | None = None
    """Told, in the trio thread, when the store stops taking events and when it takes them again."""


class Writer:
    """Commits what recorders admit. Open it with `open_writer`."""

    def __init__(self, store: EventStore, options: WriterOptions) -> None:
        self.store, self.options = store, options
        self.process = _this_process()
        self.lost = 0
        """Events that were admitted and could not be written in the end."""
        self.trouble = ""
        """What the store last said when it refused; empty while all is well."""
        self.conflicts: dict[str, str] = {}
        """Sessions that another process continued while we recorded them, and what was said."""
        self.moved_to: Path | None = None
        """Where recording goes on after the database file was removed under it."""
        self.commits = 0
        self.commit_delay = 0.0
        """Seconds from when the thread turned to the last group until it was committed."""
        self._queue: deque[Queued] = deque()
        self._many_bytes = min(GROUP_BYTES, options.buffer_bytes // 2)
        # Each counter has one thread that writes it, so none needs a lock.
        self._admitted = self._admitted_bytes = 0
        self._taken_bytes = 0
        self._settled = self._settled_bytes = 0
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._stopping = self._abandoned = False
        self._changed = trio.Event()
        self._waiters = 0
        self._token: trio.lowlevel.TrioToken | None = None
        self._file = identity(store)
        self._committing = Committing(
            store, options.apart_rate, lambda: self.room / options.buffer_bytes
        )

    # ---- the trio side

    @property
    def admitted(self) -> int:
        """Events that were ever put."""
        return self._admitted

    @property
    def commits_apart(self) -> bool:
        """Whether a process of its own commits now."""
        return self._committing.apart

    @property
    def room(self) -> int:
        """Bytes that the buffer still takes."""
        return self.options.buffer_bytes - self._admitted_bytes + self._settled_bytes

    def put(self, session_id: str, event: Event) -> None:
        """Have the event written. Never blocks."""
        if self.store.in_memory:
            self.store.append([(session_id, [event])])
            return
        bytes_held = weight(event)
        self._admitted += 1
        self._admitted_bytes += bytes_held
        self._queue.append((session_id, event, bytes_held))
        # What is being committed does not count: it would have the next commit follow at once.
        waits = self._admitted_bytes - self._taken_bytes
        many = len(self._queue) >= self.options.group_rows or waits >= self._many_bytes
        if many and not self._hurry.is_set():
            self._hurry.set()
        if not self._wake.is_set():
            self._wake.set()

    async def begin(self, session: Session) -> None:
        """Enter the session in the store. Raises `StoreError` if the store refuses it."""
        if self.store.in_memory:
            self.store.begin(session)
        else:
            await trio.to_thread.run_sync(self.store.begin, session)

    async def flush(self, *, hurry: bool = True) -> None:
        """Wait until everything that was put so far is committed, or given up.

        Without `hurry` the flush interval takes its course.
        """
        target = self._admitted
        if hurry:
            self._hurry.set()
        await self._wait(lambda: self._settled >= target)

    async def wait_for_room(self) -> None:
        """Wait while the buffer is full: this is what holds a session back (`--on-stall wait`)."""
        if self.room <= 0:
            await self._wait(lambda: self.room > self.options.buffer_bytes // 4)

    async def _wait(self, done: Callable[[], bool]) -> None:
        self._waiters += 1
        try:
            while not done() and not self._abandoned:
                await self._changed.wait()
        finally:
            self._waiters -= 1

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # ---- the thread

    def run(self) -> None:
        """Commit until told to stop and all is written, or given up."""
        next_lease = 0.0
        while True:
            if time.monotonic() >= next_lease:
                self._renew()
                next_lease = time.monotonic() + RENEW_SECONDS
            if not (self._queue or self._stopping):
                self._wake.wait(RENEW_SECONDS)
            self._wake.clear()
            if not self._queue:
                if self._stopping:
                    break
                self._committing.rest()
                continue
            if not self._stopping:
                self._hurry.wait(self._pause())
            self._hurry.clear()
            # What came while we wrote waits for its own interval: many small commits cost more.
            due = self._admitted
            while self._queue and self._settled < due and not self._abandoned:
                self._write(self._take())
                if time.monotonic() >= next_lease:
                    self._renew()
                    next_lease = time.monotonic() + RENEW_SECONDS
            if self._abandoned:
                break
        self._committing.end()
        self._end_lease()

    def _pause(self) -> float:
        longest = min(COMMIT_SHARE * self.commit_delay, self.options.longest_flush_seconds)
        return max(self.options.flush_seconds, longest)

    def _take(self) -> list[Queued]:
        """What one commit takes: more than what asks for one, because more has come by now, and
        the rest would make a commit of its own."""
        queue, most = self._queue, self._many_bytes * 3 // 2
        count = min(len(queue), 2 * self.options.group_rows)
        if self._admitted_bytes - self._settled_bytes < most:
            taken = [queue.popleft() for _ in range(count)]
            self._taken_bytes += sum(map(itemgetter(2), taken))
            return taken
        taken, size = [], 0
        for _ in range(count):
            taken.append(queue.popleft())
            size += taken[-1][2]
            if size >= most:
                break
        self._taken_bytes += size
        return taken

    def _write(self, batch: list[Queued]) -> None:
        """Commit the batch, however often it has to be tried."""
        pause, longest = RETRY_SECONDS
        while not self._abandoned:
            began = time.monotonic()
            try:
                self._check_file()
                self._committing.append(_grouped(batch))
            except (SequenceConflict, SessionNotFound) as error:
                self._write_apart(batch, error)
                return
            except Exception as error:  # whatever it is: the thread must not die of it
                self._say(str(error) if isinstance(error, StoreError) else repr(error))
                if isinstance(self.store, SqlStore) and str(error).endswith(FULL):
                    upkeep.checkpoint(self.store, hurry=True)
                time.sleep(pause)
                pause = min(pause * 2, longest)
            else:
                self.commits += 1
                self.commit_delay = time.monotonic() - began
                if self.trouble:
                    self._say("")
                self._settle(batch)
                return
        self.lost += len(batch)
        self._settle(batch)

    def _write_apart(self, batch: list[Queued], error: RecorderError) -> None:
        """Session by session, when the store will not have one of them: that one is lost.

        Somebody else has continued or removed a session while we recorded it.
        """
        sessions = _grouped(batch)
        for session_id, events in sessions:
            part = [(session_id, event, weight(event)) for event in events]
            if len(sessions) > 1:
                self._write(part)
                continue
            self.lost += len(part)
            self._settle(part)
            if session_id not in self.conflicts:
                self.conflicts[session_id] = f"{error}; another process changed this session"
                self._tell(self.conflicts[session_id])

    def _settle(self, batch: list[Queued]) -> None:
        self._settled_bytes += sum(map(itemgetter(2), batch))
        self._settled += len(batch)
        if self._waiters and self._token is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._announce, idempotent=True)

    def _check_file(self) -> None:
        """Notice that the database file was removed or replaced, and save what it held."""
        if self._file is None or not isinstance(self.store, SqlStore) or self.store.path is None:
            return
        if upkeep.file_id(self.store.path) == self._file:
            return
        lost = self.store.path
        self._committing.end()
        self.moved_to = upkeep.rescue(self.store)
        self._file = upkeep.file_id(self.moved_to)
        self._committing.moved()
        self._say(
            f"{lost} was removed or replaced while it was recorded to; what it held was saved to "
            f"{self.moved_to}, and recording goes on there"
        )

    def _say(self, trouble: str) -> None:
        if trouble == self.trouble:
            return
        self.trouble = trouble
        self._tell(trouble or "the database takes events again; nothing that was buffered is lost")

    def _tell(self, told: str) -> None:
        if self.options.on_trouble is None:
            log.warning("%s", told)
        elif self._token is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self.options.on_trouble, told)

    def _renew(self) -> None:
        lease = time.time_ns() + int(LEASE_SECONDS * 1e9)
        self.process = replace(self.process, lease_ns=lease)
        try:
            self.store.register(self.process)
        except StoreError as error:
            log.debug("the lease could not be renewed: %s", error)

    def _end_lease(self) -> None:
        with contextlib.suppress(StoreError):
            self.store.register(replace(self.process, lease_ns=time.time_ns()))


@asynccontextmanager
async def open_writer(
    store: EventStore, options: WriterOptions | None = None
) -> AsyncIterator[Writer]:
    """A writer whose thread runs until the block is left, and then writes out what it holds.

    Leaving waits at most `close_seconds` for a store that does not take its events; what is
    then left is counted in `lost`. Raises `StoreError` if the store cannot be written at all.
    """
    options = options or WriterOptions()
    writer = Writer(store, options)
    if store.in_memory:
        store.register(writer.process)
        yield writer
        return
    await trio.to_thread.run_sync(store.register, writer.process)
    writer._token = trio.lowlevel.current_trio_token()
    committing = threading.Thread(target=writer.run, name="recorder-writer", daemon=True)
    stop_checkpoints = threading.Event()
    checkpointing = threading.Thread(
        target=_checkpoints,
        args=(writer, stop_checkpoints),
        name="recorder-checkpoint",
        daemon=True,
    )
    committing.start()
    checkpointing.start()
    try:
        yield writer
    finally:
        with trio.CancelScope(shield=True):
            await _finish(writer, committing)
            stop_checkpoints.set()
            await trio.to_thread.run_sync(checkpointing.join, 5.0)


async def _finish(writer: Writer, thread: threading.Thread) -> None:
    writer._stopping = True
    writer._wake.set()
    writer._hurry.set()
    await trio.to_thread.run_sync(thread.join, writer.options.close_seconds)
    if thread.is_alive():
        writer._abandoned = True
        writer._wake.set()
        writer._announce()
        writer._committing.give_up()
        await trio.to_thread.run_sync(thread.join, GRACE_SECONDS)
    # A thread that is still stuck in the store may write its batch yet; better to say too much.
    writer.lost += writer._admitted - writer._settled


def _checkpoints(writer: Writer, stop: threading.Event) -> None:
    while not stop.wait(0.25):
        if isinstance(writer.store, SqlStore) and not writer.commits_apart:  # that does it, too
            upkeep.checkpoint(writer.store)


def _grouped(batch: list[Queued]) -> list[tuple[str, list[Event]]]:
    groups: dict[str, list[Event]] = {}
    for session_id, event, _ in batch:
        groups.setdefault(session_id, []).append(event)
    return list(groups.items())


def _this_process() -> RecorderProcess:
    now = time.time_ns()
    return RecorderProcess(
        id=new_session_id(now, os.urandom(10)),
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id=_boot_id(),
        started_ns=now,
        lease_ns=now + int(LEASE_SECONDS * 1e9),
    )


def _boot_id() -> str:
    """Names the run of the machine, so that its monotonic times can be compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        booted = round((time.time() - time.monotonic()) / 60)
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{socket.gethostname()} {booted}"))

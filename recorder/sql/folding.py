"""Folding many sessions: here one after the other, or side by side in processes of their own.

Laws:

1. Helpers read the database and nothing else; what they made is stored by whoever started them.
2. Helpers never outlive that process, and never see its Ctrl-C: they are ended with it.
3. A session whose helper died is folded here, so that one that is too much for a helper is told
   of in the same way as any other trouble.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final, NamedTuple

from recorder.errors import RecorderError, SessionNotFound, StoreUnavailable

from .id_index import Seen, seen_in
from .outlines import Made, made_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from .entries import Entry
    from .opening import Location
    from .store import SqlStore


class Read(NamedTuple):
    """What one session gave."""

    entry: Entry
    made: Made
    seen: Seen


WORTH: Final = 20_000
"""Events for which it is worth starting a helper: reading them takes as long as its start."""


def read_all(
    store: SqlStore, entries: Sequence[Entry], jobs: int, worth: int = WORTH
) -> Iterator[Read | None]:
    """Outline and ids of each session, in any order; None for one that was removed meanwhile."""
    jobs = min(jobs, len(entries), sum(entry.last_seq for entry in entries) // worth)
    shared = store.path is not None or store.engine.dialect.name != "sqlite"
    if shared and jobs > 1:
        return _in_processes(store, entries, jobs)
    return (_read(store, entry) for entry in entries)


def _read(store: SqlStore, entry: Entry) -> Read | None:
    try:
        made = made_of(store, entry.id, entry.number, entry.last_seq)
    except SessionNotFound:
        return None
    return Read(entry, made, seen_in(store, entry))


# ---- processes


class _Helper(NamedTuple):
    """A process, and our end of the pipe to it."""

    process: BaseProcess
    pipe: Connection


def _in_processes(store: SqlStore, entries: Sequence[Entry], jobs: int) -> Iterator[Read | None]:
    left = iter(entries)
    busy: dict[Connection, Entry] = {}
    helpers = _started(store.location, jobs)
    try:
        for helper in helpers:
            _send_next(helper.pipe, left, busy)
        while busy:
            for pipe in [pipe for pipe in busy if pipe in wait(busy)]:
                yield _answer(store, pipe, left, busy)
        for entry in left:  # every helper died
            yield _read(store, entry)
    finally:
        for helper in helpers:
            helper.process.terminate()
            helper.process.join()
            helper.pipe.close()


def _answer(
    store: SqlStore, pipe: Connection, left: Iterator[Entry], busy: dict[Connection, Entry]
) -> Read | None:
    """What the helper made of its session; then it is sent the next one."""
    entry = busy.pop(pipe)
    try:
        answer: Read | RecorderError | None = pipe.recv()
    except (EOFError, OSError):
        return _read(store, entry)  # the helper died
    if isinstance(answer, RecorderError):
        raise answer
    _send_next(pipe, left, busy)
    return answer


def _send_next(pipe: Connection, left: Iterator[Entry], busy: dict[Connection, Entry]) -> None:
    entry = next(left, None)
    if entry is not None:
        busy[pipe] = entry
        with contextlib.suppress(OSError):  # it died: seen when its answer is read
            pipe.send(entry)


def _started(location: Location, jobs: int) -> list[_Helper]:
    context = multiprocessing.get_context("spawn")
    helpers = []
    with _ignoring_interrupts():
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_help, args=(location, theirs), daemon=True)
            process.start()
            theirs.close()
            helpers.append(_Helper(process, ours))
    return helpers


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes started meanwhile never see a Ctrl-C, from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _help(location: Location, pipe: Connection) -> None:
    """What a helper does: read the sessions that it is sent, until nobody sends any more."""
    from .store import SqlStore

    with contextlib.suppress(EOFError, OSError):
        store = None
        while True:
            entry = pipe.recv()
            answer: Read | RecorderError | None
            try:
                store = store or SqlStore.open(location, create=False)
                answer = _read(store, entry)
            except RecorderError as error:
                answer = StoreUnavailable(str(error))  # others cannot all be pickled
            pipe.send(answer)

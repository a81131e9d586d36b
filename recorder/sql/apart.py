"""Appending in a process of its own: what a commit computes then holds up no live call.

Preparing and inserting rows needs Python's global lock for some ten microseconds an event. Here
the appending process only packs what it is given, which is a copy in C, and waits.

Laws:

1. What `append` raises is what the store over there raised.
2. Where that process ends without an answer, `AppendingLost` is raised, and by then it has ended:
   the group is committed whole, or not at all, and never will be. Who asked looks it up.
3. It ends when we do, killed or not: the end of its input is its end.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import struct
import subprocess
import sys
import threading
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ..errors import (
    DamagedLog,
    RecorderError,
    SequenceConflict,
    SessionNotFound,
    StoreUnavailable,
    UsageError,
)
from ..events import Event, Origin
from .locating import Location
from .upkeep import FileId, file_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .opening import Durability
    from .store import SqlStore

    Groups = Sequence[tuple[str, Sequence[Event]]]

SUPPORTED: Final = os.name == "posix" and bool(sys.executable)
PIPE_BYTES: Final = 1024 * 1024
"""What a pipe holds, where the system lets us choose: a group mostly goes over in one piece."""
ENDING_SECONDS: Final = 5.0

_LENGTH: Final = struct.Struct("=Q")
_ORIGINS: Final = tuple(Origin)
_ERRORS: Final = {
    error.__name__: error for error in (DamagedLog, SessionNotFound, StoreUnavailable, UsageError)
}


class AppendingLost(Exception):
    """The process ended without an answer; the group is there whole or not at all."""


class AppendingProcess:
    """A process that appends to the database that `store` is open on."""

    def __init__(self, store: SqlStore, identity: FileId | None) -> None:
        """Begin to start it; until it is `ready` there is nothing to append through.

        It will have no other file than that of this `identity`, which the store has open.
        """
        self.ready = False
        self.failed = ""
        """Why it could not be started."""
        self._store, self._identity = store, identity
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False
        self._lock = threading.Lock()
        self._starting = threading.Thread(
            target=self._start, name="recorder-appending", daemon=True
        )
        self._starting.start()

    def _start(self) -> None:
        """In a thread: what is recorded meanwhile does not wait for it."""
        try:
            with self._lock:
                if self._ending:
                    return
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "recorder.sql.apart"],  # not what lies here
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # a Ctrl-C is for us: it has our last events to write
                )
            _widen(self._process.stdin)
            self._ask([_opening(self._store, self._identity)])
        except (OSError, RecorderError, AppendingLost) as error:
            self.failed = f"no process that appends could be started: {error}"
        else:
            self.ready = True

    def append(self, groups: Groups) -> None:
        """As `EventStore.append` does. Raises what that raises, and `AppendingLost`."""
        self._ask((session_id, _packed(events)) for session_id, events in groups)

    def _ask(self, what: Iterable[object]) -> None:
        """One by one, each in little time, so that the lock is free in between."""
        process = self._process
        assert process is not None
        try:
            for each in what:
                _put(process.stdin, each)
            _put(process.stdin, None)
            answer = _get(process.stdout)
        except OSError:
            answer = None
        if answer is None:
            process.kill()
            process.wait()
            raise AppendingLost("the process that appends has ended")
        if answer:
            raise _error(*answer)

    def kill(self) -> None:
        """End it at once, from any thread; what it has not committed by then it never will."""
        with self._lock:
            self._ending = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End it, in order where nothing is in its way; in the thread that appends."""
        if not self.ready:
            self.kill()
        self._starting.join()
        if (process := self._process) is None:
            return
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # it left something unread
                pipe.close()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _opening(store: SqlStore, identity: FileId | None) -> tuple[object, ...]:
    """What `_opened` needs to open the same database."""
    return (
        store.location.url.render_as_string(hide_password=False),
        store.durability,
        store.busy_seconds,
        identity,
    )


def _packed(events: Sequence[Event]) -> tuple[object, ...]:
    """The events by columns, of plain types: that is what `marshal` takes, and it is quick."""
    seqs, ats, origins, *rest = zip(*events, strict=True)
    return (seqs, ats, bytes(origins), *rest)


def _unpacked(columns: tuple[Any, ...]) -> list[Event]:
    seqs, ats, origins, *rest = columns
    return list(map(Event, seqs, ats, map(_ORIGINS.__getitem__, origins), *rest))


def _error(kind: str, *told: Any) -> Exception:
    if kind == SequenceConflict.__name__:
        return SequenceConflict(*told)
    return _ERRORS.get(kind, RuntimeError)(*told)


def _told(error: Exception) -> tuple[object, ...]:
    """The error, as it goes over."""
    if isinstance(error, SequenceConflict):
        return type(error).__name__, error.session, error.expected, error.found
    known = type(error).__name__ in _ERRORS
    return type(error).__name__, str(error) if known else repr(error)


def _put(pipe: IO[bytes] | None, what: Any) -> None:
    assert pipe is not None
    data = marshal.dumps(what)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _get(pipe: IO[bytes] | None) -> Any:
    """What was put; None at the end."""
    assert pipe is not None
    return next(_all(pipe), None)


def _all(pipe: IO[bytes]) -> Iterator[Any]:
    """All that was put, as long as it is whole."""
    while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        if len(data := pipe.read(length)) < length:
            return
        yield marshal.loads(data)


def _widen(pipe: IO[bytes] | None) -> None:
    if sys.platform == "linux" and pipe is not None:
        import fcntl

        with contextlib.suppress(OSError):  # no more than the user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


# ---- over there


def _opened(
    url: str, durability: Durability, busy_seconds: float, identity: FileId | None
) -> SqlStore:
    """The store, with the file in hand that the asking process has."""
    from .store import SqlStore

    location = Location(sa.make_url(url), True)
    if identity is not None:
        _same_file(location, identity)
    store = SqlStore.open(location, durability=durability, busy_seconds=busy_seconds)
    if identity is not None:
        with store.writing():
            pass  # now the WAL is open too
        _same_file(location, identity)
    return store


def _same_file(location: Location, identity: FileId) -> None:
    if location.path is None or file_id(location.path) != identity:
        raise StoreUnavailable(f"{location} was removed or replaced")


def _answered(act: Callable[[], object]) -> tuple[object, ...]:
    try:
        act()
    except Exception as error:
        return _told(error)
    return ()


def main() -> None:
    """Append what comes in, until nothing more comes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    stores: list[SqlStore] = []
    if (opening := _asked(requests)) is not None:
        _put(answers, _answered(lambda: stores.append(_opened(*opening[0]))))
    while stores and (asked := _asked(requests)) is not None:
        groups = [(session_id, _unpacked(columns)) for session_id, columns in asked]
        _put(answers, _answered(partial(stores[0].append, groups)))


def _asked(requests: IO[bytes]) -> list[Any] | None:
    """All that was put before a None; None if they end before that."""
    asked: list[Any] = []
    for each in _all(requests):
        if each is None:
            return asked
        asked.append(each)
    return None


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        main()

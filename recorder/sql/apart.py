"""Appending in a process of its own: what a commit computes then holds up no live call.

Preparing and inserting rows needs Python's global lock for some ten microseconds an event. Here
the appending process only packs what it is given, which is a copy in C, and waits.

Laws:

1. What `append` raises is what the store over there raised.
2. Where that process ends without an answer, `AppendingLost` is raised, and by then it has ended:
   the group is committed whole, or not at all, and never will be. Who asked looks it up.
3. It ends when we do, killed or not: the end of its input is its end.
4. It gives way: where the system has such a class, it is given only time that nobody else wants.
   Beside fifty live calls their event loop otherwise waits twenty times as long for a processor.
   Who waits too long for it is told so again and again, and may start one that is `eager`.
5. It copies the WAL into the database as well, which is as much work again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
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
from .passage import Passage, read_frames, shared_file, write_frame
from .upkeep import FileId, checkpoint, file_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .opening import Durability
    from .store import SqlStore

    Groups = Sequence[tuple[str, Sequence[Event]]]

SUPPORTED: Final = os.name == "posix" and bool(sys.executable)
ENDING_SECONDS: Final = 5.0
LATE_SECONDS: Final = 0.25
"""An answer mostly takes less than a tenth of this."""

CHECKPOINT_SECONDS: Final = 1.0
"""How often it is looked whether the WAL has grown."""

_GIVE_WAY: Final = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
_BEGIN: Final = "import os, runpy; {}; runpy.run_module('recorder.sql.apart', run_name='__main__')"
"""What is run over there. Importing is half a second of work: it gives way even before that."""

_ORIGINS: Final = tuple(Origin)
_ERRORS: Final = {
    error.__name__: error for error in (DamagedLog, SessionNotFound, StoreUnavailable, UsageError)
}


class AppendingLost(Exception):
    """The process ended without an answer; the group is there whole or not at all."""


class AppendingProcess:
    """A process that appends to the database that `store` is open on."""

    def __init__(self, store: SqlStore, identity: FileId | None, *, eager: bool = False) -> None:
        """Begin to start it; until it is `ready` there is nothing to append through.

        It will have no other file than that of this `identity`, which the store has open.
        """
        self.eager = eager or not hasattr(os, "SCHED_IDLE")
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
        begin = _BEGIN.format("pass" if self.eager else _GIVE_WAY)
        shared = -1
        try:
            shared = shared_file()
            self._passage = Passage(shared)
            with self._lock:
                if self._ending:
                    return
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", begin, str(shared)],  # -P: not what lies here
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=(shared,),
                    # A Ctrl-C is for us: it has our last events to write. It stays in our session,
                    # outside of which Linux may give it as much time as all of us together.
                    process_group=0,
                )
            self._ask([_opening(self._store, self._identity)])
        except (OSError, RecorderError, AppendingLost) as error:
            self.failed = f"no process that appends could be started: {error}"
        else:
            self.ready = True
        finally:
            if shared >= 0:
                os.close(shared)

    def append(self, groups: Groups, late: Callable[[], object] = lambda: None) -> None:
        """As `EventStore.append` does. Raises what that raises, and `AppendingLost`.

        `late` is called every `LATE_SECONDS` that it takes; it may `kill`.
        """
        self._ask(((session_id, _packed(events)) for session_id, events in groups), late)

    def _ask(self, what: Iterable[object], late: Callable[[], object] = lambda: None) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            self._passage.send(process.stdin, what)
            while not _is_readable(process.stdout, LATE_SECONDS):
                late()
            answer = next(read_frames(process.stdout), None)
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
        self._passage.close()
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


def _is_readable(pipe: IO[bytes], seconds: float) -> bool:
    """Whether something comes, or its end, in so many seconds."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


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
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # nor stops us where `stty tostop` was said
    passage = Passage(int(sys.argv[1]))

    stores: list[SqlStore] = []
    if (opening := passage.receive(requests)) is not None:
        write_frame(answers, _answered(lambda: stores.append(_opened(*opening[0]))))
    over = threading.Event()
    if stores:
        threading.Thread(target=_checkpoints, args=(stores[0], over), daemon=True).start()
    while stores and (asked := passage.receive(requests)) is not None:
        groups = [(session_id, _unpacked(columns)) for session_id, columns in asked]
        write_frame(answers, _answered(partial(stores[0].append, groups)))
    over.set()


def _checkpoints(store: SqlStore, over: threading.Event) -> None:
    while not over.wait(CHECKPOINT_SECONDS):
        checkpoint(store)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        main()

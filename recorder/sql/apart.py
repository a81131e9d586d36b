"""Appending in a process of its own: what a commit computes then holds up no live call.

Preparing and inserting rows needs Python's global lock for some ten microseconds an event. Here
the appending process only packs what it is given, which is a copy in C, and waits.

Laws:

1. What `append` raises is what the store over there raised.
2. Where that process ends without an answer, `AppendingLost` is raised, and by then it has ended:
   the group is committed whole, or not at all, and never will be. Who asked looks it up.
3. It ends when we do, killed or not: the end of its input is its end.
4. It gives way: where the system has such a class, it is given only time that nobody else wants.
   Whoever wakes up beside one that does not, waits until that has had its turn, of some
   milliseconds. Who waits too long for it is told so again and again, may `kill` it, and start one
   that is `eager`.
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
import time
from functools import partial
from itertools import accumulate, chain, islice, pairwise
from typing import IO, TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ..errors import (
    DamagedLog,
    SequenceConflict,
    SessionNotFound,
    StoreUnavailable,
    UsageError,
)
from ..events import Event, Origin
from .locating import Location
from .passage import Receiver, Sender, read_frames, shared_file, write_frame
from .upkeep import FileId, checkpoint, file_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .opening import Durability
    from .passage import Portion
    from .store import SqlStore

    Groups = Sequence[tuple[str, Sequence[Event]]]

SUPPORTED: Final = os.name == "posix" and bool(sys.executable) and not hasattr(sys, "frozen")
GIVES_WAY: Final = hasattr(os, "SCHED_IDLE")
"""Whether the system has a class of processes that get only time that nobody else wants."""

ENDING_SECONDS: Final = 5.0
LATE_SECONDS: Final = 0.25
"""An answer mostly takes less than a tenth of this."""

PORTION: Final = 128
"""Events that are packed in one go: a third of a millisecond."""

CHECKPOINT_SECONDS: Final = 1.0
"""How often it is looked whether the WAL has grown."""

STANDING_BY_SECONDS: Final = 5.0
"""After so long without a group it does not."""

CACHE_KB: Final = 65_536
"""SQLite's cache of that process. Each group is written behind the last page of its session: of two
hundred sessions those must stay, or a fifth of the time goes into reading them again."""

_GIVE_WAY: Final = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
_BEGIN: Final = (
    "import os, runpy, sys; {}; sys.path[:] = {}; "
    "runpy.run_module('recorder.sql.apart', run_name='__main__')"
)
"""What is run over there, with our code and no other. Importing is half a second of work: it gives
way even before that."""

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
        self.eager = eager or not GIVES_WAY
        self.ready = False
        self.failed = ""
        """Why it could not be started."""
        self._store, self._identity = store, identity
        self._process: subprocess.Popen[bytes] | None = None
        self._sender: Sender | None = None
        self._answers: IO[bytes] | None = None
        self._ending = False
        self._lock = threading.Lock()
        self._starting = threading.Thread(
            target=self._start, name="recorder-appending", daemon=True
        )
        self._starting.start()

    def _start(self) -> None:
        """In a thread: what is recorded meanwhile does not wait for it."""
        shared = over_there = -1
        try:
            shared = shared_file()
            answers, over_there = os.pipe()
            # Not its standard output: what else prints there, even before it begins, is no answer.
            self._answers = os.fdopen(answers, "rb")
            self._sender = Sender(shared)
            with self._lock:
                if self._ending:
                    return
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", self._begin(), str(shared), str(over_there)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(shared, over_there),
                    # A Ctrl-C is for us: it has our last events to write. It stays in our session,
                    # outside of which Linux may give it as much time as all of us together.
                    process_group=0,
                )
            os.close(over_there)  # the end of that process is then the end of its answers
            over_there = -1
            self._ask([(_opening(self._store, self._identity), ())])
        except Exception as error:  # whatever it is: who waits for us goes on without us
            self.failed = f"no process that appends could be started: {error}"
        else:
            self.ready = True
        finally:
            for descriptor in (shared, over_there):
                if descriptor >= 0:
                    os.close(descriptor)

    def _begin(self) -> str:
        way = "pass" if self.eager else _GIVE_WAY
        return _BEGIN.format(way, [each for each in sys.path if each])  # not what lies around

    def append(self, groups: Groups, late: Callable[[], object] = lambda: None) -> None:
        """As `EventStore.append` does. Raises what that raises, `NoRoom`, and `AppendingLost`.

        `late` is called every `LATE_SECONDS` that it takes; it may `kill`.
        """
        self._ask(_packed(groups), late)

    def _ask(self, portions: Iterable[Portion], late: Callable[[], object] = lambda: None) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert self._sender is not None
        assert self._answers is not None
        try:
            self._sender.send(process.stdin, portions)
            while not _is_readable(self._answers, LATE_SECONDS):
                late()
            answer = next(read_frames(self._answers), None)
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
        for ours in (self._sender, self._answers):
            if ours is not None:
                ours.close()
        if (process := self._process) is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it left something unread
            process.stdin.close()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _opening(store: SqlStore, identity: FileId | None) -> tuple[object, ...]:
    """What `_opened` needs to open the same database."""
    url = store.location.url
    return (
        os.getpid(),
        # By its parts: as a text it would have to be quoted, and is not.
        [*url[:-1], {name: list(given) for name, given in url.normalized_query.items()}],
        store.durability,
        store.busy_seconds,
        identity,
    )


def _is_readable(pipe: IO[bytes], seconds: float) -> bool:
    """Whether something comes, or its end, in so many seconds."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _packed(groups: Groups) -> Iterator[Portion]:
    """The groups: what they are of, then their events by columns of plain types, for that is what
    `marshal` takes, and it is quick. Their heads and audio follow as they are."""
    yield [(session_id, len(events)) for session_id, events in groups], ()
    events = [event for _, events in groups for event in events]
    for begin in range(0, len(events), PORTION):
        columns = zip(*events[begin : begin + PORTION], strict=True)
        seqs, ats, origins, types, opcodes, heads, metas, audios = columns
        sizes = [-1 if audio is None else len(audio) for audio in audios]
        value = (seqs, ats, bytes(origins), types, opcodes, [*map(len, heads)], metas, sizes)
        yield value, [*heads, *filter(None, audios)]


def _unpacked(portions: Sequence[tuple[Any, memoryview]]) -> list[tuple[str, list[Event]]]:
    """The groups again."""
    (sessions, _), *rest = portions
    events = chain.from_iterable(_events(*portion) for portion in rest)
    return [(session_id, list(islice(events, count))) for session_id, count in sessions]


def _events(value: tuple[Any, ...], data: memoryview) -> Iterator[Event]:
    seqs, ats, origins, types, opcodes, lengths, metas, sizes = value
    pieces = _cut(data, [*lengths, *(max(size, 0) for size in sizes)])
    heads = pieces[: len(lengths)]
    audios = [
        None if size < 0 else piece for size, piece in zip(sizes, pieces[len(heads) :], strict=True)
    ]
    kinds = map(_ORIGINS.__getitem__, origins)
    return map(Event, seqs, ats, kinds, types, opcodes, heads, metas, audios)


def _cut(data: memoryview, lengths: Sequence[int]) -> list[bytes]:
    """Pieces of these lengths."""
    return [bytes(data[begin:end]) for begin, end in pairwise(accumulate(lengths, initial=0))]


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
    url: list[Any], durability: Durability, busy_seconds: float, identity: FileId | None
) -> SqlStore:
    """The store, with the file in hand that the asking process has."""
    from .store import SqlStore

    location = Location(sa.URL.create(*url), True)
    if identity is not None:
        _same_file(location, identity)
    store = SqlStore.open(location, durability=durability, busy_seconds=busy_seconds)
    if identity is not None:
        with store.writing():
            pass  # now the WAL is open too
        _same_file(location, identity)
    if location.path is not None:
        store.open_file().execute(f"PRAGMA cache_size=-{CACHE_KB}").close()
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
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(int(sys.argv[2]), "wb")
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # nor stops us where `stty tostop` was said
    receiver = Receiver(int(sys.argv[1]))

    stores: list[SqlStore] = []
    asked_at = [0.0]
    if (opening := receiver.receive(requests)) is not None:
        (asking, *how), _ = opening[0]
        write_frame(answers, _answered(lambda: stores.append(_opened(*how))))
    if stores:
        beside = (stores[0], asking, lambda: asked_at[0])
        threading.Thread(target=_beside, args=beside, daemon=True).start()
    while stores and (asked := receiver.receive(requests)) is not None:
        asked_at[0] = time.monotonic()
        write_frame(answers, _answered(partial(stores[0].append, _unpacked(asked))))


def _beside(store: SqlStore, asking: int, asked_at: Callable[[], float]) -> None:
    """Checkpoints, but not for somebody else who appends; and the end, where a copy of who asked
    keeps our input open beyond his own."""
    while True:
        time.sleep(CHECKPOINT_SECONDS)
        if os.getppid() != asking:
            os._exit(0)
        if time.monotonic() - asked_at() < STANDING_BY_SECONDS:
            checkpoint(store)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        main()

"""Long work in a process of its own: its memory ends with it, and it does not hold up the server.

    with helped(work, store, name) as pipe:   # runs `work(store, pipe, name)` over there
        first = pipe.recv()

The helper opens the store anew and only reads it. What it sends is up to the work; a
`RecorderError` that ends the work is sent as the last message, and `received` raises it here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec

from recorder.errors import RecorderError, SessionNotFound, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from recorder.sql.opening import Location
    from recorder.sql.store import SqlStore

P = ParamSpec("P")

WORTH: Final = 20_000
"""Events for which it is worth starting a process: folding them takes longer than its start."""


def is_worth_it(store: SqlStore, events: int) -> bool:
    """Whether so many events should be worked on elsewhere; a store in memory is here alone."""
    shared = store.path is not None or store.engine.dialect.name != "sqlite"
    return shared and events >= WORTH


@contextlib.contextmanager
def helped(
    work: Callable[Concatenate[SqlStore, Connection, P], None],
    store: SqlStore,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Iterator[Connection]:
    """What `work` sends from its process, which ends with the block at the latest."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    given = (work, store.location, theirs, args, kwargs)
    helper = context.Process(target=_run, args=given, daemon=True)
    helper.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        helper.terminate()
        helper.join()


def received(pipe: Connection) -> Any:
    """The next message. Raises `EOFError` where none follows, or what the helper raised."""
    try:
        message = pipe.recv()
    except OSError:
        raise EOFError from None
    if isinstance(message, RecorderError):
        raise message
    return message


def _run(
    work: Callable[..., None],
    location: Location,
    pipe: Connection,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    import signal

    from recorder.sql.store import SqlStore

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):  # the server does not listen any more
        try:
            work(SqlStore.open(location, create=False), pipe, *args, **kwargs)
        except SessionNotFound as error:
            pipe.send(SessionNotFound(str(error)))
        except RecorderError as error:  # not all of them can be pickled
            pipe.send(StoreUnavailable(str(error)))

"""A nursery that raises one plain exception instead of a group.

Which one, in this order:

1. `KeyboardInterrupt` or `SystemExit`, wherever it came from;
2. the body's own exception, unless it is only `Cancelled`: it is what the caller wrote the
   code for, and its identity is kept;
3. the first other exception of a background task; the rest hang on it as its context;
4. `Cancelled`, when there is nothing else: the cancellation goes on outwards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio


@asynccontextmanager
async def plain_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose failures come out as one plain exception, never as a group."""
    own: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as error:
                own = error
                raise
    except BaseExceptionGroup as group:
        chosen = one_of(group, own)
    else:
        return
    context = chosen.__context__
    try:
        raise chosen
    finally:
        chosen.__context__ = context  # `raise` has set it to the Cancelled being handled outside
        del chosen, own, context  # break the cycle frame -> exception -> traceback -> frame


@contextmanager
def plain_errors() -> Iterator[None]:
    """The same for a block with nurseries inside that are not ours."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise one_of(group, None) from None


def one_of(group: BaseExceptionGroup[BaseException], own: BaseException | None) -> BaseException:
    """The exception of `group` that matters, `own` being the body's, if it raised."""
    leaves = list(_leaves(group, own))
    for error in leaves:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return error
    if own is not None and not isinstance(own, trio.Cancelled):
        return own
    real = [error for error in leaves if not isinstance(error, trio.Cancelled)]
    if not real:
        return own or leaves[0]
    first, *rest = real
    if rest and first.__context__ is None:
        first.__context__ = rest[0] if len(rest) == 1 else BaseExceptionGroup("also", rest)
    return first


def _leaves(error: BaseException, own: BaseException | None) -> Iterator[BaseException]:
    """The plain exceptions of nested groups, in order; the body's own is left whole."""
    if error is own or not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner, own)

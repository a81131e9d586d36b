"""Garbage and threads, in a process that does nothing but proxy.

A full collection looks at every object there is: 80 ms at 200 sessions, in which no call moves on,
every few seconds. What was made by starting is there for good and need not be looked at; what is
left of ended sessions can wait for half a minute.

The thread that carries calls gives the interpreter's lock away with each read and write, and gets
it back from one that computes only when that has had its turn.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

import trio

YOUNG: Final = 200_000
"""New objects after which the newest are looked at: more than wait to be committed at any time,
and little enough for callers that come and go by the thousand."""
MIDDLE: Final = 10
NEVER: Final = 1_000_000
SWEEP_SECONDS: Final = 30.0
TURN_SECONDS: Final = 0.0005
"""Of a thread: a tenth of Python's own, which is longer than a message should take."""


def settle() -> None:
    """What is there now stays: to be called once, when all is imported and nothing has begun."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)
    sys.setswitchinterval(TURN_SECONDS)


async def sweep() -> None:
    """Collect all garbage now and then, until cancelled."""
    while True:
        await trio.sleep(SWEEP_SECONDS)
        gc.collect()

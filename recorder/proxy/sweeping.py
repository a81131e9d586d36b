"""Garbage, in a process that does nothing but proxy.

A full collection looks at every object there is: 80 ms at 200 sessions, in which no call moves on,
every few seconds. What was made by starting is there for good and need not be looked at; what is
left of ended sessions can wait for half a minute.
"""

from __future__ import annotations

import gc
from typing import Final

import trio

YOUNG: Final = 1_000
"""New objects after which the newest are looked at. Few survive: messages hold no cycles."""
MIDDLE: Final = 50
NEVER: Final = 1_000_000
SWEEP_SECONDS: Final = 30.0


def settle() -> None:
    """What is there now stays: to be called once, when all is imported and nothing has begun."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def sweep() -> None:
    """Collect all garbage now and then, until cancelled."""
    while True:
        await trio.sleep(SWEEP_SECONDS)
        gc.collect()

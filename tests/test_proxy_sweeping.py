"""Garbage of a proxy's process: what is there for good is left alone, the rest goes in time."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import trio.testing

from recorder.proxy.sweeping import SWEEP_SECONDS, sweep


def test_what_was_there_at_the_beginning_is_not_looked_at_again() -> None:
    """In a process of its own: it changes how all of it is run."""
    code = (
        "import gc; from recorder.proxy import running, sweeping; before = len(gc.get_objects());"
        "sweeping.settle();"
        "print(gc.get_freeze_count() > before * 0.9, len(gc.get_objects()) < 100)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


async def test_what_ended_sessions_leave_is_collected(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A cycle that has outlived the first looks goes with the next sweep, and not before."""

    class Ended:
        pass

    ended = Ended()
    ended.itself = ended  # type: ignore[attr-defined]
    gone = weakref.ref(ended)
    del ended
    gc.disable()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sweep)
            await trio.sleep(SWEEP_SECONDS - 1)
            assert gone() is not None
            await trio.sleep(2)
            assert gone() is None
            nursery.cancel_scope.cancel()
    finally:
        gc.enable()

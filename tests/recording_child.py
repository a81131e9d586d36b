"""A process that records made-up messages until it is killed; run by the tests, not a test.

    python -m tests.recording_child DB [MESSAGES_A_SECOND]

On stdout it says what it did, a line each: `session ID`, `put N MONOTONIC_NS`,
`committed N MONOTONIC_NS`, `trouble TEXT`, `lost N`.
"""

from __future__ import annotations

import signal
import sys
import time

import orjson
import trio

from recorder.events import Origin
from recorder.live.tap import Subject, Tap
from recorder.live.writer import WriterOptions, open_writer
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore


def say(*words: object) -> None:
    """A line for the test, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(path: str, rate: float) -> None:
    """Record until SIGTERM."""
    store = SqlStore.open(locate(path, {}), busy_seconds=0.05)
    options = WriterOptions(on_trouble=lambda text: say("trouble", text), close_seconds=5.0)
    async with open_writer(store, options) as writer:
        tap = Tap(writer, Subject(url="wss://example.test/v1"))
        await tap.open()
        say("session", tap.session.id)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, scope)
                nursery.start_soon(acknowledge, writer, tap)
                number = 0
                while True:
                    number += 1
                    body = {"type": "test", "n": number, "pad": "x" * (number % 3000)}
                    seq = tap.frame(Origin.CLIENT, tap.clock(), orjson.dumps(body))
                    if seq is not None:
                        say("put", seq, time.monotonic_ns())
                    await trio.sleep(1 / rate)
        tap.end(code=1000)
    say("lost", tap.lost)


async def watch(scope: trio.CancelScope) -> None:
    """SIGTERM ends the recording in order."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def acknowledge(writer: object, tap: Tap) -> None:
    """Say again and again how far the commits are."""
    while True:
        before = tap.recorder.last_seq
        await tap.writer.flush()
        say("committed", before, time.monotonic_ns())
        await trio.sleep(0.005)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 500.0)

"""Writing to a file in a thread: the system copies what is done while the next is made.

Laws:

1. Bytes arrive in the order in which they were given, and all of them have when the context is
   left without an error.
2. What the system refuses is raised by the next call, or when the context is left.
3. At most two batches are held. Whoever gives bytes leaves them as they are.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

BATCH: Final = 1 << 20
"""Bytes that are written at once: a switch to the thread and back costs as much as 50 kB."""
PIECES: Final = 512
"""Pieces of a batch; systems take 1,024 in one call."""


class Beside:
    """The end of an open file, which nobody else writes to meanwhile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._handle = file, file.fileno()
        self._thread = ThreadPoolExecutor(1, "recorder-sound")
        self._running: Future[None] | None = None
        self._batch: list[memoryview] = []
        self._size = 0

    def __enter__(self) -> Beside:
        self._file.flush()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._hand_over()
                self._wait()
        finally:
            self._thread.shutdown()

    def write(self, data: memoryview) -> None:
        """Have these bytes written after all others."""
        self._batch.append(data.cast("B"))
        self._size += data.nbytes
        if self._size >= BATCH or len(self._batch) >= PIECES:
            self._hand_over()

    def _hand_over(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        self._wait()
        self._running = self._thread.submit(_written, self._handle, batch)

    def _wait(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()


def _written(handle: int, batch: list[memoryview]) -> None:
    """All of these; the system may take them in parts."""
    while batch:
        left = os.writev(handle, batch)
        while batch and left >= len(batch[0]):
            left -= len(batch.pop(0))
        if left:
            batch[0] = batch[0][left:]

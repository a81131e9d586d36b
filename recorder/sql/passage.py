"""From one process to another: through memory that both have, and a pipe for what does not fit.

A pipe alone takes four times as long: the system copies everything twice, page by page, and wakes
the other side for each of them. Who writes here shares a processor, and Python's global lock, with
live calls.

The pipe carries, for each message, how many bytes of the memory are its own; then what had no
room. A message is a row of values of plain types, as `marshal` takes them, and its end is None.
"""

from __future__ import annotations

import contextlib
import marshal
import mmap
import os
import struct
import tempfile
import time
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHARED_BYTES: Final = 8 * 1024 * 1024
"""Room in the memory. What was never filled takes none."""

HOLD_BYTES: Final = 64 * 1024
"""Copied in about a tenth of a millisecond: as long as nobody else gets Python's global lock."""

_LENGTH: Final = struct.Struct("=Q")


def shared_file() -> int:
    """A descriptor of unnamed memory, for `Passage` on both sides. Raises `OSError`."""
    if hasattr(os, "memfd_create"):
        return _sized(os.memfd_create("recorder"))
    with tempfile.TemporaryFile() as file:
        return _sized(os.dup(file.fileno()))


def _sized(descriptor: int) -> int:
    os.ftruncate(descriptor, SHARED_BYTES)
    return descriptor


class Passage:
    """One side of it."""

    def __init__(self, descriptor: int) -> None:
        """On memory that `shared_file` gave; the descriptor may then be closed."""
        self._memory = mmap.mmap(descriptor, SHARED_BYTES)

    def send(self, pipe: IO[bytes], values: Iterable[object]) -> None:
        """A message. The one before it must have been taken. Raises `OSError`."""
        frames = map(_dumped, chain(values, [None]))
        memory, at, held = self._memory, 0, 0
        late = b""
        for frame in frames:
            begin = at + _LENGTH.size
            if begin + len(frame) > SHARED_BYTES:
                late = frame
                break
            _LENGTH.pack_into(memory, at, len(frame))
            at = begin + len(frame)
            memory[begin:at] = frame
            if at - held > HOLD_BYTES:
                held = at
                time.sleep(0)  # whoever waits for the global lock has it now
        pipe.write(_LENGTH.pack(at))
        for frame in chain([late] if late else [], frames):
            _write(pipe, frame)
        pipe.flush()

    def receive(self, pipe: IO[bytes]) -> list[Any] | None:
        """All values of the next message; None where it ends before that."""
        head = pipe.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        values: list[Any] = []
        for value in chain(self._placed(*_LENGTH.unpack(head)), read_frames(pipe)):
            if value is None:
                return values
            values.append(value)
        return None

    def _placed(self, end: int) -> Iterator[Any]:
        with memoryview(self._memory) as view:
            at = 0
            while at < end:
                (length,) = _LENGTH.unpack_from(view, at)
                at += _LENGTH.size + length
                yield marshal.loads(view[at - length : at])

    def close(self) -> None:
        """Let go of the memory."""
        with contextlib.suppress(BufferError):  # somebody is reading it: it goes with them
            self._memory.close()


def write_frame(pipe: IO[bytes], value: object) -> None:
    """What `read_frames` gives back."""
    _write(pipe, _dumped(value))
    pipe.flush()


def _write(pipe: IO[bytes], frame: bytes) -> None:
    pipe.write(_LENGTH.pack(len(frame)))
    pipe.write(frame)


def _dumped(value: Any) -> bytes:
    return marshal.dumps(value)


def read_frames(pipe: IO[bytes]) -> Iterator[Any]:
    """All values that were written, as long as they are whole."""
    while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        if len(data := pipe.read(length)) < length:
            return
        yield marshal.loads(data)

"""From one process to another: through memory that both have, and a pipe that tells of it.

A pipe alone takes four times as long: the system copies everything twice, page by page, and wakes
the other side for each of them. Who writes here shares a processor, and Python's global lock, with
live calls: so the long pieces are copied by the system, which needs no such lock.

A message comes in portions: each a value of plain types, as `marshal` takes them, and pieces of
bytes behind it. The pipe carries only how long all of it is, so nobody waits at it, whatever the
other side does.
"""

from __future__ import annotations

import contextlib
import marshal
import mmap
import os
import struct
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Portion = tuple[Any, Sequence[bytes]]

SHARED_BYTES: Final = 48 * 1024 * 1024
"""Room in the memory. What was never filled takes none."""

AT_ONCE: Final = 1024
"""Pieces that a system takes in one call, whichever it is."""

BREATH_SECONDS: Final = 0.001
"""Between two portions others have the lock, and the processor. A few thousand events in one go
take milliseconds, in which no call of ours moves on."""

_LENGTH: Final = struct.Struct("=Q")
_SIZES: Final = struct.Struct("=QQ")
"""Bytes of a portion's value, and of its pieces."""


class NoRoom(Exception):
    """The message is larger than the memory; nothing of it was sent."""


def shared_file() -> int:
    """A descriptor of unnamed memory, for both sides. Raises `OSError`."""
    if hasattr(os, "memfd_create"):
        return _sized(os.memfd_create("recorder"))
    with tempfile.TemporaryFile() as file:
        return _sized(os.dup(file.fileno()))


def _sized(descriptor: int) -> int:
    os.ftruncate(descriptor, SHARED_BYTES)
    return descriptor


class Sender:
    """One side of it."""

    def __init__(self, descriptor: int) -> None:
        """On memory that `shared_file` gave; the descriptor may then be closed."""
        self._memory = os.dup(descriptor)

    def send(self, pipe: IO[bytes], portions: Iterable[Portion]) -> None:
        """A message. The one before it must have been taken. Raises `NoRoom`, `OSError`."""
        os.lseek(self._memory, 0, os.SEEK_SET)
        whole = 0
        for value, pieces in portions:
            if whole:
                time.sleep(BREATH_SECONDS)
            head, length = marshal.dumps(value), sum(map(len, pieces))
            whole += _SIZES.size + len(head) + length
            if whole > SHARED_BYTES:
                raise NoRoom(f"more than the {SHARED_BYTES} bytes of the memory")
            self._place([_SIZES.pack(len(head), length), head, *pieces])
        pipe.write(_LENGTH.pack(whole))
        pipe.flush()

    def _place(self, parts: list[bytes]) -> None:
        for begin in range(0, len(parts), AT_ONCE):
            some = parts[begin : begin + AT_ONCE]
            if os.writev(self._memory, some) != sum(map(len, some)):
                raise OSError("there is no memory left for what two processes share")

    def close(self) -> None:
        """Let go of the memory."""
        if self._memory >= 0:
            os.close(self._memory)
        self._memory = -1


class Receiver:
    """The other side."""

    def __init__(self, descriptor: int) -> None:
        """On the same memory; the descriptor may then be closed."""
        self._memory = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)

    def receive(self, pipe: IO[bytes]) -> list[tuple[Any, memoryview]] | None:
        """The next message: of each portion its value, and all its pieces together, which stay as
        they are until the sender sends again. None where the pipe ends before that."""
        if len(told := pipe.read(_LENGTH.size)) < _LENGTH.size:
            return None
        data = memoryview(self._memory)[: _LENGTH.unpack(told)[0]]
        portions = []
        while data:
            head, length = _SIZES.unpack_from(data)
            end = _SIZES.size + head
            portions.append((marshal.loads(data[_SIZES.size : end]), data[end : end + length]))
            data = data[end + length :]
        return portions

    def close(self) -> None:
        """Let go of the memory."""
        with contextlib.suppress(BufferError):  # somebody is reading it: it goes with them
            self._memory.close()


def write_frame(pipe: IO[bytes], value: Any) -> None:
    """What `read_frames` gives back."""
    frame = marshal.dumps(value)
    pipe.write(_LENGTH.pack(len(frame)))
    pipe.write(frame)
    pipe.flush()


def read_frames(pipe: IO[bytes]) -> Iterator[Any]:
    """All values that were written, as long as they are whole."""
    while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        if len(data := pipe.read(length)) < length:
            return
        yield marshal.loads(data)

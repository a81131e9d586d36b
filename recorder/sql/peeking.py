"""Reading a database's files without SQLite, while this process may have them open through it.

POSIX takes all locks of a process on a file away as soon as the process closes any descriptor of
it (fcntl(2); sqlite.org/howtocorrupt.html §2.2). SQLite takes care of that for its own
descriptors. Whoever reads beside it and closes his own lets other processes believe that nobody
has the database open: they truncate its `-shm` and delete its WAL under us.

Law: no descriptor of a file is closed here while the process has another one of it. It is kept,
and used for the next look.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_File = tuple[int, int]
"""Device and inode."""

_guard: Final = threading.RLock()
_kept: Final[dict[_File, list[int]]] = {}
_OPEN_ONES: Final = ("/proc/self/fd", "/dev/fd")


def peek(path: str | os.PathLike[str], size: int) -> tuple[bytes, int]:
    """The first `size` bytes of the file, or as many as it has, and its length.

    Raises `OSError`.
    """
    with _guard:
        status = os.stat(path)
        if kept := _kept.get((status.st_dev, status.st_ino)):
            return os.pread(kept[0], size, 0), os.fstat(kept[0]).st_size
        handle = os.open(path, os.O_RDONLY)
        try:
            return os.pread(handle, size, 0), os.fstat(handle).st_size
        finally:
            let_go(handle)


def let_go(handle: int) -> None:
    """Close this descriptor of a database's file as soon as it does no harm."""
    with _guard:
        _kept.setdefault(_file(handle), []).append(handle)
        used = _used()
        for file in [file for file in _kept if used is not None and file not in used]:
            for each in _kept.pop(file):
                os.close(each)


@contextlib.contextmanager
def connecting() -> Iterator[None]:
    """Nothing is closed meanwhile: a connection that is being made has no locks yet to be seen."""
    with _guard:
        yield


def _file(handle: int) -> _File:
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _used() -> set[_File] | None:
    """The files of all other descriptors of this process; None where the system does not tell."""
    ours = {each for handles in _kept.values() for each in handles}
    for folder in _OPEN_ONES:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        used = set()
        for handle in {int(name) for name in names if name.isdecimal()} - ours:
            with contextlib.suppress(OSError):  # closed since
                used.add(_file(handle))
        return used
    return None

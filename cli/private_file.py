"""Files that hold what somebody said: for their owner alone, and whole or not there at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from recorder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def private_file(path: Path, *, force: bool = False) -> Iterator[IO[bytes]]:
    """A file to write and read, readable by its owner only.

    Until the block ends the file is what it was, and if it ends with an error too. One that is
    there already is kept, unless `force`. Raises `UsageError`.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; --force overwrites it")
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        with os.fdopen(handle, "w+b") as file:
            os.fchmod(handle, 0o600)
            yield file
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_private(path: Path, pieces: Iterable[bytes], *, force: bool = False) -> None:
    """Write the pieces to such a file."""
    with private_file(path, force=force) as file:
        file.writelines(pieces)

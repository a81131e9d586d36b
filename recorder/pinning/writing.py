"""The files of a cassette on disk: all of them, or none."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from .cassette import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def checked_name(path: Path) -> str:
    """The name of the cassette that this path means, without its suffix. Raises `UsageError`."""
    name = path.name.removesuffix(SUFFIX)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a cassette in it, as in {path}/greeting")
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"{name!r} is no name for a cassette: letters, digits, '-', '_' and '.', "
            "as in tests/cassettes/greeting"
        )
    return name


def check_free(folder: Path, name: str, *, force: bool) -> None:
    """Raises `UsageError` where a cassette of this name is there already, unless `force`."""
    there = folder / f"{name}{SUFFIX}"
    if there.is_dir():
        raise UsageError(f"{there} is a folder")
    if there.exists() and not force:
        raise UsageError(f"{there} is there already; --force overwrites it")


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, the last one last: until then, what was there is what it was.

    They are readable by their owner only. Raises `UsageError`.
    """
    parts = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for (path, part), data in zip(parts.items(), files.values(), strict=True):
            if path.is_dir():
                raise UsageError(f"{path} is a folder")
            handle = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        told = error.strerror or str(error)
        raise UsageError(f"{error.filename or folder} cannot be written: {told}") from None
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def remove_stale(folder: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Take away the sound of an older cassette of this name that the new one does not have."""
    for side in ("user", "assistant"):
        old = folder / f"{name}.{side}.flac"
        if old.name not in files:
            with suppress(OSError):
                old.unlink(missing_ok=True)

"""Sound files written in blocks, private to their owner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import soundfile

from ..errors import AudioFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .codecs import Samples

FORMATS: Final = {"wav": "WAV", "flac": "FLAC"}
"""Names of the formats that tracks are written in, as soundfile knows them."""


def format_of(path: Path | str) -> str:
    """The format that a file's name asks for; WAV where it asks for none."""
    suffix = Path(path).suffix.lower().removeprefix(".")
    return suffix if suffix in FORMATS else "wav"


def write_sound(
    target: Path | str | IO[bytes],
    blocks: Iterable[Samples],
    rate: int,
    *,
    channels: int = 1,
    form: str | None = None,
) -> int:
    """Write the blocks (16 bit) and say how many samples a channel there were.

    A path is made readable by its owner only, and holds the whole sound or does not exist. A
    file object must be seekable. Raises `AudioFileError`.
    """
    if not isinstance(target, Path | str):
        return _write(target, blocks, rate, channels, form or "wav")
    path = Path(target)
    part = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        with os.fdopen(handle, "w+b") as file:
            os.fchmod(handle, 0o600)
            count = _write(file, blocks, rate, channels, form or format_of(path))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = error.strerror or error
        raise AudioFileError(f"{path} cannot be written: {why}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return count


def _write(file: IO[bytes], blocks: Iterable[Samples], rate: int, channels: int, form: str) -> int:
    if form not in FORMATS:
        raise AudioFileError(f"{form!r} is no format to write; expected {' or '.join(FORMATS)}")
    count = 0
    try:
        with soundfile.SoundFile(
            file, "w", rate, channels, subtype="PCM_16", format=FORMATS[form]
        ) as sound:
            for block in blocks:
                sound.write(block)
                count += len(block)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"the sound cannot be written: {error}") from None
    return count

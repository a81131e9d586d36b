"""Sound files written in blocks, private to their owner."""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import soundfile

from ..errors import AudioFileError
from .beside import Beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from .codecs import Samples

    Write: TypeAlias = Callable[[Samples], None]

FORMATS: Final = {"wav": "WAV", "flac": "FLAC"}
"""Names of the formats that tracks are written in, as soundfile knows them."""
WAV_BYTES: Final = 0xFFFF_FFFF - 4096
"""What a WAV file can hold: its header counts bytes in 32 bits, and has some of its own."""


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
    count = 0
    with open_sound(target, rate, channels=channels, form=form) as write:
        for block in blocks:
            write(block)
            count += len(block)
    return count


@contextmanager
def open_sound(
    target: Path | str | IO[bytes], rate: int, *, channels: int = 1, form: str | None = None
) -> Iterator[Write]:
    """The same for whoever has one block after the other: gives what writes a block, which must
    then stay as it is.

    The file is there, whole, when the context is left; it is not if that was by an error.
    """
    if not isinstance(target, Path | str):
        with _encoder(target, rate, channels, form or "wav") as write:
            yield write
        return
    path = Path(target)
    part = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        with os.fdopen(handle, "w+b") as file:
            os.fchmod(handle, 0o600)
            beside = hasattr(os, "writev")
            with _encoder(file, rate, channels, form or format_of(path), beside=beside) as write:
                yield write
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = error.strerror or error
        raise AudioFileError(f"{path} cannot be written: {why}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _encoder(
    file: IO[bytes], rate: int, channels: int, form: str, *, beside: bool = False
) -> Iterator[Write]:
    """`beside`: it is a file of the system's, which can be written to in a thread."""
    if form not in FORMATS:
        raise AudioFileError(f"{form!r} is no format to write; expected {' or '.join(FORMATS)}")
    if form == "wav":
        yield from _wav(file, rate, channels, beside=beside)
        return
    try:
        with soundfile.SoundFile(
            file, "w", rate, channels, subtype="PCM_16", format=FORMATS[form]
        ) as sound:
            yield sound.write
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"the sound cannot be written: {error}") from None


_WAV: Final = struct.Struct("<4sI8sIHHIIHH4sI")
"""RIFF and its size, `WAVEfmt `, the format chunk (Microsoft's PCMWAVEFORMAT), data and its size.

The very header that libsndfile writes; through its callbacks a block costs twice as much.
"""
_PCM: Final = 1


def _wav(file: IO[bytes], rate: int, channels: int, *, beside: bool) -> Iterator[Write]:
    """The blocks as they are behind a header, whose sizes are filled in at the end."""
    frame = 2 * channels
    begin, size = file.tell(), 0

    def header() -> bytes:
        return _WAV.pack(
            b"RIFF", size + _WAV.size - 8, b"WAVEfmt ", 16, _PCM, channels, rate, rate * frame,
            frame, 16, b"data", size,
        )  # fmt: skip

    def write(block: Samples) -> None:
        nonlocal size
        size += len(block) * frame
        if size > WAV_BYTES:
            raise AudioFileError("a WAV file ends at 4 GB: choose FLAC, a lower rate, or a part")
        if len(block):
            target.write(np.ascontiguousarray(block, "<i2").data)

    file.write(header())
    with Beside(file) if beside else nullcontext(file) as target:
        yield write
    file.seek(begin)
    file.write(header())
    file.seek(0, os.SEEK_END)

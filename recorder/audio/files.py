"""Sound files as a session's input: read, mixed down, resampled, encoded."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile
import soxr

from ..errors import AudioFileError
from .codecs import encode_audio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .formats import AudioFormat

RAW_SUFFIXES: Final = frozenset({".raw", ".pcm", ".s16", ".s16le"})
"""Files without a header: 16-bit little-endian mono, whose rate must be told."""


def load(path: Path, form: AudioFormat, rate: int | None = None) -> bytes:
    """The file's sound as bytes in this format, mono.

    `rate` in Hz is that of raw PCM; for files with a header it overrides the header, which some
    recorders write wrongly. Raises `AudioFileError`.
    """
    samples, found = read_raw(path, rate) if path.suffix in RAW_SUFFIXES else read(path)
    if not len(samples):
        raise _empty(path)
    source = rate or found
    if source != form.rate:
        samples = soxr.resample(samples, source, form.rate, quality="HQ")
    whole = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return encode_audio(whole, form)


def check(path: Path, rate: int | None = None) -> None:
    """Raises `AudioFileError` for what `load` would refuse, without reading more than its head."""
    if path.suffix not in RAW_SUFFIXES:
        with _opened(path) as file:
            if not len(file.read(1)):
                raise _empty(path)
    elif not len(read_raw(path, rate, most=2)[0]):
        raise _empty(path)


def _empty(path: Path) -> AudioFileError:
    return AudioFileError(f"{path} holds no sound")


def read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples (-1 to 1, channels averaged) and rate of a WAV, FLAC or other file with a header.

    A data size that says too much (0xFFFFFFFF from a stream, a file cut short) is tolerated:
    what is there is read. Raises `AudioFileError`.
    """
    with _opened(path) as file:
        samples = file.read(dtype="float32", always_2d=True)
        return samples.mean(axis=1), file.samplerate


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file, and what libsndfile says of it as ours."""
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        if not path.exists():
            raise AudioFileError(f"there is no file {path}") from None
        told = (str(error).rpartition(":")[2].strip() or str(error)).rstrip(".")
        raise AudioFileError(
            f"{path} cannot be read as sound: {told}. Expected WAV, FLAC, OGG or MP3; "
            "for raw 16-bit PCM use a name ending in .pcm, and say its --rate"
        ) from None


def read_raw(path: Path, rate: int | None, most: int = -1) -> tuple[NDArray[np.float32], int]:
    """Samples (-1 to 1) of raw 16-bit little-endian mono PCM, of at most so many bytes.

    Raises `AudioFileError`.
    """
    if rate is None:
        raise AudioFileError(
            f"{path} is raw PCM: say its sample rate with --rate, as in --rate 24000"
        )
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        raise AudioFileError(f"{path} cannot be read: {error.strerror}") from None
    whole = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
    return whole.astype(np.float32) / 32768.0, rate

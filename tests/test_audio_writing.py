"""Sound files: private, whole or not there, and what was written is what is read."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recorder.audio import writing
from recorder.audio.writing import format_of, write_sound
from recorder.errors import AudioFileError

BLOCKS = [np.arange(100, dtype=np.int16), np.arange(-50, 0, dtype=np.int16)]


@pytest.mark.parametrize("name", ["call.wav", "call.flac"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    """Sample for sample, WAV and FLAC."""
    count = write_sound(tmp_path / name, BLOCKS, 24_000)

    samples, rate = soundfile.read(tmp_path / name, dtype="int16")
    assert (count, rate) == (150, 24_000)
    assert np.array_equal(samples, np.concatenate(BLOCKS))


def test_two_channels_stay_apart(tmp_path: Path) -> None:
    """Blocks of two columns are stereo."""
    write_sound(tmp_path / "s.wav", [np.array([[1, 2], [3, 4]], np.int16)], 8_000, channels=2)
    samples, _ = soundfile.read(tmp_path / "s.wav", dtype="int16")
    assert samples.tolist() == [[1, 2], [3, 4]]


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    """Somebody's voice is nobody else's."""
    (tmp_path / "a.wav").write_bytes(b"old, and open to all")
    before = os.umask(0)
    try:
        write_sound(tmp_path / "a.wav", BLOCKS, 24_000)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == 0o600


def test_a_track_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither half a file nor its working copy; what stood there before still does."""
    (tmp_path / "a.wav").write_bytes(b"before")

    def broken() -> object:
        yield BLOCKS[0]
        raise RuntimeError("the log ended in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_sound(tmp_path / "a.wav", broken(), 24_000)  # type: ignore[arg-type]

    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"before"


def test_a_file_object_is_written_to() -> None:
    """Into memory, for instance."""
    target = io.BytesIO()
    write_sound(target, BLOCKS, 24_000, form="flac")
    assert target.getvalue()[:4] == b"fLaC"


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_file_is_what_libsndfile_would_write(tmp_path: Path, channels: int) -> None:
    """Byte for byte, whether to a path or into an open file, and when there is no sound at all."""
    sound = np.arange(-300, 300, dtype=np.int16).reshape(-1, channels)
    for blocks in ([], [sound[:50], sound[50:51], sound[51:]], [sound[::2]]):
        whole = np.concatenate([sound[:0], *blocks])
        expected = io.BytesIO()
        soundfile.write(expected, whole, 8_000, format="WAV", subtype="PCM_16")

        target = io.BytesIO()
        count = write_sound(target, blocks, 8_000, channels=channels)
        write_sound(tmp_path / "a.wav", blocks, 8_000, channels=channels)

        assert count == len(whole)
        assert target.getvalue() == expected.getvalue()
        assert (tmp_path / "a.wav").read_bytes() == expected.getvalue()


def test_a_wav_file_that_would_be_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header could not tell how long it is: nothing is left, and the way out is told."""
    monkeypatch.setattr(writing, "WAV_BYTES", 299)
    with pytest.raises(AudioFileError, match="choose FLAC"):
        write_sound(tmp_path / "a.wav", BLOCKS, 24_000)
    assert not list(tmp_path.iterdir())

    monkeypatch.setattr(writing, "WAV_BYTES", 300)
    assert write_sound(tmp_path / "a.wav", BLOCKS, 24_000) == 150


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A missing folder and an unknown format, in a sentence."""
    with pytest.raises(AudioFileError, match=r"cannot be written: No such file"):
        write_sound(tmp_path / "none" / "a.wav", BLOCKS, 24_000)
    with pytest.raises(AudioFileError, match="expected wav or flac"):
        write_sound(io.BytesIO(), BLOCKS, 24_000, form="mp3")


def test_the_name_tells_the_format() -> None:
    """WAV where it tells none."""
    assert [format_of(name) for name in ("a.FLAC", "b.wav", "c")] == ["flac", "wav", "wav"]

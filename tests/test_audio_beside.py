"""Bytes written in a thread: all of them, in order, and what goes wrong is told."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from recorder.audio.beside import BATCH, PIECES, Beside
from recorder.audio.writing import write_sound
from recorder.errors import AudioFileError

pytestmark = pytest.mark.skipif(not hasattr(os, "writev"), reason="this system has no writev")


def test_bytes_arrive_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    """Behind what the file already held, in pieces larger and smaller than a batch."""
    pieces = [bytes([row % 251]) * size for row, size in enumerate([1, BATCH + 7, 3, 0, BATCH, 5])]
    pieces += [b"%d," % row for row in range(3 * PIECES)]
    with (tmp_path / "a").open("w+b") as file:
        file.write(b"head")
        with Beside(file) as target:
            for piece in pieces:
                target.write(memoryview(piece))
    assert (tmp_path / "a").read_bytes() == b"head" + b"".join(pieces)


def test_a_system_that_takes_less_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it stops inside a piece or between two."""
    real = os.writev

    def little(handle: int, pieces: list[memoryview]) -> int:
        return real(handle, [pieces[0][:4]])

    monkeypatch.setattr(os, "writev", little)
    pieces = [b"abcdef", b"ghij", b"k", b"lmnopqrstuvw"]
    with (tmp_path / "a").open("w+b") as file, Beside(file) as target:
        for piece in pieces:
            target.write(memoryview(piece))
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_by_a_later_call_or_at_the_end() -> None:
    """And the thread is gone either way."""
    piece = memoryview(bytes(BATCH))
    with Path("/dev/full").open("r+b", buffering=0) as file:
        with pytest.raises(OSError, match="No space") as told, Beside(file) as target:
            target.write(piece)
        assert told.value.errno == errno.ENOSPC
        with pytest.raises(OSError, match="No space"), Beside(file) as target:
            for _ in range(3):
                target.write(piece)
            pytest.fail("the first batch failed, and nobody was told")
    assert not [each for each in threading.enumerate() if each.name.startswith("recorder-sound")]


def test_an_error_of_the_writer_is_the_one_that_is_seen(tmp_path: Path) -> None:
    """What waits then is not written."""
    with (
        (tmp_path / "a").open("w+b") as file,
        pytest.raises(KeyError, match="mine"),
        Beside(file) as target,
    ):
        target.write(memoryview(b"some"))
        raise KeyError("mine")
    assert (tmp_path / "a").read_bytes() == b""


def test_a_sound_file_on_a_full_disk_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is left."""

    def full(handle: int, pieces: list[memoryview]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(AudioFileError, match="cannot be written: No space"):
        write_sound(tmp_path / "a.wav", [np.ones(100, np.int16)], 24_000)
    assert not list(tmp_path.iterdir())
